/* SPDX-License-Identifier: BSD-3-Clause */
/* Open files and directories of a guest; see handle_table.h. */
#include "daemon/fs/handle_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/fs/dir_stream.h"
#include "daemon/fs/inode_table.h"
#include "daemon/fs/patience.h"

/* handle.state: generation in the upper half, below it OPEN and the users. */
#define STATE_OPEN (1ULL << 31)
#define STATE_USE_MASK 0xffffffffULL
#define GENERATION_SHIFT 32

static struct handle *slot_handle(struct handle_table *table, uint32_t slot)
{
	struct handle_shard *shard = &table->shards[slot % HANDLE_SHARDS];
	uint32_t n = slot / HANDLE_SHARDS;
	struct handle *chunk;

	if (n / HANDLE_CHUNK >= HANDLE_CHUNKS)
		return NULL;
	/* Pairs with the release store in add_chunk_locked(). */
	chunk = __atomic_load_n(&shard->chunks[n / HANDLE_CHUNK], __ATOMIC_ACQUIRE);
	return chunk ? &chunk[n % HANDLE_CHUNK] : NULL;
}

static bool state_is(uint64_t state, uint64_t fh)
{
	return state >> GENERATION_SHIFT == fh >> GENERATION_SHIFT && (state & STATE_OPEN);
}

static bool kind_is(const struct handle *handle, enum handle_kind kind)
{
	return kind == HANDLE_ANY || (kind == HANDLE_DIR) == (handle->dir != NULL);
}

struct handle *handle_table_get(struct handle_table *table, uint64_t fh, enum handle_kind kind)
{
	struct handle *handle = slot_handle(table, (uint32_t)fh);
	uint64_t state;

