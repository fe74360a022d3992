/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of `casement bench` and its list of rows; see bench_config.h. */
#include "cli/bench_config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench_cold.h"
#include "common/checked.h"
#include "common/log.h"

#define DEPTH_MAX 128
#define BLOCK_MAX (16u << 20)
#define DEFAULT_RUNS 5

static int list_works(void *config, const char *argument)
{
	const struct bench_work *work;

	(void)config;
	(void)argument;
	for (unsigned int i = 0; (work = bench_work_at(i)); i++)
		printf("%-13s %s\n", work->name, work->help);
	exit(0);
}

#define AT(member) offsetof(struct bench_config, member)

static const struct option_row rows[] = {
	{ "work", 'w', OPTION_STRING, AT(work), "LIST",
	  "What to measure: NAME[:DEPTH[:BLOCK]], separated by commas, for example getattr,read:16:64K. Default: all." },
	{ "list", 'l', OPTION_CALL, 0, NULL,
	  "List the workloads and what they do.", .call = list_works },
	{ "depth", 'd', OPTION_NUMBER, AT(depth), "N",
	  "Requests in flight on each queue. Default: 1.", .min = 1, .max = DEPTH_MAX },
	{ "block-size", 'b', OPTION_SIZE, AT(block_size), "SIZE",
	  "Bytes of a READ or WRITE. Default: 4K.", .min = 1, .max = BLOCK_MAX },
	{ "batch", 0, OPTION_NUMBER, AT(batch), "N",
	  "Answers taken at most before requests are sent in their place. 1 is what a guest does with asynchronous I/O; with the depth, all that are there are taken, and then all are sent. Default: 1.",
	  .min = 1, .max = DEPTH_MAX },
	{ "queues", 'q', OPTION_NUMBER, AT(queues), "N",
	  "Request queues, each with a thread here. The daemon must have as many. Default: 1.",
	  .min = 1, .max = BENCH_QUEUES_MAX },
	{ "poll", 0, OPTION_FLAG, AT(poll), NULL,
	  "Look for answers all the time, instead of sleeping until the daemon notifies." },
	{ "cold", 0, OPTION_FLAG, AT(cold), NULL,
	  "Empty the host's page cache before each run, so that a daemon reads from the disk; for root. Give --warm 0 and a --file-size that a run does not read twice." },
	{ "compare", 0, OPTION_STRING, AT(compare), "SOCKET2",
	  "Measure this daemon, too: A B A B, so that both see the same noise, and print ratios with their spread." },
	{ "local", 0, OPTION_STRING, AT(local), "DIR",
	  "Measure, between the others, what this machine does without a daemon: the same system calls in a bare loop of one thread, in a directory made in DIR, which should be on the file system that is shared. memcpy for the streams." },
	{ "runs", 'n', OPTION_NUMBER, AT(runs), "N",
	  "Runs of each row and daemon; the median is shown. Default: 5 with --compare or --local, else 1.",
	  .min = 1, .max = 99 },
	{ "time", 't', OPTION_NUMBER, AT(time_ms), "MS",
	  "Length of each run. Default: 500.", .min = 10, .max = 3600000 },
	{ "warm", 0, OPTION_NUMBER, AT(warm_ms), "MS",
	  "Time before each run that does not count. Default: 100.", .max = 60000 },
	{ "file-size", 0, OPTION_SIZE, AT(file_size), "SIZE",
	  "Length of the file that is read and written, one a queue. Default: 64M.",
	  .min = 1u << 20 },
	{ "entries", 0, OPTION_NUMBER, AT(entries), "N",
	  "Entries of the directory that readdirplus lists. Default: 10000.",
	  .min = 1, .max = 1000000 },
	{ "cpu-list", 0, OPTION_STRING, AT(cpu_text), "LIST",
	  "Processors, separated by commas: the thread of the first queue and the bare loops run on the first, and so on." },
	{ "daemon-pid", 0, OPTION_NUMBER, AT(daemon_pid), "PID",
	  "The first daemon's process, where the socket does not tell it (another PID namespace).",
	  .max = INT32_MAX },
	{ "json", 0, OPTION_STRING, AT(json), "FILE",
	  "Write all results there; bench/plot.py makes plots of it." },
};

static const struct option_table table = {
	.program = "casement bench",
	.usage = "SOCKET [OPTION]...",
	.summary = "Measure a virtio-fs daemon without a virtual machine.",
	.epilog = "The daemon ends with the measurement, as with a VM. What it works on is made in\n"
		  "the share, in a directory casement-bench-PID-A, and removed.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
};

static int add_row(struct bench_config *config, const struct bench_work *work, uint64_t depth, uint64_t block)
{
	if (config->n_rows == BENCH_ROWS_MAX) {
		log_error("--work: more than %d rows", BENCH_ROWS_MAX);
		return -E2BIG;
	}
	config->rows[config->n_rows++] = (struct bench_row){
		.work = work, .depth = (unsigned int)depth, .block = work->block ? work->block : block,
	};
	return 0;
}

