/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One run of one workload: as many operations as fit into a time, with so many
 * requests in flight on each queue. A thread a queue.
 */
#ifndef CASEMENT_CLI_BENCH_RUN_H
#define CASEMENT_CLI_BENCH_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/bench_hist.h"
#include "cli/bench_local.h"
#include "cli/bench_target.h"
#include "cli/bench_work.h"

#define RUN_NOT_COUNTED (-1.0)

struct bench_row {
	const struct bench_work *work;
	unsigned int depth;
	size_t block;
};

struct bench_how {
	uint64_t warm_ns, run_ns;	/* time before what counts, and of what counts */
	unsigned int batch;		/* answers taken at most before requests are sent again */
	const int *cpus;		/* thread i runs on cpus[i % n_cpus] */
	unsigned int n_cpus;		/* 0: anywhere */
	const atomic_bool *stop;	/* when true: end early */
};

struct bench_result {
	double ops, mib;		/* a second */
	double p50, p99, p999;		/* us; 0 for a local run */
	double calls;			/* system calls of the daemon an operation, or RUN_NOT_COUNTED */
	double cpu;			/* its processor seconds a million operations; 0: not known */
};

/* 0, or -errno, logged; -ECANCELED when it was stopped. */
int bench_run(struct bench_target *target, const struct bench_row *row,
	      const struct bench_how *how, struct bench_result *result);
/* The same on the host itself. -EOPNOTSUPP where the workload has no such thing. */
int bench_run_local(struct bench_local *local, const struct bench_row *row,
		    const struct bench_how *how, struct bench_result *result);
/* A short run that counts system calls. RUN_NOT_COUNTED where that cannot be. */
double bench_run_counted(struct bench_target *target, const struct bench_row *row,
			 const struct bench_how *how);

#endif
