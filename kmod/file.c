/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Open files: their handles, and which way their reads and writes go. */
#include <linux/filelock.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/writeback.h>

#include "dax.h"
#include "dirty.h"
#include "fs.h"

/* ---- handles ---- */

struct cs_file *cs_file_new(struct inode *inode, u32 release, u32 open_flags)
{
	struct cs_file *open = kzalloc(sizeof(*open), GFP_KERNEL);
	struct fuse_release_in *in;

	if (!open)
		return NULL;
	open->session = cs_session(inode->i_sb);
	refcount_set(&open->refs, 1);
	INIT_LIST_HEAD(&open->link);
	open->release = cs_inode_request(inode, release, sizeof(*in), 0);
	if (!open->release) {
		kfree(open);
		return NULL;
	}
	in = cs_request_args(open->release);
	in->flags = open_flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC);
	return open;
}

void cs_file_get(struct cs_file *open)
{
	refcount_inc(&open->refs);
}

void cs_file_put(struct cs_file *open)
{
	if (!refcount_dec_and_test(&open->refs))
		return;
	cs_device_send(open->session->device, open->release);
	if (open->held)
		cs_change_closed(open);
	else
		cs_file_drop(open);
}

void cs_file_drop(struct cs_file *open)
{
	cs_request_put(open->release);
	kfree(open);
}

struct cs_file *cs_file_writer(struct inode *inode)
{
	struct cs_inode *node = cs_inode(inode);
	struct cs_file *open;

	spin_lock(&node->lock);
	open = list_first_entry_or_null(&node->writers, struct cs_file, link);
	if (open)
		cs_file_get(open);
	spin_unlock(&node->lock);
	return open;
}

/* What the mount option cache= adds to the daemon's flags. */
static const u32 flags_of[] = {
	[CS_CACHE_AUTO] = 0,
	[CS_CACHE_ALWAYS] = FOPEN_KEEP_CACHE,
	[CS_CACHE_NEVER] = FOPEN_DIRECT_IO,
};

void cs_file_attach(struct cs_file *open, struct inode *inode, struct file *file,
		    const struct fuse_open_out *out)
{
	struct fuse_release_in *in = cs_request_args(open->release);
	struct cs_inode *node = cs_inode(inode);

	open->fh = out->fh;
	open->flags = out->open_flags | flags_of[open->session->options.cache];
	in->fh = out->fh;
	file->private_data = open;
	if (!S_ISREG(inode->i_mode) || !(file->f_mode & FMODE_WRITE))
		return;
	spin_lock(&node->lock);
	list_add(&open->link, &node->writers);
	spin_unlock(&node->lock);
}

/* No longer one of those that write goes by. */
static void take_off(struct cs_file *open, struct cs_inode *node)
{
	spin_lock(&node->lock);
	list_del_init(&open->link);
	spin_unlock(&node->lock);
}

void cs_file_detach(struct inode *inode, struct file *file)
{
	struct cs_file *open = file->private_data;

	file->private_data = NULL;
	take_off(open, cs_inode(inode));
	cs_file_put(open);
}

static void open_undo(struct cs_request *request)
{
	const struct fuse_open_out *out = cs_request_result(request);
	bool dir = request->in->opcode == FUSE_OPENDIR;
	struct cs_session *session = request->private;
	struct cs_request *release = cs_session_request(session, dir ? FUSE_RELEASEDIR : FUSE_RELEASE,
							request->in->nodeid,
							sizeof(struct fuse_release_in), 0);

	if (!release)
		return;
	((struct fuse_release_in *)cs_request_args(release))->fh = out->fh;
	cs_device_send(session->device, release);
	cs_request_put(release);
}

/* OPEN or OPENDIR: 0 with *out, or -errno after dropping the file that was to get the handle. */
static int ask_open(struct cs_file *open, struct inode *inode, u32 opcode, u32 flags, struct fuse_open_out *out)
{
	struct cs_request *request;
	int err = -ENOMEM;

	request = cs_inode_request(inode, opcode, sizeof(struct fuse_open_in), sizeof(*out));
	if (request) {
		((struct fuse_open_in *)cs_request_args(request))->flags = flags;
		request->undo = open_undo;
		err = cs_device_call(open->session->device, request);
		if (!err)
			memcpy(out, cs_request_result(request), sizeof(*out));
		cs_request_put(request);
	}
	if (err)
		cs_file_drop(open);
	return err;
}

int cs_file_open(struct inode *inode, struct file *file)
{
	struct cs_file *open = cs_file_new(inode, FUSE_RELEASE, file->f_flags);
	struct fuse_open_out out;
	int err;

	if (!open)
		return -ENOMEM;
	err = ask_open(open, inode, FUSE_OPEN, cs_open_flags(file), &out);
	if (!err)
		cs_file_attach(open, inode, file, &out);
	return err;
}