	if (!handle)
		return NULL;
	state = __atomic_load_n(&handle->state, __ATOMIC_RELAXED);
	do {
		if (!state_is(state, fh))
			return NULL;
		/* Acquire pairs with the release store in handle_table_add(): the parts are set. */
	} while (!__atomic_compare_exchange_n(&handle->state, &state, state + 1, true,
					      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	if (kind_is(handle, kind))
		return handle;
	handle_put(handle);
	return NULL;
}

/* The last user has left: nothing leads here until the slot is on the free list. */
static void handle_destroy(struct handle *handle)
{
	struct handle_table *table = handle->table;
	struct handle_shard *shard = &table->shards[handle->slot % HANDLE_SHARDS];

	patience_close(handle->inode, handle->fd, table->budget);
	if (handle->direct_fd >= 0)
		patience_close(handle->inode, handle->direct_fd, table->budget);
	dir_stream_free(handle->dir);
	inode_put(handle->inode);
	pthread_mutex_lock(&shard->lock);
	handle->next_free = shard->free;
	shard->free = handle;
	pthread_mutex_unlock(&shard->lock);
}

void handle_put(struct handle *handle)
{
	if (!handle)
		return;
	/* Release: our use is before the close. Acquire: so is everybody else's. */
	if (!(__atomic_sub_fetch(&handle->state, 1, __ATOMIC_ACQ_REL) & STATE_USE_MASK))
		handle_destroy(handle);
}

int handle_table_release(struct handle_table *table, uint64_t fh, enum handle_kind kind)
{
	struct handle *handle = handle_table_get(table, fh, kind);
	uint64_t state;
	int err = 0;

	if (!handle)
		return -EBADF;
	state = __atomic_load_n(&handle->state, __ATOMIC_RELAXED);
	do {
		if (!state_is(state, fh)) {	/* another RELEASE came first */
			err = -EBADF;
			break;
		}
		/* OPEN and the table's use go together; our own use keeps the handle. */
	} while (!__atomic_compare_exchange_n(&handle->state, &state, (state & ~STATE_OPEN) - 1,
					      true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	handle_put(handle);
	return err;
}

/* More slots for a shard's free list. 0, -ENFILE at the limit, or -ENOMEM. */
static int add_chunk_locked(struct handle_table *table, uint32_t shard_no)
{
	struct handle_shard *shard = &table->shards[shard_no];
	uint32_t base = shard->chunk_count * HANDLE_CHUNK;
	struct handle *chunk;

	if (shard->chunk_count == HANDLE_CHUNKS)
		return -ENFILE;
	chunk = aligned_alloc(_Alignof(struct handle), HANDLE_CHUNK * sizeof(*chunk));
	if (!chunk)
		return -ENOMEM;
	for (uint32_t i = 0; i < HANDLE_CHUNK; i++) {
		chunk[i] = (struct handle){
			.table = table,
			.slot = (base + i) * HANDLE_SHARDS + shard_no,
			.fd = -1,
			.direct_fd = HANDLE_NO_DIRECT,
			.next_free = i + 1 < HANDLE_CHUNK ? &chunk[i + 1] : NULL,
		};
	}
	shard->free = chunk;
	/* Release: who finds the chunk finds its handles set up. */
	__atomic_store_n(&shard->chunks[shard->chunk_count++], chunk, __ATOMIC_RELEASE);
	return 0;
}

/* Threads are spread over the shards, so that those that open files at once rarely meet. */
static uint32_t home_shard(void)
{
	static uint32_t last;	/* [A] relaxed */
	static __thread uint32_t home;

	if (!home)
		home = 1 + __atomic_fetch_add(&last, 1, __ATOMIC_RELAXED) % HANDLE_SHARDS;
	return home - 1;
}

static int slot_take(struct handle_table *table, struct handle **out)
{
	uint32_t home = home_shard();
	int err = -ENFILE;

	for (uint32_t i = 0; i < HANDLE_SHARDS && err == -ENFILE; i++) {
		uint32_t shard_no = (home + i) % HANDLE_SHARDS;
		struct handle_shard *shard = &table->shards[shard_no];

		pthread_mutex_lock(&shard->lock);
		err = shard->free ? 0 : add_chunk_locked(table, shard_no);
		if (!err) {
			*out = shard->free;
			shard->free = (*out)->next_free;
		}
		pthread_mutex_unlock(&shard->lock);
	}
	return err;
}

int handle_table_add(struct handle_table *table, const struct handle_parts *parts, uint64_t *fh)
{
	struct handle *handle = NULL;
	uint64_t generation;
	int err;

	if (!fd_budget_take(table->budget))
		return -ENFILE;
	err = slot_take(table, &handle);
	if (err) {
		fd_budget_give(table->budget);
		return err;
	}
	handle->fd = parts->fd;
	handle->inode = inode_ref(parts->inode);
	handle->dir = parts->dir;
	handle->append = parts->append;
	handle->direct_fd = parts->direct_fd ? *parts->direct_fd : HANDLE_NO_DIRECT;
	handle->reader = parts->reader;
	handle->uid = parts->uid;
	handle->gid = parts->gid;
	handle->no_nowait = false;
	handle->only_appends = parts->only_appends;
	handle->sample = 0;
	generation = __atomic_load_n(&handle->state, __ATOMIC_RELAXED) >> GENERATION_SHIFT;
	/* Generation 0 is never given out: the number 0 is no handle. */
	generation = generation == UINT32_MAX ? 1 : generation + 1;
	*fh = generation << GENERATION_SHIFT | handle->slot;
	/* Release: pairs with the acquire in handle_table_get(). */
	__atomic_store_n(&handle->state, generation << GENERATION_SHIFT | STATE_OPEN | 1,
			 __ATOMIC_RELEASE);
	return 0;
}

static void chunk_clear(struct handle_table *table, struct handle *chunk)
{
	for (uint32_t i = 0; i < HANDLE_CHUNK; i++) {
		uint64_t state = __atomic_load_n(&chunk[i].state, __ATOMIC_RELAXED);

		if (state & STATE_OPEN)
			handle_table_release(table, (state & ~STATE_USE_MASK) | chunk[i].slot,
					     HANDLE_ANY);
	}
}

void handle_table_clear(struct handle_table *table)
{
	for (uint32_t i = 0; i < HANDLE_SHARDS; i++) {
		for (uint32_t n = 0; n < HANDLE_CHUNKS; n++) {
			struct handle *chunk = __atomic_load_n(&table->shards[i].chunks[n],
							       __ATOMIC_ACQUIRE);
			if (!chunk)
				break;
			chunk_clear(table, chunk);
		}
	}
}

void handle_table_init(struct handle_table *table, struct fd_budget *budget)
{
	table->budget = budget;
	for (uint32_t i = 0; i < HANDLE_SHARDS; i++) {
		struct handle_shard *shard = &table->shards[i];

		memset(shard, 0, sizeof(*shard));
		pthread_mutex_init(&shard->lock, NULL);
	}
}

void handle_table_fini(struct handle_table *table)
{
	handle_table_clear(table);
	for (uint32_t i = 0; i < HANDLE_SHARDS; i++) {
		struct handle_shard *shard = &table->shards[i];

		for (uint32_t n = 0; n < shard->chunk_count; n++)
			free(shard->chunks[n]);
		pthread_mutex_destroy(&shard->lock);
	}
}
