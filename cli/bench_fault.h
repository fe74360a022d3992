/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads from memory that others can take away: the daemon's window. A file that is cut while it is
 * mapped is a SIGBUS, and a range that the daemon has unmapped, or never mapped, a SIGSEGV.
 */
#ifndef CASEMENT_CLI_BENCH_FAULT_H
#define CASEMENT_CLI_BENCH_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* Catch these signals from now on. Faults elsewhere end the process as before. 0 or -errno. */
int fault_catch(void);
/*
 * Call touch(arg), which may load from [base, base + size). False when such a load faulted: touch()
 * was left there, so it holds no lock and owns nothing.
 */
bool fault_try(const void *base, size_t size, void (*touch)(void *arg), void *arg);

#endif