struct cs_file *cs_file_open_own(struct inode *inode)
{
	bool dir = S_ISDIR(inode->i_mode);
	u32 flags = O_RDONLY | (dir ? O_DIRECTORY : 0);
	struct cs_file *open = cs_file_new(inode, dir ? FUSE_RELEASEDIR : FUSE_RELEASE, flags);
	struct fuse_open_out out;
	int err;

	if (!open)
		return ERR_PTR(-ENOMEM);
	err = ask_open(open, inode, dir ? FUSE_OPENDIR : FUSE_OPEN, flags, &out);
	if (err)
		return ERR_PTR(err);
	open->fh = out.fh;
	((struct fuse_release_in *)cs_request_args(open->release))->fh = out.fh;
	return open;
}

/* ---- operations ---- */

/* Closed elsewhere and opened here: its contents of then are wanted. */
static int drop_old(struct inode *inode, const struct cs_file *open)
{
	if (open->flags & (FOPEN_KEEP_CACHE | FOPEN_DIRECT_IO) || IS_DAX(inode))
		return 0;
	return cs_pages_drop(inode, 0, LLONG_MAX) ?: cs_pages_drop_beside(inode);
}

static int open(struct inode *inode, struct file *file)
{
	bool created = file->private_data;
	int err = generic_file_open(inode, file);

	/* CREATE opened it already. */
	if (!err && !created)
		err = cs_file_open(inode, file);
	if (err)
		return err;
	file->f_mode |= FMODE_CAN_ODIRECT | FMODE_NOWAIT;
	cs_dax_open(inode);
	err = drop_old(inode, file->private_data);
	if (!err)
		return 0;
	/* There will be no release(); and what CREATE opened is given back by that. */
	cs_dax_release(inode);
	if (!created)
		cs_file_detach(inode, file);
	return err;
}

static int flush(struct file *file, fl_owner_t id)
{
	struct inode *inode = file_inode(file);
	struct cs_file *open = file->private_data;
	struct cs_request *request;
	struct fuse_flush_in *in;
	int err = 0, flushed;

	if (file->f_mode & FMODE_WRITE) {
		cs_write_out(inode);
		/* It stays what the next fsync(2) says: a process that has the same open file may just be ending. */
		err = filemap_check_wb_err(inode->i_mapping, READ_ONCE(file->f_wb_err));
	}
	/* After an error, too: it is how the daemon knows whose locks are gone. */
	if ((open->flags & FOPEN_NOFLUSH) || READ_ONCE(open->session->no_flush))
		return err;
	request = cs_inode_request(inode, FUSE_FLUSH, sizeof(struct fuse_flush_in), 0);
	if (!request)
		return -ENOMEM;
	in = cs_request_args(request);
	in->fh = open->fh;
	in->lock_owner = cs_lock_owner(open->session, id);
	flushed = cs_inode_run(inode, request);
	if (flushed == -ENOSYS) {
		WRITE_ONCE(open->session->no_flush, true);
		flushed = 0;
	}
	return err ?: flushed;
}

static int release(struct inode *inode, struct file *file)
{
	struct cs_file *open = file->private_data;

	if (!list_empty(&open->link)) {
		/* Dirty pages need a handle to go by: they are sent, whether or not their reply is waited for. */
		filemap_fdatawrite(inode->i_mapping);
		cs_write_out(inode);
		take_off(open, cs_inode(inode));
	}
	if (READ_ONCE(open->flocked)) {
		struct fuse_release_in *in = cs_request_args(open->release);

		in->release_flags |= FUSE_RELEASE_FLOCK_UNLOCK;
		in->lock_owner = cs_lock_owner(open->session, file);
	}
	cs_dax_release(inode);
	/* Whoever removes the file would wait for its folios in the end, which no signal ends. */
	if (refcount_read(&open->refs) > 1)
		cs_change_hold(open, inode);
	cs_file_put(open);
	return 0;
}

static int fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct cs_file *open = file->private_data;
	struct cs_request *request;
	struct fuse_fsync_in *in;
	int err = cs_write_and_wait(inode->i_mapping, start, end);

	if (err != -EINTR)
		err = file_check_and_advance_wb_err(file) ?: err;
	if (err || READ_ONCE(open->session->no_fsync))
		return err;
	request = cs_inode_request(inode, FUSE_FSYNC, sizeof(*in), 0);
	if (!request)
		return -ENOMEM;
	in = cs_request_args(request);
	in->fh = open->fh;
	in->fsync_flags = datasync ? FUSE_FSYNC_FDATASYNC : 0;
	err = cs_inode_run(inode, request);
	if (err == -ENOSYS) {
		WRITE_ONCE(open->session->no_fsync, true);
		err = 0;
	}
	return err;
}

