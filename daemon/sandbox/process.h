/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two processes instead of one: a parent outside, which others know, signal
 * and wait for, and which removes the socket; and its child, which serves.
 */
#ifndef CASEMENT_DAEMON_SANDBOX_PROCESS_H
#define CASEMENT_DAEMON_SANDBOX_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Fork, before there are threads; `pid_ns`: the child is the first process of
 * a pid namespace. *child is its pid, or 0 in the child. 0, or -errno, logged.
 */
int process_fork(bool pid_ns, pid_t *child);

/* In the child, once its ids and capabilities are final: it must not outlive its parent. */
void process_bind(void);

/*
 * In the parent: give up what waiting does not need, pass on the signals that
 * `signal_fd` (a signalfd) yields, until the child's end: its wait status, or
 * -errno. Logs an end by a signal. A child that does not end within two seconds
 * of the first signal is killed, at once with the second, and the status is that of
 * success; so it is if the kernel does not let it go even then, and it is left behind.
 */
int process_wait(pid_t child, int signal_fd);

/* End as a child with this wait status did. */
void process_end_alike(int status) __attribute__((noreturn));

#endif
