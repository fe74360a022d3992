/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latencies, counted in classes so narrow (under 1 %) that a percentile may be
 * read from them. Of one thread at a time; adding allocates nothing.
 */
#ifndef CASEMENT_CLI_BENCH_HIST_H
#define CASEMENT_CLI_BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 7		/* 128 classes to each doubling */
#define HIST_DOUBLINGS 36	/* up to about 17 s; what is longer counts as that */
#define HIST_CLASSES ((HIST_DOUBLINGS + 1) << HIST_SUB_BITS)

struct bench_hist {
	uint64_t total;
	uint32_t classes[HIST_CLASSES];
};

void hist_clear(struct bench_hist *hist);
void hist_add(struct bench_hist *hist, uint64_t ns, unsigned int times);
/* Add all of `from` to `to`. */
void hist_merge(struct bench_hist *to, const struct bench_hist *from);
/* The latency, in ns, that `share` (0 to 1) of all do not exceed; 0 when there are none. */
double hist_percentile(const struct bench_hist *hist, double share);

#endif
