/* SPDX-License-Identifier: BSD-3-Clause */
/* The host files a guest knows; see inode_table.h for what guards what. */
#include "daemon/fs/inode_table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/mix.h"
#include "daemon/fs/fs_kind.h"

#define FIRST_BUCKETS 16
#define NOT_KEYED UINT32_MAX	/* inode.next of one that is not in a bucket */

/* The seed keeps a guest that picks among host inode numbers from aiming at one bucket. */
static uint64_t key_hash(const struct inode_table *table, const struct inode_key *key)
{
	uint64_t h = mix64(key->ino + table->seed);

	return mix64(h ^ ((uint64_t)key->mount << 32 | key->device));
}

static struct inode_shard *key_shard(struct inode_table *table, uint64_t hash)
{
	return &table->by_key[hash % INODE_SHARDS];
}

/* The part of the hash that chose the shard is the same for all in it. */
static uint32_t *shard_bucket(const struct inode_shard *shard, uint64_t hash)
{
	return &shard->buckets[(hash / INODE_SHARDS) & shard->mask];
}

uint32_t inode_device(const struct statx *stx)
{
	return stx->stx_dev_major << 20 | (stx->stx_dev_minor & 0xfffff);
}

struct inode_key inode_table_key(const struct statx *stx)
{
	return (struct inode_key){
		.mount = stx->stx_mask & STATX_MNT_ID ? (uint32_t)stx->stx_mnt_id : 0,
		.device = inode_device(stx),
		.ino = stx->stx_ino,
	};
}

/* Nanoseconds, and some that wrap: only equality matters. 0 is kept for unknown. */
static uint64_t stx_born(const struct statx *stx)
{
	if (!(stx->stx_mask & STATX_BTIME) || !stx->stx_btime.tv_sec)
		return 0;
	return (uint64_t)stx->stx_btime.tv_sec * 1000000000ULL + stx->stx_btime.tv_nsec;
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
	uint64_t born = stx_born(stx);

	if (inode->type != (stx->stx_mode & S_IFMT))
		return false;
	return !born || !inode->born || born == inode->born;
}

struct inode *inode_table_get(struct inode_table *table, uint64_t id)
{
	return inode_get(&table->slab, id);
}