/* One NAME[:DEPTH[:BLOCK]]; `text` is ours to cut. */
static int parse_row(struct bench_config *config, char *text)
{
	char *name = strsep(&text, ":"), *depth = strsep(&text, ":"), *block = strsep(&text, ":");
	uint64_t number = config->depth, size = config->block_size;
	const struct bench_work *work = bench_work_find(name);

	if (!work) {
		log_error("--work %s: no such workload; see casement bench --list", name);
		return -EINVAL;
	}
	if (depth && (parse_size(depth, &number) || !number || number > DEPTH_MAX)) {
		log_error("--work %s:%s: not a depth: give 1 to %d", name, depth, DEPTH_MAX);
		return -EINVAL;
	}
	if (block && (parse_size(block, &size) || !size || size > BLOCK_MAX)) {
		log_error("--work %s:%s:%s: not a block size: give for example 4K", name, depth, block);
		return -EINVAL;
	}
	if (text) {
		log_error("--work %s: NAME[:DEPTH[:BLOCK]] has no %s", name, text);
		return -EINVAL;
	}
	return add_row(config, work, number, size);
}

static int parse_rows(struct bench_config *config)
{
	const struct bench_work *work;
	char *copy, *rest;
	int err = 0;

	if (!config->work) {
		for (unsigned int i = 0; !err && (work = bench_work_at(i)); i++)
			err = add_row(config, work, config->depth, config->block_size);
		return err;
	}
	copy = rest = strdup(config->work);
	if (!copy)
		return -ENOMEM;
	while (!err && rest)
		err = parse_row(config, strsep(&rest, ","));
	free(copy);
	return err;
}

static int parse_cpus(struct bench_config *config)
{
	const char *text = config->cpu_text;

	while (text) {
		char *end;
		long cpu = strtol(text, &end, 10);

		if (end == text || cpu < 0 || cpu >= 1024 || (*end && *end != ',') ||
		    config->n_cpus == BENCH_CPUS_MAX) {
			log_error("--cpu-list %s: not a list of processors: give for example 0,1",
				  config->cpu_text);
			return -EINVAL;
		}
		config->cpus[config->n_cpus++] = (int)cpu;
		text = *end ? end + 1 : NULL;
	}
	return 0;
}

static int check(struct bench_config *config)
{
	if (!config->socket) {
		log_error("no socket: name the one that the daemon listens on");
		return -EINVAL;
	}
	if (parse_rows(config) || parse_cpus(config))
		return -EINVAL;
	if (config->cold && cold_check())
		return -EPERM;
	for (unsigned int i = 0; i < config->n_rows; i++) {
		const struct bench_row *row = &config->rows[i];

		if (row->work->moves_blocks && row->block > config->file_size) {
			log_error("%s: blocks of %zu bytes, but --file-size is %llu", row->work->name,
				  row->block, (unsigned long long)config->file_size);
			return -EINVAL;
		}
	}
	if (!config->runs)
		config->runs = config->compare || config->local ? DEFAULT_RUNS : 1;
	return 0;
}

enum options_result bench_config_parse(int argc, char **argv, struct bench_config *config)
{
	enum options_result result;
	int at = 0, first;

	*config = (struct bench_config){
		.depth = 1, .block_size = 4096, .batch = 1, .queues = 1, .time_ms = 500, .warm_ms = 100,
		.file_size = 64u << 20, .entries = 10000,
	};
	/* Options end at the first other word: the socket, after which there may be more. */
	do {
		result = options_parse(&table, argc - at, argv + at, config, &first);
		if (result != OPTIONS_GO)
			return result;
		at += first;
		if (at < argc && config->socket) {
			log_error("%s: one socket too many; see casement bench --help", argv[at]);
			return OPTIONS_BAD;
		}
		if (at < argc)
			config->socket = argv[at];
	} while (at < argc);
	return check(config) ? OPTIONS_BAD : OPTIONS_GO;
}

unsigned int bench_config_depth(const struct bench_config *config)
{
	unsigned int depth = 1;

	for (unsigned int i = 0; i < config->n_rows; i++)
		depth = MAX(depth, config->rows[i].depth);
	return depth;
}

size_t bench_config_block(const struct bench_config *config)
{
	size_t block = 1u << 20;

	for (unsigned int i = 0; i < config->n_rows; i++)
		if (config->rows[i].work->moves_blocks)
			block = MAX(block, config->rows[i].block);
	return block;
}

unsigned int bench_config_needs(const struct bench_config *config)
{
	unsigned int needs = 0;

	for (unsigned int i = 0; i < config->n_rows; i++)
		needs |= config->rows[i].work->needs;
	return needs;
}
