/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's clock. A kernel's own is seconds from the host's, whose casementd gives files their times: a PC's
 * tells whole seconds, and User-mode Linux loses what passes until its timer runs.
 */
#ifndef CASEMENT_GUEST_CLOCK_H
#define CASEMENT_GUEST_CLOCK_H

/* Set it by the host's. Where that does not work, a line in the kernel's log says so. */
void clock_take(void);

#endif
