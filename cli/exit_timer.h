/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An end for a process that was told to go twice, whatever its threads are doing: a daemon can fill
 * an eventfd that one writes to, or keep a page from being ready, and the kernel waits for these.
 */
#ifndef CASEMENT_CLI_EXIT_TIMER_H
#define CASEMENT_CLI_EXIT_TIMER_H

/* Make it, by SIGALRM; the process will end with `status`. Once a process. 0 or -errno. */
int exit_timer_new(int status);
/* End the process in a moment. For a signal's handler, too. */
void exit_timer_start(void);
/* It ended by itself. */
void exit_timer_stop(void);

#endif
