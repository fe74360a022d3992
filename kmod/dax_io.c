/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Reading, writing and mapping files through the window. read(2) and write(2) copy
 * from and to its memory; page faults are the kernel's DAX code's, which finds the
 * range already mapped: no lock that a fault takes is held over a round trip.
 *
 * The daemon's READ and WRITE see the same page cache of the host, so what finds no
 * range goes by them.
 */
#include <linux/dax.h>
#include <linux/iomap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "compat.h"
#include "dax_ranges.h"

/* The range at `pos`, held and mapped, or an error pointer: -ENFILE without a place, or the daemon's. */
static struct cs_range *get_range(struct inode *inode, loff_t pos, bool write)
{
	struct cs_range *range;
	int err;

	while (!(range = cs_dax_find(inode, pos))) {
		cs_dax_fit(inode, pos);
		err = cs_dax_add(inode, pos);
		if (err)
			return ERR_PTR(err);
	}
	/* At once for writing if somebody may write: that saves a second request for it. */
	err = cs_range_map(range, write || !list_empty_careful(&cs_inode(inode)->writers));
	if (err && err != -EINTR && !write)
		err = cs_range_map(range, false);
	if (!err)
		return range;
	cs_range_put(range);
	return ERR_PTR(err);
}

/* The same for who may not wait: -EAGAIN if it is not mapped already. */
static struct cs_range *get_mapped(struct inode *inode, loff_t pos)
{
	struct cs_range *range = cs_dax_find(inode, pos);

	if (range && test_bit_acquire(CS_RANGE_MAPPED, &range->flags))
		return range;
	if (range)
		cs_range_put(range);
	return ERR_PTR(-EAGAIN);
}

/* ---- read(2) and write(2) ---- */

/* How much of the caller's memory is made present at a time, bytes. */
#define FAULT_IN (64U << 10)

/*
 * To or from one range, at most to its end or the file's: bytes, or -errno. The caller's memory may
 * be of any file, this one included, so nobody waits for it while the range is held: -EFAULT.
 */
static ssize_t copy_some(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	struct cs_range *range = nowait ? get_mapped(inode, iocb->ki_pos) :
					  get_range(inode, iocb->ki_pos, write);
	size_t offset, done = 0, len;
	bool alive;
	int key;

	if (IS_ERR(range))
		return PTR_ERR(range);
	offset = iocb->ki_pos - range->offset;
	len = min3((u64)cs_range_len(range) - offset, (u64)(i_size_read(inode) - iocb->ki_pos),
		   (u64)iov_iter_count(iter));
	key = dax_read_lock();
	alive = dax_alive(range->window->dax);
	if (alive) {
		void *memory = (void *)range->place + offset;

		pagefault_disable();
		/* Not those that look into the kernel's memory for one object that is as long. */
		done = write ? _copy_from_iter(memory, len, iter) : _copy_to_iter(memory, len, iter);
		pagefault_enable();
	}
	dax_read_unlock(key);
	cs_range_put(range);
	iocb->ki_pos += done;
	if (done)
		return done;
	return alive ? -EFAULT : -EIO;
}

/* Make some of the caller's memory present: 0; -EFAULT if it has none, -EAGAIN if that must not wait. */
static int fault_in(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	size_t some = min_t(size_t, iov_iter_count(iter), FAULT_IN);
	size_t missing;

	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	missing = write ? fault_in_iov_iter_readable(iter, some) : fault_in_iov_iter_writeable(iter, some);
	return missing == some ? -EFAULT : 0;
}

/* As far as the file goes. */
static ssize_t copy(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t total = 0, done = 0;

	while (iov_iter_count(iter) && iocb->ki_pos < i_size_read(inode)) {
		done = copy_some(iocb, iter, write);
		if (done == -EFAULT) {
			done = fault_in(iocb, iter, write);
			if (!done)
				continue;
		} else if (done < 0 && done != -EINTR && !(iocb->ki_flags & IOCB_NOWAIT)) {
			/* No range for it: the rest goes by requests. */
			done = cs_direct_move(iocb, iter, write);
			total += max_t(ssize_t, done, 0);
			break;
		}
		if (done < 0)
			break;
		total += done;
	}
	return total ?: done;
}

ssize_t cs_dax_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done;

	if (!(iocb->ki_flags & IOCB_NOWAIT))
		inode_lock_shared(inode);
	else if (!inode_trylock_shared(inode))
		return -EAGAIN;
	done = copy(iocb, to, false);
	inode_unlock_shared(inode);
	return done;
}

