/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * The DAX window of a device: its shared memory region 0, in places of powers of
 * two, and the ranges of files that are mapped there (SETUPMAPPING and
 * REMOVEMAPPING, virtio 1.3 section 5.11.6.4).
 *
 * A range has its place as long as anybody holds it; the last put unmaps it, and the
 * place is free when the device has said so: another file's range cannot be hit by it.
 *
 * A kernel without DAX for file systems (CONFIG_FS_DAX) has no_window.c in place of
 * window.c, dax.c and dax_io.c: no device has a window there.
 */
#ifndef CASEMENT_KMOD_WINDOW_H
#define CASEMENT_KMOD_WINDOW_H

#include <linux/atomic.h>
#include <linux/genalloc.h>
#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

struct cs_device;
struct cs_request;
struct virtio_device;

#define CS_RANGE_SHIFT_MIN 16		/* the smallest range: 64 KiB */

struct cs_window {
	struct cs_device *device;	/* [I] */
	struct dax_device *dax;		/* [I] NULL: the device has no window */
	struct dev_pagemap pages;	/* [I] */
	void *memory;			/* [I] where the kernel sees it */
	u64 size;			/* [I] bytes */
	unsigned int max_ranges;	/* [I] that the device can map at a time */
	unsigned int max_shift;		/* [I] log2 of the largest range */
	struct gen_pool *pool;		/* [I] places, by their address in `memory` */
	atomic_t n_ranges;		/* [A] that have a place */
	atomic_t n_going;		/* [A] of them: being unmapped */
	atomic_t epoch;			/* [A] counts places given back */
	wait_queue_head_t changed;	/* `epoch` moved */
	spinlock_t lock;
	bool killed;			/* [L:lock] no file gets a range any more */
	bool suspended;			/* [L:lock] none does for now */
	struct list_head users;		/* [L:lock] files with ranges; of dax.c */
	atomic64_t opens;		/* [A] counts them: the time that `users` are judged by */
	atomic64_t n_mapped, n_removed;	/* [A] requests */
};

enum cs_range_flag { CS_RANGE_MAPPED, CS_RANGE_WRITABLE, CS_RANGE_PENDING };

struct cs_range {
	refcount_t refs;		/* [A] its file's, its users', its requests' */
	unsigned long flags;		/* [A] bits of enum cs_range_flag */
	int error;			/* [A] of the last SETUPMAPPING */
	struct cs_window *window;	/* [I] */
	u64 nodeid;			/* [I] */
	u64 offset;			/* [I] in the file, bytes */
	unsigned int shift;		/* [I] log2 of its length */
	unsigned long place;		/* [I] address in the window's memory */
	struct cs_request *remove;	/* [I] made in advance: the last put may be in an interrupt */
	struct rcu_head rcu;
};

/*
 * At probe: take the window of the device, if it has one that can be used. Without one, or
 * on an error that is then in the log, window->dax stays NULL.
 */
void cs_window_open(struct cs_window *window, struct cs_device *device);

/*
 * At removal, when requests end at once. First cs_window_kill(): nobody copies through it
 * nor takes a place any more. Then the ranges go, and cs_window_close() lets go of the memory.
 */
void cs_window_kill(struct cs_window *window);
void cs_window_close(struct cs_window *window);

/* With the device's memory. */
void cs_window_free(struct cs_window *window);

/* Until every place is free. All files with ranges are gone. */
void cs_window_wait_empty(struct cs_window *window);

/* One line for sysfs about what is in use, into a page; its length. */
ssize_t cs_window_show(struct cs_window *window, char *page);

/*
 * A range of 1 << shift bytes at `offset` of the inode, a place of its own, not yet mapped.
 * Held once. -ENFILE: no place is free; -ENOMEM.
 */
struct cs_range *cs_range_new(struct cs_window *window, u64 nodeid, u64 offset, unsigned int shift);

/* Of one that is held by somebody. */
static inline void cs_range_get(struct cs_range *range)
{
	refcount_inc(&range->refs);
}

/* Any context. */
void cs_range_put(struct cs_range *range);

/* See to it that it is mapped, for writing if `write`: 0, -EINTR when killed, or the daemon's error. */
int cs_range_map(struct cs_range *range, bool write);

static inline size_t cs_range_len(const struct cs_range *range)
{
	return (size_t)1 << range->shift;
}

#endif
