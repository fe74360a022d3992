/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors of inodes, kept or opened for a moment; see inode_fd.h. */
#include "daemon/fs/inode_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/fs/file_handle.h"
#include "daemon/fs/fs_kind.h"
#include "daemon/fs/inode_name.h"
#include "daemon/fs/inode_table.h"
#include "daemon/fs/patience.h"
#include "daemon/fs/safe_open.h"

/*
 * inode.place: a descriptor of its own with the top bit set, for as long as it is used; or the
 * number, from 1, of its cell in its shard, which changes under the shard's
 * lock only; or none. That of a directory changes between its own and none as
 * in inode_name.h.
 */
#define PLACE_OWN (1U << 31)
#define PLACE_NONE 0U

/* Births are as exact as the kernel's tick, and the clock we compare with likewise. */
#define DOUBT_NS 100000000ULL

static uint32_t place_word(const struct inode *inode)
{
	/* Pairs with the release in place_set(): flags that were set before are seen. */
	return __atomic_load_n(&inode->place, __ATOMIC_ACQUIRE);
}

static void place_set(struct inode *inode, uint32_t word)
{
	__atomic_store_n(&inode->place, word, __ATOMIC_RELEASE);
}

/* What the word means. The cell is the inode's only under the shard's lock. */
struct place {
	int own;		/* its own descriptor, or -1 */
	struct fd_cell *cell;	/* its cell, or NULL */
};

static struct place place_of(struct fd_shard *shard, const struct inode *inode)
{
	uint32_t word = place_word(inode);

	if (word & PLACE_OWN)
		return (struct place){ .own = (int)(word & ~PLACE_OWN) };
	if (word == PLACE_NONE)
		return (struct place){ .own = -1 };
	return (struct place){ .own = -1, .cell = &shard->cells[word - 1] };
}

/* An inode has a descriptor: at this moment, unless it is one of its own. */
static bool has_descriptor(const struct inode *inode)
{
	return place_word(inode) != PLACE_NONE;
}

static struct inode_fds *fds_of(const struct inode *inode)
{
	return &inode_owner(inode)->fds;
}

static struct fd_shard *shard_of(struct inode_fds *fds, const struct inode *inode)
{
	return &fds->shards[inode->slot % FD_SHARDS];
}

uint8_t inode_fs_kind(const struct inode *inode)
{
	return mount_table_kind(&fds_of(inode)->mounts, inode->mount);
}

/* The descriptor is about to be closed: could a file yet to come be taken for this one? */
static void judge_locked(struct inode *inode)
{
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
	if (!inode->born || ns < inode->born || ns - inode->born < DOUBT_NS ||
	    inode_fs_kind(inode) & FS_KIND_REMOTE)
		inode_set(inode, INODE_DOUBT);
	else
		inode_unset(inode, INODE_DOUBT);
}

/* What was in a cell: to be closed and put without the lock. */
struct evicted {
	int fd;			/* -1: nothing, or the owner keeps it */
	struct inode *owner;	/* counted; NULL: nothing */
};
#define EVICTED_NONE { .fd = -1 }

static void evicted_drop(struct evicted *old)
{
	close_fd(&old->fd);
	inode_put(old->owner);
}

/* Ask for the handle of a kept descriptor of a counted inode. The lock is given up meanwhile. */
static void learn_handle(struct fd_shard *shard, struct fd_cell *cell)
{
	struct inode *owner = cell->owner;
	struct packed_handle handle;
	int err;

	cell->users++;
	pthread_mutex_unlock(&shard->lock);
	err = file_handle_make(cell->fd, &handle);
	/* Nobody else does this to it: a cell in use is passed over. */
	if (!err)
		owner->handle = handle;
	inode_set(owner, err ? INODE_HANDLELESS : INODE_HANDLE);
	pthread_mutex_lock(&shard->lock);
	cell->users--;
}

/* Take a cell from its owner, which is counted. False if it must stay. */
static bool take_cell_locked(struct inode_fds *fds, struct fd_shard *shard, struct fd_cell *cell,
			     struct evicted *old)
{
	struct inode *owner = cell->owner;

