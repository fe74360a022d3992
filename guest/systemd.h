/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The root's own systemd as the first process (--systemd). It starts a service that is made here, in which
 * this program is started once more, to run the command as it always does.
 */
#ifndef CASEMENT_GUEST_SYSTEMD_H
#define CASEMENT_GUEST_SYSTEMD_H

#define SYSTEMD_COMMAND "--command"	/* this program is the service */
#define SYSTEMD_FAILED "--failed"	/* it is there to say that there will be none */
#define SYSTEMD_PARAMS "/run/casement/params"

/* Keep the parameters file, before the root is another. */
void systemd_keep(const char *params);

/* Become systemd. What is missing ends the guest (report_failure). */
void systemd_become(void) __attribute__((noreturn));

#endif
