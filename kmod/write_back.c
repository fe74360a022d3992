/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Dirty folios, and how they get to the daemon. Mappings leave them, and write() does
 * where the daemon agreed to FUSE_WRITEBACK_CACHE.
 *
 * What write() left makes the inode unsent: until all of it has been sent, the file
 * ends where this guest says, and who asks for its times has it sent first. So times
 * are always the daemon's, and do not move once somebody has seen them. Those writes
 * are numbered for ever: who waits for some of them to be sent knows by the number
 * that others came meanwhile.
 */
#include <linux/delay.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/writeback.h>

#include "dirty.h"
#include "fs.h"

/* ---- sending ---- */

struct batch {
	struct inode *inode;
	struct cs_file *open;		/* a handle that may write, or NULL */
	struct cs_request *request;	/* being filled, or NULL */
	unsigned int max;		/* entries of its data */
	loff_t end;			/* of its data */
};

/*
 * What became of all that was sent. Of a disk that took a part the page cache cannot tell which pages are
 * there, and such a disk is full, whatever would be said of the rest.
 */
static int error_of(struct cs_request *request)
{
	u32 done;

	if (request->error)
		return request->error;
	done = cs_write_done(request);
	if (done == request->data_len)
		return 0;
	return done ? -ENOSPC : -EIO;
}

