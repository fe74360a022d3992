/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's root file system: a share, or what the guest changes upon it. */
#ifndef CASEMENT_GUEST_ROOT_H
#define CASEMENT_GUEST_ROOT_H

#include "guest/params.h"

/* Mount it at /GUEST_ROOT_MOUNT of the boot share; what cannot be mounted ends the guest (report_failure). */
void root_mount(const struct guest_params *params);

#endif
