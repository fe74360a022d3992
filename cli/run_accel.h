/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether this host's KVM is of use. */
#ifndef CASEMENT_CLI_RUN_ACCEL_H
#define CASEMENT_CLI_RUN_ACCEL_H

#include <stdbool.h>

/* True when there is a /dev/kvm that answers, and it has not failed since the host's boot. */
bool accel_kvm_usable(void);

/* KVM could not run a guest: the next runs of this user, until the host's reboot, need not try. */
void accel_kvm_failed(void);

#endif
