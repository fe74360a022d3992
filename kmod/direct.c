/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Direct I/O: the caller's own pages go to the device, nothing is copied. */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "fs.h"

/* release() of a request whose pages are pinned: others are the kernel's own. */
static void unpin_pages(struct cs_request *request)
{
	for (unsigned int i = 0; i < request->n_data; i++)
		unpin_user_page(sg_page(&request->data[i]));
}

static bool fills_pages(const struct cs_request *request)
{
	return request->release && request->direction == CS_DATA_FROM_DEVICE;
}

/* The device writes to them behind the page tables' back. May sleep. */
static void dirty_pages(struct cs_request *request)
{
	if (!fills_pages(request))
		return;
	for (unsigned int i = 0; i < request->n_data; i++)
		set_page_dirty_lock(sg_page(&request->data[i]));
}

/* Nobody wrote them to a disk since they were made dirty. */
static bool pages_are_dirty(struct cs_request *request)
{
	for (unsigned int i = 0; fills_pages(request) && i < request->n_data; i++)
		if (!PageDirty(sg_page(&request->data[i])))
			return false;
	return true;
}

/* Take pages of the iterator, which moves on. 0 with data, or -errno. */
static int extract(struct cs_request *request, struct cs_session *session, struct iov_iter *iter, u32 max)
{
	struct page **pages = kvmalloc_array(max, sizeof(*pages), GFP_KERNEL);
	size_t offset;
	ssize_t len;

	if (!pages)
		return -ENOMEM;
	len = iov_iter_extract_pages(iter, &pages, session->max_bytes, max, 0, &offset);
	if (len > 0 && iov_iter_extract_will_pin(iter))
		request->release = unpin_pages;
	for (unsigned int i = 0; len > 0; i++) {
		u32 part = min_t(size_t, len, PAGE_SIZE - offset);

		cs_request_add(request, pages[i], part, offset);
		len -= part;
		offset = 0;
	}
	kvfree(pages);
	if (!request->n_data)
		return len ?: -EFAULT;
	return 0;
}

static struct cs_request *new_request(struct inode *inode, bool write, struct iov_iter *iter)
{
	struct cs_session *session = cs_session(inode->i_sb);
	u32 max = iov_iter_npages(iter, session->max_pages);
	struct cs_request *request;
	int err;

	request = cs_request_new(write ? FUSE_WRITE : FUSE_READ, cs_nodeid(inode),
				 write ? sizeof(struct fuse_write_in) : sizeof(struct fuse_read_in),
				 write ? sizeof(struct fuse_write_out) : 0, GFP_KERNEL);
	if (!request)
		return ERR_PTR(-ENOMEM);
	err = cs_request_data(request, write ? CS_DATA_TO_DEVICE : CS_DATA_FROM_DEVICE,
			      max, GFP_KERNEL);
	err = err ?: extract(request, session, iter, max);
	if (err) {
		cs_request_put(request);
		return ERR_PTR(err);
	}
	return request;
}

static u32 result_of(struct cs_request *request, bool write)
{
	if (!write)
		return request->got;
	return min(((struct fuse_write_out *)cs_request_result(request))->size, request->data_len);
}

static void read_args(struct cs_request *request, const struct kiocb *iocb)
{
	struct cs_file *open = iocb->ki_filp->private_data;
	struct fuse_read_in *in = cs_request_args(request);

	in->fh = open->fh;
	in->offset = iocb->ki_pos;
	in->size = request->data_len;
}

/* One request. Bytes moved, *asked for; or -errno. */
static ssize_t move_some(struct kiocb *iocb, struct iov_iter *iter, bool write, u32 *asked)
{
	struct cs_file *open = iocb->ki_filp->private_data;
	struct cs_request *request = new_request(file_inode(iocb->ki_filp), write, iter);
	ssize_t done;

	if (IS_ERR(request))
		return PTR_ERR(request);
	*asked = request->data_len;
	if (write) {
		cs_write_args(request, open, iocb->ki_pos, *asked, 0);
		cs_write_flags(request, iocb->ki_filp);
	} else {
		read_args(request, iocb);
	}
	dirty_pages(request);
	done = cs_device_call(open->session->device, request);
	if (!done)
		done = result_of(request, write);
	if (done > 0)
		dirty_pages(request);
	cs_request_put(request);
	return done;
}

ssize_t cs_direct_move(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	ssize_t total = 0, done = 0;

	while (iov_iter_count(iter)) {
		u32 asked = 0;

		done = move_some(iocb, iter, write, &asked);
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

/* ---- a read that its caller does not wait for ---- */

static void complete_read(struct cs_request *request)
{
	struct kiocb *iocb = request->private;
	ssize_t done = request->error ?: (ssize_t)request->got;

	if (done > 0)
		iocb->ki_pos += done;
	/* The file, and with it all that is ours, may be gone after this. */
	iocb->ki_complete(iocb, done);
}

static void complete_in_worker(struct work_struct *work)
{
	struct cs_request *request = container_of(work, struct cs_request, work);

	dirty_pages(request);
	complete_read(request);
	cs_request_put(request);
}

/* Pages that were written to a disk meanwhile must be made dirty again, which may sleep. */
static void end_async(struct cs_request *request)
{
	if (request->error || pages_are_dirty(request)) {
		complete_read(request);
		return;
	}
	cs_request_get(request);
	cs_request_defer(request, complete_in_worker);
}

/* Of one request only: a longer read would have to be put together from several ends. */
static bool can_be_async(struct kiocb *iocb, struct iov_iter *to)
{
	const struct cs_session *session = cs_session(file_inode(iocb->ki_filp)->i_sb);

	return !is_sync_kiocb(iocb) && iov_iter_count(to) <= session->max_bytes &&
	       iov_iter_npages(to, INT_MAX) <= session->max_pages;
}

static ssize_t start_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct cs_file *open = iocb->ki_filp->private_data;
	struct cs_request *request = new_request(file_inode(iocb->ki_filp), false, to);

	if (IS_ERR(request))
		return PTR_ERR(request);
	read_args(request, iocb);
	dirty_pages(request);
	request->private = iocb;
	request->end = end_async;
	cs_device_send(open->session->device, request);
	cs_request_put(request);
	return -EIOCBQUEUED;
}

ssize_t cs_direct_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct address_space *mapping = iocb->ki_filp->f_mapping;
	size_t len = iov_iter_count(to);
	int err;

	if (!len)
		return 0;
	err = filemap_write_and_wait_range(mapping, iocb->ki_pos, iocb->ki_pos + len - 1);
	if (err)
		return err;
	return can_be_async(iocb, to) ? start_read(iocb, to) : cs_direct_move(iocb, to, false);
}

ssize_t cs_direct_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t start = iocb->ki_pos, end = start + iov_iter_count(from) - 1;
	ssize_t done;

	/* Where the daemon appends it must be the end. */
	done = iocb->ki_flags & IOCB_APPEND ? cs_write_out(inode) :
					      filemap_write_and_wait_range(inode->i_mapping, start, end);
	if (done)
		return done;
	done = cs_direct_move(iocb, from, true);
	if (done > 0)
		cs_attr_wrote(inode, iocb->ki_pos);
	/* What was cached is old now; a mapping's page that stays was dirtied meanwhile. */
	invalidate_inode_pages2_range(inode->i_mapping, start >> PAGE_SHIFT, end >> PAGE_SHIFT);
	return done;
}
