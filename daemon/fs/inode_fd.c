/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors of inodes, kept or opened for a moment; see inode_fd.h. */
#include "daemon/fs/inode_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/fs/inode_table.h"
#include "daemon/fs/safe_open.h"

/*
 * inode.place: a descriptor of its own with the top bit set, for ever; or the
 * number, from 1, of its cell in its shard, which changes under the shard's
 * lock only; or none.
 */
#define PLACE_OWN (1U << 31)
#define PLACE_NONE 0U

/* Births are as exact as the kernel's tick, and the clock we compare with likewise. */
#define DOUBT_NS 100000000ULL

static uint32_t place_of(const struct inode *inode)
{
	/* Pairs with the release in place_set(): flags that were set before are seen. */
	return __atomic_load_n(&inode->place, __ATOMIC_ACQUIRE);
}

static void place_set(struct inode *inode, uint32_t place)
{
	__atomic_store_n(&inode->place, place, __ATOMIC_RELEASE);
}

static struct inode_fds *fds_of(const struct inode *inode)
{
	return &inode_owner(inode)->fds;
}

static struct fd_shard *shard_of(struct inode_fds *fds, const struct inode *inode)
{
	return &fds->shards[inode->slot % FD_SHARDS];
}

/* The descriptor is about to be closed: could a file yet to come be taken for this one? */
static void judge_locked(const struct inode_fds *fds, struct inode *inode)
{
	uint8_t doubt = (uint8_t)~INODE_DOUBT;
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
	if (!inode->born || ns < inode->born || ns - inode->born < DOUBT_NS ||
	    fds->mounts.entries[inode->mount - 1].remote)
		inode_set(inode, INODE_DOUBT);
	else
		__atomic_fetch_and(&inode->flags, doubt, __ATOMIC_RELEASE);
}

/* Ask for the handle of a kept descriptor. The lock is given up meanwhile. */
static void learn_handle(struct fd_shard *shard, struct fd_cell *cell)
{
	struct inode *owner = cell->owner;
	struct packed_handle handle;
	int err;

	if (!inode_try_ref(owner))
		return;
	cell->users++;
	pthread_mutex_unlock(&shard->lock);
	err = file_handle_make(cell->fd, &handle);
	/* Nobody else does this to it: a cell in use is passed over. */
	if (!err)
		owner->handle = handle;
	inode_set(owner, err ? INODE_HANDLELESS : INODE_HANDLE);
	pthread_mutex_lock(&shard->lock);
	cell->users--;
	pthread_mutex_unlock(&shard->lock);
	inode_put(owner);
	pthread_mutex_lock(&shard->lock);
}

/* Take a cell from an inode that is not using it; *old is to be closed. False if it cannot be. */
static bool evict_locked(struct inode_fds *fds, struct fd_shard *shard, struct fd_cell *cell,
			 int *old)
{
	if (!inode_has(cell->owner, INODE_HANDLE | INODE_HANDLELESS)) {
		learn_handle(shard, cell);
		/* Much may have happened to it meanwhile. */
		if (!cell->owner)
			return true;
		if (cell->users || !inode_has(cell->owner, INODE_HANDLE | INODE_HANDLELESS))
			return false;
	}
	if (inode_has(cell->owner, INODE_HANDLELESS)) {
		if (!fd_budget_take(fds->budget))
			return false;
		place_set(cell->owner, PLACE_OWN | (uint32_t)cell->fd);
	} else {
		judge_locked(fds, cell->owner);
		place_set(cell->owner, PLACE_NONE);
		*old = cell->fd;
	}
	cell->owner = NULL;
	return true;
}

/*
 * An empty cell, or NULL when all are in use. The lock may be given up on the
 * way, not after. *old: -1, or what was in the cell, to be closed without the lock.
 */
static struct fd_cell *claim_locked(struct inode_fds *fds, struct fd_shard *shard, int *old)
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

static bool pin_locked(struct fd_shard *shard, const struct inode *inode, struct inode_fd *at)
{
	uint32_t place = place_of(inode);

	if (place == PLACE_NONE || (place & PLACE_OWN))
		return false;
	at->shard = shard;
	at->cell = &shard->cells[place - 1];
	at->fd = at->cell->fd;
	at->cell->users++;
	at->cell->recent = true;
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
	struct fd_cell *cell;
	int old = -1;

	pthread_mutex_lock(&shard->lock);
	cell = claim_locked(fds, shard, &old);
	if (cell && place_of(inode) == PLACE_NONE) {
		fill_locked(shard, cell, inode, fd);
		fd = -1;
	}
	/* Another thread may have been quicker: then that one is as good. */
	if (!pin_locked(shard, inode, at))
		*at = (struct inode_fd){ .fd = take_fd(&fd), .own = true };
	pthread_mutex_unlock(&shard->lock);
	close_fd(&old);
	close_fd(&fd);
}

