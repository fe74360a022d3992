/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Direct reads and writes of several requests, or of a caller that does not wait. What was
 * moved ends where the first part, by place, ended short or failed: later parts may have been
 * moved as well, but nobody is told.
 */
#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "direct.h"

struct transfer {
	struct kref refs;		/* of all its parts together, and of who waits */
	refcount_t parts;		/* [A] under way, and its maker while it makes them */
	spinlock_t lock;		/* taken from the interrupt, too */
	loff_t stop;			/* [L:lock] the least place where a part ended short */
	int error;			/* [L:lock] the error that was, or 0 */
	loff_t start, end;		/* [I] once all parts are made */
	bool write;			/* [I] */
	struct inode *inode;		/* [I] of a write that nobody waits for; the file holds it */
	struct kiocb *iocb;		/* [I] NULL when somebody waits */
	struct completion done;
	struct work_struct work;
};

static void transfer_free(struct kref *refs)
{
	kfree(container_of(refs, struct transfer, refs));
}

static ssize_t result_of(const struct transfer *transfer)
{
	return transfer->stop > transfer->start ? transfer->stop - transfer->start : transfer->error;
}

static void note_stop(struct transfer *transfer, loff_t at, int error)
{
	unsigned long flags;

	spin_lock_irqsave(&transfer->lock, flags);
	if (at < transfer->stop) {
		transfer->stop = at;
		transfer->error = error;
	}
	spin_unlock_irqrestore(&transfer->lock, flags);
}

/* The file, and with it all that is ours, may be gone after this. */
static void complete_iocb(struct transfer *transfer)
{
	struct kiocb *iocb = transfer->iocb;
	ssize_t done = result_of(transfer);

	if (done > 0)
		iocb->ki_pos += done;
	iocb->ki_complete(iocb, done);
	kref_put(&transfer->refs, transfer_free);
}

static void complete_write(struct work_struct *work)
{
	struct transfer *transfer = container_of(work, struct transfer, work);
	struct inode *inode = transfer->inode;

	/* It is within the file, and is cut off if somebody has cut the file meanwhile. */
	cs_attr_wrote(inode, 0);
	cs_pages_drop(inode, transfer->start, transfer->end - 1);
	complete_iocb(transfer);
}

/* A part has ended, or its maker has made the last. Any context. */
static void put_part(struct transfer *transfer)
{
	if (!refcount_dec_and_test(&transfer->parts))
		return;
	if (!transfer->iocb) {
		complete(&transfer->done);
		kref_put(&transfer->refs, transfer_free);
	} else if (transfer->write) {
		INIT_WORK(&transfer->work, complete_write);
		cs_work_defer(&transfer->work);
	} else {
		complete_iocb(transfer);
	}
}

static void dirty_in_worker(struct work_struct *work)
{
	struct cs_request *request = container_of(work, struct cs_request, work);
	struct transfer *transfer = request->private;

	cs_direct_dirty(request);
	cs_request_put(request);
	put_part(transfer);
}

/* end() of a part. Pages that were written to a disk meanwhile must be made dirty again, which may sleep. */
static void end_part(struct cs_request *request)
{
	struct transfer *transfer = request->private;
	u32 done = request->error ? 0 : cs_direct_got(request, transfer->write);

	cs_direct_ended(request);
	if (done < request->data_len)
		note_stop(transfer, ((struct fuse_read_in *)cs_request_args(request))->offset + done, request->error);
	if (!done || cs_direct_is_dirty(request)) {
		put_part(transfer);
		return;
	}
	cs_request_get(request);
	cs_request_defer(request, dirty_in_worker);
}

/* Both of READ and WRITE have their place there. */
static_assert(offsetof(struct fuse_read_in, offset) == offsetof(struct fuse_write_in, offset));

static void send_parts(struct transfer *transfer, struct kiocb *iocb, struct iov_iter *iter, size_t limit)
{
	struct cs_device *device = cs_session(file_inode(iocb->ki_filp)->i_sb)->device;
	loff_t pos = transfer->start;
	int err = 0;

	while (iov_iter_count(iter) && pos - transfer->start < limit) {
		struct cs_request *request = cs_direct_request(iocb, pos, iter, transfer->write);

		if (IS_ERR(request)) {
			err = PTR_ERR(request);
			break;
		}
		pos += request->data_len;
		request->private = transfer;
		request->end = end_part;
		refcount_inc(&transfer->parts);
		cs_device_send(device, request);
		cs_request_put(request);
	}
	transfer->end = pos;
	note_stop(transfer, pos, err);
}

static struct transfer *transfer_new(struct kiocb *iocb, bool write)
{
	struct transfer *transfer = kzalloc(sizeof(*transfer), GFP_KERNEL);

	if (!transfer)
		return NULL;
	kref_init(&transfer->refs);
	refcount_set(&transfer->parts, 1);
	spin_lock_init(&transfer->lock);
	init_completion(&transfer->done);
	transfer->start = iocb->ki_pos;
	transfer->stop = LLONG_MAX;
	transfer->write = write;
	return transfer;
}

ssize_t cs_transfer_start(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct transfer *transfer = transfer_new(iocb, write);

	if (!transfer)
		return -ENOMEM;
	transfer->iocb = iocb;
	transfer->inode = file_inode(iocb->ki_filp);
	send_parts(transfer, iocb, iter, iov_iter_count(iter));
	put_part(transfer);
	return -EIOCBQUEUED;
}

ssize_t cs_transfer_wait(struct kiocb *iocb, struct iov_iter *iter, bool write, size_t limit, size_t *asked)
{
	struct transfer *transfer = transfer_new(iocb, write);
	ssize_t done;

	*asked = 0;
	if (!transfer)
		return -ENOMEM;
	kref_get(&transfer->refs);
	send_parts(transfer, iocb, iter, limit);
	*asked = transfer->end - transfer->start;
	put_part(transfer);
	done = wait_for_completion_killable(&transfer->done);
	if (!done)
		done = result_of(transfer);
	else
		done = -EINTR;
	kref_put(&transfer->refs, transfer_free);
	return done;
}
