/* SPDX-License-Identifier: BSD-3-Clause */
/* The host files a guest knows; see inode_table.h for what guards what. */
#include "daemon/fs/inode_table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/cleanup.h"

#define FIRST_BUCKETS 16

/* Mix all bits of a number into all bits of the result. */
static uint64_t mix64(uint64_t v)
{
	v ^= v >> 30;
	v *= 0xbf58476d1ce4e5b9ULL;
	v ^= v >> 27;
	v *= 0x94d049bb133111ebULL;
	return v ^ (v >> 31);
}

/* The seed keeps a guest that picks among host inode numbers from aiming at one bucket. */
static uint64_t key_hash(const struct inode_table *table, const struct inode_key *key)
{
	uint64_t h = mix64(key->ino + table->seed);

	return mix64(h ^ mix64(key->device + (key->mount << 40)));
}

static struct inode_shard *key_shard(struct inode_table *table, uint64_t hash)
{
	return &table->by_key[hash % INODE_SHARDS];
}

static struct inode_shard *id_shard(struct inode_table *table, uint64_t id)
{
	return &table->by_id[id % INODE_SHARDS];
}

/* The part of a hash or id that chose the shard is the same for all in it. */
static struct inode **shard_bucket(const struct inode_shard *shard, uint64_t hash)
{
	return &shard->buckets[(hash / INODE_SHARDS) & shard->mask];
}

static struct inode_key stx_key(const struct statx *stx)
{
	return (struct inode_key){
		.mount = stx->stx_mask & STATX_MNT_ID ? stx->stx_mnt_id : 0,
		.device = (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor,
		.ino = stx->stx_ino,
	};
}

static bool key_equal(const struct inode_key *a, const struct inode_key *b)
{
	return a->ino == b->ino && a->device == b->device && a->mount == b->mount;
}

/*
 * Where a server hands out the inode numbers, holding a descriptor does not
 * keep one from being used again; type and birth time then tell two files apart.
 */
static bool same_file(const struct inode *inode, const struct statx *stx)
{
	if (inode->type != (stx->stx_mode & S_IFMT))
		return false;
	if (!(stx->stx_mask & STATX_BTIME) || !inode->btime.tv_sec)
		return true;
	return inode->btime.tv_sec == stx->stx_btime.tv_sec &&
	       inode->btime.tv_nsec == stx->stx_btime.tv_nsec;
}

struct inode *inode_ref(struct inode *inode)
{
	if (inode->id != INODE_ROOT_ID)
		__atomic_fetch_add(&inode->refs, 1, __ATOMIC_RELAXED);
	return inode;
}

static void inode_free(struct inode *inode)
{
	close(inode->fd);
	if (inode->budget)
		fd_budget_give(inode->budget);
	free(inode);
}

void inode_put(struct inode *inode)
{
	if (!inode || inode->id == INODE_ROOT_ID)
		return;
	/* Release: our use is before the free. Acquire: so is everybody else's. */
	if (__atomic_sub_fetch(&inode->refs, 1, __ATOMIC_ACQ_REL) == 0)
		inode_free(inode);
}

struct inode *inode_table_get(struct inode_table *table, uint64_t id)
{
	struct inode_shard *shard = id_shard(table, id);
	struct inode *inode;

	if (id == INODE_ROOT_ID)
		return table->root;
	pthread_mutex_lock(&shard->lock);
	for (inode = *shard_bucket(shard, id); inode; inode = inode->next_by_id) {
		if (inode->id == id)
			break;
	}
	if (inode)
		inode_ref(inode);
	pthread_mutex_unlock(&shard->lock);
	return inode;
}

static struct inode *find_locked(const struct inode_shard *shard, uint64_t hash,
				 const struct inode_key *key)
{
	struct inode *inode;

	for (inode = *shard_bucket(shard, hash); inode; inode = inode->next_by_key) {
		if (key_equal(&inode->key, key))
			return inode;
	}
	return NULL;
}

bool inode_table_knows(struct inode_table *table, const struct inode_key *key)
{
	uint64_t hash = key_hash(table, key);
	struct inode_shard *shard = key_shard(table, hash);
	bool known;

	pthread_mutex_lock(&shard->lock);
	known = find_locked(shard, hash, key);
	pthread_mutex_unlock(&shard->lock);
	return known;
}

/* The counted inode of these attributes, or NULL; with the key shard locked. */
static struct inode *count_locked(const struct inode_shard *shard, uint64_t hash,
				  const struct inode_key *key, const struct statx *stx)
{
	struct inode *inode = find_locked(shard, hash, key);

	if (!inode || !same_file(inode, stx))
		return NULL;
	inode->nlookup++;
	return inode_ref(inode);
}

struct inode *inode_table_find(struct inode_table *table, const struct statx *stx)
{
	struct inode_key key = stx_key(stx);
	uint64_t hash = key_hash(table, &key);
	struct inode_shard *shard = key_shard(table, hash);
	struct inode *inode;