static void end_writeback(struct cs_request *request)
{
	int err = error_of(request);
	struct cs_file *open = request->private;
	unsigned int n = request->n_data;

	if (request->returned)
		request->n_data = 0;
	/* Folios keep their inode while they are under writeback. */
	cs_attr_written(page_folio(sg_page(request->data))->mapping->host);
	for (unsigned int i = 0; i < n; i++) {
		struct folio *folio = page_folio(sg_page(&request->data[i]));

		if (err)
			mapping_set_error(folio->mapping, err);
		if (request->returned)
			folio_put(folio);
		cs_dirty_sent(folio);
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
	/* Its reply may come after one that has the new time. */
	WRITE_ONCE(cs_inode(batch->inode)->mtime_is_ours, true);
	cs_file_get(batch->open);
	cs_device_send(batch->open->session->device, request);
	cs_request_put(request);
}

/* Nothing unsent is held here: the reserve comes back when what was sent is answered. */
static void start_batch(struct batch *batch, loff_t pos)
{
	struct cs_request *request;

	batch->max = cs_session(batch->inode->i_sb)->max_pages;
	request = cs_write_new(batch->inode, batch->max, GFP_NOFS | __GFP_NORETRY | __GFP_NOWARN);
	if (!request) {
		batch->max = min(batch->max, CS_RESERVED_DATA);
		request = cs_write_reserved(batch->inode);
	}
	request->end = end_writeback;
	request->private = batch->open;
	batch->request = request;
	batch->end = pos;
}

/* Pages of the folio: by the request that is being filled if they follow what it has, else by another. */
static void add_part(struct batch *batch, struct folio *folio, size_t offset, u32 len)
{
	loff_t pos = folio_pos(folio) + offset;

	if (batch->request && (batch->end != pos || batch->request->n_data == batch->max ||
			       batch->request->data_len + len > cs_session(batch->inode->i_sb)->max_bytes))
		send_batch(batch);
	if (!batch->request)
		start_batch(batch, pos);
	folio_get(folio);
	cs_request_add(batch->request, folio_page(folio, offset >> PAGE_SHIFT), len, 0);
	batch->end += len;
}

/* The bitmap's runs of pages, of the folio's first `len` bytes. */
static void add_parts(struct batch *batch, struct folio *folio, unsigned long pages, size_t len)
{
	unsigned long first, end;

	cs_dirty_begin(folio, hweight_long(pages & ~(pages << 1)));
	for_each_set_bitrange(first, end, &pages, BITS_PER_LONG)
		add_part(batch, folio, first * PAGE_SIZE, min(end * PAGE_SIZE, len) - first * PAGE_SIZE);
}

/* A dirty folio, locked; unlocked here. */
static int add_dirty(struct batch *batch, struct folio *folio)
{
	loff_t pos = folio_pos(folio), size = i_size_read(batch->inode);
	size_t len = pos < size ? min_t(loff_t, folio_size(folio), size - pos) : 0;
	unsigned long pages = cs_dirty_take(folio, len);
	int err = batch->open ? 0 : -EIO;

	if (err)
		mapping_set_error(folio->mapping, err);
	if (!err && pages) {
		folio_zero_segment(folio, len, folio_size(folio));
		add_parts(batch, folio, pages, len);
		folio_unlock(folio);
	} else {
		/* Nothing to send. The mapping's tag goes with writeback alone, and with it the inode would stay dirty. */
		folio_start_writeback(folio);
		folio_unlock(folio);
		folio_end_writeback(folio);
	}
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
	if (batch.open)
		cs_file_put(batch.open);
	memalloc_nofs_restore(context);
	return err;
}

/* ---- waiting ---- */

/* What an ending process sleeps at first, and at most, microseconds. */
#define DOZE_FIRST 20
#define DOZE_MOST 10000

/* What a folio is until the daemon answers, and the kernel's wait for that, which a kill ends. */
struct state {
	xa_mark_t tag;			/* in the mapping, of folios that may be in it */
	bool (*is_in)(struct folio *folio);
	int (*wait)(struct folio *folio);
};

static bool is_written_back(struct folio *folio)
{
	return folio_test_writeback(folio);
}

/* Dirty, and of a write() that is under way. */
static bool is_locked(struct folio *folio)
{
	return folio_test_locked(folio);
}

static int wait_while_locked(struct folio *folio)
{
	return folio_wait_locked_killable(folio);
}

static const struct state written_back = { PAGECACHE_TAG_WRITEBACK, is_written_back, folio_wait_writeback_killable };
static const struct state locked = { PAGECACHE_TAG_DIRTY, is_locked, wait_while_locked };

/*
 * Until the folio is not in that state: 0, or -EINTR. No signal comes to an ending process, which waits
 * until that time, in jiffies, and looks again and again: the kernel has no such wait with a limit.
 */
static int wait_for_folio(struct folio *folio, const struct state *state, unsigned long until)
{
	if (!(current->flags & PF_EXITING))
		return state->wait(folio);
	for (unsigned int doze = DOZE_FIRST; state->is_in(folio); doze = min(doze * 2, DOZE_MOST)) {
		if (time_after(jiffies, until))
			return -EINTR;
		usleep_range(doze, doze * 2);
	}
	return 0;
}

/* The same of all folios of the range. */
static int wait_for_folios(struct address_space *mapping, loff_t start, loff_t end, const struct state *state)
{
	pgoff_t index = start >> PAGE_SHIFT, last = end >> PAGE_SHIFT;
	unsigned long until = 0;
	struct folio_batch batch;
	int err = 0;

	if (current->flags & PF_EXITING)
		until = jiffies + cs_device_patience(cs_session(mapping->host->i_sb)->device);
	folio_batch_init(&batch);
	while (!err && filemap_get_folios_tag(mapping, &index, last, state->tag, &batch)) {
		for (unsigned int i = 0; !err && i < folio_batch_count(&batch); i++)
			err = wait_for_folio(batch.folios[i], state, until);
		folio_batch_release(&batch);
		cond_resched();
	}
	return err;
}

int cs_write_and_wait(struct address_space *mapping, loff_t start, loff_t end)
{
	/* What became dirty again while it was sent would be waited for without an end. */
	int err = wait_for_folios(mapping, start, end, &written_back);

	/* To be sent a folio is locked, and no signal ends the wait for that. */
	err = err ?: wait_for_folios(mapping, start, end, &locked);
	if (err)
		return err;
	err = filemap_fdatawrite_range(mapping, start, end);
	return wait_for_folios(mapping, start, end, &written_back) ?: err;
}

/* The same, and the error of those that were sent before. */
static int write_and_check(struct address_space *mapping, loff_t start, loff_t end)
{
	int err = cs_write_and_wait(mapping, start, end);

	return err == -EINTR ? err : filemap_check_errors(mapping) ?: err;
}

int cs_write_out(struct inode *inode)
{
	/* Their folios were dirty before they were counted. */
	u64 written = smp_load_acquire(&cs_inode(inode)->written);
	int err = write_and_check(inode->i_mapping, 0, LLONG_MAX);

	if (err != -EINTR)
		cs_attr_sent(inode, written);
	return err;
}

int cs_write_out_range(struct inode *inode, loff_t start, loff_t end)
{
	return cs_attr_is_unsent(inode) ? cs_write_out(inode) : write_and_check(inode->i_mapping, start, end);
}

int cs_pages_away(struct inode *inode, loff_t start, loff_t end)
{
	struct address_space *mapping = inode->i_mapping;
	int err = cs_direct_wait(inode);

	if (!err)
		err = write_and_check(mapping, start, end);
	/* Pages that a device transfers to are dirty when that says so, and stay: as in local file systems. */
	return err || IS_DAX(inode) ? err : cs_pages_drop(inode, start, end);
}

/* ---- write(2) ---- */

/* What the folio has beside the bytes to come is zeros now, for nothing of the file is there. Else false. */
static bool zero_beside(struct folio *folio, const struct inode *inode, loff_t pos, size_t len)
{
	size_t offset = offset_in_folio(folio, pos);
	loff_t size = i_size_read(inode);

	len = min(len, folio_size(folio) - offset);
	if (offset || len < folio_size(folio)) {
		if ((offset && folio_pos(folio) < size) || pos + len < size)
			return false;
		folio_zero_segments(folio, 0, offset, offset + len, folio_size(folio));
	}
	return true;
}

/* The locked folio's contents. It is locked again after 0, but may have left the file meanwhile. */
static int read_locked(struct file *file, struct folio *folio)
{
	int err = cs_read_folio(file, folio);

	return err ?: folio_lock_killable(folio);
}

int cs_write_begin(cs_writer *writer, struct address_space *mapping, loff_t pos, unsigned int len,
		   struct folio **found, void **unused)
{
	struct folio *folio;
	int err;

	for (;;) {
		folio = cs_folio_to_write(mapping, pos, len);
		if (IS_ERR(folio))
			return PTR_ERR(folio);
		*found = folio;
		if (folio_test_uptodate(folio) || zero_beside(folio, mapping->host, pos, len))
			return 0;
		err = read_locked(cs_writer_file(writer), folio);
		if (!err && folio->mapping == mapping && folio_test_uptodate(folio))
			return 0;
		if (!err) {
			err = folio->mapping == mapping ? -EIO : 0;
			folio_unlock(folio);
		}
		folio_put(folio);
		if (err)
			return err;
	}
}

int cs_write_end(cs_writer *writer, struct address_space *mapping, loff_t pos, unsigned int len,
		 unsigned int copied, struct folio *folio, void *unused)
{
	/* The rest is neither read nor written: the caller tries again. */
	if (!folio_test_uptodate(folio) && copied < len)
		copied = 0;
	if (copied) {
		folio_mark_uptodate(folio);
		/* Dirty first: a longer file without a dirty folio would be believed to be shorter. */
		cs_dirty_mark(folio, offset_in_folio(folio, pos), copied);
		cs_attr_unsent(mapping->host, pos + copied);
	}
	folio_unlock(folio);
	folio_put(folio);
	return copied;
}
