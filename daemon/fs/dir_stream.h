/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a directory in pieces. The host is asked for a buffer of entries at
 * a time; what the guest had no room for stays here and is served next time,
 * without a system call.
 *
 * A guest that goes on where it stopped never makes us seek: the kernel keeps
 * its own place in the descriptor, which stays right when entries are removed
 * meanwhile, where a seek to a remembered offset may not. A guest that goes
 * back a little (it drops what its program had no room for) is served from
 * the buffer too. Relies on the descriptor being used by this stream alone.
 * Never looks at the entries' names beyond finding them.
 *
 * A guest may have as many directories open as it may have files, each read in
 * part; the memory of all of them has a limit. Past it a stream has no memory
 * between its walks, and seeks to where it was.
 */
#ifndef CASEMENT_DAEMON_FS_DIR_STREAM_H
#define CASEMENT_DAEMON_FS_DIR_STREAM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* getdents64(2)'s record. It ends where the name does: there is nothing of it to copy past that. */
struct dir_record {
	uint64_t ino;
	int64_t next;		/* offset after this entry */
	uint16_t len;		/* of the record, up to the next one */
	uint8_t type;		/* DT_* */
	char name[];		/* NUL-terminated */
} __attribute__((packed));
_Static_assert(sizeof(struct dir_record) == 19 && offsetof(struct dir_record, name) == 19,
	       "the name begins where the struct ends");

struct mem_budget;

struct dir_stream {
	pthread_mutex_t lock;	/* held through a whole walk: one walk at a time per handle */
	char *buf;		/* entries, NULL until read; [L:lock] */
	size_t size;		/* bytes allocated; [L:lock] */
	size_t len;		/* bytes of entries; [L:lock] */
	size_t pos;		/* first byte not yet served; [L:lock] */
	uint64_t start;		/* offset of the entry at buf[0]; [L:lock] */
	uint64_t next;		/* offset of the entry at buf[pos]; [L:lock] */
	bool begun;		/* the descriptor was read; [L:lock] */
	bool unpaid;		/* `buf` is past the budget: for this walk only; [L:lock] */
	bool astray;		/* the descriptor is not where the stream is; [L:lock] */
	struct mem_budget *budget;	/* of the buffers; [I] borrowed */
	bool as_opened;		/* it lists what was there when it was opened, until it is sought; [I] */
};

/* Buffers of all streams: so much that 2,000 directories are read at a time. */
#define DIR_STREAMS_BYTES (64UL << 20)

/* NULL without memory. `budget` outlives it. */
struct dir_stream *dir_stream_new(struct mem_budget *budget, bool as_opened);
/* NULL is nothing. */
void dir_stream_free(struct dir_stream *stream);

/* All below: stream->lock held, `fd` is the directory's own descriptor. */

/* Continue at `offset`: 0 is a fresh start. 0 or -errno. */
int dir_stream_seek(struct dir_stream *stream, int fd, uint64_t offset);
/* The next entry, valid until the next call; NULL when the buffer is used up. */
const struct dir_record *dir_stream_peek(const struct dir_stream *stream);
/* Pass the entry that dir_stream_peek() gives. */
void dir_stream_advance(struct dir_stream *stream);
/* Read more when all is passed; `hint`: bytes the caller can use. Bytes, 0 at the end, -errno. */
ssize_t dir_stream_fill(struct dir_stream *stream, int fd, size_t hint);
/* The walk is over, for now. */
void dir_stream_rest(struct dir_stream *stream);

#endif
