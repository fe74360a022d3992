/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host files a guest knows: node id -> inode (inode.h) and host identity
 * -> inode, and what each is held by (inode_fd.h).
 *
 * While an inode has a descriptor the host cannot give its inode number to
 * another file, and (mount, device, inode number) names it. One that is held
 * by its handle alone is told from a later file of its number by its birth,
 * or, where that is not proof enough, by opening it.
 *
 * Locks: the hash of identities has 64 shards with a mutex each, which guard
 * the lookup counts, too, so that the last FORGET and a new LOOKUP of one file
 * meet on one lock: either the lookup sees the inode and counts it, or it does
 * not see it and makes a new one. No lock is held over a system call. A number
 * is followed without a lock. A shard that fills doubles its buckets, which
 * moves 1/64 of the inodes under its lock.
 */
#ifndef CASEMENT_DAEMON_FS_INODE_TABLE_H
#define CASEMENT_DAEMON_FS_INODE_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "daemon/fs/fd_budget.h"
#include "daemon/fs/inode.h"
#include "daemon/fs/inode_fd.h"

#define INODE_SHARDS 64

struct inode_shard {
	pthread_mutex_t lock;
	uint32_t *buckets;		/* slots, 0: none; [L:lock] */
	uint32_t mask;			/* buckets - 1; [L:lock] */
	uint32_t count;			/* [L:lock] */
} __attribute__((aligned(64)));

struct inode_table {
	struct inode_shard by_key[INODE_SHARDS];
	struct inode_slab slab;
	struct inode_fds fds;
	struct inode *root;		/* [I] lives as long as the table, is not counted */
	uint64_t seed;			/* of the key hash; [I] */
};

/* The device, as in struct inode_key. */
uint32_t inode_device(const struct statx *stx);

/* How inodes are held; see inode_fds_init(). */
struct inode_holding {
	enum fs_handles handles;
	uint32_t cells;
	const struct safe_open *open;
	struct fd_budget *budget;
	bool late;		/* see inode_fds.late */
};

/* 0 or -ENOMEM. What `holding` points to outlives the table. */
int inode_table_init(struct inode_table *table, const struct inode_holding *holding);
/* Nobody may hold an inode any more. Closes every descriptor, the root's too. */
void inode_table_fini(struct inode_table *table);
/*
 * Enter the root, once, before anything else. Takes *fd and leaves -1. 0,
 * -ENOMEM, or -EOPNOTSUPP where handles are mandatory and there are none.
 */
int inode_table_set_root(struct inode_table *table, int *fd, const struct statx *stx);

/* The inode of a node id, counted, or NULL. inode_put() it. */
struct inode *inode_table_get(struct inode_table *table, uint64_t id);

/* Of attributes with STATX_MNT_ID. */
struct inode_key inode_table_key(const struct statx *stx);
/* True when a file of this key is in the table now; a guess by the time it returns. */
bool inode_table_knows(struct inode_table *table, const struct inode_key *key);

/* True when the file of these attributes is known, and on a file system that is FS_KIND_LOCAL. */
bool inode_table_knows_local(struct inode_table *table, const struct statx *stx);

/*
 * The inode these attributes, read a moment ago, belong to, with one lookup
 * more and counted; NULL if unknown.
 */
struct inode *inode_table_find(struct inode_table *table, const struct statx *stx);

/*
 * As inode_table_find(), but makes the inode if it is unknown: `stx` must be
 * the attributes of *fd itself, which is taken and -1 left there, or stays the
 * caller's to close. 0, -ENFILE, -ENOMEM, or -EOPNOTSUPP as inode_hold().
 */
int inode_table_add(struct inode_table *table, int *fd, const struct statx *stx,
		    struct inode **out);

/* The same without a lookup: counted, for a look at it. */
struct inode *inode_table_peek(struct inode_table *table, const struct statx *stx);
/* True when these attributes are this inode's: of a directory that rests, or whatever has a descriptor. */
bool inode_table_is(const struct inode *inode, const struct statx *stx);

/* One lookup more on an inode in hand. False when the guest has forgotten it meanwhile. */
bool inode_table_count(struct inode_table *table, struct inode *inode);

/* Take `n` lookups away, at most those there are; at none the id is gone. The root stays. */
void inode_table_forget(struct inode_table *table, uint64_t id, uint64_t n);

/* Chooses inodes; called with each counted, and without locks. */
struct inode_pick {
	bool (*pick)(void *ctx, struct inode *inode);
	void *ctx;
};

#define INODE_SLOT_FIRST 2u	/* after the root's, which is never dropped */

/*
 * Forget the inodes that `pick` chooses, and that neither a request nor an open handle
 * uses: from slot *from to the last slot, which *from passes then, or until there
 * were `most` of them. To the guest their ids are stale. How many there were.
 */
uint64_t inode_table_drop(struct inode_table *table, const struct inode_pick *pick, uint32_t *from,
			  uint64_t most);

/*
 * Take its own descriptor from a counted inode that no other request uses, and that can be found again: the
 * descriptor, which is the caller's then with its unit of the budget; -1: it is in use.
 */
int inode_table_rest(struct inode_table *table, struct inode *inode);

/* Forget all but the root. Inodes in use live until their last inode_put(). */
void inode_table_clear(struct inode_table *table);

#endif