	if (!inode_has(owner, INODE_HANDLE | INODE_HANDLELESS))
		learn_handle(shard, cell);
	if (cell->users)
		return false;
	if (inode_has(owner, INODE_HANDLELESS)) {
		if (!fd_budget_take_left(fds->budget))
			return false;
		place_set(owner, PLACE_OWN | (uint32_t)cell->fd);
	} else {
		judge_locked(owner);
		place_set(owner, PLACE_NONE);
		old->fd = cell->fd;
	}
	old->owner = owner;
	cell->owner = NULL;
	return true;
}

/*
 * Take a cell from an inode that is not using it. Only of one that is counted:
 * one on its way out empties its cell itself (inode_let_go()). False if it
 * cannot be taken.
 */
static bool evict_locked(struct inode_fds *fds, struct fd_shard *shard, struct fd_cell *cell,
			 struct evicted *old)
{
	struct inode *owner = cell->owner;

	if (!inode_try_ref(owner))
		return false;
	if (take_cell_locked(fds, shard, cell, old))
		return true;
	pthread_mutex_unlock(&shard->lock);
	inode_put(owner);
	pthread_mutex_lock(&shard->lock);
	return false;
}

/*
 * An empty cell, or NULL when all are in use. The lock may be given up on the
 * way, not after. *old is dropped without the lock.
 */
static struct fd_cell *claim_locked(struct inode_fds *fds, struct fd_shard *shard,
				    struct evicted *old)
{
	for (uint32_t i = 0; i < 2 * fds->cells; i++) {
		struct fd_cell *cell = &shard->cells[shard->hand];

		shard->hand = (shard->hand + 1) % fds->cells;
		if (!cell->owner)
			return cell;
		if (cell->users)
			continue;
		if (cell->recent)
			cell->recent = false;
		else if (evict_locked(fds, shard, cell, old))
			return cell;
	}
	return NULL;
}

/* A descriptor that the inode has, held for the user. */
static bool pin_locked(struct fd_shard *shard, const struct inode *inode, struct inode_fd *at)
{
	struct place place = place_of(shard, inode);

	if (place.own >= 0) {
		*at = (struct inode_fd){ .fd = place.own };
		return true;
	}
	if (!place.cell)
		return false;
	*at = (struct inode_fd){ .fd = place.cell->fd, .shard = shard, .cell = place.cell };
	place.cell->users++;
	place.cell->recent = true;
	return true;
}

static void fill_locked(struct fd_shard *shard, struct fd_cell *cell, struct inode *inode, int fd)
{
	*cell = (struct fd_cell){ .owner = inode, .fd = fd, .recent = true };
	place_set(inode, (uint32_t)(cell - shard->cells) + 1);
}

/* Keep a descriptor opened by handle, and give it out; without room, for this use alone. */
static void keep(struct inode_fds *fds, struct inode *inode, int fd, struct inode_fd *at)
{
	struct fd_shard *shard = shard_of(fds, inode);
	struct evicted old = EVICTED_NONE;
	struct fd_cell *cell;

	pthread_mutex_lock(&shard->lock);
	cell = claim_locked(fds, shard, &old);
	if (cell && !has_descriptor(inode)) {
		fill_locked(shard, cell, inode, fd);
		fd = -1;
	}
	/* Another thread may have been quicker: then that one is as good. */
	if (!pin_locked(shard, inode, at))
		*at = (struct inode_fd){ .fd = take_fd(&fd), .own = true };
	pthread_mutex_unlock(&shard->lock);
	evicted_drop(&old);
	close_fd(&fd);
}

/* A descriptor that needs no opening. */
static bool get_at_hand(struct inode_fds *fds, const struct inode *inode, struct inode_fd *at)
{
	struct fd_shard *shard = shard_of(fds, inode);
	struct place place = place_of(shard, inode);
	bool found;

	/* One of its own stays as long as the inode: no lock is needed. */
	if (place.own >= 0) {
		*at = (struct inode_fd){ .fd = place.own };
		return true;
	}
	if (!place.cell)
		return false;
	pthread_mutex_lock(&shard->lock);
	found = pin_locked(shard, inode, at);
	pthread_mutex_unlock(&shard->lock);
	return found;
}

bool inode_fd_at_hand(struct inode *inode, struct inode_fd *at)
{
	*at = (struct inode_fd)INODE_FD_NONE;
	return get_at_hand(fds_of(inode), inode, at);
}

