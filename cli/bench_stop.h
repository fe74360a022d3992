/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How people end a measurement. The first signal ends the run, and what was made
 * in the share is removed as long as the daemon answers; the second ends that, too, and
 * soon after that the process (exit_timer.h).
 */
#ifndef CASEMENT_CLI_BENCH_STOP_H
#define CASEMENT_CLI_BENCH_STOP_H

#include <stdatomic.h>
#include <stdbool.h>

/* Catch SIGINT, SIGTERM and SIGHUP from now on. 0 or -errno. */
int stop_catch(void);
/* For casement_options.stop_fd: readable when nothing shall be waited for any more. */
int stop_fd(void);
/* True after the first signal. */
const atomic_bool *stop_flag(void);
/* True after the second. */
bool stop_insisted(void);
/* The daemon did something: after a first signal it has another second for the next. */
void stop_grant(void);

#endif