/* The file left the window meanwhile: pages that were read before this write are old. */
static void drop_old_pages(struct inode *inode, loff_t pos, ssize_t done)
{
	if (done > 0 && !IS_DAX(inode))
		cs_pages_drop(inode, pos, pos + done - 1);
}

ssize_t cs_dax_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t pos = iocb->ki_pos;
	ssize_t done;

	/* Only the daemon can make a file longer. */
	if (pos + iov_iter_count(from) > i_size_read(inode)) {
		done = cs_direct_move(iocb, from, true);
		if (done > 0)
			cs_attr_wrote(inode, iocb->ki_pos);
	} else {
		done = copy(iocb, from, true);
		if (done > 0)
			WRITE_ONCE(cs_inode(inode)->stored, true);
	}
	drop_old_pages(inode, pos, done);
	return done;
}

/* ---- mmap(2) ---- */

static int iomap_begin(struct inode *inode, loff_t pos, loff_t len, unsigned int flags, struct iomap *iomap,
		       struct iomap *source)
{
	struct cs_range *range = cs_dax_find(inode, pos);

	/* The fault that we are in has found it. */
	if (!range)
		return -EIO;
	iomap->type = IOMAP_MAPPED;
	iomap->offset = range->offset;
	iomap->length = cs_range_len(range);
	iomap->addr = range->place - (unsigned long)range->window->memory;
	iomap->dax_dev = range->window->dax;
	iomap->bdev = NULL;
	iomap->private = range;
	return 0;
}

static int iomap_end(struct inode *inode, loff_t pos, loff_t len, ssize_t done, unsigned int flags,
		     struct iomap *iomap)
{
	cs_range_put(iomap->private);
	return 0;
}

static const struct iomap_ops iomap_ops = {
	.iomap_begin = iomap_begin,
	.iomap_end = iomap_end,
};

/*
 * The page at `pos` has no range, and an access to what is inside its file must not fail for that:
 * the file goes on without the window. Only a disk without room for a store is an error.
 */
static vm_fault_t fault_without(struct inode *inode, int err)
{
	if (err != -ENOSPC && err != -ENOMEM && err != -EINTR)
		err = cs_dax_leave(inode);
	return err ? vmf_error(err) : VM_FAULT_NOPAGE;
}

/* The invalidate lock is held, under which a file's ranges go: is it still the one at `pos`, in the file? */
static bool is_range_at(struct inode *inode, struct cs_range *range, loff_t pos)
{
	struct cs_range *now = IS_DAX(inode) ? cs_dax_find(inode, pos) : NULL;

	if (now)
		cs_range_put(now);
	return now == range;
}

static vm_fault_t fault_in_range(struct vm_fault *vmf, unsigned int order, struct cs_range *range, loff_t pos)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	vm_fault_t result = VM_FAULT_NOPAGE;
	cs_pfn pfn;

	/* The kernel would look for what is before it, too. */
	if (order && range->shift < PAGE_SHIFT + order)
		return VM_FAULT_FALLBACK;
	filemap_invalidate_lock_shared(inode->i_mapping);
	if (is_range_at(inode, range, pos))
		result = dax_iomap_fault(vmf, order, &pfn, NULL, &iomap_ops);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return result;
}

static vm_fault_t huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	bool write = (vmf->flags & FAULT_FLAG_WRITE) && (vmf->vma->vm_flags & VM_SHARED);
	loff_t pos = (loff_t)vmf->pgoff << PAGE_SHIFT;
	struct cs_range *range;
	vm_fault_t result;

	if (!IS_DAX(inode))
		return order ? VM_FAULT_FALLBACK : filemap_fault(vmf);
	if (pos >= i_size_read(inode))
		return VM_FAULT_SIGBUS;
	if (write)
		sb_start_pagefault(inode->i_sb);
	range = get_range(inode, pos, write);
	if (IS_ERR(range)) {
		result = fault_without(inode, PTR_ERR(range));
	} else {
		result = fault_in_range(vmf, order, range, pos);
		cs_range_put(range);
	}
	if (write)
		sb_end_pagefault(inode->i_sb);
	return result;
}

static vm_fault_t fault(struct vm_fault *vmf)
{
	return huge_fault(vmf, 0);
}

