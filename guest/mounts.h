/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's mounts. What cannot be mounted ends the guest with a sentence
 * for the host (report_failure).
 */
#ifndef CASEMENT_GUEST_MOUNTS_H
#define CASEMENT_GUEST_MOUNTS_H

#include "guest/params.h"

/* /proc, /sys and /dev in the boot share. */
void mounts_early(void);

/* Make the root share the root file system in the boot share's place, and give it what every system has. */
void mounts_switch_root(const struct guest_params *params);

/* Mount the shares; they are where the command works. */
void mounts_shares(const struct guest_params *params);

/*
 * Make the first share, if any, and then the directory that was asked for the caller's: for the
 * command alone, so that it may unmount what it works in. 0, or -errno with *where that cannot be entered.
 */
int mounts_enter(const struct guest_params *params, const char **where);

/* Unmount the shares, so that the host's side has everything. */
void mounts_release(const struct guest_params *params);

#endif
