/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* The DAX window: its memory, its places, and ranges mapped there; see window.h. */
#include "window.h"

#include <linux/dax.h>
#include <linux/ioport.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/wait_bit.h>

#include "compat.h"
#include "device.h"

/* Mainline's ranges: a device is made for as many mappings as its window has of these. */
#define USUAL_SHIFT 21
#define LARGEST_SHIFT 26

/* ---- the memory ---- */

static long direct_access(struct dax_device *dax, pgoff_t at, long n, enum dax_access_mode mode,
			  void **address, cs_pfn *pfn)
{
	struct cs_window *window = dax_get_private(dax);
	u64 offset = PFN_PHYS(at);

	if (address)
		*address = window->memory + offset;
	if (pfn)
		*pfn = cs_window_pfn(window->pages.range.start + offset);
	return min_t(long, n, PHYS_PFN(window->size - offset));
}

static int zero_page_range(struct dax_device *dax, pgoff_t at, size_t n)
{
	struct cs_window *window = dax_get_private(dax);

	memset(window->memory + PFN_PHYS(at), 0, n << PAGE_SHIFT);
	return 0;
}

static const struct dax_operations dax_operations = {
	.direct_access = direct_access,
	.zero_page_range = zero_page_range,
};

static int make_pool(struct cs_window *window)
{
	window->pool = gen_pool_create(CS_RANGE_SHIFT_MIN, NUMA_NO_NODE);
	if (!window->pool)
		return -ENOMEM;
	gen_pool_set_algo(window->pool, gen_pool_first_fit_order_align, NULL);
	return gen_pool_add(window->pool, (unsigned long)window->memory, window->size, NUMA_NO_NODE);
}

static int map_memory(struct cs_window *window, const struct virtio_shm_region *region)
{
	struct dev_pagemap *pages = &window->pages;
	int err;

	if (!request_mem_region(region->addr, region->len, "casement"))
		return -EBUSY;
	pages->type = MEMORY_DEVICE_FS_DAX;
	pages->range = (struct range){ .start = region->addr, .end = region->addr + region->len - 1 };
	pages->nr_range = 1;
	window->memory = memremap_pages(pages, NUMA_NO_NODE);
	if (IS_ERR(window->memory)) {
		err = PTR_ERR(window->memory);
		goto release;
	}
	err = make_pool(window);
	if (err)
		goto unmap;
	window->dax = alloc_dax(window, &dax_operations);
	if (!IS_ERR(window->dax))
		return 0;
	err = PTR_ERR(window->dax);
	window->dax = NULL;
unmap:
	memunmap_pages(pages);
release:
	release_mem_region(region->addr, region->len);
	return err;
}

void cs_window_open(struct cs_window *window, struct cs_device *device)
{
	struct virtio_device *vdev = device->vdev;
	struct virtio_shm_region region;
	int err;

	window->device = device;
	init_waitqueue_head(&window->changed);
	spin_lock_init(&window->lock);
	INIT_LIST_HEAD(&window->users);
	if (!virtio_get_shm_region(vdev, &region, VIRTIO_FS_SHMCAP_ID_CACHE))
		return;
	window->size = region.len;
	window->max_ranges = region.len >> USUAL_SHIFT;
	if (!window->max_ranges) {
		dev_warn(&vdev->dev, "a window of %llu bytes is too small to be used\n", region.len);
		return;
	}
	window->max_shift = clamp(ilog2(region.len) - 2, USUAL_SHIFT, LARGEST_SHIFT);
	err = map_memory(window, &region);
	if (err)
		dev_warn(&vdev->dev, "the window of %llu bytes at %#llx cannot be used: %d\n",
			 region.len, region.addr, err);
}

void cs_window_kill(struct cs_window *window)
{
	if (!window->dax)
		return;
	spin_lock(&window->lock);
	window->killed = true;
	spin_unlock(&window->lock);
	kill_dax(window->dax);
}

void cs_window_wait_empty(struct cs_window *window)
{
	wait_event(window->changed, !atomic_read(&window->n_ranges));
}

void cs_window_close(struct cs_window *window)
{
	if (!window->dax)
		return;
	cs_window_wait_empty(window);
	memunmap_pages(&window->pages);
	release_mem_region(window->pages.range.start, window->size);
}

void cs_window_free(struct cs_window *window)
{
	if (window->dax)
		put_dax(window->dax);
	if (window->pool)
		gen_pool_destroy(window->pool);
}

ssize_t cs_window_show(struct cs_window *window, char *page)
{
	if (!window->dax)
		return sysfs_emit(page, "none\n");
	return sysfs_emit(page, "size=%llu free=%zu ranges=%d max_ranges=%u mapped=%lld removed=%lld\n",
			  window->size, gen_pool_avail(window->pool), atomic_read(&window->n_ranges),
			  window->max_ranges, (s64)atomic64_read(&window->n_mapped),
			  (s64)atomic64_read(&window->n_removed));
}

/* ---- places ---- */