	pthread_mutex_lock(&shard->lock);
	inode = count_locked(shard, hash, &key, stx);
	pthread_mutex_unlock(&shard->lock);
	return inode;
}

/* Double a shard's buckets when chains get long; without memory they stay long. */
static void grow_keys_locked(const struct inode_table *table, struct inode_shard *shard)
{
	struct inode_shard grown = { .mask = shard->mask * 2 + 1 };
	struct inode *inode, *next, **bucket;

	if (shard->count <= shard->mask)
		return;
	grown.buckets = calloc(grown.mask + 1UL, sizeof(*grown.buckets));
	if (!grown.buckets)
		return;
	for (uint32_t i = 0; i <= shard->mask; i++) {
		for (inode = shard->buckets[i]; inode; inode = next) {
			next = inode->next_by_key;
			bucket = shard_bucket(&grown, key_hash(table, &inode->key));
			inode->next_by_key = *bucket;
			*bucket = inode;
		}
	}
	free(shard->buckets);
	shard->buckets = grown.buckets;
	shard->mask = grown.mask;
}

static void grow_ids_locked(struct inode_shard *shard)
{
	struct inode_shard grown = { .mask = shard->mask * 2 + 1 };
	struct inode *inode, *next, **bucket;

	if (shard->count <= shard->mask)
		return;
	grown.buckets = calloc(grown.mask + 1UL, sizeof(*grown.buckets));
	if (!grown.buckets)
		return;
	for (uint32_t i = 0; i <= shard->mask; i++) {
		for (inode = shard->buckets[i]; inode; inode = next) {
			next = inode->next_by_id;
			bucket = shard_bucket(&grown, inode->id);
			inode->next_by_id = *bucket;
			*bucket = inode;
		}
	}
	free(shard->buckets);
	shard->buckets = grown.buckets;
	shard->mask = grown.mask;
}

static void link_key_locked(struct inode_shard *shard, uint64_t hash, struct inode *inode)
{
	struct inode **bucket = shard_bucket(shard, hash);

	inode->next_by_key = *bucket;
	*bucket = inode;
	inode->keyed = true;
	shard->count++;
}

static void unlink_key_locked(struct inode_shard *shard, uint64_t hash, struct inode *inode)
{
	struct inode **at = shard_bucket(shard, hash);

	if (!inode->keyed)
		return;
	while (*at != inode)
		at = &(*at)->next_by_key;
	*at = inode->next_by_key;
	inode->keyed = false;
	shard->count--;
}

static void link_id(struct inode_table *table, struct inode *inode)
{
	struct inode_shard *shard = id_shard(table, inode->id);
	struct inode **bucket;

	pthread_mutex_lock(&shard->lock);
	grow_ids_locked(shard);
	bucket = shard_bucket(shard, inode->id);
	inode->next_by_id = *bucket;
	*bucket = inode;
	shard->count++;
	pthread_mutex_unlock(&shard->lock);
}

static void unlink_id(struct inode_table *table, struct inode *inode)
{
	struct inode_shard *shard = id_shard(table, inode->id);
	struct inode **at;

	pthread_mutex_lock(&shard->lock);
	at = shard_bucket(shard, inode->id);
	while (*at != inode)
		at = &(*at)->next_by_id;
	*at = inode->next_by_id;
	shard->count--;
	pthread_mutex_unlock(&shard->lock);
}

/* Two references: the table's and the caller's. */
static struct inode *inode_new(struct inode_table *table, int fd, const struct statx *stx)
{
	struct inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	inode->id = __atomic_add_fetch(&table->last_id, 1, __ATOMIC_RELAXED);
	inode->key = stx_key(stx);
	if (stx->stx_mask & STATX_BTIME)
		inode->btime = stx->stx_btime;
	inode->fd = fd;
	inode->type = stx->stx_mode & S_IFMT;
	inode->refs = 2;
	inode->nlookup = 1;
	return inode;
}

int inode_table_add(struct inode_table *table, int *fd, const struct statx *stx,
		    struct inode **out)
{
	struct inode_key key = stx_key(stx);
	uint64_t hash = key_hash(table, &key);
	struct inode_shard *shard = key_shard(table, hash);
	struct inode *made, *old;

