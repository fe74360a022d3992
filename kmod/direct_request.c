/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Pages of read(2)'s and write(2)'s callers in requests; see direct.h. */
#include "direct.h"

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uio.h>

/* ---- a user's pages ---- */

/* So many have room on the stack. */
#define FEW 8

/* Its release(). */
static void unpin_pages(struct cs_request *request)
{
	for (unsigned int i = 0; i < request->n_data; i++)
		unpin_user_page(sg_page(&request->data[i]));
}

static bool fills_pinned(const struct cs_request *request)
{
	return request->release == unpin_pages && request->direction == CS_DATA_FROM_DEVICE;
}

void cs_direct_dirty(struct cs_request *request)
{
	if (!fills_pinned(request))
		return;
	for (unsigned int i = 0; i < request->n_data; i++)
		set_page_dirty_lock(sg_page(&request->data[i]));
}

/* Nobody wrote them to a disk since they were made dirty. */
bool cs_direct_is_dirty(struct cs_request *request)
{
	for (unsigned int i = 0; fills_pinned(request) && i < request->n_data; i++)
		if (!PageDirty(sg_page(&request->data[i])))
			return false;
	return true;
}

/* Pin pages of the iterator, which moves on. 0 with data, or -errno. */
static int pin(struct cs_request *request, size_t most, struct iov_iter *iter, u32 max)
{
	struct page *few[FEW], **pages = few;
	size_t offset;
	ssize_t len;

	if (max > FEW)
		pages = kvmalloc_array(max, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	len = iov_iter_extract_pages(iter, &pages, most, max, 0, &offset);
	request->release = unpin_pages;
	for (unsigned int i = 0; len > 0; i++) {
		u32 part = min_t(size_t, len, PAGE_SIZE - offset);

		cs_request_add(request, pages[i], part, offset);
		len -= part;
		offset = 0;
	}
	if (pages != few)
		kvfree(pages);
	if (!request->n_data)
		return len ?: -EFAULT;
	return 0;
}

/* ---- the kernel's buffers ---- */

/* A request with a copy: where the data of a READ belongs. Its `private`. */
struct copy {
	struct iov_iter to;
};

static void free_copy(struct cs_request *request)
{
	for (unsigned int i = 0; i < request->n_data; i++)
		__free_page(sg_page(&request->data[i]));
	kfree(request->private);
}

/* Fill it with pages of our own, for as much of the iterator, which moves on. 0 with data, or -errno. */
static int copy(struct cs_request *request, size_t most, struct iov_iter *iter, u32 max)
{
	struct copy *copy = kmalloc(sizeof(*copy), GFP_KERNEL);

	if (!copy)
		return -ENOMEM;
	copy->to = *iter;
	request->private = copy;
	request->release = free_copy;
	while (request->n_data < max && request->data_len < most && iov_iter_count(iter)) {
		u32 part = min3((size_t)PAGE_SIZE, iov_iter_count(iter), most - request->data_len);
		struct page *page = alloc_page(GFP_KERNEL);

		if (!page)
			break;
		cs_request_add(request, page, part, 0);
		if (request->direction == CS_DATA_FROM_DEVICE)
			iov_iter_advance(iter, part);
		else
			copy_page_from_iter(page, 0, part, iter);
	}
	return request->n_data ? 0 : -ENOMEM;
}

/* Give the owner what came. */
static void copy_back(struct cs_request *request)
{
	struct copy *copy = request->private;
	u32 left = request->got;

	for (unsigned int i = 0; left; i++) {
		u32 part = min(left, request->data[i].length);

		copy_page_to_iter(sg_page(&request->data[i]), 0, part, &copy->to);
		left -= part;
	}
}

/* ---- both ---- */

/* The inode may go with it, if the file was closed. */
static void count_ended(struct cs_request *request)
{
	cs_change_ended(request->inode);
	cs_file_put(request->open);
}

static void drop_pages(struct work_struct *work)
{
	struct cs_request *request = container_of(work, struct cs_request, work);
	loff_t start = ((struct fuse_write_in *)cs_request_args(request))->offset;

	cs_pages_drop(request->inode, start, start + request->data_len - 1);
	count_ended(request);
	cs_request_put(request);
}

void cs_direct_ended(struct cs_request *request)
{
	loff_t start = ((struct fuse_write_in *)cs_request_args(request))->offset;
	struct inode *inode = request->inode;

	if (!inode)
		return;
	cs_attr_written(inode);
	/* Its caller drops them, but may have been killed; what was read meanwhile is older than the write. */
	if (!IS_DAX(inode) && filemap_range_has_page(inode->i_mapping, start, start + request->data_len - 1)) {
		cs_request_get(request);
		cs_request_defer(request, drop_pages);
		return;
	}
	count_ended(request);
}

static void set_args(struct cs_request *request, struct kiocb *iocb, loff_t pos, bool write)
{
	struct cs_file *open = iocb->ki_filp->private_data;
	struct fuse_read_in *in = cs_request_args(request);

	if (write) {
		cs_write_args(request, open, pos, request->data_len, 0);
		cs_write_flags(request, iocb);
		return;
	}
	in->fh = open->fh;
	in->offset = pos;
	in->size = request->data_len;
	in->flags = iocb->ki_filp->f_flags;	/* O_DIRECT is one, or not */
}

struct cs_request *cs_direct_request(struct kiocb *iocb, loff_t pos, struct iov_iter *iter, bool write)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct cs_session *session = cs_session(inode->i_sb);
	u32 max = iov_iter_npages(iter, session->max_pages);
	struct cs_request *request;
	int err;

	request = cs_request_new(write ? FUSE_WRITE : FUSE_READ, cs_nodeid(inode),
				 write ? sizeof(struct fuse_write_in) : sizeof(struct fuse_read_in),
				 write ? sizeof(struct fuse_write_out) : 0, GFP_KERNEL);
	if (!request)
		return ERR_PTR(-ENOMEM);
	err = cs_request_data(request, write ? CS_DATA_TO_DEVICE : CS_DATA_FROM_DEVICE, max, GFP_KERNEL);
	if (!err && iov_iter_extract_will_pin(iter))
		err = pin(request, session->max_bytes, iter, max);
	else if (!err)
		err = copy(request, session->max_bytes, iter, max);
	if (err) {
		cs_request_put(request);
		return ERR_PTR(err);
	}
	set_args(request, iocb, pos, write);
	if (write) {
		request->inode = inode;
		request->open = iocb->ki_filp->private_data;
		cs_file_get(request->open);
		atomic_inc(&cs_inode(inode)->n_direct);
	}
	cs_direct_dirty(request);
	return request;
}

u32 cs_direct_got(struct cs_request *request, bool write)
{
	if (write)
		return min(((struct fuse_write_out *)cs_request_result(request))->size, request->data_len);
	if (request->release == free_copy)
		copy_back(request);
	return request->got;
}
