/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables of results; see bench_report.h. A ratio is that of two runs that
 * followed each other, so that what disturbs both cancels out; shown is the
 * median of all pairs, and the least and the most.
 */
#include "cli/bench_report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"

/* The numbers of a result, one row each. */
static const struct figure {
	const char *name;	/* in JSON */
	size_t offset;
} figures[] = {
	{ "ops_per_s", offsetof(struct bench_result, ops) },
	{ "mib_per_s", offsetof(struct bench_result, mib) },
	{ "p50_us", offsetof(struct bench_result, p50) },
	{ "p99_us", offsetof(struct bench_result, p99) },
	{ "p999_us", offsetof(struct bench_result, p999) },
	{ "cpu_s_per_mop", offsetof(struct bench_result, cpu) },
};

enum { FIGURE_OPS, FIGURE_MIB, FIGURE_P50, FIGURE_P99, FIGURE_P999, FIGURE_CPU };

struct spread {
	double median, least, most;
	double values[BENCH_RUNS_MAX];	/* in order of size */
	unsigned int n;
};

static const char *const who_names[BENCH_WHO] = { "A", "B", "local" };

static double figure_of(const struct bench_result *result, unsigned int figure)
{
	return *(const double *)((const char *)result + figures[figure].offset);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Complete a spread that has its values. */
static void spread_finish(struct spread *spread)
{
	double *values = spread->values;
	unsigned int n = spread->n;

	if (!n)
		return;
	qsort(values, n, sizeof(values[0]), compare_doubles);
	spread->median = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
	spread->least = values[0];
	spread->most = values[n - 1];
}

static struct spread figure_spread(const struct bench_rowset *set, enum bench_who who, unsigned int figure)
{
	struct spread spread = { .n = set->n[who] };

	for (unsigned int i = 0; i < spread.n; i++)
		spread.values[i] = figure_of(&set->results[who][i], figure);
	spread_finish(&spread);
	return spread;
}

static struct spread ratio_spread(const struct bench_rowset *set, enum bench_who a, enum bench_who b,
				  unsigned int figure)
{
	struct spread spread = { .n = 0 };

	for (unsigned int i = 0; i < MIN(set->n[a], set->n[b]); i++) {
		double over = figure_of(&set->results[a][i], figure);
		double below = figure_of(&set->results[b][i], figure);

		if (over > 0 && below > 0)
			spread.values[spread.n++] = over / below;
	}
	spread_finish(&spread);
	return spread;
}

void report_head(const struct bench_config *config)
{
	printf("A: %s\n", config->socket);
	if (config->compare)
		printf("B: %s\n", config->compare);
	if (config->local)
		printf("local: %s, one thread, no daemon\n", config->local);
	printf("%llu queue%s, %s client, median of %llu run%s of %llu ms",
	       (unsigned long long)config->queues, config->queues == 1 ? "" : "s",
	       config->poll ? "polling" : "event-driven", (unsigned long long)config->runs,
	       config->runs == 1 ? "" : "s", (unsigned long long)config->time_ms);
	printf("; latencies in us; calls: system calls of the daemon an operation; CPU: its seconds a million operations\n\n");
	printf("%-13s %5s %6s %-6s %10s %9s %8s %8s %8s %6s %7s\n", "work", "depth", "block", "", "ops/s",
	       "MiB/s", "p50", "p99", "p99.9", "calls", "CPU");
	fflush(stdout);
}

static void print_size(size_t size)
{
	if (size % (1u << 20) == 0)
		printf(" %5zuM", size >> 20);
	else if (size % 1024 == 0)
		printf(" %5zuK", size >> 10);
	else
		printf(" %6zu", size);
}

static void print_figure(double value, int width, int digits)
{
	if (value > 0)
		printf(" %*.*f", width, digits, value);
	else
		printf(" %*s", width, "-");
}

static void print_lead(const struct bench_rowset *set, const char *label, bool first)
{
	const struct bench_row *row = set->row;

	if (first) {
		printf("%-13s %5u", row->work->name, row->depth);
		if (row->work->moves_blocks)
			print_size(row->block);
		else
			printf(" %6s", "-");
	} else {
		printf("%-13s %5s %6s", "", "", "");
	}
	printf(" %-6s", label);
}

static void print_who(const struct bench_rowset *set, enum bench_who who, bool first)
{
	print_lead(set, who_names[who], first);
	print_figure(figure_spread(set, who, FIGURE_OPS).median, 10, 0);
	print_figure(figure_spread(set, who, FIGURE_MIB).median, 9, 0);
	print_figure(figure_spread(set, who, FIGURE_P50).median, 8, 1);
	print_figure(figure_spread(set, who, FIGURE_P99).median, 8, 1);
	print_figure(figure_spread(set, who, FIGURE_P999).median, 8, 1);
	if (set->calls[who] == RUN_NOT_COUNTED)
		printf(" %6s", who == BENCH_LOCAL || set->row->work->touch ? "-" : "not c.");
	else
		printf(" %6.2f", set->calls[who]);
	print_figure(figure_spread(set, who, FIGURE_CPU).median, 7, 2);
	printf("\n");
}

static void print_ratio(const char *what, struct spread ratio)
{
	int digits = ratio.median < 0.1 ? 4 : 2;

	if (ratio.median > 0)
		printf("  %s %.*f (%.*f to %.*f)", what, digits, ratio.median, digits, ratio.least,
		       digits, ratio.most);
}

static void print_ratios(const struct bench_rowset *set, enum bench_who a, enum bench_who b)
{
	char label[16];

	snprintf(label, sizeof(label), "%s/%s", who_names[a], who_names[b]);
	print_lead(set, "", false);
	printf(" %s:", label);
	print_ratio("ops", ratio_spread(set, a, b, FIGURE_OPS));
	print_ratio("p50", ratio_spread(set, a, b, FIGURE_P50));
	print_ratio("CPU", ratio_spread(set, a, b, FIGURE_CPU));
	printf("\n");
}

void report_row(const struct bench_rowset *set)
{
	static const enum bench_who pairs[][2] = {
		{ BENCH_A, BENCH_B }, { BENCH_A, BENCH_LOCAL }, { BENCH_B, BENCH_LOCAL },
	};
	bool first = true;

	for (enum bench_who who = 0; who < BENCH_WHO; who++) {
		if (!set->n[who])
			continue;
		print_who(set, who, first);
		first = false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (set->n[pairs[i][0]] && set->n[pairs[i][1]])
			print_ratios(set, pairs[i][0], pairs[i][1]);
	fflush(stdout);
}

/* ---- JSON ---- */

/* A string; what JSON does not take as it is, is a question mark. */
static void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc((unsigned char)*text < ' ' ? '?' : *text, out);
	}
	fputc('"', out);
}

