/* SPDX-License-Identifier: BSD-3-Clause */
/* How far a long copy has come; see progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/plain.h"

#define FIRST_MS 700	/* shorter copies say nothing */
#define STEP_MS 200
#define MIB 1048576.0
#define NAME_BYTES 40	/* of the file's name that are shown */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void progress_init(struct progress *progress, bool quiet)
{
	*progress = (struct progress){ .shown = !quiet && isatty(STDERR_FILENO) };
}

void progress_wipe(struct progress *progress)
{
	if (progress->drawn)
		fprintf(stderr, "\r\033[K");
	progress->drawn = false;
}

void progress_begin(struct progress *progress, const char *name, uint64_t total)
{
	progress_wipe(progress);
	progress->name = name;
	progress->total = total;
	progress->done = 0;
	progress->begun = now_ms();
	progress->last = progress->begun + FIRST_MS - STEP_MS;
}

static void draw(struct progress *progress, int64_t now)
{
	double seconds = (double)MAX(now - progress->begun, 1) / 1000;
	unsigned int percent = progress->total ?
			       (unsigned int)(100.0 * (double)progress->done / (double)progress->total) : 0;
	char name[NAME_BYTES + 1];

	fprintf(stderr, "\r%3u%%  %.0f of %.0f MiB  %.0f MiB/s  ", MIN(percent, 100u),
		(double)progress->done / MIB, (double)progress->total / MIB,
		(double)progress->done / MIB / seconds);
	plain_text(progress->name, strlen(progress->name), name, sizeof(name));
	fprintf(stderr, "%s\033[K", name);
	progress->drawn = true;
}

void progress_add(struct progress *progress, uint64_t bytes)
{
	int64_t now;

	progress->done += bytes;
	if (!progress->shown)
		return;
	now = now_ms();
	if (now - progress->last < STEP_MS)
		return;
	progress->last = now;
	draw(progress, now);
}