static bool is_direct(const struct kiocb *iocb)
{
	const struct cs_file *open = iocb->ki_filp->private_data;

	return (iocb->ki_flags & IOCB_DIRECT) || (open->flags & FOPEN_DIRECT_IO);
}

static ssize_t read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	int err;

	if (!IS_DAX(inode) && is_direct(iocb))
		return cs_direct_read(iocb, to);
	/* The size ends a read; with it come changes of others, but to what is read through the window. */
	if (IS_DAX(inode) && iocb->ki_pos + iov_iter_count(to) <= i_size_read(inode))
		err = 0;
	else if (iocb->ki_flags & IOCB_NOWAIT)
		err = cs_attr_is_fresh(inode) ? 0 : -EAGAIN;
	else
		err = cs_attr_refresh(inode, false);
	return err ?: (IS_DAX(inode) ? cs_dax_read(iocb, to) : filemap_read(iocb, to, 0));
}

/* Pages read for one pipe are no use to others in direct mode. */
static ssize_t splice_read(struct file *file, loff_t *pos, struct pipe_inode_info *pipe, size_t len,
			   unsigned int flags)
{
	struct cs_file *open = file->private_data;
	int err;

	if (IS_DAX(file_inode(file)) || (file->f_flags & O_DIRECT) || (open->flags & FOPEN_DIRECT_IO))
		return copy_splice_read(file, pos, pipe, len, flags);
	err = cs_attr_refresh(file_inode(file), false);
	return err ?: filemap_splice_read(file, pos, pipe, len, flags);
}

static ssize_t write_its_way(struct kiocb *iocb, struct iov_iter *from)
{
	if (IS_DAX(file_inode(iocb->ki_filp)))
		return cs_dax_write(iocb, from);
	return is_direct(iocb) ? cs_direct_write(iocb, from) : cs_write_cached(iocb, from);
}

/* Where the file ends. While the daemon lacks some of what we wrote it does not know. */
static int know_size(struct kiocb *iocb, struct inode *inode)
{
	if (iocb->ki_flags & IOCB_APPEND)
		return cs_attr_refresh(inode, !cs_attr_is_unsent(inode));
	if (cs_session_has(cs_session(inode->i_sb), FUSE_WRITEBACK_CACHE))
		return cs_attr_refresh(inode, false);
	return 0;
}

static ssize_t write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	ssize_t done;

	/* There is always something to wait for: the daemon's reply, or room for dirty pages. */
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	done = know_size(iocb, inode);
	if (!done)
		done = generic_write_checks(iocb, from);
	if (done > 0)
		done = file_remove_privs(file) ?: write_its_way(iocb, from);
	inode_unlock(inode);
	return done > 0 ? generic_write_sync(iocb, done) : done;
}

static int mmap(struct file *file, struct vm_area_struct *vma)
{
	struct cs_file *open = file->private_data;
	int err;

	if (IS_DAX(file_inode(file)))
		return cs_dax_mmap(file, vma);
	if (!(open->flags & FOPEN_DIRECT_IO))
		return cs_mmap(file, vma);
	if ((vma->vm_flags & VM_MAYSHARE) && !cs_session_has(open->session, FUSE_DIRECT_IO_ALLOW_MMAP))
		return -ENODEV;
	err = cs_pages_drop(file_inode(file), 0, LLONG_MAX);
	return err ?: cs_mmap(file, vma);
}

const struct file_operations cs_file_operations = {
	.owner = THIS_MODULE,
	.llseek = cs_llseek,
	.read_iter = read_iter,
	.write_iter = write_iter,
	.mmap = mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.open = open,
	.flush = flush,
	.release = release,
	.fsync = fsync,
	.fallocate = cs_fallocate,
	.copy_file_range = cs_copy_file_range,
	.lock = cs_lock,
	.flock = cs_flock,
	/* Of this guest's own: from Linux 7.0 on there are none unless one says so. */
	.setlease = generic_setlease,
	.splice_read = splice_read,
	.unlocked_ioctl = cs_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.splice_write = iter_file_splice_write,
};

const struct address_space_operations cs_file_aops = {
	.read_folio = cs_read_folio,
	.readahead = cs_readahead,
	.writepages = cs_writepages,
	.write_begin = cs_write_begin,
	.write_end = cs_write_end,
	.dirty_folio = cs_dirty_folio,
	.release_folio = cs_release_folio,
	.invalidate_folio = cs_invalidate_folio,
	.migrate_folio = filemap_migrate_folio,
	.direct_IO = noop_direct_IO,
};
