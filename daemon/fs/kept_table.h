/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For files that the guest has read: as of which change its page cache was
 * filled. A change is named by the file's ctime, which nobody can set.
 *
 * A table of fixed size beside the inodes, because few of them are ever read:
 * two files may meet in one place, and the earlier one is forgotten, which only
 * costs its pages in the guest. Any thread.
 */
#ifndef CASEMENT_DAEMON_FS_KEPT_TABLE_H
#define CASEMENT_DAEMON_FS_KEPT_TABLE_H

#include <pthread.h>
#include <stdint.h>

#define KEPT_PLACES 65536u
#define KEPT_LOCKS 64u

struct kept_place {
	uint64_t node;		/* 0: empty; [L:locks] */
	uint64_t version;	/* [L:locks] */
};

struct kept_table {
	pthread_mutex_t locks[KEPT_LOCKS];	/* of the places that are i modulo KEPT_LOCKS */
	struct kept_place *places;		/* [I] pages that nobody used cost nothing */
};

/* 0 or -ENOMEM. */
int kept_table_init(struct kept_table *table);
void kept_table_fini(struct kept_table *table);

/* What was put for this node last, or 0. */
uint64_t kept_table_get(struct kept_table *table, uint64_t node);
void kept_table_put(struct kept_table *table, uint64_t node, uint64_t version);

#endif