static vm_fault_t page_mkwrite(struct vm_fault *vmf)
{
	return IS_DAX(file_inode(vmf->vma->vm_file)) ? huge_fault(vmf, 0) : cs_page_mkwrite(vmf);
}

/* Of a page of the window's; one of a file that has left it is not there any more. */
static vm_fault_t pfn_mkwrite(struct vm_fault *vmf)
{
	return IS_DAX(file_inode(vmf->vma->vm_file)) ? huge_fault(vmf, 0) : VM_FAULT_NOPAGE;
}

static const struct vm_operations_struct vm_operations = {
	.fault = fault,
	.huge_fault = huge_fault,
	.page_mkwrite = page_mkwrite,
	.pfn_mkwrite = pfn_mkwrite,
};

/* ---- programs, in an emulated guest ---- */

static bool emulated;

/* QEMU without KVM says who it is. */
void __init cs_dax_start(void)
{
#ifdef CONFIG_X86
	const unsigned int first_of_hypervisor = 0x40000000;
	unsigned int eax, name[3];

	if (!boot_cpu_has(X86_FEATURE_HYPERVISOR))
		return;
	cpuid(first_of_hypervisor, &eax, &name[0], &name[1], &name[2]);
	emulated = !memcmp(name, "TCGTCGTCGTCG", sizeof(name));
#endif
}

/* Nobody cuts the file meanwhile: a load past its end is the machine's fault, not the program's. */
static vm_fault_t copy_page_of(struct inode *inode, struct cs_range *range, struct page *page, loff_t pos)
{
	vm_fault_t result = VM_FAULT_NOPAGE;
	int key;

	filemap_invalidate_lock_shared(inode->i_mapping);
	key = dax_read_lock();
	if (pos >= i_size_read(inode) || !dax_alive(range->window->dax)) {
		result = VM_FAULT_SIGBUS;
	} else if (is_range_at(inode, range, pos)) {
		memcpy_to_page(page, 0, (void *)range->place + (pos - range->offset), PAGE_SIZE);
		result = 0;
	}
	dax_read_unlock(key);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return result;
}

/*
 * There QEMU keeps what it translated of a page of code, and does not see that a place in the
 * window comes to be another file's: the code of the earlier one would run. So code runs from a
 * copy of its page, which our store makes QEMU translate anew.
 */
static vm_fault_t fault_copy(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	loff_t pos = (loff_t)vmf->pgoff << PAGE_SHIFT;
	struct cs_range *range;
	vm_fault_t result;
	struct page *page;

	if (!IS_DAX(inode))
		return filemap_fault(vmf);
	if (pos >= i_size_read(inode))
		return VM_FAULT_SIGBUS;
	range = get_range(inode, pos, false);
	if (IS_ERR(range))
		return fault_without(inode, PTR_ERR(range));
	page = alloc_page(GFP_HIGHUSER);
	result = page ? copy_page_of(inode, range, page, pos) : VM_FAULT_OOM;
	cs_range_put(range);
	if (!result)
		vmf->page = page;
	else if (page)
		__free_page(page);
	return result;
}

static const struct vm_operations_struct copy_operations = {
	.fault = fault_copy,
};

int cs_dax_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (emulated && (vma->vm_flags & (VM_EXEC | VM_SHARED)) == VM_EXEC) {
		vma->vm_ops = &copy_operations;
		return 0;
	}
	vma->vm_ops = &vm_operations;
	vm_flags_set(vma, VM_MIXEDMAP | VM_HUGEPAGE);
	return 0;
}

/*
 * Stores are in the host's page cache at once; FSYNC is what writes them to its disk. Here it only
 * is forgotten that there were any, or the inode would be dirty, and kept, for ever.
 */
static int writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	XA_STATE(xas, &mapping->i_pages, 0);
	unsigned int n = 0;
	void *entry;

	xas_lock_irq(&xas);
	xas_for_each_marked(&xas, entry, ULONG_MAX, PAGECACHE_TAG_DIRTY) {
		xas_clear_mark(&xas, PAGECACHE_TAG_DIRTY);
		if (++n % XA_CHECK_SCHED)
			continue;
		xas_pause(&xas);
		xas_unlock_irq(&xas);
		cond_resched();
		xas_lock_irq(&xas);
	}
	xas_unlock_irq(&xas);
	return 0;
}

const struct address_space_operations cs_dax_aops = {
	.writepages = writepages,
	.dirty_folio = noop_dirty_folio,
	.direct_IO = noop_direct_IO,
};
