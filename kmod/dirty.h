/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Which pages of a large folio are dirty. A folio has one flag for that, and what two writers
 * must keep apart would be as large as what readahead chose: what others wrote to the daemon's
 * file beside a store of ours would be overwritten.
 *
 * The word that a folio has for its file system's use is a bitmap of its pages, and counts the
 * parts of it that are being sent; so nothing is allocated. A folio of one page does not have it.
 *
 * Bits are set under the folio's lock, before its flag, and taken when the flag was cleared and
 * its page table entries were made read-only: what can be written by a process is marked.
 */
#ifndef CASEMENT_KMOD_DIRTY_H
#define CASEMENT_KMOD_DIRTY_H

#include <linux/pagemap.h>

/* Pages of the largest folio. */
#define CS_DIRTY_MAX (BITS_PER_LONG / 2)

/* These bytes of the locked folio are dirty, and so is the folio. */
void cs_dirty_mark(struct folio *folio, size_t offset, size_t len);

/* The locked folio's flag was cleared: the bitmap of its dirty pages is taken, of those with some of the first `len` bytes. */
unsigned long cs_dirty_take(struct folio *folio, size_t len);

/*
 * They are being sent, by so many parts, one at least: the folio is under writeback until cs_dirty_sent()
 * was called for each, in any context. Before that the caller lets go of its hold.
 */
void cs_dirty_begin(struct folio *folio, unsigned int parts);
void cs_dirty_sent(struct folio *folio);

/* The operations of address spaces. */
bool cs_dirty_folio(struct address_space *mapping, struct folio *folio);
bool cs_release_folio(struct folio *folio, gfp_t gfp);
void cs_invalidate_folio(struct folio *folio, size_t offset, size_t len);

#endif
