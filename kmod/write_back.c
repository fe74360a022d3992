/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Dirty folios, which mappings leave, and how they get to the daemon. */
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/writeback.h>

#include "fs.h"

struct batch {
	struct inode *inode;
	struct cs_file *open;		/* a handle that may write, or NULL */
	struct cs_request *request;	/* being filled, or NULL */
	loff_t end;			/* of its data */
};

static void end_writeback(struct cs_request *request)
{
	int err = request->error ?: (cs_write_done(request) == request->data_len ? 0 : -EIO);
	struct cs_file *open = request->private;
	unsigned int n = request->n_data;

	if (request->returned)
		request->n_data = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct folio *folio = page_folio(sg_page(&request->data[i]));

		if (err)
			mapping_set_error(folio->mapping, err);
		if (request->returned)
			folio_put(folio);
		folio_end_writeback(folio);
	}
	cs_file_put(open);
}

static void send_batch(struct batch *batch)
{
	struct cs_request *request = batch->request;

	if (!request)
		return;
	batch->request = NULL;
	cs_write_args(request, batch->open, batch->end - request->data_len, request->data_len,
		      FUSE_WRITE_CACHE);
	cs_file_get(batch->open);
	cs_device_send(batch->open->session->device, request);
	cs_request_put(request);
}

static int start_batch(struct batch *batch, loff_t pos)
{
	struct cs_request *request = cs_write_new(batch->inode, cs_session(batch->inode->i_sb)->max_pages,
					       GFP_NOFS);

	if (!request)
		return -ENOMEM;
	request->end = end_writeback;
	request->private = batch->open;
	batch->request = request;
	batch->end = pos;
	return 0;
}

/* A dirty folio, locked; unlocked here. */
static int add_dirty(struct batch *batch, struct folio *folio)
{
	struct cs_session *session = cs_session(batch->inode->i_sb);
	loff_t pos = folio_pos(folio), size = i_size_read(batch->inode);
	u32 len;
	int err = 0;

	if (!batch->open)
		err = -EIO;
	if (err || pos >= size)
		goto unlock;
	len = min_t(loff_t, folio_size(folio), size - pos);
	if (batch->request && (batch->end != pos || batch->request->n_data == session->max_pages ||
			       batch->request->data_len + len > session->max_bytes))
		send_batch(batch);
	if (!batch->request)
		err = start_batch(batch, pos);
	if (err)
		goto unlock;
	folio_zero_segment(folio, len, folio_size(folio));
	folio_get(folio);
	folio_start_writeback(folio);
	cs_request_add(batch->request, &folio->page, len, 0);
	batch->end += len;
unlock:
	if (err)
		mapping_set_error(folio->mapping, err);
	folio_unlock(folio);
	return err;
}

int cs_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct batch batch = { .inode = mapping->host, .open = cs_file_writer(mapping->host) };
	unsigned int context = memalloc_nofs_save();
	struct folio *folio = NULL;
	int err = 0;

	while ((folio = writeback_iter(mapping, wbc, folio, &err)))
		err = add_dirty(&batch, folio);
	send_batch(&batch);
	if (batch.open) {
		cs_attr_wrote(mapping->host, 0);
		cs_file_put(batch.open);
	}
	memalloc_nofs_restore(context);
	return err;
}
