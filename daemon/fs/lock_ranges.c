/* SPDX-License-Identifier: BSD-3-Clause */
/* A set of bytes; see lock_ranges.h. Each change makes the sorted array anew. */
#include "daemon/fs/lock_ranges.h"

#include <errno.h>
#include <stdlib.h>

#include "common/checked.h"

static void push(struct lock_ranges *to, uint64_t start, uint64_t end)
{
	to->at[to->n++] = (struct lock_range){ start, end };
}

/* The range, and with it all that it meets or touches. */
static void add(struct lock_ranges *to, const struct lock_ranges *from, struct lock_range range)
{
	unsigned int i = 0;

	for (; i < from->n && from->at[i].end + 1 < range.start; i++)
		push(to, from->at[i].start, from->at[i].end);
	for (; i < from->n && from->at[i].start <= range.end + 1; i++) {
		range.start = MIN(range.start, from->at[i].start);
		range.end = MAX(range.end, from->at[i].end);
	}
	push(to, range.start, range.end);
	for (; i < from->n; i++)
		push(to, from->at[i].start, from->at[i].end);
}

static void cut(struct lock_ranges *to, const struct lock_ranges *from, struct lock_range range)
{
	for (unsigned int i = 0; i < from->n; i++) {
		const struct lock_range *old = &from->at[i];

		if (old->start < range.start)
			push(to, old->start, MIN(old->end, range.start - 1));
		if (old->end > range.end)
			push(to, MAX(old->start, range.end + 1), old->end);
	}
}

int lock_ranges_set(struct lock_ranges *ranges, struct lock_range range, bool held, unsigned int max)
{
	/* One more at most: a range that was added, or the second half of one that was cut. */
	struct lock_ranges made = { .at = calloc(ranges->n + 1, sizeof(*made.at)) };

	if (!made.at)
		return -ENOMEM;
	if (held)
		add(&made, ranges, range);
	else
		cut(&made, ranges, range);
	if (made.n > ranges->n && made.n > max) {
		free(made.at);
		return -ENOLCK;
	}
	free(ranges->at);
	*ranges = made;
	return 0;
}

void lock_ranges_clear(struct lock_ranges *ranges)
{
	free(ranges->at);
	*ranges = (struct lock_ranges){ .n = 0 };
}