	/* What may fail is done before the lock; a known file then costs one allocation too many. */
	if (!fd_budget_take(table->budget))
		return -ENFILE;
	made = inode_new(table, *fd, stx);
	if (!made) {
		fd_budget_give(table->budget);
		return -ENOMEM;
	}
	made->budget = table->budget;
	pthread_mutex_lock(&shard->lock);
	*out = count_locked(shard, hash, &key, stx);
	if (!*out) {
		old = find_locked(shard, hash, &key);
		if (old)	/* same key, another file: it keeps its id only */
			unlink_key_locked(shard, hash, old);
		grow_keys_locked(table, shard);
		link_key_locked(shard, hash, made);
		link_id(table, made);
		*out = made;
	}
	pthread_mutex_unlock(&shard->lock);
	if (*out == made) {
		*fd = -1;
		return 0;
	}
	fd_budget_give(table->budget);
	free(made);
	return 0;
}

bool inode_table_count(struct inode_table *table, struct inode *inode)
{
	struct inode_shard *shard = key_shard(table, key_hash(table, &inode->key));
	bool alive;

	pthread_mutex_lock(&shard->lock);
	alive = inode->nlookup > 0;
	if (alive)
		inode->nlookup++;
	pthread_mutex_unlock(&shard->lock);
	return alive;
}

/* Take lookups away; true when that was the last one and the table's reference is ours to put. */
static bool uncount(struct inode_table *table, struct inode *inode, uint64_t n)
{
	uint64_t hash = key_hash(table, &inode->key);
	struct inode_shard *shard = key_shard(table, hash);
	bool last;

	pthread_mutex_lock(&shard->lock);
	if (n > inode->nlookup)
		n = inode->nlookup;
	inode->nlookup -= n;
	/* With n == 0 it may have been the last one's turn before: then it is unlinked already. */
	last = n > 0 && inode->nlookup == 0;
	if (last) {
		unlink_key_locked(shard, hash, inode);
		unlink_id(table, inode);
	}
	pthread_mutex_unlock(&shard->lock);
	return last;
}

void inode_table_forget(struct inode_table *table, uint64_t id, uint64_t n)
{
	struct inode *inode;

	if (id == INODE_ROOT_ID)
		return;
	inode = inode_table_get(table, id);
	if (inode && uncount(table, inode, n))
		inode_put(inode);
	inode_put(inode);
}

/*
 * Some inode of an id shard, counted, or NULL when there is none at bucket
 * *from or after; moves *from on. Growing never moves an inode to an earlier bucket.
 */
static struct inode *shard_next(struct inode_shard *shard, uint32_t *from)
{
	struct inode *inode = NULL;

	pthread_mutex_lock(&shard->lock);
	for (; *from <= shard->mask; ++*from) {
		inode = shard->buckets[*from];
		if (inode)
			break;
	}
	if (inode)
		inode_ref(inode);
	pthread_mutex_unlock(&shard->lock);
	return inode;
}

void inode_table_clear(struct inode_table *table)
{
	struct inode *inode;

	for (unsigned int i = 0; i < INODE_SHARDS; i++) {
		uint32_t from = 0;

		while ((inode = shard_next(&table->by_id[i], &from))) {
			if (uncount(table, inode, UINT64_MAX))
				inode_put(inode);
			inode_put(inode);
		}
	}
}

int inode_table_set_root(struct inode_table *table, int *fd, const struct statx *stx)
{
	struct inode *root = inode_new(table, *fd, stx);
	uint64_t hash;

	if (!root)
		return -ENOMEM;
	*fd = -1;
	root->id = INODE_ROOT_ID;
	hash = key_hash(table, &root->key);
	/* By key only: its id is answered without a hash, and it is never forgotten. */
	link_key_locked(key_shard(table, hash), hash, root);
	table->root = root;
	return 0;
}

static int shard_init(struct inode_shard *shard)
{
	pthread_mutex_init(&shard->lock, NULL);
	shard->mask = FIRST_BUCKETS - 1;
	shard->count = 0;
	shard->buckets = calloc(FIRST_BUCKETS, sizeof(*shard->buckets));
	return shard->buckets ? 0 : -ENOMEM;
}

static void shard_fini(struct inode_shard *shard)
{
	free(shard->buckets);
	pthread_mutex_destroy(&shard->lock);
}

int inode_table_init(struct inode_table *table, struct fd_budget *budget)
{
	int err = 0;

	table->root = NULL;
	table->budget = budget;
	table->last_id = INODE_ROOT_ID;
	if (getrandom(&table->seed, sizeof(table->seed), 0) != sizeof(table->seed))
		table->seed = (uintptr_t)table;
	for (unsigned int i = 0; i < INODE_SHARDS; i++) {
		err |= shard_init(&table->by_id[i]);
		err |= shard_init(&table->by_key[i]);
	}
	if (err)
		inode_table_fini(table);
	return err ? -ENOMEM : 0;
}

void inode_table_fini(struct inode_table *table)
{
	/* A half-made table has no root and no inodes, perhaps no buckets. */
	if (table->root) {
		inode_table_clear(table);
		inode_free(table->root);
	}
	for (unsigned int i = 0; i < INODE_SHARDS; i++) {
		shard_fini(&table->by_id[i]);
		shard_fini(&table->by_key[i]);
	}
}
