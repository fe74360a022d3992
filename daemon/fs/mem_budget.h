/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many bytes the guest may make this process hold for one purpose. Relies on
 * the caller to give back what it took, and to say what it does without; never
 * allocates anything.
 */
#ifndef CASEMENT_DAEMON_FS_MEM_BUDGET_H
#define CASEMENT_DAEMON_FS_MEM_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem_budget {
	uint64_t limit;	/* bytes; [I] */
	uint64_t used;	/* bytes; [A] relaxed: only a count */
};

/* So many bytes more. False when there are not so many left. */
static inline bool mem_budget_take(struct mem_budget *budget, size_t bytes)
{
	if (__atomic_add_fetch(&budget->used, bytes, __ATOMIC_RELAXED) <= budget->limit)
		return true;
	__atomic_fetch_sub(&budget->used, bytes, __ATOMIC_RELAXED);
	return false;
}

static inline void mem_budget_give(struct mem_budget *budget, size_t bytes)
{
	__atomic_fetch_sub(&budget->used, bytes, __ATOMIC_RELAXED);
}

#endif
