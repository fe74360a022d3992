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

/*
 * The range at `pos`, held and mapped, or an error pointer. `must`: another range of the
 * file goes if there is no place.
 */
static struct cs_range *get_range(struct inode *inode, loff_t pos, bool write, bool must)
{
	struct cs_range *range;
	int err;

	while (!(range = cs_dax_find(inode, pos))) {
		cs_dax_fit(inode);
		err = cs_dax_add(inode, pos);
		if (err == -ENOSPC && must)
			err = cs_dax_steal(inode);
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

/* To or from one range, at most to its end or the file's. Bytes, or -errno. */
static ssize_t copy_some(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	struct cs_range *range = nowait ? get_mapped(inode, iocb->ki_pos) :
					  get_range(inode, iocb->ki_pos, write, false);
	size_t offset, done = 0, len;
	void *memory;
	int key;

	if (IS_ERR(range))
		return PTR_ERR(range);
	offset = iocb->ki_pos - range->offset;
	len = min3((u64)cs_range_len(range) - offset, (u64)(i_size_read(inode) - iocb->ki_pos),
		   (u64)iov_iter_count(iter));
	memory = (void *)range->place + offset;
	key = dax_read_lock();
	if (dax_alive(range->window->dax))
		/* Not those that look into the kernel's memory for one object that is as long. */
		done = write ? _copy_from_iter(memory, len, iter) : _copy_to_iter(memory, len, iter);
	dax_read_unlock(key);
	cs_range_put(range);
	iocb->ki_pos += done;
	return done ?: -EFAULT;
}

/* As far as the file goes. */
static ssize_t copy(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t total = 0, done = 0;

	while (iov_iter_count(iter) && iocb->ki_pos < i_size_read(inode)) {
		done = copy_some(iocb, iter, write);
		/* No range for it: the rest goes by requests. */
		if (done < 0 && done != -EFAULT && done != -EINTR && !(iocb->ki_flags & IOCB_NOWAIT)) {
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

ssize_t cs_dax_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done;

	/* Only the daemon can make a file longer. */
	if (iocb->ki_pos + iov_iter_count(from) > i_size_read(inode)) {
		done = cs_direct_move(iocb, from, true);
		if (done > 0)
			cs_attr_wrote(inode, iocb->ki_pos);
		return done;
	}
	done = copy(iocb, from, true);
	if (done > 0)
		WRITE_ONCE(cs_inode(inode)->stored, true);
	return done;
}

/* ---- mmap(2) ---- */

static int iomap_begin(struct inode *inode, loff_t pos, loff_t len, unsigned int flags, struct iomap *iomap,
		       struct iomap *source)
{
	struct cs_range *range = cs_dax_find(inode, pos);

	/* The fault that we are in holds it. */
	if (WARN_ON_ONCE(!range))
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

static vm_fault_t huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	bool write = (vmf->flags & FAULT_FLAG_WRITE) && (vmf->vma->vm_flags & VM_SHARED);
	loff_t pos = (loff_t)vmf->pgoff << PAGE_SHIFT;
	struct cs_range *range;
	vm_fault_t result;
	cs_pfn pfn;

	if (pos >= i_size_read(inode))
		return VM_FAULT_SIGBUS;
	if (write)
		sb_start_pagefault(inode->i_sb);
	range = get_range(inode, pos, write, true);
	if (IS_ERR(range)) {
		result = vmf_error(PTR_ERR(range));
	} else {
		filemap_invalidate_lock_shared(inode->i_mapping);
		result = dax_iomap_fault(vmf, order, &pfn, NULL, &iomap_ops);
		filemap_invalidate_unlock_shared(inode->i_mapping);
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

static const struct vm_operations_struct vm_operations = {
	.fault = fault,
	.huge_fault = huge_fault,
	.page_mkwrite = fault,
	.pfn_mkwrite = fault,
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

/* The invalidate lock is held. */
static vm_fault_t copy_page_of(struct inode *inode, struct cs_range *range, struct page *page, loff_t pos)
{
	vm_fault_t result = VM_FAULT_SIGBUS;
	int key = dax_read_lock();

	if (dax_alive(range->window->dax) && pos < i_size_read(inode)) {
		memcpy_to_page(page, 0, (void *)range->place + (pos - range->offset), PAGE_SIZE);
		result = 0;
	}
	dax_read_unlock(key);
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

	if (pos >= i_size_read(inode))
		return VM_FAULT_SIGBUS;
	range = get_range(inode, pos, false, true);
	if (IS_ERR(range))
		return vmf_error(PTR_ERR(range));
	page = alloc_page(GFP_HIGHUSER);
	if (!page) {
		cs_range_put(range);
		return VM_FAULT_OOM;
	}
	/* Nobody cuts the file meanwhile: a load past its end is the machine's fault, not the program's. */
	filemap_invalidate_lock_shared(inode->i_mapping);
	result = copy_page_of(inode, range, page, pos);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	cs_range_put(range);
	if (result)
		__free_page(page);
	else
		vmf->page = page;
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

/* Stores are in the host's page cache at once; FSYNC is what writes them to its disk. */
const struct address_space_operations cs_dax_aops = {
	.dirty_folio = noop_dirty_folio,
	.direct_IO = noop_direct_IO,
};
