/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Which files go through the window, and their ranges there; see dax.h. What is
 * done with them is in dax_io.c.
 *
 * Order of locks: inode, invalidate lock, dax->lock, window. Another file's inode is
 * only ever tried, from within ours.
 */
#include "dax.h"

#include <linux/blk_types.h>
#include <linux/dax.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "compat.h"
#include "dax_ranges.h"

/* A store into a hole gives blocks to all of its range: those of sparse files are no larger than mainline's. */
#define SPARSE_SHIFT 21
/* Ranges that much too small, log2, are given up for larger ones. */
#define MUCH_LONGER 2
#define LARGE (2U << 20)

bool cs_dax_wanted(const struct cs_session *session)
{
	return session->options.dax != CS_DAX_NEVER && session->device->window.dax;
}

static struct cs_window *window_of(const struct inode *inode)
{
	return &cs_session(inode->i_sb)->device->window;
}

/* ---- the ranges of a file ---- */

/* At most half as much again as the file has, in as few ranges as can be. */
static unsigned int choose_shift(const struct inode *inode)
{
	u64 size = i_size_read(inode);
	unsigned int shift = window_of(inode)->max_shift;

	if ((u64)inode->i_blocks << SECTOR_SHIFT < size)
		shift = min(shift, SPARSE_SHIFT);
	while (shift > CS_RANGE_SHIFT_MIN && round_up(size, 1ULL << shift) > size + size / 2)
		shift--;
	return shift;
}

static struct cs_dax *get_dax(struct inode *inode)
{
	struct cs_inode *node = cs_inode(inode);

	if (node->dax)
		return node->dax;
	node->dax = kzalloc(sizeof(*node->dax), GFP_KERNEL);
	if (!node->dax)
		return NULL;
	node->dax->inode = inode;
	mutex_init(&node->dax->lock);
	xa_init(&node->dax->ranges);
	INIT_LIST_HEAD(&node->dax->link);
	return node->dax;
}

struct cs_range *cs_dax_find(struct inode *inode, loff_t pos)
{
	struct cs_dax *dax = cs_inode(inode)->dax;
	struct cs_range *range;

	rcu_read_lock();
	range = xa_load(&dax->ranges, pos >> dax->shift);
	if (range && !refcount_inc_not_zero(&range->refs))
		range = NULL;
	rcu_read_unlock();
	/* The shift may just have changed. */
	if (range && (u64)(pos - range->offset) >= cs_range_len(range)) {
		cs_range_put(range);
		range = NULL;
	}
	return range;
}

/* All of them; nothing of the file's page tables names them. */
static void drop_ranges(struct inode *inode)
{
	struct cs_window *window = window_of(inode);
	struct cs_dax *dax = cs_inode(inode)->dax;
	struct cs_range *range;
	unsigned long index;

	xa_for_each(&dax->ranges, index, range) {
		xa_erase(&dax->ranges, index);
		cs_range_put(range);
	}
	spin_lock(&window->lock);
	list_del_init(&dax->link);
	spin_unlock(&window->lock);
}

/*
 * First the page tables, but for private pages: those are their programs' own. Nobody has the
 * file open, or the invalidate lock is held.
 */
static void drop_all(struct inode *inode)
{
	unmap_mapping_range(inode->i_mapping, 0, 0, 0);
	cs_dax_forget(inode, 0, LLONG_MAX);
	truncate_inode_pages(inode->i_mapping, 0);
	drop_ranges(inode);
}

/* ---- places that nobody needs now ---- */

/*
 * Of the files with ranges, the one that was opened the longest ago, before `claim`, and is
 * not open unless `open`; held, and the last to be looked at again. NULL for none.
 */
static struct inode *next_user(struct cs_window *window, u64 claim, bool open)
{
	struct inode *inode = NULL;
	struct cs_dax *dax;

	spin_lock(&window->lock);
	list_for_each_entry(dax, &window->users, link) {
		if (dax->used >= claim || (!open && READ_ONCE(cs_inode(dax->inode)->opens)))
			continue;
		inode = igrab(dax->inode);
		if (!inode)
			continue;
		list_move_tail(&dax->link, &window->users);
		break;
	}
	spin_unlock(&window->lock);
	return inode;
}

