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

/* Of the locked folio: may the page be made writable? Else what the fault ends with. */
static vm_fault_t look_at(struct inode *inode, struct folio *folio, size_t offset)
{
	loff_t pos = folio_pos(folio) + offset;

	/* The store is tried again, and finds what there is now. */
	if (folio->mapping != inode->i_mapping)
		return VM_FAULT_NOPAGE;
	/* A read that met the file's new end left the page in the page tables: to try again would be for ever. */
	if (pos >= i_size_read(inode))
		return VM_FAULT_SIGBUS;
	if (folio_test_uptodate(folio))
		return VM_FAULT_LOCKED;
	/* A write of it failed. To be dirty it must be whole; without a page table entry it is read again. */
	unmap_mapping_pages(inode->i_mapping, pos >> PAGE_SHIFT, 1, false);
	return VM_FAULT_NOPAGE;
}

/* Folio locked after VM_FAULT_LOCKED. */
static vm_fault_t make_dirty(struct inode *inode, struct folio *folio, struct page *page)
{
	size_t offset = folio_page_idx(folio, page) * PAGE_SIZE;
	vm_fault_t result;

	/* A killed process need not wait; where it is the kernel that stores, it must not try again. */
	if (folio_lock_killable(folio))
		return VM_FAULT_SIGBUS;
	result = look_at(inode, folio, offset);
	if (result == VM_FAULT_LOCKED)
		cs_dirty_mark(folio, offset, PAGE_SIZE);
	else
		folio_unlock(folio);
	return result;
}

vm_fault_t cs_page_mkwrite(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct address_space *mapping = inode->i_mapping;
	vm_fault_t result;

	sb_start_pagefault(inode->i_sb);
	/* As above. */
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
