/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* The dirty pages of large folios; see dirty.h. */
#include "dirty.h"

#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/writeback.h>

/* The word: a bit for each page, a number of parts, and a bit that makes it never 0, as its owner may not be. */
#define ALL GENMASK(CS_DIRTY_MAX - 1, 0)
#define ONE_PART (1UL << CS_DIRTY_MAX)
#define OURS (1UL << (BITS_PER_LONG - 1))
#define PARTS (~(ALL | OURS))

static atomic_long_t *word_of(struct folio *folio)
{
	static_assert(sizeof(atomic_long_t) == sizeof(folio->private));
	return (atomic_long_t *)&folio->private;
}

/* Pages that have some of these bytes. */
static unsigned long pages_of(size_t offset, size_t len)
{
	return GENMASK((offset + len - 1) >> PAGE_SHIFT, offset >> PAGE_SHIFT);
}

/* Before it is dirty, or when nobody knows which of its pages are: all may be. */
static void attach(struct folio *folio, unsigned long pages)
{
	if (!folio_test_private(folio))
		folio_attach_private(folio, (void *)(OURS | pages));
}

void cs_dirty_mark(struct folio *folio, size_t offset, size_t len)
{
	if (folio_test_large(folio)) {
		attach(folio, folio_test_dirty(folio) ? ALL : 0);
		atomic_long_or(pages_of(offset, len), word_of(folio));
	}
	filemap_dirty_folio(folio->mapping, folio);
}

unsigned long cs_dirty_take(struct folio *folio, size_t len)
{
	unsigned long pages = len ? pages_of(0, len) : 0;

	if (!folio_test_large(folio))
		return pages;
	attach(folio, ALL);
	return atomic_long_fetch_andnot(ALL, word_of(folio)) & pages;
}

void cs_dirty_begin(struct folio *folio, unsigned int parts)
{
	folio_start_writeback(folio);
	if (folio_test_large(folio))
		atomic_long_add(parts * ONE_PART, word_of(folio));
}

void cs_dirty_sent(struct folio *folio)
{
	if (!folio_test_large(folio) || !(atomic_long_sub_return(ONE_PART, word_of(folio)) & PARTS))
		folio_end_writeback(folio);
}

/*
 * Called for a process whose page table entry is dirty: that page is marked. Who holds a page without
 * an entry, as a device does that transfers to it, may have written to it since it was last sent.
 */
bool cs_dirty_folio(struct address_space *mapping, struct folio *folio)
{
	if (folio_test_private(folio) &&
	    (folio_maybe_dma_pinned(folio) || !(atomic_long_read(word_of(folio)) & ALL)))
		atomic_long_or(ALL, word_of(folio));
	return filemap_dirty_folio(mapping, folio);
}

bool cs_release_folio(struct folio *folio, gfp_t gfp)
{
	if (folio_test_dirty(folio) || folio_test_writeback(folio))
		return false;
	folio_detach_private(folio);
	return true;
}

void cs_invalidate_folio(struct folio *folio, size_t offset, size_t len)
{
	size_t first = DIV_ROUND_UP(offset, PAGE_SIZE), end = (offset + len) >> PAGE_SHIFT;

	if (!offset && len == folio_size(folio))
		folio_detach_private(folio);
	else if (first < end)
		atomic_long_andnot(GENMASK(end - 1, first), word_of(folio));
}
