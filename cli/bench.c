/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casement bench: a virtio-fs daemon measured without a machine. Connects,
 * makes something to work on, runs each row on each daemon in turn, prints,
 * and removes what it made, also after Ctrl-C.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/bench_cold.h"
#include "cli/bench_config.h"
#include "cli/bench_fault.h"
#include "cli/bench_report.h"
#include "cli/bench_stop.h"
#include "cli/bench_target.h"
#include "cli/subcommand.h"
#include "common/checked.h"
#include "common/log.h"

#define WINDOW_ROW(row) ((row)->work->needs & NEED_WINDOW)

struct bench {
	struct bench_config config;
	struct bench_how how;
	struct bench_target targets[2];
	unsigned int n_targets;
	struct bench_local local;
	bool has_local;
	struct bench_rowset *sets;
	unsigned int n_sets;
};

static void progress(const struct bench *bench, const struct bench_row *row, unsigned int run)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%u/%u %s, depth %u: run %u/%llu\r", bench->n_sets + 1,
			bench->config.n_rows, row->work->name, row->depth, run + 1,
			(unsigned long long)bench->config.runs);
}

static void progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
}

/* True when all daemons can do it; says why not. */
static bool row_possible(const struct bench *bench, const struct bench_row *row)
{
	for (unsigned int i = 0; i < bench->n_targets; i++) {
		if (WINDOW_ROW(row) && !bench->targets[i].tree.window) {
			log_info("%s: left out: %s has no DAX window", row->work->name,
				 bench->targets[i].socket);
			return false;
		}
	}
	return true;
}

/* One run on each. */
static int run_once(struct bench *bench, struct bench_rowset *set)
{
	int err = 0;

	for (unsigned int i = 0; i < bench->n_targets && !err; i++) {
		err = bench->config.cold ? cold_make() : 0;
		if (!err)
			err = bench_run(&bench->targets[i], set->row, &bench->how,
					&set->results[BENCH_A + i][set->n[BENCH_A + i]]);
		set->n[BENCH_A + i] += !err;
	}
	if (!err && bench->has_local && bench->config.cold)
		err = cold_make();
	if (err || !bench->has_local)
		return err;
	err = bench_run_local(&bench->local, set->row, &bench->how,
			      &set->results[BENCH_LOCAL][set->n[BENCH_LOCAL]]);
	set->n[BENCH_LOCAL] += !err;
	return err == -EOPNOTSUPP ? 0 : err;
}

static int run_row(struct bench *bench, const struct bench_row *row)
{
	struct bench_rowset *set = &bench->sets[bench->n_sets];
	int err = 0;

	if (!row_possible(bench, row))
		return 0;
	*set = (struct bench_rowset){ .row = row };
	for (unsigned int who = 0; who < BENCH_WHO; who++)
		set->calls[who] = RUN_NOT_COUNTED;
	for (unsigned int run = 0; run < bench->config.runs && !err; run++) {
		progress(bench, row, run);
		err = run_once(bench, set);
	}
	for (unsigned int i = 0; i < bench->n_targets && !err; i++)
		set->calls[BENCH_A + i] = bench_run_counted(&bench->targets[i], row, &bench->how);
	progress_end();
	if (err)
		return err;
	bench->n_sets++;
	report_row(set);
	return atomic_load(stop_flag()) ? -ECANCELED : 0;
}

static int open_all(struct bench *bench)
{
	const struct bench_config *config = &bench->config;
	struct bench_plan plan = {
		.queues = (unsigned int)config->queues, .depth_max = bench_config_depth(config),
		.block_max = bench_config_block(config), .file_size = config->file_size,
		.n_entries = (unsigned int)config->entries, .needs = bench_config_needs(config),
		.poll = config->poll,
	};
	const char *const sockets[] = { config->socket, config->compare };
	int err = 0;

	plan.window = plan.needs & NEED_WINDOW;
	for (unsigned int i = 0; i < ARRAY_SIZE(sockets) && sockets[i] && !err; i++)
		err = target_open(&bench->targets[bench->n_targets++], (char)('A' + i), sockets[i], &plan);
	if (!err && config->daemon_pid)
		bench->targets[0].pid = (pid_t)config->daemon_pid;
	if (err || !config->local)
		return err;
	bench->has_local = true;
	return local_open(config->local, config->file_size, plan.n_entries, plan.block_max, &bench->local);
}

static int measure(struct bench *bench)
{
	const struct bench_config *config = &bench->config;
	int err = open_all(bench);

	if (!err)
		report_head(config);
	for (unsigned int i = 0; i < config->n_rows && !err; i++)
		err = run_row(bench, &config->rows[i]);
	for (unsigned int i = 0; i < bench->n_targets; i++)
		target_close(&bench->targets[i]);
	if (bench->has_local)
		local_close(&bench->local);
	/* What there is after Ctrl-C is still worth something. */
	if (config->json && bench->n_sets && (!err || err == -ECANCELED))
		err = report_json(config, bench->sets, bench->n_sets) ?: err;
	return err;
}

int bench_main(int argc, char **argv)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct bench_config *config;
	enum options_result result;
	int err = -ENOMEM;

	log_setup("casement bench", LOG_LEVEL_INFO);
	if (!bench)
		return STATUS_MISSING;
	config = &bench->config;
	result = bench_config_parse(argc, argv, config);
	if (result == OPTIONS_GO) {
		bench->how = (struct bench_how){
			.warm_ns = config->warm_ms * 1000000,
			.run_ns = config->time_ms * 1000000,
			.batch = (unsigned int)config->batch, .cpus = config->cpus,
			.n_cpus = config->n_cpus, .stop = stop_flag(),
		};
		bench->sets = calloc(config->n_rows, sizeof(bench->sets[0]));
		err = bench->sets ? stop_catch() : -ENOMEM;
		if (!err)
			err = fault_catch();
		if (!err)
			err = measure(bench);
		free(bench->sets);
	}
	free(bench);
	if (result != OPTIONS_GO)
		return result == OPTIONS_DONE ? 0 : STATUS_USAGE;
	return err == -ECANCELED ? 128 + SIGINT : err ? STATUS_MISSING : 0;
}
