/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who holds POSIX locks. The guest's lock owner is a process of its own; here
 * each owner has, for each file, an open file of its own, and the locks are
 * that open file's (F_OFD_SETLK), so that owners of one guest, of several
 * guests, and the host's programs exclude each other.
 *
 * It is open for writing only when a lock for writing was asked for: a program
 * that somebody has open for writing cannot be run. When that comes second, the
 * owner gets another open file, and takes what it has locked for reading along.
 */
#ifndef CASEMENT_DAEMON_FS_LOCK_TABLE_H
#define CASEMENT_DAEMON_FS_LOCK_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/fs/fd_budget.h"
#include "daemon/fs/lock_ranges.h"

#define LOCK_BUCKETS 64u

struct handle;
struct inode;
struct safe_open;

struct lock_owner {
	struct lock_owner *next;	/* [L:lock_table.lock] */
	struct inode *inode;		/* [I] one user of it is ours */
	uint64_t owner;			/* [I] */
	const struct handle *through;	/* [I] the handle of its first lock: compared, never followed */
	unsigned int users;		/* [L:lock_table.lock] the table is one while it has it */
	/* Before the table's; held over calls that lock, for which another machine may keep us waiting. */
	pthread_mutex_t lock;
	int fd;				/* owned; changes once, when it becomes writable [L:lock] */
	int read_fd;			/* the descriptor before, which requests may still wait on; -1 [L:lock] */
	bool writable;			/* [L:lock] */
	struct lock_ranges held;	/* by any lock [L:lock] */
	struct lock_ranges written;	/* by one for writing [L:lock] */
};

struct lock_table {
	pthread_mutex_t lock;		/* a leaf, and never held over a call that may wait */
	struct lock_owner *buckets[LOCK_BUCKETS];	/* [L:lock] */
	unsigned int count;				/* [L:lock] of owners; without it a hint [A] */
	unsigned int ranges;				/* [L:lock] of all owners */
	struct fd_budget *budget;			/* [I] borrowed */
	const struct safe_open *open;			/* [I] borrowed */
};

void lock_table_init(struct lock_table *table, const struct safe_open *open, struct fd_budget *budget);
void lock_table_fini(struct lock_table *table);

/* The owner's open file of this handle's file, if it has one; NULL else. */
struct lock_owner *lock_table_find(struct lock_table *table, const struct handle *handle, uint64_t owner);
/*
 * The same, made if need be, and made writable for a lock of that kind (`write`). 0, -EBADF
 * where the handle itself is not, -ENOLCK, -ENOMEM or -errno of the open.
 */
int lock_table_get(struct lock_table *table, const struct handle *handle, uint64_t owner, bool write,
		   struct lock_owner **out);
/* The descriptor to lock by; the caller's as long as the owner is. */
int lock_table_fd(struct lock_owner *owner);
/*
 * A lock of this type was set by `fd`: the owner has it from here on, whatever happened to
 * the descriptor meanwhile. 0, or -errno (-ENOLCK: too many ranges): then it is set no more.
 */
int lock_table_note(struct lock_table *table, struct lock_owner *owner, int fd,
		    struct lock_range range, uint32_t type);
void lock_table_put(struct lock_table *table, struct lock_owner *owner);

/* The owner closed the file: all its locks on it are gone, once nobody waits for one. */
void lock_table_drop(struct lock_table *table, const struct handle *handle, uint64_t owner);
/*
 * The handle is being released: so do owners that came by it. A guest's open
 * file can be an owner itself (F_OFD_SETLK there); no close tells of those.
 */
void lock_table_drop_handle(struct lock_table *table, const struct handle *handle);
/* All of them. */
void lock_table_clear(struct lock_table *table);

#endif
