/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Open files and directories of a guest. A file handle is a number,
 * generation << 32 | slot, so one that was released can only miss.
 *
 * A slot's life is one atomic word: generation, an OPEN bit, and the count of
 * users, the table being one while OPEN is set. A request takes a user by
 * compare-and-swap on that word, so requests on different handles share
 * nothing and requests on one handle share one cache line. RELEASE clears OPEN
 * and leaves; whoever is last closes the descriptor. So a hostile RELEASE
 * beside a READ closes after the READ.
 *
 * Slots are in shards of chunks; chunks are never freed before the table, so
 * a number always leads to a slot or to nothing. The shard's mutex guards the
 * free list, used by open and release only; a thread prefers a shard of its
 * own. At most HANDLE_MAX handles exist.
 */
#ifndef CASEMENT_DAEMON_FS_HANDLE_TABLE_H
#define CASEMENT_DAEMON_FS_HANDLE_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/fs/fd_budget.h"

#define HANDLE_SHARDS 16u
#define HANDLE_CHUNK 64u	/* handles in a chunk */
#define HANDLE_CHUNKS 1024u	/* chunks in a shard */
#define HANDLE_MAX (HANDLE_SHARDS * HANDLE_CHUNK * HANDLE_CHUNKS)

#define HANDLE_NO_DIRECT (-1)		/* not opened O_DIRECT yet */
#define HANDLE_NEVER_DIRECT (-2)	/* the host does not let us */

struct dir_stream;
struct handle_table;
struct inode;

struct handle {
	uint64_t state;			/* see handle_table.c; [A] */
	struct handle_table *table;	/* [I] */
	uint32_t slot;			/* [I] */
	bool append;			/* the guest opened it O_APPEND, the host's descriptor is not */
	bool reader;			/* came by OPEN, read-only: see op_keep.c */
	bool no_nowait;			/* [A] relaxed: its file system does not know RWF_NOWAIT */
	bool only_appends;		/* the host's descriptor is O_APPEND: its file has that attribute, or had it */
	/* Set before the handle is given out, valid for its users: */
	int fd;				/* owned; never O_DIRECT */
	int direct_fd;			/* the same file O_DIRECT, owned, or HANDLE_NO_*; see fs_data_fd(); [A] */
	struct inode *inode;		/* one user of it is ours */
	struct dir_stream *dir;		/* owned; NULL for a file */
	uint32_t uid, gid;		/* who opened it, by the host's ids */
	union {
		uint64_t sample;		/* see op_keep.c; [A] relaxed, it orders nothing */
		struct handle *next_free;	/* of one that is not open; [L:shard] */
	};
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct handle) == 64, "a million of them are 64 MB");

struct handle_shard {
	pthread_mutex_t lock;
	struct handle *free;		/* [L:lock] */
	uint32_t chunk_count;		/* [L:lock] */
	struct handle *chunks[HANDLE_CHUNKS];	/* [A] set once each, release; read with acquire */
} __attribute__((aligned(64)));

struct handle_table {
	struct handle_shard shards[HANDLE_SHARDS];
	struct fd_budget *budget;	/* [I] borrowed */
};

/* `budget` outlives the table. */
void handle_table_init(struct handle_table *table, struct fd_budget *budget);
/* Nobody may use a handle any more. */
void handle_table_fini(struct handle_table *table);

/* What a new handle is made of. */
struct handle_parts {
	int fd;			/* taken on success */
	struct inode *inode;	/* the table counts a user of its own */
	struct dir_stream *dir;	/* taken on success; NULL for a file */
	const int *direct_fd;	/* handle.direct_fd, taken on success with its unit of the budget; NULL: none */
	uint32_t uid, gid;
	bool append, reader, only_appends;
};

/* 0, -ENFILE or -ENOMEM; on error everything stays the caller's. */
int handle_table_add(struct handle_table *table, const struct handle_parts *parts, uint64_t *fh);

enum handle_kind { HANDLE_FILE, HANDLE_DIR, HANDLE_ANY };

/* The handle of a number, with one user more; NULL if it is not open or of another kind. */
struct handle *handle_table_get(struct handle_table *table, uint64_t fh, enum handle_kind kind);
/* One user less. NULL is nothing. */
void handle_put(struct handle *handle);

/* The number is not valid any more; the last user closes. 0 or -EBADF. */
int handle_table_release(struct handle_table *table, uint64_t fh, enum handle_kind kind);
/* Release all that are open. */
void handle_table_clear(struct handle_table *table);

static inline void handle_put_ptr(struct handle **handle)
{
	handle_put(*handle);
}

#define cleanup_handle __attribute__((cleanup(handle_put_ptr)))

#endif