/* Take the ranges of a file that nobody has open. */
static bool take_from(struct inode *inode)
{
	bool had = false;

	if (!inode_trylock(inode))
		return false;
	if (!cs_inode(inode)->opens && !xa_empty(&cs_inode(inode)->dax->ranges) &&
	    !dax_layout_busy_page(inode->i_mapping)) {
		drop_all(inode);
		had = true;
	}
	inode_unlock(inode);
	return had;
}

static bool reclaim(struct cs_window *window, u64 claim)
{
	struct inode *inode;
	bool had = false;

	/* Each file once: there are no more of them than ranges. */
	for (unsigned int n = window->max_ranges; !had && n; n--) {
		inode = next_user(window, claim, false);
		if (!inode)
			break;
		had = take_from(inode);
		iput(inode);
	}
	return had;
}

/* A new range; idle files lose theirs for it, and places that are on their way back are waited for. */
static struct cs_range *new_range(struct inode *inode, u64 offset, unsigned int shift)
{
	struct cs_window *window = window_of(inode);
	struct cs_range *range;

	for (;;) {
		int epoch = atomic_read(&window->epoch), err;

		range = cs_range_new(window, cs_nodeid(inode), offset, shift);
		if (range != ERR_PTR(-ENFILE))
			return range;
		if (!reclaim(window, READ_ONCE(cs_inode(inode)->dax->claim)) && !atomic_read(&window->n_going))
			return range;
		err = wait_event_killable(window->changed, atomic_read(&window->epoch) != epoch);
		if (err)
			return ERR_PTR(-EINTR);
	}
}

/* It has a range; unless the window was killed or suspended: the loop over `users` might not see it. */
static int list_user(struct inode *inode)
{
	struct cs_window *window = window_of(inode);
	struct cs_dax *dax = cs_inode(inode)->dax;
	int err;

	spin_lock(&window->lock);
	err = window->killed ? -EIO : window->suspended ? -ENFILE : 0;
	if (!err && list_empty(&dax->link))
		list_add_tail(&dax->link, &window->users);
	spin_unlock(&window->lock);
	return err;
}

/* The file holds it from now on. -EBUSY: another is there, or it is to have another size. dax->lock held. */
static int insert_range(struct inode *inode, struct cs_range *range)
{
	struct cs_dax *dax = cs_inode(inode)->dax;
	unsigned long index = range->offset >> range->shift;
	int err = dax->left ? -ENFILE : dax->shift != range->shift ? -EBUSY : 0;

	if (err)
		return err;
	cs_range_get(range);
	err = xa_insert(&dax->ranges, index, range, GFP_KERNEL);
	if (err) {
		cs_range_put(range);
		return err;
	}
	err = list_user(inode);
	if (err && xa_cmpxchg(&dax->ranges, index, range, NULL, GFP_KERNEL) == range)
		cs_range_put(range);
	return err;
}

int cs_dax_add(struct inode *inode, loff_t pos)
{
	struct cs_dax *dax = cs_inode(inode)->dax;
	unsigned int shift = READ_ONCE(dax->shift);
	struct cs_range *range = new_range(inode, round_down(pos, 1ULL << shift), shift);
	int err;

	if (IS_ERR(range))
		return PTR_ERR(range);
	mutex_lock(&dax->lock);
	err = insert_range(inode, range);
	mutex_unlock(&dax->lock);
	cs_range_put(range);
	/* The caller looks again. */
	return err == -EBUSY ? 0 : err;
}

/* Unless a device transfers to or from them: who copies from or to a range holds it meanwhile. */
static bool take_all(struct inode *inode)
{
	if (dax_layout_busy_page(inode->i_mapping))
		return false;
	drop_all(inode);
	return true;
}

