/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many descriptors the guest may make this process hold. Each known inode
 * and each open handle costs one; the rest of the limit is kept for the
 * session itself, so that a guest which opens without end gets ENFILE while
 * everything else goes on. Relies on the caller to give back what it took;
 * never opens or closes anything itself, but may have known files let go
 * (reclaim.h) before it says no.
 *
 * One counter for the whole share: it is touched once per open and once per
 * new inode, where the kernel's own descriptor table takes a lock anyway.
 */
#ifndef CASEMENT_DAEMON_FS_FD_BUDGET_H
#define CASEMENT_DAEMON_FS_FD_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/log.h"

struct fd_budget {
	uint64_t limit;	/* descriptors that may be held; [I] */
	uint64_t used;	/* descriptors held now; [A] relaxed: only a count */
	bool (*reclaim)(void *ctx);	/* gives some back; false: there are none to give. Or NULL; [I] */
	void *ctx;			/* reclaim()'s; [I] */
};

static inline void fd_budget_spent(const struct fd_budget *budget)
{
	log_guest(LOG_LEVEL_WARN, "the guest holds %llu files; raise the limit of open files (ulimit -n), "
		  "try --inode-file-handles=prefer, or let the guest drop its caches",
		  (unsigned long long)budget->limit);
}

static inline bool fd_budget_reclaim(const struct fd_budget *budget)
{
	if (budget->reclaim && budget->reclaim(budget->ctx))
		return true;
	fd_budget_spent(budget);
	return false;
}

/*
 * Are this many left? Only a guess, as other threads take theirs; a caller that is told no turns the
 * guest's request away. The caller holds no lock, as with fd_budget_take().
 */
static inline bool fd_budget_has(const struct fd_budget *budget, uint64_t n)
{
	do {
		if (__atomic_load_n(&budget->used, __ATOMIC_RELAXED) + n <= budget->limit)
			return true;
	} while (fd_budget_reclaim(budget));
	return false;
}

/* One more descriptor if one is left. For callers that hold a lock. */
static inline bool fd_budget_take_left(struct fd_budget *budget)
{
	if (__atomic_fetch_add(&budget->used, 1, __ATOMIC_RELAXED) < budget->limit)
		return true;
	__atomic_fetch_sub(&budget->used, 1, __ATOMIC_RELAXED);
	return false;
}

/* One more descriptor. False when the budget is spent, and nothing can be let go. */
static inline bool fd_budget_take(struct fd_budget *budget)
{
	do {
		if (fd_budget_take_left(budget))
			return true;
	} while (fd_budget_reclaim(budget));
	return false;
}

static inline void fd_budget_give(struct fd_budget *budget)
{
	__atomic_fetch_sub(&budget->used, 1, __ATOMIC_RELAXED);
}

#endif