/*
 * A directory that rests has its descriptor back, where the budget has one left: nothing is let go for it,
 * as the caller may be about to. Else, or when another thread was quicker, one for this use alone.
 */
static int wake(struct inode_fds *fds, struct inode *inode, struct inode_fd *at)
{
	uint32_t none = PLACE_NONE;
	int fd = inode_name_open(inode);

	if (fd < 0)
		return fd;
	*at = (struct inode_fd){ .fd = fd, .own = true };
	if (!fd_budget_take_left(fds->budget))
		return 0;
	at->own = !__atomic_compare_exchange_n(&inode->place, &none, PLACE_OWN | (uint32_t)fd, false,
					       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	if (at->own)
		fd_budget_give(fds->budget);
	return 0;
}

/* Of an inode that has no descriptor, and so is held by its handle. */
static int open_by_handle(const struct inode_fds *fds, const struct inode *inode, int flags)
{
	return file_handle_open(fds->mounts.entries[inode->mount - 1].fd, &inode->handle, flags);
}

int inode_fd_get(struct inode *inode, struct inode_fd *at)
{
	struct inode_fds *fds = fds_of(inode);
	int fd;

	*at = (struct inode_fd)INODE_FD_NONE;
	while (!get_at_hand(fds, inode, at)) {
		/* It got one just now: look again. */
		if (has_descriptor(inode))
			continue;
		if (!inode_has(inode, INODE_HANDLE))
			return wake(fds, inode, at);
		fd = open_by_handle(fds, inode, O_PATH);
		if (fd < 0)
			return fd;
		keep(fds, inode, fd, at);
		break;
	}
	return 0;
}

void inode_fd_put(struct inode_fd *at)
{
	if (at->cell) {
		pthread_mutex_lock(&at->shard->lock);
		at->cell->users--;
		pthread_mutex_unlock(&at->shard->lock);
	} else if (at->own) {
		close_fd(&at->fd);
	}
	*at = (struct inode_fd)INODE_FD_NONE;
}

static int open_again(struct inode *inode, int flags)
{
	struct inode_fds *fds = fds_of(inode);
	cleanup_inode_fd struct inode_fd at = INODE_FD_NONE;
	int err;

	while (!get_at_hand(fds, inode, &at)) {
		if (has_descriptor(inode))
			continue;
		if (inode_has(inode, INODE_HANDLE))
			return open_by_handle(fds, inode, flags);
		err = wake(fds, inode, &at);
		if (err)
			return err;
		break;
	}
	return safe_open_again(fds->open, at.fd, flags);
}

bool inode_fd_held(const struct inode *inode)
{
	return has_descriptor(inode);
}

bool inode_fd_is_own(const struct inode *inode)
{
	return place_word(inode) & PLACE_OWN;
}

int inode_fd_take_own(struct inode *inode)
{
	uint32_t word = place_word(inode);

	if (!(word & PLACE_OWN))
		return -1;
	place_set(inode, PLACE_NONE);
	return (int)(word & ~PLACE_OWN);
}

/* With O_NONBLOCK, which says nothing else of a file, open(2) does not wait for who has a lease on it. */
int inode_fd_open(struct inode *inode, int flags)
{
	bool endless = patience_is_endless();
	int fd = open_again(inode, flags | (endless ? 0 : O_NONBLOCK));

	return fd == -EAGAIN && !endless ? patience_await_file(inode) : fd;
}

bool inode_fd_certain(const struct inode *inode)
{
	return has_descriptor(inode) || !inode_has(inode, INODE_DOUBT);
}

/* The last quarter of the budget is kept for open files. */
static bool has_many_left(const struct fd_budget *budget)
{
	return __atomic_load_n(&budget->used, __ATOMIC_RELAXED) < budget->limit - budget->limit / 4;
}

static int hold_by_fd(struct inode_fds *fds, struct inode *inode, int *fd)
{
	/* Else what is known could not be opened any more. */
	if (!fds->budget->reclaim && !has_many_left(fds->budget)) {
		fd_budget_spent(fds->budget);
		return -ENFILE;
	}
	if (!fd_budget_take(fds->budget))
		return -ENFILE;
	place_set(inode, PLACE_OWN | (uint32_t)take_fd(fd));
	return 0;
}

/* All cells of the shard are in use: by the handle alone, from the start. */
static int hold_by_handle(struct inode_fds *fds, struct inode *inode, int *fd)
{
	if (file_handle_make(*fd, &inode->handle))
		return hold_by_fd(fds, inode, fd);
	inode_set(inode, INODE_HANDLE);
	judge_locked(inode);
	close_fd(fd);
	return 0;
}

/* In a cell, as long as it is used. */
static int hold_for_now(struct inode_fds *fds, struct inode *inode, int *fd)
{
	struct fd_shard *shard = shard_of(fds, inode);
	struct evicted old = EVICTED_NONE;
	struct fd_cell *cell;

	pthread_mutex_lock(&shard->lock);
	cell = claim_locked(fds, shard, &old);
	if (cell)
		fill_locked(shard, cell, inode, take_fd(fd));
	pthread_mutex_unlock(&shard->lock);
	evicted_drop(&old);
	return cell ? 0 : hold_by_handle(fds, inode, fd);
}

int inode_hold(struct inode_fds *fds, struct inode *inode, int *fd, const struct statx *stx)
{
	bool by_handle;
	int err = mount_table_get(&fds->mounts, *fd, stx, &inode->mount, &by_handle);

	if (err)
		return err;
	if (fds->late && has_many_left(fds->budget))
		by_handle = false;
	err = by_handle ? hold_for_now(fds, inode, fd) : hold_by_fd(fds, inode, fd);
	if (err)
		mount_table_put(&fds->mounts, inode->mount);
	return err;
}

int inode_hold_root(struct inode_fds *fds, struct inode *inode, int *fd, const struct statx *stx)
{
	bool by_handle;
	int err = mount_table_get(&fds->mounts, *fd, stx, &inode->mount, &by_handle);

	if (!err)
		place_set(inode, PLACE_OWN | (uint32_t)take_fd(fd));
	return err;
}

/* Empty the cell of an inode that nobody uses: its descriptor, or -1. */
static int empty_cell_locked(struct fd_cell *cell)
{
	if (!cell)
		return -1;
	cell->owner = NULL;
	return cell->fd;
}

/* The descriptor of an inode that nobody uses; -1: it has none. */
static int take_descriptor(struct inode_fds *fds, struct inode *inode)
{
	struct fd_shard *shard = shard_of(fds, inode);
	struct place place = place_of(shard, inode);
	int fd = -1;

	/* Not of its own as yet: what it has by now is known under the lock only. */
	if (place.own < 0) {
		pthread_mutex_lock(&shard->lock);
		place = place_of(shard, inode);
		fd = empty_cell_locked(place.cell);
		pthread_mutex_unlock(&shard->lock);
	}
	if (place.own < 0)
		return fd;
	if (inode->slot != INODE_ROOT_ID)
		fd_budget_give(fds->budget);
	return place.own;
}

void inode_let_go(struct inode_fds *fds, struct inode *inode)
{
	cleanup_close int fd = take_descriptor(fds, inode);

	if (inode_has(inode, INODE_HANDLE | INODE_NAMED))
		file_handle_release(&inode->handle);
	mount_table_put(&fds->mounts, inode->mount);
}

void inode_fds_init(struct inode_fds *fds, enum fs_handles mode, uint32_t cells,
		    const struct safe_open *open, struct fd_budget *budget)
{
	memset(fds->shards, 0, sizeof(fds->shards));
	for (unsigned int i = 0; i < FD_SHARDS; i++)
		pthread_mutex_init(&fds->shards[i].lock, NULL);
	pthread_mutex_init(&fds->name_lock, NULL);
	mount_table_init(&fds->mounts, mode, open);
	fds->cells = cells;
	fds->late = false;
	fds->open = open;
	fds->budget = budget;
}

void inode_fds_fini(struct inode_fds *fds)
{
	for (unsigned int i = 0; i < FD_SHARDS; i++)
		pthread_mutex_destroy(&fds->shards[i].lock);
	pthread_mutex_destroy(&fds->name_lock);
	mount_table_fini(&fds->mounts);
}
