/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host files a guest knows: node id -> inode and host identity -> inode.
 *
 * Node ids are numbers from a counter, never used twice, so a stale one can
 * only miss. While an inode is in the table its O_PATH descriptor is open,
 * therefore the host cannot give its inode number to another file, and
 * (mount, device, inode number) names it.
 *
 * Locks: each hash has 64 shards with a mutex each. The key shard guards the
 * lookup count, so that the last FORGET and a new LOOKUP of one file meet on
 * one lock: either the lookup sees the inode and counts it, or it does not see
 * it and makes a new one. Order: key shard, then id shard; never two of a kind.
 * No lock is held over a system call (closing happens after the unlock).
 * Cost: every operation on a node takes one id shard for a few instructions;
 * n queues meet on one with chance n/64. A shard that fills doubles its
 * buckets, which moves 1/64 of the inodes under its lock.
 */
#ifndef CASEMENT_DAEMON_FS_INODE_TABLE_H
#define CASEMENT_DAEMON_FS_INODE_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "daemon/fs/fd_budget.h"

#define INODE_SHARDS 64
#define INODE_ROOT_ID 1ULL

/* Which file of the host this is. */
struct inode_key {
	uint64_t mount;
	uint64_t device;
	uint64_t ino;
};

#define INODE_DAX_ASKED	   (1u << 0)	/* whether we may write the file was looked up */
#define INODE_DAX_WRITABLE (1u << 1)	/* ... and we may */
#define INODE_MAPPED	   (1u << 2)	/* was opened for the window at least once */

struct inode {
	uint64_t id;			/* the guest's node id; [I] */
	struct inode_key key;		/* [I] */
	struct statx_timestamp btime;	/* birth, zero where unknown: a second witness; [I] */
	struct fd_budget *budget;	/* where the descriptor is counted; [I] */
	int fd;				/* O_PATH, owned; [I] */
	mode_t type;			/* S_IFMT bits; [I] */
	uint32_t refs;			/* users, one of them the table; [A] release on put */
	uint32_t flags;			/* INODE_*, only ever set; [A] relaxed or see INODE_MAPPED */
	uint64_t nlookup;		/* what the guest has to give back; [L:key shard] */
	bool keyed;			/* found by key, see inode_table_add(); [L:key shard] */
	struct inode *next_by_key;	/* [L:key shard] */
	struct inode *next_by_id;	/* [L:id shard] */
};

struct inode_shard {
	pthread_mutex_t lock;
	struct inode **buckets;		/* [L:lock] */
	uint32_t mask;			/* buckets - 1; [L:lock] */
	uint32_t count;			/* [L:lock] */
} __attribute__((aligned(64)));

struct inode_table {
	struct inode_shard by_id[INODE_SHARDS];
	struct inode_shard by_key[INODE_SHARDS];
	struct inode *root;		/* [I] lives as long as the table, is not counted */
	struct fd_budget *budget;	/* [I] borrowed */
	uint64_t seed;			/* of the key hash; [I] */
	uint64_t last_id;		/* [A] relaxed: only uniqueness matters */
};

/* 0 or -ENOMEM. `budget` outlives the table. */
int inode_table_init(struct inode_table *table, struct fd_budget *budget);
/* Nobody may hold an inode any more. Closes every descriptor, the root's too. */
void inode_table_fini(struct inode_table *table);
/* Enter the root, once, before anything else. Takes *fd and leaves -1. 0 or -ENOMEM. */
int inode_table_set_root(struct inode_table *table, int *fd, const struct statx *stx);

/* The inode of a node id, counted, or NULL. inode_put() it. */
struct inode *inode_table_get(struct inode_table *table, uint64_t id);

/* True when a file of this key is in the table now; a guess by the time it returns. */
bool inode_table_knows(struct inode_table *table, const struct inode_key *key);

/* The inode these attributes belong to, with one lookup more and counted; NULL if unknown. */
struct inode *inode_table_find(struct inode_table *table, const struct statx *stx);

/*
 * As inode_table_find(), but makes the inode if it is unknown: `stx` must be
 * the attributes of *fd itself. Then *fd is taken and -1 left there; otherwise
 * it stays the caller's. 0, -ENFILE or -ENOMEM.
 */
int inode_table_add(struct inode_table *table, int *fd, const struct statx *stx,
		    struct inode **out);

/* One lookup more on an inode in hand. False when the guest has forgotten it meanwhile. */
bool inode_table_count(struct inode_table *table, struct inode *inode);

/* Take `n` lookups away, at most those there are; at none the id is gone. The root stays. */
void inode_table_forget(struct inode_table *table, uint64_t id, uint64_t n);

/* Forget all but the root. Inodes in use live until their last inode_put(). */
void inode_table_clear(struct inode_table *table);

/* One user more, of an inode in hand. */
struct inode *inode_ref(struct inode *inode);
/* One user less; the last one closes and frees. NULL is nothing. */
void inode_put(struct inode *inode);

static inline void inode_put_ptr(struct inode **inode)
{
	inode_put(*inode);
}

#define cleanup_inode __attribute__((cleanup(inode_put_ptr)))

static inline bool inode_has(const struct inode *inode, uint32_t flag)
{
	return __atomic_load_n(&inode->flags, __ATOMIC_ACQUIRE) & flag;
}

static inline void inode_set(struct inode *inode, uint32_t flags)
{
	__atomic_fetch_or(&inode->flags, flags, __ATOMIC_RELEASE);
}

#endif
