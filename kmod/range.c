/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Ranges of a file that the daemon works on by itself: where data is, blocks given and taken. */
#include <linux/mm.h>
#include <linux/falloc.h>
#include <linux/pagemap.h>

#include "fs.h"

/* SEEK_DATA and SEEK_HOLE are the daemon's to know; dirty pages of mappings first. */
static loff_t seek_data(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	struct cs_file *open = file->private_data;
	struct cs_request *request;
	struct fuse_lseek_in *in;
	loff_t found;

	found = filemap_write_and_wait(inode->i_mapping);
	if (found)
		return found;
	request = cs_inode_request(inode, FUSE_LSEEK, sizeof(*in), sizeof(struct fuse_lseek_out));
	if (!request)
		return -ENOMEM;
	in = cs_request_args(request);
	in->fh = open->fh;
	in->offset = offset;
	in->whence = whence;
	found = cs_device_call(open->session->device, request);
	if (!found)
		found = ((struct fuse_lseek_out *)cs_request_result(request))->offset;
	cs_request_put(request);
	if (found >= 0)
		found = vfs_setpos(file, found, inode->i_sb->s_maxbytes);
	return found;
}

loff_t cs_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	loff_t at;

	if (whence == SEEK_SET || whence == SEEK_CUR)
		return generic_file_llseek(file, offset, whence);
	inode_lock(inode);
	at = cs_attr_refresh(inode, whence == SEEK_END);
	if (!at)
		at = whence == SEEK_END ? generic_file_llseek(file, offset, whence) :
					  seek_data(file, offset, whence);
	inode_unlock(inode);
	return at;
}

/* After the daemon's change of a range: pages of it are dropped, a longer file is known. */
static void range_changed(struct inode *inode, int mode, loff_t offset, loff_t len)
{
	cs_attr_wrote(inode, mode & FALLOC_FL_KEEP_SIZE ? 0 : offset + len);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		truncate_pagecache_range(inode, offset, offset + len - 1);
}

static int fallocate_locked(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	struct cs_file *open = file->private_data;
	struct cs_request *request;
	struct fuse_fallocate_in *in;
	int err;

	err = filemap_write_and_wait_range(inode->i_mapping, offset, offset + len - 1);
	if (!err && !(mode & FALLOC_FL_KEEP_SIZE))
		err = inode_newsize_ok(inode, max(offset + len, i_size_read(inode)));
	err = err ?: file_modified(file);
	if (err)
		return err;
	request = cs_inode_request(inode, FUSE_FALLOCATE, sizeof(*in), 0);
	if (!request)
		return -ENOMEM;
	in = cs_request_args(request);
	in->fh = open->fh;
	in->offset = offset;
	in->length = len;
	in->mode = mode;
	err = cs_inode_run(inode, request);
	if (!err)
		range_changed(inode, mode, offset, len);
	return err == -ENOSYS ? -EOPNOTSUPP : err;
}

long cs_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	long err;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	inode_lock(inode);
	filemap_invalidate_lock(inode->i_mapping);
	err = fallocate_locked(file, mode, offset, len);
	filemap_invalidate_unlock(inode->i_mapping);
	inode_unlock(inode);
	return err;
}