static struct inode *find_locked(const struct inode_table *table, const struct inode_shard *shard,
				 uint64_t hash, const struct inode_key *key)
{
	uint32_t slot = *shard_bucket(shard, hash);
	struct inode *inode;

	for (; slot; slot = inode->next) {
		inode = inode_at(&table->slab, slot);
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
	known = find_locked(table, shard, hash, key);
	pthread_mutex_unlock(&shard->lock);
	return known;
}

bool inode_table_knows_local(struct inode_table *table, const struct statx *stx)
{
	struct inode_key key = inode_table_key(stx);
	uint64_t hash = key_hash(table, &key);
	struct inode_shard *shard = key_shard(table, hash);
	const struct inode *inode;
	bool local;

	pthread_mutex_lock(&shard->lock);
	inode = find_locked(table, shard, hash, &key);
	local = inode && !inode_has(inode, INODE_WAITS);
	pthread_mutex_unlock(&shard->lock);
	return local;
}

bool inode_table_is(const struct inode *inode, const struct statx *stx)
{
	struct inode_key key = inode_table_key(stx);

	return key_equal(&inode->key, &key) && same_file(inode, stx);
}

struct inode *inode_table_peek(struct inode_table *table, const struct statx *stx)
{
	struct inode_key key = inode_table_key(stx);
	uint64_t hash = key_hash(table, &key);
	struct inode_shard *shard = key_shard(table, hash);
	struct inode *inode;

	pthread_mutex_lock(&shard->lock);
	inode = find_locked(table, shard, hash, &key);
	inode = inode && same_file(inode, stx) ? inode_ref(inode) : NULL;
	pthread_mutex_unlock(&shard->lock);
	return inode;
}

/* The counted inode of these attributes, or NULL; with the key shard locked. */
static struct inode *count_locked(const struct inode_table *table, const struct inode_shard *shard,
				  uint64_t hash, const struct inode_key *key,
				  const struct statx *stx)
{
	struct inode *inode = find_locked(table, shard, hash, key);

	if (!inode || !same_file(inode, stx))
		return NULL;
	inode->nlookup++;
	return inode_ref(inode);
}

/* Double a shard's buckets when chains get long; without memory they stay long. */
static void grow_locked(const struct inode_table *table, struct inode_shard *shard)
{
	struct inode_shard grown = { .mask = shard->mask * 2 + 1 };

	if (shard->count <= shard->mask)
		return;
	grown.buckets = calloc(grown.mask + 1UL, sizeof(*grown.buckets));
	if (!grown.buckets)
		return;
	for (uint32_t i = 0; i <= shard->mask; i++) {
		uint32_t slot = shard->buckets[i];

		while (slot) {
			struct inode *inode = inode_at(&table->slab, slot);
			uint32_t *bucket = shard_bucket(&grown, key_hash(table, &inode->key));

			slot = inode->next;
			inode->next = *bucket;
			*bucket = inode->slot;
		}
	}
	free(shard->buckets);
	shard->buckets = grown.buckets;
	shard->mask = grown.mask;
}

static void link_locked(struct inode_shard *shard, uint64_t hash, struct inode *inode)
{
	uint32_t *bucket = shard_bucket(shard, hash);

	inode->next = *bucket;
	*bucket = inode->slot;
	shard->count++;
}

static void unlink_locked(const struct inode_table *table, struct inode_shard *shard, uint64_t hash,
			  struct inode *inode)
{
	uint32_t *at = shard_bucket(shard, hash);

	if (inode->next == NOT_KEYED)
		return;
	while (*at != inode->slot)
		at = &inode_at(&table->slab, *at)->next;
	*at = inode->next;
	inode->next = NOT_KEYED;
	shard->count--;
}

/* Take lookups away; true when that was the last one and the table's use is ours to put. */
static bool uncount(struct inode_table *table, struct inode *inode, uint64_t n, bool unkey)
{
	uint64_t hash = key_hash(table, &inode->key);
	struct inode_shard *shard = key_shard(table, hash);
	bool last;

	pthread_mutex_lock(&shard->lock);
	if (n > inode->nlookup)
		n = inode->nlookup;
	inode->nlookup -= n;
	/* With n == 0 it may have been the last one's turn before: then it is dead already. */
	last = n > 0 && inode->nlookup == 0;
	if (last || unkey)
		unlink_locked(table, shard, hash, inode);
	if (last)
		inode_dead(inode);
	pthread_mutex_unlock(&shard->lock);
	return last;
}

/*
 * An inode that was found by its key: is it? Its file may be gone and the
 * number another's by now. Then it keeps its id only, and NULL is returned.
 */
static struct inode *confirm(struct inode_table *table, struct inode *inode)
{
	struct inode_fd at;

	if (!inode || inode_fd_certain(inode))
		return inode;
	if (inode_fd_get(inode, &at) == 0) {
		inode_fd_put(&at);
		return inode;
	}
	if (uncount(table, inode, 1, true))
		inode_put(inode);
	inode_put(inode);
	return NULL;
}

struct inode *inode_table_find(struct inode_table *table, const struct statx *stx)
{
	struct inode_key key = inode_table_key(stx);
	uint64_t hash = key_hash(table, &key);
	struct inode_shard *shard = key_shard(table, hash);
	struct inode *inode;

	pthread_mutex_lock(&shard->lock);
	inode = count_locked(table, shard, hash, &key, stx);
	pthread_mutex_unlock(&shard->lock);
	return confirm(table, inode);
}

/* Kept with the inode: each request on it asks. */
static void note_kind(struct inode *inode)
{
	if (!(inode_fs_kind(inode) & FS_KIND_LOCAL))
		inode_set(inode, INODE_WAITS);
}

/* An inode that nobody sees yet; *fd is taken. 0 or -errno. */
static int make(struct inode_table *table, int *fd, const struct statx *stx, struct inode **out)
{
	struct inode *inode = inode_new(&table->slab);
	int err;

	if (!inode)
		return -ENOMEM;
	inode->key = inode_table_key(stx);
	inode->born = stx_born(stx);
	inode->type = stx->stx_mode & S_IFMT;
	inode->nlookup = 1;
	err = inode_hold(&table->fds, inode, fd, stx);
	if (!err)
		note_kind(inode);
	if (err)
		inode_discard(inode);
	else
		*out = inode;
	return err;
}

/* Enter a new inode, unless its file has been entered meanwhile: then that one, counted. */
static struct inode *enter(struct inode_table *table, struct inode *made, const struct statx *stx)
{
	uint64_t hash = key_hash(table, &made->key);
	struct inode_shard *shard = key_shard(table, hash);
	struct inode *found, *old;

	pthread_mutex_lock(&shard->lock);
	found = count_locked(table, shard, hash, &made->key, stx);
	if (!found) {
		old = find_locked(table, shard, hash, &made->key);
		if (old)	/* same key, another file: it keeps its id only */
			unlink_locked(table, shard, hash, old);
		grow_locked(table, shard);
		link_locked(shard, hash, made);
		inode_alive(made);
	}
	pthread_mutex_unlock(&shard->lock);
	return found;
}

int inode_table_add(struct inode_table *table, int *fd, const struct statx *stx,
		    struct inode **out)
{
	struct inode *made = NULL;
	int err;

	/* What may fail is done before it can be seen; two threads may both come this far. */
	*out = inode_table_find(table, stx);
	if (*out)
		return 0;
	err = make(table, fd, stx, &made);
	if (err)
		return err;
	*out = enter(table, made, stx);
	if (!*out) {
		*out = made;
		return 0;
	}
	/* Ours has a descriptor: the other was entered since, and is certain while we have it. */
	inode_let_go(&table->fds, made);
	inode_discard(made);
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

void inode_table_forget(struct inode_table *table, uint64_t id, uint64_t n)
{
	struct inode *inode;

	if (id == INODE_ROOT_ID)
		return;
	inode = inode_table_get(table, id);
	if (inode && uncount(table, inode, n, false))
		inode_put(inode);
	inode_put(inode);
}

/* False when somebody uses it beside the table and us. */
static bool drop_idle(struct inode_table *table, struct inode *inode)
{
	uint64_t hash = key_hash(table, &inode->key);
	struct inode_shard *shard = key_shard(table, hash);
	bool dropped;

	/* With the lock nobody finds it by its key; by its number only who then uses it. */
	pthread_mutex_lock(&shard->lock);
	dropped = inode_dead_if_idle(inode);
	if (dropped) {
		inode->nlookup = 0;
		unlink_locked(table, shard, hash, inode);
	}
	pthread_mutex_unlock(&shard->lock);
	return dropped;
}

uint64_t inode_table_drop(struct inode_table *table, const struct inode_pick *pick, uint32_t *from,
			  uint64_t most)
{
	uint64_t id, dropped = 0;

	for (; dropped < most && (id = inode_slab_next(&table->slab, from)); (*from)++) {
		struct inode *inode = inode_table_get(table, id);

		if (inode && pick->pick(pick->ctx, inode) && drop_idle(table, inode)) {
			dropped++;
			inode_put(inode);
		}
		inode_put(inode);
	}
	return dropped;
}

int inode_table_rest(struct inode_table *table, struct inode *inode)
{
	uint64_t hash = key_hash(table, &inode->key);
	struct inode_shard *shard = key_shard(table, hash);
	int fd = -1;

	/* As above; and by its number nobody counts it while it is frozen. */
	pthread_mutex_lock(&shard->lock);
	if (inode_freeze(inode)) {
		fd = inode_fd_take_own(inode);
		inode_thaw(inode);
	}
	pthread_mutex_unlock(&shard->lock);
	return fd;
}

void inode_table_clear(struct inode_table *table)
{
	uint32_t from = INODE_ROOT_ID + 1;
	uint64_t id;

	while ((id = inode_slab_next(&table->slab, &from)))
		inode_table_forget(table, id, UINT64_MAX);
}

int inode_table_set_root(struct inode_table *table, int *fd, const struct statx *stx)
{
	struct inode *root = inode_new_root(&table->slab);
	uint64_t hash;
	int err;

	if (!root)
		return -ENOMEM;
	root->key = inode_table_key(stx);
	root->born = stx_born(stx);
	root->type = stx->stx_mode & S_IFMT;
	root->nlookup = 1;
	err = inode_hold_root(&table->fds, root, fd, stx);
	if (!err)
		note_kind(root);
	if (err)
		return err;
	hash = key_hash(table, &root->key);
	link_locked(key_shard(table, hash), hash, root);
	table->root = root;
	return 0;
}

static void last_put(struct inode *inode)
{
	inode_let_go(&inode_owner(inode)->fds, inode);
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

int inode_table_init(struct inode_table *table, const struct inode_holding *holding)
{
	int err;

	table->root = NULL;
	if (getrandom(&table->seed, sizeof(table->seed), 0) != sizeof(table->seed))
		table->seed = (uintptr_t)table;
	inode_fds_init(&table->fds, holding->handles, holding->cells, holding->open,
		       holding->budget);
	table->fds.late = table->fds.mounts.quiet = holding->late;
	err = inode_slab_init(&table->slab, table, last_put);
	for (unsigned int i = 0; i < INODE_SHARDS; i++)
		err |= shard_init(&table->by_key[i]);
	if (err)
		inode_table_fini(table);
	return err ? -ENOMEM : 0;
}

void inode_table_fini(struct inode_table *table)
{
	/* A half-made table has no root and no inodes, perhaps no buckets. */
	if (table->root) {
		inode_table_clear(table);
		inode_let_go(&table->fds, table->root);
	}
	inode_slab_fini(&table->slab);
	inode_fds_fini(&table->fds);
	for (unsigned int i = 0; i < INODE_SHARDS; i++)
		shard_fini(&table->by_key[i]);
}
