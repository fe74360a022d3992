/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mounts that known files are on: of which kind each is (fs_kind.h), and
 * whether its files can be held by their handles (file_handle.h), which is tried
 * out when the first of them is seen.
 *
 * An entry lives while it has users, the inodes of that mount. Each of these
 * holds its mount, by its own descriptor or by the entry's, so that the host
 * cannot give the mount's id to another one meanwhile: the id alone names it.
 */
#ifndef CASEMENT_DAEMON_FS_MOUNT_TABLE_H
#define CASEMENT_DAEMON_FS_MOUNT_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "daemon/fs/fs.h"

#define MOUNTS_MAX 256u	/* of one share; files of further ones are held by descriptors, their kind not known */

struct safe_open;

/* Its users need no lock for what is [I]: it was set before they were counted. */
struct mount_entry {
	uint32_t id;		/* mount id; [I] */
	uint32_t users;		/* inodes; 0: the entry is free; [L:lock] */
	int fd;			/* open for reading, for handles; -1: none; [L:lock], by those held by handle without */
	bool tried;		/* handles were: fd will not change; [L:lock] */
	uint8_t kind;		/* FS_KIND_*; [I] */
};

struct mount_table {
	pthread_mutex_t lock;	/* taken when an inode comes or goes, for a few instructions */
	struct mount_entry entries[MOUNTS_MAX];
	uint32_t top;		/* entries that were ever used; [L:lock] */
	enum fs_handles mode;		/* [I] */
	bool quiet;			/* nobody asked for handles: no word where there are none; [I] */
	const struct safe_open *open;	/* borrowed; NULL with FS_HANDLES_NEVER; [I] */
};

void mount_table_init(struct mount_table *table, enum fs_handles mode,
		      const struct safe_open *open);
void mount_table_fini(struct mount_table *table);
/*
 * The mount of an O_PATH descriptor's file, one user counted: *mount is its
 * number, or 0 where it has none (the table is full, or the kernel too old).
 * *by_handle: the file can be held by its handle. 0, or -EOPNOTSUPP where
 * handles are mandatory and there are none; then nothing is counted.
 */
int mount_table_get(struct mount_table *table, int fd, const struct statx *stx, uint16_t *mount,
		    bool *by_handle);
/* One user less. 0 is nothing. */
void mount_table_put(struct mount_table *table, uint16_t mount);

/* FS_KIND_* of a mount that has the caller's file; 0 of number 0. */
static inline uint8_t mount_table_kind(const struct mount_table *table, uint16_t mount)
{
	return mount ? table->entries[mount - 1].kind : 0;
}

#endif
