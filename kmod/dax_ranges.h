/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Between dax.c and dax_io.c: the ranges that a file has in the window. */
#ifndef CASEMENT_KMOD_DAX_RANGES_H
#define CASEMENT_KMOD_DAX_RANGES_H

#include <linux/mutex.h>
#include <linux/xarray.h>

#include "dax.h"
#include "window.h"

struct cs_dax {
	struct inode *inode;		/* [I] not held: evicting it takes this away */
	struct list_head link;		/* [L:window->lock] in window->users, or empty without ranges */
	u64 used;			/* [L:window->lock] window->opens at the last open */
	u64 claim;			/* [A] closed files that were last used before then give way */
	struct mutex lock;
	unsigned int shift;		/* [L:lock] log2 of a range's length; changes only without ranges */
	bool left;			/* [L:lock] the file has left the window: no range is added */
	struct xarray ranges;		/* [L:lock] to add; by offset >> shift; each has a hold of its range */
};

/* The range at `pos`, held, or NULL. */
struct cs_range *cs_dax_find(struct inode *inode, loff_t pos);

/* Make one there, not mapped: 0, also when there is one; -ENFILE without a place, -EIO, -ENOMEM, -EINTR. */
int cs_dax_add(struct inode *inode, loff_t pos);

/* Before one is made at `pos`: a file that has become much longer since it was opened gets larger ones. */
void cs_dax_fit(struct inode *inode, loff_t pos);

/*
 * While the file is in use: from now on it goes by the page cache, also where it is mapped. 0, or
 * -EBUSY while a device transfers to or from its pages. The invalidate lock is not held.
 */
int cs_dax_leave(struct inode *inode);

extern const struct address_space_operations cs_dax_aops;

#endif
