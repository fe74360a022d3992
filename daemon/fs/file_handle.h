/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * File handles: what names an inode of the host without holding it open.
 * name_to_handle_at(2) makes one, of a descriptor, never of a name; with it
 * and any descriptor on the same mount open_by_handle_at(2) finds the inode
 * again, wherever it is named now, or says ESTALE when it is gone: its
 * generation is part of the handle.
 *
 * A guest never sees a handle and never gives one. Opening by handle takes
 * CAP_DAC_READ_SEARCH, and a file system that can be exported; both are tried
 * out on each mount, when its first file is seen.
 */
#ifndef CASEMENT_DAEMON_FS_FILE_HANDLE_H
#define CASEMENT_DAEMON_FS_FILE_HANDLE_H

#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>

#include "daemon/fs/fs.h"
#include "daemon/fs/inode.h"

#define MOUNTS_MAX 256u	/* of one share; files of further ones are held by descriptors */

struct safe_open;

struct mount_entry {
	uint32_t id;		/* mount id; [L:lock] */
	uint32_t users;		/* inodes that need fd; at none the mount is let go; [L:lock] */
	int fd;			/* open for reading; -1: no handles; its users need no lock */
	bool used;		/* [L:lock] */
	bool remote;		/* as `fd` */
};

struct mount_table {
	pthread_mutex_t lock;	/* taken when an inode comes or goes, for a few instructions */
	struct mount_entry entries[MOUNTS_MAX];
	enum fs_handles mode;		/* [I] */
	const struct safe_open *open;	/* borrowed; NULL with FS_HANDLES_NEVER; [I] */
};

void mount_table_init(struct mount_table *table, enum fs_handles mode,
		      const struct safe_open *open);
void mount_table_fini(struct mount_table *table);
/*
 * Find out how the file of an O_PATH descriptor is to be held: *mount is 0 for
 * by its descriptor, else one user is counted there. 0, or -EOPNOTSUPP where
 * handles are mandatory and there are none.
 */
int mount_table_get(struct mount_table *table, int fd, const struct statx *stx, uint16_t *mount);
/* One user less. 0 is nothing. */
void mount_table_put(struct mount_table *table, uint16_t mount);

/* The handle of a descriptor, also an O_PATH one; release it. 0 or -errno. */
int file_handle_make(int fd, struct packed_handle *handle);
void file_handle_release(struct packed_handle *handle);
/*
 * Open the inode, which has a handle and a mount, with open(2)'s flags.
 * The caller owns the result; -errno, -ESTALE if the file is gone.
 */
int file_handle_open(const struct mount_table *table, const struct inode *inode, int flags);

#endif
