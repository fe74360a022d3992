/* SPDX-License-Identifier: BSD-3-Clause */
/* A set of bytes of a file, as ranges that do not touch: what an owner has locked. */
#ifndef CASEMENT_DAEMON_FS_LOCK_RANGES_H
#define CASEMENT_DAEMON_FS_LOCK_RANGES_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The kernel walks all locks of a file at each change of one, under a lock of its own: so
 * an owner has no more, and all owners of a guest together no more than the second.
 */
#define LOCK_RANGES_MAX 4096u
#define LOCK_RANGES_ALL 8192u

struct lock_range {
	uint64_t start, end;	/* both inclusive, at most INT64_MAX */
};

/* All zero: empty. */
struct lock_ranges {
	struct lock_range *at;	/* sorted; owned */
	unsigned int n;
};

/* Add or remove a range. 0, -ENOMEM, or -ENOLCK for more than `max`; then the set is as it was. */
int lock_ranges_set(struct lock_ranges *ranges, struct lock_range range, bool held, unsigned int max);
void lock_ranges_clear(struct lock_ranges *ranges);

#endif
