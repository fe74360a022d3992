/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names to nodes, and giving nodes back.
 *
 * System calls: 1 for a known file or a missing name, 3 for a new file. The
 * attributes and the descriptor of an entry are always of one inode: either
 * they were read through the descriptor, or their key matched an inode whose
 * descriptor we hold. Mount points below the share are crossed.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "daemon/fs/fs_private.h"

#define STAT_WANTED (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)

static int stat_child(int parent_fd, const char *name, struct statx *stx)
{
	if (statx(parent_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STAT_WANTED, stx) < 0)
		return -errno;
	return 0;
}

int fs_entry_complete(struct fs *fs, struct inode *inode, struct fs_entry *entry)
{
	int err = fs_attr_complete(fs, inode, &entry->attr);

	entry->node = inode->id;
	entry->generation = 0;
	if (err)
		fs_forget(fs, inode->id, 1);
	return err;
}

int fs_enter_fd(struct fs *fs, int *fd, struct fs_entry *entry)
{
	cleanup_inode struct inode *inode = NULL;
	int err = fs_stat_fd(*fd, &entry->attr.stx);

	if (!err)
		err = inode_table_add(&fs->inodes, fd, &entry->attr.stx, &inode);
	if (err)
		return err;
	return fs_entry_complete(fs, inode, entry);
}

int fs_lookup_child(struct fs *fs, struct inode *parent, const char *name, bool maybe_known,
		    struct fs_entry *entry)
{
	cleanup_inode struct inode *inode = NULL;
	cleanup_close int fd = -1;
	int err;

	if (maybe_known) {
		err = stat_child(parent->fd, name, &entry->attr.stx);
		if (err)
			return err;
		inode = inode_table_find(&fs->inodes, &entry->attr.stx);
		if (inode)
			return fs_entry_complete(fs, inode, entry);
	}
	/* The name may lead elsewhere by now: nothing of the first look is kept. */
	fd = safe_open_child(&fs->open, parent->fd, name);
	if (fd < 0)
		return fd;
	return fs_enter_fd(fs, &fd, entry);
}

int fs_lookup(struct fs *fs, uint64_t parent, const char *name, struct fs_entry *entry)
{
	cleanup_inode struct inode *dir = NULL;
	int err;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	err = fs_node_get(fs, parent, &dir);
	if (err)
		return err;
	return fs_lookup_child(fs, dir, name, true, entry);
}

void fs_forget(struct fs *fs, uint64_t node, uint64_t n)
{
	inode_table_forget(&fs->inodes, node, n);
}
