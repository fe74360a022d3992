/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A descriptor of an inode, for now. An inode is held in one of three ways:
 *
 * - by an O_PATH descriptor of its own, as long as it is known;
 * - a directory, when descriptors are spent: by its name (inode_name.h), until
 *   it is used again; or
 * - by its file handle (--inode-file-handles), and then it has a descriptor
 *   only while it was used lately: at most FD_CELLS of them are kept, and the
 *   one that was not used for longest, nearly (CLOCK), makes room. The handle
 *   is not asked for before that: a share of few files costs what it costs
 *   with descriptors.
 *
 * Locks: the kept descriptors are in 16 shards by slot; a shard's lock is a
 * leaf and never held over a system call. A descriptor in use is not closed.
 * An inode loses its cell only to a thread that counts it, or by its own end.
 */
#ifndef CASEMENT_DAEMON_FS_INODE_FD_H
#define CASEMENT_DAEMON_FS_INODE_FD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "daemon/fs/fd_budget.h"
#include "daemon/fs/inode.h"
#include "daemon/fs/mount_table.h"

#define FD_SHARDS 16u
#define FD_SHARD_CELLS 48u
#define FD_CELLS (FD_SHARDS * FD_SHARD_CELLS)

struct safe_open;

struct fd_cell {
	struct inode *owner;	/* NULL: empty; [L:shard] */
	int fd;			/* owned; [L:shard], by its users also without */
	uint32_t users;		/* [L:shard] */
	bool recent;		/* used since the hand came by; [L:shard] */
};

struct fd_shard {
	pthread_mutex_t lock;
	uint32_t hand;		/* cell to look at next; [L:lock] */
	struct fd_cell cells[FD_SHARD_CELLS];
} __attribute__((aligned(64)));

struct inode_fds {
	struct fd_shard shards[FD_SHARDS];
	struct mount_table mounts;
	struct fd_budget *budget;	/* of descriptors that inodes own for ever; [I] borrowed */
	const struct safe_open *open;	/* [I] borrowed */
	pthread_mutex_t name_lock;	/* of the names that directories rest by; a leaf */
	uint32_t cells;			/* used of each shard; [I] */
	bool late;			/* by descriptors for ever while most of the budget is left; [I] */
};

/*
 * `cells`: descriptors kept at most in each shard, 1 to FD_SHARD_CELLS. The
 * others are borrowed; `open` may be NULL with FS_HANDLES_NEVER.
 */
void inode_fds_init(struct inode_fds *fds, enum fs_handles mode, uint32_t cells,
		    const struct safe_open *open, struct fd_budget *budget);
/* No inode holds anything any more. */
void inode_fds_fini(struct inode_fds *fds);

/*
 * Give an inode that nobody sees yet what holds it: *fd, an O_PATH descriptor
 * with these attributes, is taken. 0, or -ENFILE or -EOPNOTSUPP (mandatory
 * handles where there are none), and *fd stays the caller's.
 */
int inode_hold(struct inode_fds *fds, struct inode *inode, int *fd, const struct statx *stx);
/* The same for the root: by its descriptor in any case, which is not counted. */
int inode_hold_root(struct inode_fds *fds, struct inode *inode, int *fd, const struct statx *stx);
/* Take it away again: nobody uses the inode or its descriptor. */
void inode_let_go(struct inode_fds *fds, struct inode *inode);

/* What inode_fd_get() gives: put it back before the inode. */
struct inode_fd {
	int fd;			/* O_PATH; -1: nothing */
	bool own;		/* opened for this use alone */
	struct fd_shard *shard;	/* of a kept one, else NULL */
	struct fd_cell *cell;
};
#define INODE_FD_NONE { .fd = -1 }

/* An O_PATH descriptor of a counted inode. 0, -ESTALE if its file is gone, or another -errno. */
int inode_fd_get(struct inode *inode, struct inode_fd *at);
void inode_fd_put(struct inode_fd *at);

/* The same of one that has a descriptor just now; false: it has none, and nothing was done. */
bool inode_fd_at_hand(struct inode *inode, struct inode_fd *at);

/*
 * Open a counted inode with `flags` (neither O_PATH, O_NOFOLLOW nor O_CREAT):
 * one system call. The caller has checked the type and owns the result; -errno or FS_WAITS_*.
 */
int inode_fd_open(struct inode *inode, int flags);

/*
 * Whether an inode number, type and birth that were equal a moment ago are proof
 * that it is this inode. They are while it has a descriptor, which keeps the
 * number from being used again; and else if no file of the same birth can have
 * been made after the descriptor was closed. If not, inode_fd_get() is the proof.
 */
bool inode_fd_certain(const struct inode *inode);

/* Whether a counted inode has a descriptor just now. */
bool inode_fd_held(const struct inode *inode);
/* Whether it has one for as long as it is known, which the budget counts. */
bool inode_fd_is_own(const struct inode *inode);

/* Take it from an inode that nobody else uses, and that is frozen; the caller closes it. -1: it has none. */
int inode_fd_take_own(struct inode *inode);

/* What kind of file system a counted inode is on, as far as that is known: FS_KIND_* bits. */
uint8_t inode_fs_kind(const struct inode *inode);

#define cleanup_inode_fd __attribute__((cleanup(inode_fd_put)))

#endif
