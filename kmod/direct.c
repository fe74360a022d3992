/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Direct I/O: the caller's own pages go to the device, nothing is copied. */
#include <linux/pagemap.h>
#include <linux/uio.h>
#include <linux/wait_bit.h>

#include "direct.h"

/* Requests of full size that one call has under way at once. */
#define AT_ONCE 32

/* Is it moved by one request? */
static bool is_small(const struct cs_session *session, const struct iov_iter *iter)
{
	return iov_iter_count(iter) <= session->max_bytes &&
	       iov_iter_npages(iter, session->max_pages + 1) <= session->max_pages;
}

/*
 * May its parts be moved in any order? What makes a file longer must not leave a hole when it
 * fails, and the daemon appends in the order of arrival. The kernel's own buffers go one by one.
 */
static bool in_any_order(const struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	if (!iov_iter_extract_will_pin(iter))
		return false;
	return !write || (!(iocb->ki_flags & IOCB_APPEND) &&
			  iocb->ki_pos + iov_iter_count(iter) <= i_size_read(file_inode(iocb->ki_filp)));
}

int cs_direct_wait(struct inode *inode)
{
	atomic_t *n = &cs_inode(inode)->n_direct;

	return wait_var_event_killable(n, !atomic_read(n)) ? -EINTR : 0;
}

/* One request, waited for. As cs_transfer_wait(). */
static ssize_t move_one(struct kiocb *iocb, struct iov_iter *iter, bool write, size_t *asked)
{
	struct cs_request *request = cs_direct_request(iocb, iocb->ki_pos, iter, write);
	ssize_t done;

	*asked = 0;
	if (IS_ERR(request))
		return PTR_ERR(request);
	*asked = request->data_len;
	request->before_wake = cs_direct_ended;
	done = cs_device_call(cs_session(file_inode(iocb->ki_filp)->i_sb)->device, request);
	if (!done)
		done = cs_direct_got(request, write);
	if (done > 0)
		cs_direct_dirty(request);
	cs_request_put(request);
	return done;
}

ssize_t cs_direct_move(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	const struct cs_session *session = cs_session(file_inode(iocb->ki_filp)->i_sb);
	size_t limit = (size_t)session->max_bytes * AT_ONCE;
	ssize_t total = 0, done = 0;

	while (iov_iter_count(iter)) {
		size_t asked;

		if (is_small(session, iter) || !in_any_order(iocb, iter, write))
			done = move_one(iocb, iter, write, &asked);
		else
			done = cs_transfer_wait(iocb, iter, write, limit, &asked);
		if (done > 0) {
			iocb->ki_pos += done;
			total += done;
		}
		if (done < (ssize_t)asked) {
			iov_iter_revert(iter, asked - max_t(ssize_t, done, 0));
			break;
		}
		if (done <= 0)
			break;
	}
	return total ?: done;
}

static bool can_be_async(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	const struct cs_session *session = cs_session(file_inode(iocb->ki_filp)->i_sb);

	return !is_sync_kiocb(iocb) && in_any_order(iocb, iter, write) &&
	       iov_iter_count(iter) <= (size_t)session->max_bytes * AT_ONCE;
}

ssize_t cs_direct_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct address_space *mapping = iocb->ki_filp->f_mapping;
	size_t len = iov_iter_count(to);
	int err;

	if (!len)
		return 0;
	/* While it lacks something further on, the daemon would take a hole there for the file's end. */
	if (iocb->ki_flags & IOCB_NOWAIT)
		err = !can_be_async(iocb, to, false) || cs_attr_is_unsent(mapping->host) ||
		      filemap_range_needs_writeback(mapping, iocb->ki_pos, iocb->ki_pos + len - 1) ? -EAGAIN : 0;
	else
		err = cs_write_out_range(mapping->host, iocb->ki_pos, iocb->ki_pos + len - 1);
	if (err)
		return err;
	return can_be_async(iocb, to, false) ? cs_transfer_start(iocb, to, false) :
					       cs_direct_move(iocb, to, false);
}

ssize_t cs_direct_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t start = iocb->ki_pos, end = start + iov_iter_count(from) - 1;
	ssize_t done;

	/* Where the daemon appends it must be the end. */
	done = iocb->ki_flags & IOCB_APPEND ? cs_write_out(inode) :
					      cs_write_out_range(inode, start, end);
	done = done ?: cs_pages_end(inode, start);
	if (done)
		return done;
	/* After a write that nobody waits for, nobody is there to sync it. */
	if (can_be_async(iocb, from, true) && !iocb_is_dsync(iocb))
		return cs_transfer_start(iocb, from, true);
	done = cs_direct_move(iocb, from, true);
	if (done > 0)
		cs_attr_wrote(inode, iocb->ki_pos);
	/*
	 * What was cached is old now; a mapping's page that stays was dirtied meanwhile. What a killed process
	 * leaves is dropped by cs_direct_ended().
	 */
	cs_pages_drop(inode, start, end);
	return done;
}