static void json_spread(FILE *out, const char *name, struct spread spread, bool more)
{
	fprintf(out, "\"%s\": {\"median\": %.6g, \"min\": %.6g, \"max\": %.6g, \"values\": [", name,
		spread.median, spread.least, spread.most);
	for (unsigned int i = 0; i < spread.n; i++)
		fprintf(out, "%s%.6g", i ? ", " : "", spread.values[i]);
	fprintf(out, "]}%s", more ? ", " : "");
}

static void json_who(FILE *out, const struct bench_rowset *set, enum bench_who who)
{
	fprintf(out, ",\n   \"%s\": {", who_names[who]);
	if (set->calls[who] == RUN_NOT_COUNTED)
		fprintf(out, "\"calls_per_op\": null, ");
	else
		fprintf(out, "\"calls_per_op\": %.6g, ", set->calls[who]);
	for (unsigned int i = 0; i < ARRAY_SIZE(figures); i++)
		json_spread(out, figures[i].name, figure_spread(set, who, i), i + 1 < ARRAY_SIZE(figures));
	fprintf(out, "}");
}

static void json_ratio(FILE *out, const struct bench_rowset *set, enum bench_who a, enum bench_who b)
{
	fprintf(out, ",\n   \"%s/%s\": {", who_names[a], who_names[b]);
	json_spread(out, "ops_per_s", ratio_spread(set, a, b, FIGURE_OPS), true);
	json_spread(out, "p50_us", ratio_spread(set, a, b, FIGURE_P50), true);
	json_spread(out, "cpu_s_per_mop", ratio_spread(set, a, b, FIGURE_CPU), false);
	fprintf(out, "}");
}

static void json_row(FILE *out, const struct bench_rowset *set)
{
	const struct bench_row *row = set->row;

	fprintf(out, "  {\"work\": \"%s\", \"unit\": \"%s\", \"depth\": %u, \"block\": %zu", row->work->name,
		row->work->unit, row->depth, row->work->moves_blocks ? row->block : 0);
	for (enum bench_who who = 0; who < BENCH_WHO; who++)
		if (set->n[who])
			json_who(out, set, who);
	if (set->n[BENCH_B])
		json_ratio(out, set, BENCH_A, BENCH_B);
	if (set->n[BENCH_LOCAL])
		json_ratio(out, set, BENCH_A, BENCH_LOCAL);
	fprintf(out, "}");
}

int report_json(const struct bench_config *config, const struct bench_rowset *sets, unsigned int n)
{
	cleanup_fclose FILE *out = fopen(config->json, "we");
	struct utsname machine;

	if (!out) {
		log_error("--json %s: cannot be written: %s", config->json, strerror(errno));
		return -EIO;
	}
	uname(&machine);
	fprintf(out, "{\"casement\": \"%s\", \"kernel\": \"%s\", \"processors\": %ld,\n \"A\": ",
		CASEMENT_VERSION, machine.release, sysconf(_SC_NPROCESSORS_ONLN));
	json_string(out, config->socket);
	if (config->compare) {
		fprintf(out, ", \"B\": ");
		json_string(out, config->compare);
	}
	fprintf(out, ",\n \"queues\": %llu, \"poll\": %s, \"cold\": %s, \"batch\": %llu, \"runs\": %llu, \"time_ms\": %llu,\n \"rows\": [\n",
		(unsigned long long)config->queues, config->poll ? "true" : "false", config->cold ? "true" : "false",
		(unsigned long long)config->batch, (unsigned long long)config->runs, (unsigned long long)config->time_ms);
	for (unsigned int i = 0; i < n; i++) {
		json_row(out, &sets[i]);
		fprintf(out, "%s\n", i + 1 < n ? "," : "");
	}
	fprintf(out, " ]\n}\n");
	if (fflush(out) || ferror(out)) {
		log_error("--json %s: cannot be written: %s", config->json, strerror(errno));
		return -EIO;
	}
	return 0;
}
