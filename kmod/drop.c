/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Folios leave the page cache since the daemon's file is another now: its contents changed, or it ends
 * earlier. Each is judged under its own lock, as the file is then. A folio past the end becomes dirty only
 * after the file was made longer, and while it is locked that is seen here; so nothing has to keep the file's
 * size and its page cache together, and what was written after a smaller size became known is never dropped.
 *
 * A folio may be locked for as long as the daemon takes to read it, so every wait here ends when the process
 * is killed.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>

#include "dirty.h"
#include "fs.h"

typedef void (*visit)(struct address_space *mapping, struct folio *folio);

/* Locked, and with the daemon's answer to what was sent of it. */
static int visit_one(struct address_space *mapping, struct folio *folio, visit visit)
{
	int err = 0;

	if (folio_lock_killable(folio))
		return -EINTR;
	if (folio_wait_writeback_killable(folio))
		err = -EINTR;
	else if (folio->mapping == mapping)
		visit(mapping, folio);
	folio_unlock(folio);
	return err;
}

/* All that are cached of the range, from `start` to `end` itself. */
static int visit_all(struct address_space *mapping, loff_t start, loff_t end, visit visit)
{
	pgoff_t index = start >> PAGE_SHIFT;
	struct folio_batch batch;
	int err = 0;

	folio_batch_init(&batch);
	while (!err && filemap_get_folios(mapping, &index, end >> PAGE_SHIFT, &batch)) {
		for (unsigned int i = 0; !err && i < folio_batch_count(&batch); i++)
			err = visit_one(mapping, batch.folios[i], visit);
		folio_batch_release(&batch);
		cond_resched();
	}
	return err;
}

static void drop_clean(struct address_space *mapping, struct folio *folio)
{
	if (folio_test_dirty(folio))
		return;
	/* Stores by page table entries make it dirty now, if there were any. */
	if (folio_mapped(folio))
		unmap_mapping_pages(mapping, folio->index, folio_nr_pages(folio), false);
	/* A device that writes to it marks it dirty when it has. */
	if (!folio_test_dirty(folio) && !folio_maybe_dma_pinned(folio))
		generic_error_remove_folio(mapping, folio);
}

int cs_pages_drop(struct inode *inode, loff_t start, loff_t end)
{
	return inode->i_mapping->nrpages ? visit_all(inode->i_mapping, start, end, drop_clean) : 0;
}

int cs_pages_drop_beside(struct inode *inode)
{
	struct address_space *mapping = inode->i_mapping;
	int err;

	if (!mapping_large_folio_support(mapping) || !mapping_tagged(mapping, PAGECACHE_TAG_DIRTY))
		return 0;
	err = cs_write_and_wait(mapping, 0, LLONG_MAX);
	/* Errors are told to who writes. */
	return err == -EINTR ? err : cs_pages_drop(inode, 0, LLONG_MAX);
}

/* What the folio has past the file's end becomes zeros, or it goes. */
static void cut(struct address_space *mapping, struct folio *folio)
{
	loff_t pos = folio_pos(folio), size = i_size_read(mapping->host);
	size_t len = folio_size(folio);

	if (pos >= size) {
		generic_error_remove_folio(mapping, folio);
	} else if (pos + len > size) {
		folio_zero_segment(folio, size - pos, len);
		if (folio_test_private(folio))
			cs_invalidate_folio(folio, size - pos, len - (size - pos));
	}
}

int cs_pages_cut(struct inode *inode)
{
	loff_t size = i_size_read(inode);

	if (!inode->i_mapping->nrpages)
		return 0;
	unmap_mapping_range(inode->i_mapping, round_up(size, PAGE_SIZE), 0, 0);
	return visit_all(inode->i_mapping, size, LLONG_MAX, cut);
}

int cs_pages_end(struct inode *inode, loff_t start)
{
	return start > i_size_read(inode) && !IS_DAX(inode) ? cs_pages_cut(inode) : 0;
}
