/* SPDX-License-Identifier: BSD-3-Clause */
/* Results of `casement bench`: medians and ratios, as a table and as JSON. */
#ifndef CASEMENT_CLI_BENCH_REPORT_H
#define CASEMENT_CLI_BENCH_REPORT_H

#include "cli/bench_config.h"

#define BENCH_RUNS_MAX 99

/* Who was measured. */
enum bench_who { BENCH_A, BENCH_B, BENCH_LOCAL, BENCH_WHO };

struct bench_rowset {
	const struct bench_row *row;
	unsigned int n[BENCH_WHO];	/* runs there are; 0: not measured */
	struct bench_result results[BENCH_WHO][BENCH_RUNS_MAX];
	double calls[BENCH_WHO];	/* system calls an operation, or RUN_NOT_COUNTED */
};

/* The table's head, once; then each row as soon as it is there. */
void report_head(const struct bench_config *config);
void report_row(const struct bench_rowset *set);
/* All rows, as JSON, into config->json. 0, or -errno, logged. */
int report_json(const struct bench_config *config, const struct bench_rowset *sets, unsigned int n);

#endif
