/* SPDX-License-Identifier: BSD-3-Clause */
/* Inodes and their memory; see inode.h. */
#include "daemon/fs/inode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* inode.state: generation in the upper half, below it ALIVE or FROZEN, and the users. */
#define STATE_ALIVE (1ULL << 31)
#define STATE_FROZEN (1ULL << 30)	/* ALIVE, but nobody may count it now; see inode_freeze() */
#define STATE_USERS (STATE_FROZEN - 1)
#define GENERATION_SHIFT 32

#define CHUNK_HEAD 64u
#define CHUNK_INODES ((INODE_CHUNK_BYTES - CHUNK_HEAD) / sizeof(struct inode))

/* Aligned to its size, so that an inode finds it. */
struct inode_chunk {
	struct inode_slab *slab;	/* [I] */
	uint32_t home;			/* shard whose free list its inodes go back to; [I] */
	struct inode inodes[] __attribute__((aligned(CHUNK_HEAD)));
};

static struct inode_chunk *chunk_of(const struct inode *inode)
{
	return (struct inode_chunk *)((uintptr_t)inode & ~(uintptr_t)(INODE_CHUNK_BYTES - 1));
}

struct inode_table *inode_owner(const struct inode *inode)
{
	return chunk_of(inode)->slab->table;
}

struct inode *inode_at(const struct inode_slab *slab, uint32_t slot)
{
	uint32_t n = slot / CHUNK_INODES;
	struct inode_chunk *chunk;

	if (n >= INODE_CHUNKS)
		return NULL;
	/* Pairs with the release store in add_chunk(). */
	chunk = __atomic_load_n(&slab->chunks[n], __ATOMIC_ACQUIRE);
	return chunk ? &chunk->inodes[slot % CHUNK_INODES] : NULL;
}

static bool is_root(const struct inode *inode)
{
	return inode->slot == INODE_ROOT_ID;
}

struct inode *inode_ref(struct inode *inode)
{
	if (!is_root(inode))
		__atomic_fetch_add(&inode->state, 1, __ATOMIC_RELAXED);
	return inode;
}