/* The first of the larger ones is had before the others are given up. */
void cs_dax_fit(struct inode *inode, loff_t pos)
{
	struct cs_dax *dax = cs_inode(inode)->dax;
	unsigned int shift = choose_shift(inode);
	struct cs_range *range;

	if (shift < READ_ONCE(dax->shift) + MUCH_LONGER)
		return;
	range = new_range(inode, round_down(pos, 1ULL << shift), shift);
	if (IS_ERR(range))
		return;
	filemap_invalidate_lock(inode->i_mapping);
	mutex_lock(&dax->lock);
	if (shift > dax->shift && take_all(inode)) {
		WRITE_ONCE(dax->shift, shift);
		insert_range(inode, range);
	}
	mutex_unlock(&dax->lock);
	filemap_invalidate_unlock(inode->i_mapping);
	cs_range_put(range);
}

/* ---- the way a file goes ---- */

static void set_dax(struct inode *inode, bool on)
{
	spin_lock(&inode->i_lock);
	if (on)
		inode->i_flags |= S_DAX;
	else
		inode->i_flags &= ~S_DAX;
	spin_unlock(&inode->i_lock);
	inode->i_data.a_ops = on ? &cs_dax_aops : &cs_file_aops;
}

/* How long a fault waits for transfers to or from the file's pages, one of which may be its own caller's. */
#define TRANSFERS_END (1 * HZ)

/* The invalidate lock is held, and let go of meanwhile. */
static bool wait_idle(struct inode *inode)
{
	bool idle = true;
	struct page *page;

	while (idle && (page = dax_layout_busy_page(inode->i_mapping))) {
		filemap_invalidate_unlock(inode->i_mapping);
		idle = wait_var_event_timeout(cs_dax_waited(page), page_count(page) == CS_DAX_IDLE, TRANSFERS_END);
		filemap_invalidate_lock(inode->i_mapping);
	}
	return idle;
}

void cs_dax_leave_locked(struct inode *inode)
{
	struct cs_dax *dax = cs_inode(inode)->dax;

	mutex_lock(&dax->lock);
	dax->left = true;
	mutex_unlock(&dax->lock);
	drop_all(inode);
	set_dax(inode, false);
}

int cs_dax_leave(struct inode *inode)
{
	int err = 0;

	filemap_invalidate_lock(inode->i_mapping);
	if (!wait_idle(inode))
		err = -EBUSY;
	else if (IS_DAX(inode))
		cs_dax_leave_locked(inode);
	filemap_invalidate_unlock(inode->i_mapping);
	return err;
}

/* A place for all of the file. */
static int reserve(struct inode *inode)
{
	struct cs_dax *dax = get_dax(inode);
	unsigned int shift = choose_shift(inode);
	int err = 0;

	if (!dax)
		return -ENOMEM;
	if (dax->shift != shift && !xa_empty(&dax->ranges))
		drop_all(inode);
	mutex_lock(&dax->lock);
	WRITE_ONCE(dax->shift, shift);
	dax->left = false;
	mutex_unlock(&dax->lock);
	for (loff_t pos = 0; !err && pos < i_size_read(inode); pos += 1LL << shift)
		if (!xa_load(&dax->ranges, pos >> shift))
			err = cs_dax_add(inode, pos);
	return err;
}

static bool is_offered(const struct inode *inode)
{
	const struct cs_session *session = cs_session(inode->i_sb);

	return i_size_read(inode) && i_size_read(inode) <= session->device->window.size &&
	       (cs_inode(inode)->dax_offered || session->options.dax == CS_DAX_ALWAYS);
}

/* Nobody has it open. Pages go that were cached the other way. */
static void decide(struct inode *inode)
{
	bool was = IS_DAX(inode), on;

	/* A mapping has its file open: below one, the way must not change. */
	if (WARN_ON_ONCE(mapping_mapped(inode->i_mapping)))
		return;
	/* Some device still transfers to or from its pages. */
	if (was && dax_layout_busy_page(inode->i_mapping))
		return;
	on = is_offered(inode) && !reserve(inode);
	if (on && !was)
		on = !cs_write_out(inode) && !cs_pages_drop(inode, 0, LLONG_MAX) && !inode->i_mapping->nrpages;
	if (!on && was)
		drop_all(inode);
	else if (!on && cs_inode(inode)->dax)
		drop_ranges(inode);
	if (on != was)
		set_dax(inode, on);
}

