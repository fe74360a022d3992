/* SPDX-License-Identifier: BSD-3-Clause */
/* Room on the disk that is on its way back; see room.h. */
#include "daemon/fs/room.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "common/clock.h"
#include "daemon/fs/inode_fd.h"
#include "daemon/fs/inode_table.h"

/* 105 ms in all, each wait longer than the last: casement.ko gathers FORGETs for 50 ms. */
#define TRIES 20u
#define STEP_NS 500000L
/* The first of them come before a sweep: most FORGETs are on their way already. */
#define TRIES_BEFORE_SWEEP 3u
/* A sweep asks for each known file; it may take this part of the time at most. */
#define SWEEP_REST 20

void room_expected(struct room *room)
{
	/* Many threads come by here: it is written only where somebody has used it up. */
	if (__atomic_load_n(&room->tries, __ATOMIC_RELAXED) != TRIES)
		__atomic_store_n(&room->tries, TRIES, __ATOMIC_RELAXED);
}

/* Take one of the tries that are left, but for `spare` ones, and wait for what it allows. */
static bool wait_a_little(struct room *room, uint32_t spare)
{
	uint32_t left = __atomic_load_n(&room->tries, __ATOMIC_RELAXED);

	do {
		if (left <= spare)
			return false;
	} while (!__atomic_compare_exchange_n(&room->tries, &left, left - 1, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	nanosleep(&(struct timespec){ .tv_nsec = (long)(TRIES + 1 - left) * STEP_NS }, NULL);
	return true;
}

/* A file without a name, whose room our descriptor alone may keep. Not of a server that may not answer. */
static bool is_removed(void *ctx, struct inode *inode)
{
	struct inode_fd at = INODE_FD_NONE;
	bool removed = false;
	struct statx stx;

	(void)ctx;
	if (!S_ISREG(inode->type) || inode_has(inode, INODE_WAITS))
		return false;
	if (!inode_fd_held(inode) || inode_fd_get(inode, &at))
		return false;
	if (!statx(at.fd, "", AT_EMPTY_PATH, STATX_NLINK | STATX_BLOCKS, &stx))
		removed = !stx.stx_nlink && stx.stx_blocks;
	inode_fd_put(&at);
	return removed;
}

/* One thread sweeps at a time, and none so soon after another. */
static bool sweep_due(struct room *room, uint64_t now)
{
	uint64_t at = __atomic_load_n(&room->sweep_at, __ATOMIC_RELAXED);

	return at <= now && __atomic_compare_exchange_n(&room->sweep_at, &at, UINT64_MAX, false,
							__ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static bool sweep(struct room *room, struct inode_table *inodes)
{
	const struct inode_pick removed = { .pick = is_removed };
	uint64_t begin = clock_ns(), end, dropped;
	uint32_t from = INODE_SLOT_FIRST;

	if (!sweep_due(room, begin))
		return false;
	dropped = inode_table_drop(inodes, &removed, &from, UINT64_MAX);
	end = clock_ns();
	__atomic_store_n(&room->sweep_at, end + (end - begin) * SWEEP_REST, __ATOMIC_RELAXED);
	return dropped;
}

bool room_wait(struct room *room, struct inode_table *inodes)
{
	return wait_a_little(room, TRIES - TRIES_BEFORE_SWEEP) || sweep(room, inodes) ||
	       wait_a_little(room, 0);
}
