/* SPDX-License-Identifier: BSD-3-Clause */
/* What `casement bench` was asked to measure. */
#ifndef CASEMENT_CLI_BENCH_CONFIG_H
#define CASEMENT_CLI_BENCH_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/bench_run.h"
#include "common/options.h"

#define BENCH_ROWS_MAX 64
#define BENCH_CPUS_MAX 64

struct bench_config {
	const char *socket;
	const char *compare;		/* the other daemon's; NULL: none */
	const char *local;		/* a directory of the host; NULL: none */
	const char *json;		/* a file for the results; NULL: none */
	const char *work;		/* as given */
	uint64_t depth, block_size, batch, queues;
	uint64_t runs;
	uint64_t time_ms, warm_ms;	/* of each run */
	uint64_t file_size, entries;
	uint64_t daemon_pid;		/* of the first daemon; 0: ask the socket */
	const char *cpu_text;
	bool poll, cold;
	struct bench_row rows[BENCH_ROWS_MAX];
	unsigned int n_rows;
	int cpus[BENCH_CPUS_MAX];
	unsigned int n_cpus;
};

/* See options_parse(); config->socket may come first or last. */
enum options_result bench_config_parse(int argc, char **argv, struct bench_config *config);

/* The largest depth and block size of all rows, and the parts of the tree they need. */
unsigned int bench_config_depth(const struct bench_config *config);
size_t bench_config_block(const struct bench_config *config);
unsigned int bench_config_needs(const struct bench_config *config);

#endif