/* A descriptor that needs no opening. */
static bool get_at_hand(struct inode_fds *fds, const struct inode *inode, struct inode_fd *at)
{
	struct fd_shard *shard = shard_of(fds, inode);
	uint32_t place = place_of(inode);
	bool found;

	if (place & PLACE_OWN) {
		*at = (struct inode_fd){ .fd = (int)(place & ~PLACE_OWN) };
		return true;
	}
	if (place == PLACE_NONE)
		return false;
	pthread_mutex_lock(&shard->lock);
	found = pin_locked(shard, inode, at);
	pthread_mutex_unlock(&shard->lock);
	return found;
}

int inode_fd_get(struct inode *inode, struct inode_fd *at)
{
	struct inode_fds *fds = fds_of(inode);
	int fd;

	*at = (struct inode_fd)INODE_FD_NONE;
	while (!get_at_hand(fds, inode, at)) {
		/* It got one just now: look again. */
		if (place_of(inode) != PLACE_NONE)
			continue;
		fd = file_handle_open(&fds->mounts, inode, O_PATH);
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

int inode_fd_open(struct inode *inode, int flags)
{
	struct inode_fds *fds = fds_of(inode);
	cleanup_inode_fd struct inode_fd at = INODE_FD_NONE;

	while (!get_at_hand(fds, inode, &at)) {
		if (place_of(inode) == PLACE_NONE)
			return file_handle_open(&fds->mounts, inode, flags);
	}
	return safe_open_again(fds->open, at.fd, flags);
}

bool inode_fd_certain(const struct inode *inode)
{
	return place_of(inode) != PLACE_NONE || !inode_has(inode, INODE_DOUBT);
}

static int hold_by_fd(struct inode_fds *fds, struct inode *inode, int *fd)
{
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
	judge_locked(fds, inode);
	close_fd(fd);
	return 0;
}

int inode_hold(struct inode_fds *fds, struct inode *inode, int *fd, const struct statx *stx)
{
	struct fd_shard *shard = shard_of(fds, inode);
	struct fd_cell *cell;
	int old = -1, err = mount_table_get(&fds->mounts, *fd, stx, &inode->mount);

	if (err)
		return err;
	if (!inode->mount)
		return hold_by_fd(fds, inode, fd);
	pthread_mutex_lock(&shard->lock);
	cell = claim_locked(fds, shard, &old);
	if (cell)
		fill_locked(shard, cell, inode, take_fd(fd));
	pthread_mutex_unlock(&shard->lock);
	close_fd(&old);
	if (!cell)
		err = hold_by_handle(fds, inode, fd);
	if (err)
		mount_table_put(&fds->mounts, inode->mount);
	return err;
}

int inode_hold_root(struct inode_fds *fds, struct inode *inode, int *fd, const struct statx *stx)
{
	int err = mount_table_get(&fds->mounts, *fd, stx, &inode->mount);

	if (!err)
		place_set(inode, PLACE_OWN | (uint32_t)take_fd(fd));
	return err;
}

void inode_let_go(struct inode_fds *fds, struct inode *inode)
{
	struct fd_shard *shard = shard_of(fds, inode);
	uint32_t place = place_of(inode);
	int fd = -1;

	if (place & PLACE_OWN) {
		fd = (int)(place & ~PLACE_OWN);
		if (inode->slot != INODE_ROOT_ID)
			fd_budget_give(fds->budget);
	} else if (inode->mount) {
		pthread_mutex_lock(&shard->lock);
		place = place_of(inode);
		if (place != PLACE_NONE) {
			fd = shard->cells[place - 1].fd;
			shard->cells[place - 1].owner = NULL;
		}
		pthread_mutex_unlock(&shard->lock);
	}
	close_fd(&fd);
	if (inode_has(inode, INODE_HANDLE))
		file_handle_release(&inode->handle);
	mount_table_put(&fds->mounts, inode->mount);
}

void inode_fds_init(struct inode_fds *fds, enum fs_handles mode, uint32_t cells,
		    const struct safe_open *open, struct fd_budget *budget)
{
	memset(fds->shards, 0, sizeof(fds->shards));
	for (unsigned int i = 0; i < FD_SHARDS; i++)
		pthread_mutex_init(&fds->shards[i].lock, NULL);
	mount_table_init(&fds->mounts, mode, open);
	fds->cells = cells;
	fds->open = open;
	fds->budget = budget;
}

void inode_fds_fini(struct inode_fds *fds)
{
	for (unsigned int i = 0; i < FD_SHARDS; i++)
		pthread_mutex_destroy(&fds->shards[i].lock);
	mount_table_fini(&fds->mounts);
}
