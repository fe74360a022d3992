/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a daemon costs, seen from outside: its processor time, and its system
 * calls, which the kernel counts at the tracepoint raw_syscalls:sys_enter.
 */
#ifndef CASEMENT_CLI_BENCH_COUNT_H
#define CASEMENT_CLI_BENCH_COUNT_H

#include <stdint.h>
#include <sys/types.h>

#define COUNT_THREADS_MAX 256

/* Processor time of all threads of a process so far, in ns; 0 when it cannot be known. */
uint64_t count_cpu_ns(pid_t pid);

struct bench_counter {
	int fds[COUNT_THREADS_MAX];	/* one a thread; those that it starts are counted with it */
	unsigned int n;
};

/*
 * Begin to count the system calls of all threads of a process. 0, or -errno
 * where that is not permitted or the kernel has no such tracepoint. Counting
 * slows system calls down: never while time is measured.
 */
int count_open(struct bench_counter *counter, pid_t pid);
/* System calls since count_open(). */
uint64_t count_read(const struct bench_counter *counter);
void count_close(struct bench_counter *counter);

#endif
