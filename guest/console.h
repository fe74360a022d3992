/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A shell beside the command, for `casement console`: on a terminal of its own, through a port that a
 * program of the host connects to and leaves as it likes (guest/params.h). No call waits.
 */
#ifndef CASEMENT_GUEST_CONSOLE_H
#define CASEMENT_GUEST_CONSOLE_H

#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>

enum { CONSOLE_PORT, CONSOLE_TERMINAL, CONSOLE_POLLS };

/* Once the ports are open. Without such a port there is nothing to do, ever. */
void console_init(void);

void console_poll(struct pollfd fds[CONSOLE_POLLS]);
void console_move(const struct pollfd fds[CONSOLE_POLLS]);

/* A process has ended, with this status as a shell says it. */
void console_reaped(pid_t pid, int status);

#endif
