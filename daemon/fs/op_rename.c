/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names removed and moved, links read: one system call each. Nothing is
 * looked up first; an inode that loses its name stays known by its
 * descriptor until the guest forgets it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/fs/fs_private.h"

static int remove_name(struct fs *fs, uint64_t parent, const char *name, int flags)
{
	cleanup_inode struct inode *dir = NULL;
	int err = fs_check_writable(fs);

	if (!err)
		err = fs_node_get(fs, parent, &dir);
	if (err)
		return err;
	return unlinkat(dir->fd, name, flags) < 0 ? -errno : 0;
}

int fs_unlink(struct fs *fs, uint64_t parent, const char *name)
{
	return remove_name(fs, parent, name, 0);
}

int fs_rmdir(struct fs *fs, uint64_t parent, const char *name)
{
	return remove_name(fs, parent, name, AT_REMOVEDIR);
}

int fs_rename(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
	      const char *new_name, uint32_t flags)
{
	cleanup_inode struct inode *dir = NULL;
	cleanup_inode struct inode *new_dir = NULL;
	int err = fs_check_writable(fs);

	if (!err && (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)))
		err = -EINVAL;
	if (!err)
		err = fs_node_get(fs, parent, &dir);
	if (!err)
		err = fs_node_get(fs, new_parent, &new_dir);
	if (err)
		return err;
	return renameat2(dir->fd, name, new_dir->fd, new_name, flags) < 0 ? -errno : 0;
}

ssize_t fs_readlink(struct fs *fs, uint64_t node, char *buf, size_t size)
{
	cleanup_inode struct inode *inode = NULL;
	ssize_t n;
	int err = fs_node_get(fs, node, &inode);

	if (!err && !S_ISLNK(inode->type))
		err = -EINVAL;
	if (err)
		return err;
	n = readlinkat(inode->fd, "", buf, size);
	return n < 0 ? -errno : n;
}
