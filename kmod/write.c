/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Writing through the page cache. write() copies into folios and sends just the
 * bytes it was given, then returns: what it wrote is the daemon's. (Unless the daemon
 * agreed to FUSE_WRITEBACK_CACHE: see write_back.c.)
 *
 * A folio stays locked while a write() of it is under way, and under writeback while
 * writepages (write_back.c) has it: the daemon never has two writes of one folio at a
 * time, and so cannot take them in the wrong order.
 */
#include <linux/log2.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/uio.h>

#include "fs.h"

void cs_write_args(struct cs_request *request, const struct cs_file *open, loff_t pos, u32 len, u32 flags)
{
	struct fuse_write_in *in = cs_request_args(request);

	in->fh = open->fh;
	in->offset = pos;
	in->size = len;
	in->write_flags = flags;
}

void cs_write_flags(struct cs_request *request, const struct kiocb *iocb)
{
	u32 flags = iocb->ki_filp->f_flags & ~O_APPEND;

	((struct fuse_write_in *)cs_request_args(request))->flags =
		iocb->ki_flags & IOCB_APPEND ? flags | O_APPEND : flags;
}

u32 cs_write_done(struct cs_request *request)
{
	u32 size = ((const struct fuse_write_out *)cs_request_result(request))->size;

	return size <= request->data_len ? size : 0;
}

static void release_folios(struct cs_request *request)
{
	for (unsigned int i = 0; i < request->n_data; i++)
		folio_put(page_folio(sg_page(&request->data[i])));
}

static struct cs_request *to_folios(struct cs_request *request)
{
	request->release = release_folios;
	return request;
}

struct cs_request *cs_write_reserved(struct inode *inode)
{
	return to_folios(cs_request_reserved(FUSE_WRITE, cs_nodeid(inode), CS_DATA_TO_DEVICE));
}

struct cs_request *cs_write_new(struct inode *inode, u32 max, gfp_t gfp)
{
	struct cs_request *request = cs_request_new(FUSE_WRITE, cs_nodeid(inode),
						    sizeof(struct fuse_write_in),
						    sizeof(struct fuse_write_out), gfp);

	if (!request)
		return NULL;
	if (cs_request_data(request, CS_DATA_TO_DEVICE, max, gfp)) {
		cs_request_put(request);
		return NULL;
	}
	return to_folios(request);
}

/*
 * The reply came, or never will: the folios are whole where all of them was written. If something was
 * not, or nobody knows, they are read again; but for one that has more that is to be sent.
 */
static void unlock_folios(struct cs_request *request)
{
	bool all = !request->error && cs_write_done(request) == request->data_len;
	unsigned int n = request->n_data;

	/* Whoever sent it may have been killed. Folios keep their inode while they are locked. */
	cs_attr_written(page_folio(sg_page(request->data))->mapping->host);
	if (request->returned)
		request->n_data = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct scatterlist *data = &request->data[i];
		struct folio *folio = page_folio(sg_page(data));
		bool tail = i == n - 1 && request->tail_is_zero;

		if (all && !data->offset && (tail || data->length == folio_size(folio)))
			folio_mark_uptodate(folio);
		else if (!all && !folio_test_dirty(folio))
			folio_clear_uptodate(folio);
		folio_unlock(folio);
		if (request->returned)
			folio_put(folio);
	}
	cs_file_put(request->private);
}

struct folio *cs_folio_to_write(struct address_space *mapping, loff_t pos, size_t len)
{
	struct folio *folio;

	for (;;) {
		folio = filemap_get_folio(mapping, pos >> PAGE_SHIFT);
		if (IS_ERR(folio))
			return __filemap_get_folio(mapping, pos >> PAGE_SHIFT, FGP_WRITEBEGIN | fgf_set_order(len),
						   mapping_gfp_mask(mapping));
		if (folio_lock_killable(folio)) {
			folio_put(folio);
			return ERR_PTR(-EINTR);
		}
		if (folio->mapping == mapping)
			return folio;
		folio_unlock(folio);
		folio_put(folio);
	}
}

/* Copy to one folio, locked and added to the request. Bytes copied, or -errno; 0: try again. */
static ssize_t copy_to_folio(struct cs_request *request, struct address_space *mapping, loff_t pos,
			     size_t len, struct iov_iter *from)
{
	size_t offset, copied;
	struct folio *folio;
	int err;

	folio = cs_folio_to_write(mapping, pos, len);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	err = folio_wait_writeback_killable(folio);
	offset = offset_in_folio(folio, pos);
	len = min(len, folio_size(folio) - offset);
	if (mapping_writably_mapped(mapping))
		flush_dcache_folio(folio);
	copied = err ? 0 : copy_folio_from_iter_atomic(folio, offset, len, from);
	if (!copied) {
		folio_unlock(folio);
		folio_put(folio);
		return err;
	}
	/* The hold of the look-up is the request's. */
	cs_request_add(request, &folio->page, copied, offset);
	return copied;
}

