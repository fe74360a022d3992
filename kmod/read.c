/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Filling the page cache. Readahead becomes requests of many folios, all in flight
 * at once; the interrupt of each reply unlocks its folios, no worker in between. But where
 * the file ends earlier than was known, a worker moves its end first: nobody may read zeros
 * that are not in the file.
 */
#include <linux/pagemap.h>
#include <linux/sched/mm.h>

#include "fs.h"

/* Aborted: the device may write until it returns them. Else end() has put them. */
static void release_folios(struct cs_request *request)
{
	for (unsigned int i = 0; i < request->n_data; i++)
		folio_put(page_folio(sg_page(&request->data[i])));
}

/* What did not come is past the end of the file: zeros. */
static void zero_rest(struct folio *folio, size_t size, size_t came)
{
	if (came < size)
		folio_zero_segment(folio, came, size);
}

/* Folios keep their inode while they are locked. */
static struct inode *inode_of(const struct cs_request *request)
{
	return page_folio(sg_page(request->data))->mapping->host;
}

/* Where the file ends, if the reply is short. */
static loff_t end_of(struct cs_request *request)
{
	return ((struct fuse_read_in *)cs_request_args(request))->offset + request->got;
}

static void unlock_folios(struct cs_request *request)
{
	struct cs_file *open = request->private;
	unsigned int n = request->n_data;
	size_t at = 0;

	/* Our hold first: unlocked folios with a hold too many cannot be invalidated. */
	if (request->returned)
		request->n_data = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct folio *folio = page_folio(sg_page(&request->data[i]));
		size_t size = folio_size(folio);

		if (!request->error)
			zero_rest(folio, size, request->got > at ? min(request->got - at, size) : 0);
		at += size;
		if (request->returned)
			folio_put(folio);
		folio_end_read(folio, !request->error);
	}
	cs_file_put(open);
}

static void end_file(struct work_struct *work)
{
	struct cs_request *request = container_of(work, struct cs_request, work);

	cs_attr_ends(inode_of(request), end_of(request), request->snapshot);
	unlock_folios(request);
	cs_request_put(request);
}

static void end_read(struct cs_request *request)
{
	/* All was read: that is a time of access. */
	if (!request->error && request->got < request->data_len)
		cs_attr_expire(inode_of(request));
	if (request->error || request->got == request->data_len || end_of(request) >= i_size_read(inode_of(request))) {
		unlock_folios(request);
	} else {
		cs_request_get(request);
		cs_request_defer(request, end_file);
	}
}

static struct cs_request *new_read(struct inode *inode, struct cs_file *open, loff_t pos, u32 max)
{
	struct cs_request *request = cs_request_new(FUSE_READ, cs_nodeid(inode), sizeof(struct fuse_read_in), 0,
						    GFP_NOFS | __GFP_NOWARN);

	if (!request)
		return NULL;
	if (cs_request_data(request, CS_DATA_FROM_DEVICE, max, GFP_NOFS | __GFP_NOWARN)) {
		cs_request_put(request);
		return NULL;
	}
	((struct fuse_read_in *)cs_request_args(request))->fh = open->fh;
	((struct fuse_read_in *)cs_request_args(request))->offset = pos;
	request->end = end_read;
	request->release = release_folios;
	request->private = open;
	request->snapshot = cs_attr_snapshot(inode->i_sb);
	return request;
}

/* The locked folio goes with the request. */
static void add_folio(struct cs_request *request, struct folio *folio)
{
	folio_get(folio);
	cs_request_add(request, &folio->page, folio_size(folio), 0);
}

static void send_read(struct cs_request *request, struct cs_file *open)
{
	((struct fuse_read_in *)cs_request_args(request))->size = request->data_len;
	cs_file_get(open);
	cs_device_send(open->session->device, request);
	cs_request_put(request);
}

int cs_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct cs_request *request;
	struct cs_file *open;

	/* Read for a swap file or the like, by no open file. */
	if (!file) {
		folio_unlock(folio);
		return -EBADF;
	}
	open = file->private_data;
	request = new_read(inode, open, folio_pos(folio), 1);
	if (!request) {
		folio_unlock(folio);
		return -ENOMEM;
	}
	add_folio(request, folio);
	send_read(request, open);
	return 0;
}

static bool has_room(const struct cs_session *session, const struct cs_request *request,
		     const struct folio *folio)
{
	return request->n_data < session->max_pages &&
	       request->data_len + folio_size(folio) <= session->max_bytes;
}

void cs_readahead(struct readahead_control *control)
{
	struct inode *inode = control->mapping->host;
	struct cs_session *session = cs_session(inode->i_sb);
	struct cs_file *open = control->file ? control->file->private_data : NULL;
	struct cs_request *request = NULL;
	struct folio *folio;

	/* Folios left alone are read one by one if they are wanted. */
	if (!open)
		return;
	while ((folio = readahead_folio(control))) {
		if (request && !has_room(session, request, folio)) {
			send_read(request, open);
			request = NULL;
		}
		if (!request)
			request = new_read(inode, open, folio_pos(folio), session->max_pages);
		if (!request) {
			folio_unlock(folio);
			return;
		}
		add_folio(request, folio);
	}
	if (request)
		send_read(request, open);
}
