/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the guest's end is told to the host: the status file in the boot share.
 */
#ifndef CASEMENT_GUEST_REPORT_H
#define CASEMENT_GUEST_REPORT_H

/* Remember the folder that is "/" now: it stays reachable after the root is changed. */
void report_setup(void);

/* Let go of it, and have it again, as a mount of this type that nobody else sees. */
void report_leave(void);
void report_return(const char *fs);

/* A line in the kernel's log. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Tell the host COMMAND's exit status, and power off. */
void report_exit(int status) __attribute__((noreturn));

/* Tell the host, in a sentence, why there is none, and power off. */
void report_failure(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