/* 0 without one. */
static unsigned long place_take(struct cs_window *window, unsigned int shift)
{
	unsigned long place = 0;

	if (atomic_inc_return(&window->n_ranges) <= window->max_ranges)
		place = gen_pool_alloc(window->pool, 1UL << shift);
	if (!place)
		atomic_dec(&window->n_ranges);
	return place;
}

/* The device has nothing there any more. */
static void range_free(struct cs_range *range)
{
	struct cs_window *window = range->window;

	gen_pool_free(window->pool, range->place, cs_range_len(range));
	atomic_dec(&window->n_ranges);
	atomic_inc(&window->epoch);
	wake_up_all(&window->changed);
	kfree_rcu(range, rcu);
}

/* ---- ranges ---- */

static void end_remove(struct cs_request *request)
{
	struct cs_range *range = request->private;

	atomic_dec(&range->window->n_going);
	range_free(range);
}

static struct cs_request *new_remove(struct cs_range *range)
{
	struct fuse_removemapping_in *in;
	struct fuse_removemapping_one *one;
	struct cs_request *request = cs_request_new(FUSE_REMOVEMAPPING, range->nodeid, sizeof(*in) + sizeof(*one),
						    0, GFP_KERNEL);

	if (!request)
		return NULL;
	in = cs_request_args(request);
	one = (void *)(in + 1);
	in->count = 1;
	one->moffset = range->place - (unsigned long)range->window->memory;
	one->len = cs_range_len(range);
	request->end = end_remove;
	request->private = range;
	return request;
}

struct cs_range *cs_range_new(struct cs_window *window, u64 nodeid, u64 offset, unsigned int shift)
{
	struct cs_range *range = kzalloc(sizeof(*range), GFP_KERNEL);

	if (!range)
		return ERR_PTR(-ENOMEM);
	range->place = place_take(window, shift);
	if (!range->place) {
		kfree(range);
		return ERR_PTR(-ENFILE);
	}
	refcount_set(&range->refs, 1);
	range->window = window;
	range->nodeid = nodeid;
	range->offset = offset;
	range->shift = shift;
	range->remove = new_remove(range);
	if (!range->remove) {
		range_free(range);
		return ERR_PTR(-ENOMEM);
	}
	return range;
}

static void range_end(struct cs_range *range)
{
	struct cs_request *remove = range->remove;

	if (test_bit(CS_RANGE_MAPPED, &range->flags)) {
		atomic_inc(&range->window->n_going);
		atomic64_inc(&range->window->n_removed);
		cs_device_send(range->window->device, remove);
	} else {
		range_free(range);
	}
	cs_request_put(remove);
}

void cs_range_put(struct cs_range *range)
{
	if (refcount_dec_and_test(&range->refs))
		range_end(range);
}

static void end_map(struct cs_request *request)
{
	const struct fuse_setupmapping_in *in = cs_request_args(request);
	struct cs_range *range = request->private;

	WRITE_ONCE(range->error, request->error);
	if (!request->error) {
		set_bit(CS_RANGE_MAPPED, &range->flags);
		if (in->flags & FUSE_SETUPMAPPING_FLAG_WRITE)
			set_bit(CS_RANGE_WRITABLE, &range->flags);
	}
	clear_and_wake_up_bit(CS_RANGE_PENDING, &range->flags);
	cs_range_put(range);
}

/* CS_RANGE_PENDING is ours; it falls with the reply. */
static int send_map(struct cs_range *range, bool write)
{
	struct cs_request *request = cs_request_new(FUSE_SETUPMAPPING, range->nodeid,
						    sizeof(struct fuse_setupmapping_in), 0, GFP_KERNEL);
	struct fuse_setupmapping_in *in;

	if (!request) {
		clear_and_wake_up_bit(CS_RANGE_PENDING, &range->flags);
		return -ENOMEM;
	}
	in = cs_request_args(request);
	in->fh = -1;
	in->foffset = range->offset;
	in->len = cs_range_len(range);
	in->moffset = range->place - (unsigned long)range->window->memory;
	in->flags = FUSE_SETUPMAPPING_FLAG_READ | (write ? FUSE_SETUPMAPPING_FLAG_WRITE : 0);
	refcount_inc(&range->refs);
	request->end = end_map;
	request->private = range;
	atomic64_inc(&range->window->n_mapped);
	cs_device_send(range->window->device, request);
	cs_request_put(request);
	return 0;
}

int cs_range_map(struct cs_range *range, bool write)
{
	int wanted = write ? CS_RANGE_WRITABLE : CS_RANGE_MAPPED, err;

	while (!test_bit_acquire(wanted, &range->flags)) {
		if (!test_and_set_bit_lock(CS_RANGE_PENDING, &range->flags)) {
			/* Who had it before us may have mapped it. */
			if (test_bit(wanted, &range->flags)) {
				clear_and_wake_up_bit(CS_RANGE_PENDING, &range->flags);
				break;
			}
			err = send_map(range, write);
			if (err)
				return err;
		}
		err = wait_on_bit(&range->flags, CS_RANGE_PENDING, TASK_KILLABLE);
		if (err)
			return err;
		err = READ_ONCE(range->error);
		if (err)
			return err;
	}
	return 0;
}