bool inode_try_ref(struct inode *inode)
{
	uint64_t state = __atomic_load_n(&inode->state, __ATOMIC_RELAXED);

	if (is_root(inode))
		return true;
	do {
		if (!(state & STATE_USERS))
			return false;
	} while (!__atomic_compare_exchange_n(&inode->state, &state, state + 1, true,
					      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

unsigned int inode_users(struct inode_slab *slab, uint64_t id)
{
	const struct inode *inode = inode_at(slab, (uint32_t)id);
	uint64_t state = inode ? __atomic_load_n(&inode->state, __ATOMIC_RELAXED) : 0;

	if (state >> GENERATION_SHIFT != id >> GENERATION_SHIFT || !(state & STATE_ALIVE))
		return 0;
	return (unsigned int)(state & STATE_USERS);
}

/* The lock that inode_freeze() holds. */
static pthread_mutex_t *freezer(const struct inode *inode)
{
	const struct inode_chunk *chunk = chunk_of(inode);

	return &chunk->slab->shards[chunk->home].lock;
}

bool inode_freeze(struct inode *inode)
{
	uint64_t state;

	pthread_mutex_lock(freezer(inode));
	state = __atomic_load_n(&inode->state, __ATOMIC_RELAXED);
	do {
		if (!(state & STATE_ALIVE) || (state & STATE_USERS) != 2) {
			pthread_mutex_unlock(freezer(inode));
			return false;
		}
		/* Acquire: what its last user did is done. */
	} while (!__atomic_compare_exchange_n(&inode->state, &state, state ^ STATE_ALIVE ^ STATE_FROZEN, true,
					      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

void inode_thaw(struct inode *inode)
{
	__atomic_fetch_xor(&inode->state, STATE_ALIVE | STATE_FROZEN, __ATOMIC_RELEASE);
	pthread_mutex_unlock(freezer(inode));
}

/* The state once it is not frozen. */
static uint64_t await_thaw(struct inode *inode)
{
	pthread_mutex_lock(freezer(inode));
	pthread_mutex_unlock(freezer(inode));
	return __atomic_load_n(&inode->state, __ATOMIC_RELAXED);
}

struct inode *inode_get(struct inode_slab *slab, uint64_t id)
{
	struct inode *inode = inode_at(slab, (uint32_t)id);
	uint64_t state;

	if (!inode || id == INODE_ROOT_ID)
		return inode;
	state = __atomic_load_n(&inode->state, __ATOMIC_RELAXED);
	do {
		while (state & STATE_FROZEN)
			state = await_thaw(inode);
		if (state >> GENERATION_SHIFT != id >> GENERATION_SHIFT || !(state & STATE_ALIVE))
			return NULL;
		/* Acquire pairs with the release in inode_alive(): the inode is set up. */
	} while (!__atomic_compare_exchange_n(&inode->state, &state, state + 1, true,
					      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return inode;
}

void inode_discard(struct inode *inode)
{
	struct inode_chunk *chunk = chunk_of(inode);
	struct inode_slab_shard *shard = &chunk->slab->shards[chunk->home];

	pthread_mutex_lock(&shard->lock);
	inode->next = shard->free;
	shard->free = inode->slot;
	pthread_mutex_unlock(&shard->lock);
}

void inode_put(struct inode *inode)
{
	uint64_t state;

	if (!inode || is_root(inode))
		return;
	/* Release: our use is before the end. Acquire: so is everybody else's. */
	state = __atomic_sub_fetch(&inode->state, 1, __ATOMIC_ACQ_REL);
	if (state & STATE_USERS)
		return;
	chunk_of(inode)->slab->last_put(inode);
	inode_discard(inode);
}

void inode_alive(struct inode *inode)
{
	__atomic_fetch_or(&inode->state, STATE_ALIVE | 2, __ATOMIC_RELEASE);
}

void inode_dead(struct inode *inode)
{
	__atomic_fetch_and(&inode->state, ~STATE_ALIVE, __ATOMIC_RELAXED);
}

bool inode_dead_if_idle(struct inode *inode)
{
	uint64_t state = __atomic_load_n(&inode->state, __ATOMIC_RELAXED);

	do {
		if (!(state & STATE_ALIVE) || (state & STATE_USERS) != 2)
			return false;
		/* Who takes a number to it after this finds it dead. */
	} while (!__atomic_compare_exchange_n(&inode->state, &state, state & ~STATE_ALIVE, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

/* Threads are spread over the shards, so that those that make inodes at once rarely meet. */
static uint32_t home_shard(void)
{
	static uint32_t last;	/* [A] relaxed */
	static __thread uint32_t home;

	if (!home)
		home = 1 + __atomic_fetch_add(&last, 1, __ATOMIC_RELAXED) % INODE_SLAB_SHARDS;
	return home - 1;
}

/* All its slots, each leading to the next. */
static void chunk_init(struct inode_chunk *chunk, uint32_t base)
{
	for (uint32_t i = 0; i < CHUNK_INODES; i++)
		chunk->inodes[i] = (struct inode){
			.slot = base + i, .next = i + 1 < CHUNK_INODES ? base + i + 1 : 0,
		};
}

/* More slots for a shard, as a list from the lowest. False without memory, or past the most. */
static bool add_chunk_locked(struct inode_slab *slab, uint32_t home)
{
	struct inode_chunk *chunk = NULL;
	uint32_t n;

	/* Held until it can be found: who walks the chunks stops at the first that is not there. */
	pthread_mutex_lock(&slab->grow_lock);
	n = slab->chunk_count;
	if (n < slab->chunk_limit)
		chunk = aligned_alloc(INODE_CHUNK_BYTES, INODE_CHUNK_BYTES);
	else
		log_guest(LOG_LEVEL_WARN, "the guest knows %lu files: no memory is left for more; let it drop "
			  "its caches", n * CHUNK_INODES);
	if (chunk) {
		chunk->slab = slab;
		chunk->home = home;
		chunk_init(chunk, n * (uint32_t)CHUNK_INODES);
		/* Slot 0 is no inode, slot 1 is the root's: neither is ever free. */
		slab->shards[home].free = n ? chunk->inodes[0].slot : INODE_ROOT_ID + 1;
		/* Release: who finds the chunk finds its inodes set up. */
		__atomic_store_n(&slab->chunks[n], chunk, __ATOMIC_RELEASE);
		slab->chunk_count++;
	}
	pthread_mutex_unlock(&slab->grow_lock);
	return chunk;
}

/* Generation 0 is the root's alone. */
static void start_life(struct inode *inode, uint32_t generation)
{
	uint32_t slot = inode->slot;

	/* The word stays atomic: a stale number may be compared with it now. */
	__atomic_store_n(&inode->state, (uint64_t)generation << GENERATION_SHIFT, __ATOMIC_RELAXED);
	memset(&inode->nlookup, 0, sizeof(*inode) - sizeof(inode->state));
	inode->slot = slot;
}

static uint32_t generation_of(const struct inode *inode)
{
	uint64_t state = __atomic_load_n(&inode->state, __ATOMIC_RELAXED);

	return (uint32_t)(state >> GENERATION_SHIFT);
}

/* A free slot of a shard; with `grow` also one that must be made. NULL if there is none. */
static struct inode *take_from(struct inode_slab *slab, uint32_t home, bool grow)
{
	struct inode_slab_shard *shard = &slab->shards[home];
	struct inode *inode = NULL;

	pthread_mutex_lock(&shard->lock);
	if (shard->free || (grow && add_chunk_locked(slab, home))) {
		inode = inode_at(slab, shard->free);
		shard->free = inode->next;
	}
	pthread_mutex_unlock(&shard->lock);
	return inode;
}

struct inode *inode_new(struct inode_slab *slab)
{
	uint32_t home = home_shard(), generation;
	struct inode *inode = NULL;

	/* Memory that lies idle goes before new memory: threads come and go. */
	for (uint32_t i = 0; i < INODE_SLAB_SHARDS && !inode; i++)
		inode = take_from(slab, (home + i) % INODE_SLAB_SHARDS, false);
	if (!inode)
		inode = take_from(slab, home, true);
	if (!inode)
		return NULL;
	generation = generation_of(inode);
	start_life(inode, generation == UINT32_MAX ? 1 : generation + 1);
	return inode;
}

struct inode *inode_new_root(struct inode_slab *slab)
{
	struct inode *root = inode_at(slab, INODE_ROOT_ID);

	if (!root && add_chunk_locked(slab, 0))
		root = inode_at(slab, INODE_ROOT_ID);
	if (root)
		start_life(root, 0);
	return root;
}

uint64_t inode_slab_next(struct inode_slab *slab, uint32_t *from)
{
	for (;; ++*from) {
		struct inode *inode = inode_at(slab, *from);
		uint64_t state;

		if (!inode)
			return 0;
		state = __atomic_load_n(&inode->state, __ATOMIC_RELAXED);
		if (state & (STATE_ALIVE | STATE_FROZEN))
			return state >> GENERATION_SHIFT << GENERATION_SHIFT | *from;
	}
}

int inode_slab_init(struct inode_slab *slab, struct inode_table *table,
		    void (*last_put)(struct inode *inode))
{
	for (unsigned int i = 0; i < INODE_SLAB_SHARDS; i++) {
		pthread_mutex_init(&slab->shards[i].lock, NULL);
		slab->shards[i].free = 0;
	}
	pthread_mutex_init(&slab->grow_lock, NULL);
	slab->table = table;
	slab->last_put = last_put;
	slab->chunk_count = 0;
	slab->chunk_limit = INODE_CHUNKS;
	slab->chunks = calloc(INODE_CHUNKS, sizeof(*slab->chunks));
	return slab->chunks ? 0 : -ENOMEM;
}

void inode_slab_fini(struct inode_slab *slab)
{
	for (uint32_t i = 0; i < slab->chunk_count; i++)
		free(slab->chunks[i]);
	free(slab->chunks);
	for (unsigned int i = 0; i < INODE_SLAB_SHARDS; i++)
		pthread_mutex_destroy(&slab->shards[i].lock);
	pthread_mutex_destroy(&slab->grow_lock);
}
