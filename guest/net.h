/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's network: loopback, and with --net the one of QEMU's user mode (guest/params.h has its addresses). */
#ifndef CASEMENT_GUEST_NET_H
#define CASEMENT_GUEST_NET_H

#include "guest/params.h"

/* Bring up what there is. A network that was asked for and cannot be had ends the guest (report_failure). */
void net_up(const struct guest_params *params);

#endif
