/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the window needs of a file: whether it may be mapped, a descriptor to
 * map, and word of every change of size.
 *
 * A mapping may turn out writable whatever was asked for, so a file that we
 * may not write is never offered; nor one that can be executed, since the host
 * refuses to run what is mapped writable. Never maps anything itself.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/fs/fs_private.h"

#define DAX_PAGE 4096

/* Asked once an inode: should the file or its mount turn read-only later, open(2) says so. */
static bool can_write(struct inode *inode)
{
	cleanup_inode_fd struct inode_fd at = INODE_FD_NONE;
	uint32_t flags = INODE_DAX_ASKED;

	if (inode_has(inode, INODE_DAX_ASKED))
		return inode_has(inode, INODE_DAX_WRITABLE);
	if (inode_fd_get(inode, &at))
		return false;
	if (syscall(SYS_faccessat2, at.fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) == 0)
		flags |= INODE_DAX_WRITABLE;
	inode_set(inode, flags);
	return flags & INODE_DAX_WRITABLE;
}

bool fs_dax_allowed(struct fs *fs, struct inode *inode, const struct statx *stx)
{
	if (!fs->config.dax_min_size || fs->config.readonly || !S_ISREG(inode->type))
		return false;
	if (stx->stx_size < fs->config.dax_min_size || stx->stx_size > fs->config.dax_max_size)
		return false;
	if (stx->stx_mode & 0111)
		return false;
	if (fs->config.dax_whole_pages && stx->stx_size % DAX_PAGE)
		return false;
	return can_write(inode);
}

int fs_watch_cut(struct fs *fs, struct inode *inode, uint64_t size)
{
	if (!fs->watch.before_cut || !inode_has(inode, INODE_MAPPED))
		return 0;
	return fs->watch.before_cut(fs->watch.ctx, inode_id(inode), size);
}

int fs_watch_size(struct fs *fs, struct inode *inode, uint64_t size)
{
	if (!fs->watch.size_seen || !inode_has(inode, INODE_MAPPED))
		return 0;
	return fs->watch.size_seen(fs->watch.ctx, inode_id(inode), size);
}

bool fs_watch_writable(struct fs *fs, struct inode *inode, uint64_t offset, uint64_t len)
{
	if (!fs->watch.maps_writable || !inode_has(inode, INODE_MAPPED))
		return false;
	return fs->watch.maps_writable(fs->watch.ctx, inode_id(inode), offset, len);
}

int fs_open_dax(struct fs *fs, uint64_t node)
{
	cleanup_inode struct inode *inode = NULL;
	int err = fs_check_writable(fs);

	if (!err && !fs->config.dax_min_size)
		err = -EOPNOTSUPP;
	if (!err)
		err = fs_node_get(fs, node, &inode);
	if (!err)
		err = fs_check_regular(inode);
	if (err)
		return err;
	/* Before the mapping exists, so that no cut can be made that does not see it. */
	inode_set(inode, INODE_MAPPED);
	return inode_fd_open(inode, O_RDWR);
}