/* Nothing of the file is behind what was written: a new folio need not be read for its rest. */
static void zero_tail(struct cs_request *request, struct inode *inode, loff_t end)
{
	struct scatterlist *last = &request->data[request->n_data - 1];
	struct folio *folio = page_folio(sg_page(last));
	size_t from = last->offset + last->length;

	if (folio_test_uptodate(folio) || last->offset || end < i_size_read(inode))
		return;
	folio_zero_segment(folio, from, folio_size(folio));
	request->tail_is_zero = true;
}

/* Fill a request from `from`. 0 with something in it, or -errno. */
static int gather(struct cs_request *request, struct inode *inode, loff_t pos, struct iov_iter *from)
{
	struct cs_session *session = cs_session(inode->i_sb);
	loff_t end = pos;
	ssize_t copied = 0;

	while (iov_iter_count(from) && request->n_data < session->max_pages &&
	       request->data_len < session->max_bytes) {
		size_t len = min_t(size_t, iov_iter_count(from), session->max_bytes - request->data_len);

		/* With folios locked a fault might wait for one of them: only the first may. */
		if (!request->n_data && fault_in_iov_iter_readable(from, min(len, PAGE_SIZE)) ==
					min(len, PAGE_SIZE))
			return -EFAULT;
		copied = copy_to_folio(request, inode->i_mapping, end, len, from);
		if (copied < 0 || (!copied && request->n_data))
			break;
		end += copied;
		/* Part of a folio: what is missing must be faulted in, or the folio is done. */
		if (copied && copied < len && offset_in_folio(page_folio(sg_page(&request->data[request->n_data - 1])), end))
			break;
	}
	if (!request->n_data)
		return copied < 0 ? copied : -EFAULT;
	zero_tail(request, inode, end);
	return 0;
}

/* One request. Bytes written, or -errno; the iterator is where that ended. */
static ssize_t write_some(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct cs_file *open = iocb->ki_filp->private_data;
	u32 max = min_t(size_t, cs_session(inode->i_sb)->max_pages,
			DIV_ROUND_UP(offset_in_page(iocb->ki_pos) + iov_iter_count(from), PAGE_SIZE));
	struct cs_request *request = cs_write_new(inode, max, GFP_KERNEL);
	ssize_t done;
	u32 len;

	if (!request)
		return -ENOMEM;
	done = gather(request, inode, iocb->ki_pos, from);
	if (done) {
		cs_request_put(request);
		return done;
	}
	len = request->data_len;
	cs_write_args(request, open, iocb->ki_pos, len, 0);
	cs_write_flags(request, iocb);
	/* A killed caller closes it. */
	cs_file_get(open);
	request->private = open;
	request->before_wake = unlock_folios;
	done = cs_device_call(open->session->device, request);
	/* Of a u32 and an int a conditional makes a u32: -EIO would be four gigabytes written. */
	if (!done)
		done = (ssize_t)cs_write_done(request) ?: -EIO;
	cs_request_put(request);
	/* What the folios have is not what the daemon has. A killed process does not wait for their reply. */
	if (done < len && done != -EINTR)
		cs_pages_drop(inode, iocb->ki_pos, iocb->ki_pos + len - 1);
	if (done < len)
		iov_iter_revert(from, len - max_t(ssize_t, done, 0));
	return done;
}

static ssize_t write_through(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t total = 0, done = 0;

	while (iov_iter_count(from)) {
		done = write_some(iocb, from);
		if (done <= 0)
			break;
		iocb->ki_pos += done;
		total += done;
		cs_attr_wrote(inode, iocb->ki_pos);
	}
	return total ?: done;
}

/* ---- past what the host is known to hold ---- */

/* Every file system holds a file of that size. */
#define HELD_BY_ALL ((loff_t)SZ_2G - 1)
/* Limits are powers of two, or a little less: blocks, pages or a byte. */
#define LITTLE SZ_1M

static bool is_held(const struct inode *inode, loff_t end)
{
	return end <= HELD_BY_ALL || end <= i_size_read(inode) || end <= READ_ONCE(cs_session(inode->i_sb)->holds);
}

/* A file has ended at `end`, so the limit is not the power of two before it. */
static void note_held(struct cs_session *session, loff_t end)
{
	u64 limit = roundup_pow_of_two((u64)end);

	WRITE_ONCE(session->holds, max_t(u64, end, min_t(u64, limit, MAX_LFS_FILESIZE) - LITTLE));
}

/*
 * A file that is too long is an error of the write(2) that makes it so, not of an fsync(2) that nobody may
 * call. So the daemon is asked by that write itself, once for each doubling of the longest file.
 */
static ssize_t write_far(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done = cs_write_out(inode);

	if (!done)
		done = write_through(iocb, from);
	if (done > 0)
		note_held(cs_session(inode->i_sb), iocb->ki_pos);
	return done;
}

ssize_t cs_write_cached(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	int err = cs_pages_end(inode, iocb->ki_pos);

	if (err)
		return err;
	if (!cs_session_has(cs_session(inode->i_sb), FUSE_WRITEBACK_CACHE))
		return write_through(iocb, from);
	return is_held(inode, iocb->ki_pos + iov_iter_count(from)) ? generic_perform_write(iocb, from) :
								    write_far(iocb, from);
}
