/* SPDX-License-Identifier: BSD-3-Clause */
/* Latencies in classes; see bench_hist.h. Exact below 128 ns. */
#include "cli/bench_hist.h"

#include <string.h>

#include "common/checked.h"

#define SUB_CLASSES (1u << HIST_SUB_BITS)

void hist_clear(struct bench_hist *hist)
{
	memset(hist, 0, sizeof(*hist));
}

static unsigned int class_of(uint64_t ns)
{
	unsigned int shift;

	if (ns < SUB_CLASSES)
		return (unsigned int)ns;
	shift = 63u - (unsigned int)__builtin_clzll(ns) - HIST_SUB_BITS;
	/* The leading bit is in `shift`: what follows it says which class of the doubling. */
	return MIN(((shift + 1) << HIST_SUB_BITS) + (unsigned int)(ns >> shift) - SUB_CLASSES,
		   HIST_CLASSES - 1u);
}

/* The middle of a class. */
static double class_value(unsigned int class)
{
	unsigned int shift = class >> HIST_SUB_BITS;
	uint64_t low;

	if (!shift)
		return class;
	shift--;
	low = (uint64_t)(SUB_CLASSES + (class & (SUB_CLASSES - 1))) << shift;
	return (double)low + (double)(1ull << shift) / 2;
}

void hist_add(struct bench_hist *hist, uint64_t ns, unsigned int times)
{
	hist->classes[class_of(ns)] += times;
	hist->total += times;
}

void hist_merge(struct bench_hist *to, const struct bench_hist *from)
{
	for (unsigned int i = 0; i < HIST_CLASSES; i++)
		to->classes[i] += from->classes[i];
	to->total += from->total;
}

double hist_percentile(const struct bench_hist *hist, double share)
{
	double below = 0, wanted = share * (double)hist->total;

	for (unsigned int i = 0; i < HIST_CLASSES && hist->total; i++) {
		below += hist->classes[i];
		if (below >= wanted && hist->classes[i])
			return class_value(i);
	}
	return 0;
}
