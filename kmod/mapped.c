/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Mappings of files by the page cache. A store makes its page writable first, and waits there
 * while the file is cut or the daemon changes a range of it: who does that holds the invalidate
 * lock, has sent what is dirty, and so knows that nothing becomes dirty before the daemon is done.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "dirty.h"
#include "fs.h"

/* Folio locked after VM_FAULT_LOCKED. */
static vm_fault_t make_dirty(struct inode *inode, struct folio *folio, struct page *page)
{
	folio_lock(folio);
	if (folio->mapping != inode->i_mapping ||
	    folio_pos(folio) + folio_page_idx(folio, page) * PAGE_SIZE >= i_size_read(inode)) {
		folio_unlock(folio);
		/* The store is tried again, and finds what there is now. */
		return VM_FAULT_NOPAGE;
	}
	cs_dirty_mark(folio, folio_page_idx(folio, page) * PAGE_SIZE, PAGE_SIZE);
	return VM_FAULT_LOCKED;
}

vm_fault_t cs_page_mkwrite(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct address_space *mapping = inode->i_mapping;
	vm_fault_t result;

	sb_start_pagefault(inode->i_sb);
	/* Who was killed need not wait; where it is the kernel that stores, it must not try again. */
	if (down_read_killable(&mapping->invalidate_lock)) {
		result = VM_FAULT_SIGBUS;
	} else {
		result = make_dirty(inode, page_folio(vmf->page), vmf->page);
		filemap_invalidate_unlock_shared(mapping);
	}
	sb_end_pagefault(inode->i_sb);
	return result;
}

static const struct vm_operations_struct operations = {
	.fault = filemap_fault,
	.map_pages = filemap_map_pages,
	.page_mkwrite = cs_page_mkwrite,
};

int cs_mmap(struct file *file, struct vm_area_struct *vma)
{
	int err = generic_file_mmap(file, vma);

	if (!err)
		vma->vm_ops = &operations;
	return err;
}
