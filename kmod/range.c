/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Ranges of a file that the daemon works on by itself: where data is, blocks given and taken, copies. */
#include <linux/mm.h>
#include <linux/falloc.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>

#include "fs.h"

/* Bytes of one copy by the daemon: others wait for the file that long, and a late reply is one of a dead daemon. */
#define COPY_AT_ONCE (16U << 20)

/* SEEK_DATA and SEEK_HOLE are the daemon's to know; dirty pages of mappings first. */
static loff_t seek_data(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	struct cs_file *open = file->private_data;
	struct cs_request *request;
	struct fuse_lseek_in *in;
	loff_t found;

	found = cs_write_out(inode);
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

/* Modes that put zeros where something else may be. */
#define CHANGES (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)

static int fallocate_locked(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	struct cs_file *open = file->private_data;
	struct cs_request *request;
	struct fuse_fallocate_in *in;
	int err = 0;

	if (!(mode & FALLOC_FL_KEEP_SIZE))
		err = cs_pages_end(inode, offset + len);
	if (!err && mode & CHANGES)
		err = cs_pages_away(inode, offset, offset + len - 1);
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
	/* Blocks that are given to it do not change its contents. */
	cs_change_range(request, inode, offset, mode & CHANGES ? len : 0);
	err = cs_inode_run(inode, request);
	if (!err)
		cs_attr_wrote(inode, mode & FALLOC_FL_KEEP_SIZE ? 0 : offset + len);
	return err == -ENOSYS ? -EOPNOTSUPP : err;
}

long cs_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	long err = 0;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | CHANGES))
		return -EOPNOTSUPP;
	inode_lock(inode);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		err = inode_newsize_ok(inode, max(offset + len, i_size_read(inode)));
	/* It may ask for attributes, and those take the invalidate lock. */
	err = err ?: file_modified(file);
	if (!err) {
		filemap_invalidate_lock(inode->i_mapping);
		err = fallocate_locked(file, mode, offset, len);
		filemap_invalidate_unlock(inode->i_mapping);
	}
	inode_unlock(inode);
	return err;
}

/* COPY_FILE_RANGE: what was copied, or -errno. */
static ssize_t ask_copy(struct file *from, loff_t from_at, struct file *to, loff_t to_at, size_t len)
{
	struct cs_file *source = from->private_data, *target = to->private_data;
	struct cs_request *request = cs_inode_request(file_inode(from), FUSE_COPY_FILE_RANGE,
						      sizeof(struct fuse_copy_file_range_in),
						      sizeof(struct fuse_write_out));
	struct fuse_copy_file_range_in *in;
	ssize_t done;

	if (!request)
		return -ENOMEM;
	in = cs_request_args(request);
	in->fh_in = source->fh;
	in->off_in = from_at;
	in->nodeid_out = cs_nodeid(file_inode(to));
	in->fh_out = target->fh;
	in->off_out = to_at;
	in->len = len;
	cs_change_range(request, file_inode(to), to_at, len);
	done = cs_device_call(source->session->device, request);
	if (!done)
		done = ((struct fuse_write_out *)cs_request_result(request))->size;
	cs_request_put(request);
	return done > (ssize_t)len ? -EIO : done;
}

/* One piece. Target's locks held. */
static ssize_t copy_locked(struct file *from, loff_t from_at, struct file *to, loff_t to_at, size_t len)
{
	struct inode *inode = file_inode(to);
	ssize_t done;

	done = cs_pages_away(inode, to_at, to_at + len - 1) ?: cs_pages_end(inode, to_at);
	if (done)
		return done;
	done = ask_copy(from, from_at, to, to_at, len);
	if (done > 0)
		cs_attr_wrote(inode, to_at + done);
	return done;
}

static ssize_t copy_piece(struct file *from, loff_t from_at, struct file *to, loff_t to_at, size_t len)
{
	struct inode *target = file_inode(to);
	ssize_t done = cs_write_out_range(file_inode(from), from_at, from_at + len - 1);

	if (done)
		return done;
	inode_lock(target);
	done = file_modified(to);
	if (!done) {
		filemap_invalidate_lock(target->i_mapping);
		done = copy_locked(from, from_at, to, to_at, len);
		filemap_invalidate_unlock(target->i_mapping);
	}
	inode_unlock(target);
	return done;
}

static ssize_t copy_at_daemon(struct file *from, loff_t from_at, struct file *to, loff_t to_at, size_t len)
{
	struct inode *source = file_inode(from), *target = file_inode(to);
	struct cs_session *session = cs_session(target->i_sb);
	ssize_t done = 0, total = 0;

	if (source->i_sb != target->i_sb)
		return -EXDEV;
	if (READ_ONCE(session->no_copy))
		return -EOPNOTSUPP;
	while (total < len && !fatal_signal_pending(current)) {
		size_t piece = min_t(size_t, len - total, COPY_AT_ONCE);

		done = copy_piece(from, from_at + total, to, to_at + total, piece);
		total += max(done, 0);
		if (done < (ssize_t)piece)
			break;
	}
	if (total || done != -ENOSYS)
		return total ?: done;
	WRITE_ONCE(session->no_copy, true);
	return -EOPNOTSUPP;
}

ssize_t cs_copy_file_range(struct file *from, loff_t from_at, struct file *to, loff_t to_at, size_t len,
			   unsigned int flags)
{
	ssize_t done = copy_at_daemon(from, from_at, to, to_at, len);

	if (done == -EOPNOTSUPP || done == -EXDEV)
		return splice_copy_file_range(from, from_at, to, to_at, len);
	return done;
}