/*
 * Large files may take the place of any that is closed: to read one by requests costs more
 * than to map it. A small one, only if it was opened before and the other was not since: who
 * goes through many small files, again and again, would map and unmap each time for nothing.
 */
static void stake_claim(struct inode *inode)
{
	struct cs_window *window = window_of(inode);
	u64 now = atomic64_inc_return(&window->opens);
	struct cs_inode *node = cs_inode(inode);
	struct cs_dax *dax = get_dax(inode);

	if (dax) {
		WRITE_ONCE(dax->claim, i_size_read(inode) >= LARGE ? U64_MAX : node->last_open);
		spin_lock(&window->lock);
		dax->used = now;
		if (!list_empty(&dax->link))
			list_move_tail(&dax->link, &window->users);
		spin_unlock(&window->lock);
	}
	node->last_open = now;
}

void cs_dax_open(struct inode *inode)
{
	struct cs_inode *node = cs_inode(inode);

	if (!cs_session_has(cs_session(inode->i_sb), FUSE_MAP_ALIGNMENT))
		return;
	inode_lock(inode);
	if (!node->opens++) {
		if (is_offered(inode))
			stake_claim(inode);
		decide(inode);
	}
	inode_unlock(inode);
}

void cs_dax_release(struct inode *inode)
{
	if (!cs_session_has(cs_session(inode->i_sb), FUSE_MAP_ALIGNMENT))
		return;
	inode_lock(inode);
	cs_inode(inode)->opens--;
	inode_unlock(inode);
}

/* ---- the end ---- */

int cs_dax_wait_unpinned(struct inode *inode)
{
	struct page *page;
	int err = 0;

	while (!err && (page = dax_layout_busy_page(inode->i_mapping))) {
		filemap_invalidate_unlock(inode->i_mapping);
		err = wait_var_event_interruptible(cs_dax_waited(page), page_count(page) == CS_DAX_IDLE);
		filemap_invalidate_lock(inode->i_mapping);
	}
	if (!err)
		cs_dax_forget(inode, 0, LLONG_MAX);
	return err;
}

/* Transfers end by themselves: pages of a file are not pinned for long. */
static void wait_unpinned(struct inode *inode)
{
	struct page *page;

	while ((page = dax_layout_busy_page(inode->i_mapping)))
		wait_var_event(cs_dax_waited(page), page_count(page) == CS_DAX_IDLE);
}

void cs_dax_evict(struct inode *inode)
{
	struct cs_dax *dax = cs_inode(inode)->dax;

	if (!dax)
		return;
	wait_unpinned(inode);
	drop_all(inode);
	cs_inode(inode)->dax = NULL;
	kfree(dax);
}

void cs_dax_revoke(struct cs_window *window)
{
	struct inode *inode;

	/* What is being evicted meanwhile loses its ranges by that. */
	while ((inode = next_user(window, U64_MAX, true))) {
		filemap_invalidate_lock(inode->i_mapping);
		wait_unpinned(inode);
		drop_all(inode);
		filemap_invalidate_unlock(inode->i_mapping);
		iput(inode);
	}
}

static int empty(struct cs_window *window, unsigned long patience)
{
	struct inode *inode;
	int err = 0;

	while (!err && (inode = next_user(window, U64_MAX, true))) {
		filemap_invalidate_lock(inode->i_mapping);
		err = dax_layout_busy_page(inode->i_mapping) ? -EBUSY : 0;
		if (!err)
			drop_all(inode);
		filemap_invalidate_unlock(inode->i_mapping);
		iput(inode);
	}
	if (!err && !wait_event_timeout(window->changed, !atomic_read(&window->n_ranges), patience))
		err = -EBUSY;
	return err;
}

static void set_suspended(struct cs_window *window, bool suspended)
{
	spin_lock(&window->lock);
	window->suspended = suspended;
	spin_unlock(&window->lock);
}

int cs_dax_suspend(struct cs_window *window, unsigned long patience)
{
	int err;

	if (!window->dax)
		return 0;
	set_suspended(window, true);
	err = empty(window, patience);
	if (err)
		set_suspended(window, false);
	return err;
}

void cs_dax_resume(struct cs_window *window)
{
	if (window->dax)
		set_suspended(window, false);
}
