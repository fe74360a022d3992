/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors of files that are not used; see reclaim.h. The choice is CLOCK's: a
 * hand goes round all slots and lets go of what it finds until there is room, but
 * passes over twice what was looked up by name, so that it is there when it is
 * opened, and once more what was looked up again.
 */
#include "daemon/fs/reclaim.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/checked.h"
#include "common/clock.h"
#include "daemon/fs/fs_kind.h"
#include "daemon/fs/fs_private.h"
#include "daemon/fs/patience.h"

#define DIRS_MAX 4096u	/* that one search makes rest: each takes four system calls */
#define SHARE 16u	/* one search lets go of a sixteenth of the budget, so that few look-ups start one */
/* After a search that found no file the next one waits 20 times as long as that took: it uses a twentieth of a processor. */
#define REST_FACTOR 20

/* By another of its names the guest would go on to see the attributes that the old id had. */
static bool has_names(struct inode *inode)
{
	struct inode_fd at;
	struct statx stx;
	bool several;

	if (inode_fd_get(inode, &at))
		return true;
	several = statx(at.fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK, &stx) || stx.stx_nlink > 1;
	inode_fd_put(&at);
	return several;
}

struct search {
	const struct fs *fs;
	bool links;	/* files with several names, too */
};

static bool is_spare(void *ctx, struct inode *inode)
{
	const struct search *search = ctx;
	uint8_t stay;

	if (!S_ISREG(inode->type) && !S_ISLNK(inode->type))
		return false;
	stay = __atomic_load_n(&inode->stay, __ATOMIC_RELAXED);
	if (stay & ~INODE_STAY_LINKED) {
		__atomic_store_n(&inode->stay, stay - 1, __ATOMIC_RELAXED);
		return false;
	}
	/* To close a file of another machine's may wait for that. */
	if (inode_has(inode, INODE_WAITS) && !patience_is_endless())
		return false;
	if (!inode_fd_is_own(inode) || fs_is_mapped(search->fs, inode))
		return false;
	if (search->links)
		return true;
	if (stay & INODE_STAY_LINKED)
		return false;
	if (!has_names(inode))
		return true;
	__atomic_store_n(&inode->stay, INODE_STAY_LINKED, __ATOMIC_RELAXED);
	return false;
}

/*
 * One that is found again: on the share's own file system, where that keeps inode numbers and births. Others
 * may give a directory a number anew that nobody has open.
 */
static bool may_rest(const struct fs *fs, const struct inode *inode)
{
	const struct inode *root = fs->inodes.root;

	return S_ISDIR(inode->type) && inode->born && !inode_has(inode, INODE_WAITS | INODE_ELSEWHERE) &&
	       inode_fs_kind(inode) & (FS_KIND_TELLS_CHANGES | FS_KIND_IN_MEMORY) &&
	       inode->key.mount == root->key.mount && inode->key.device == root->key.device;
}

/* Once round at most. How many rest now that did not. */
static uint64_t rest_dirs(struct fs *fs, uint64_t most)
{
	uint32_t hand = __atomic_load_n(&fs->reclaim.dir_hand, __ATOMIC_RELAXED), last = hand;
	struct inode_table *table = &fs->inodes;
	uint64_t id, rested = 0;

	/* Where there are handles, they lead to it. */
	if (fs->config.handles != FS_HANDLES_NEVER)
		return 0;
	for (int round = 0; round < 2 && rested < most; round++) {
		if (round || hand < INODE_SLOT_FIRST)
			hand = INODE_SLOT_FIRST;
		for (; rested < most && (id = inode_slab_next(&table->slab, &hand)) && (!round || hand < last); hand++) {
			cleanup_inode struct inode *inode = inode_table_get(table, id);

			if (inode && may_rest(fs, inode) && inode_name_rest(table, inode))
				rested++;
		}
	}
	__atomic_store_n(&fs->reclaim.dir_hand, hand, __ATOMIC_RELAXED);
	if (rested)
		__atomic_store_n(&fs->reclaim.dirs, true, __ATOMIC_RELAXED);
	return rested;
}

bool reclaim_made_dirs_rest(const struct fs *fs)
{
	return __atomic_load_n(&fs->reclaim.dirs, __ATOMIC_RELAXED);
}

/*
 * From the hand to the last slot, and once from the first one; then directories; then from the first one until
 * nothing is passed over any more; then, if there was nothing, files with several names.
 */
static uint64_t go_round(struct fs *fs, uint64_t most)
{
	struct search search = { .fs = fs };
	const struct inode_pick spare = { .pick = is_spare, .ctx = &search };
	uint32_t hand = __atomic_load_n(&fs->reclaim.hand, __ATOMIC_RELAXED);
	uint64_t dropped = 0;

	if (hand < INODE_SLOT_FIRST)
		hand = INODE_SLOT_FIRST;
	for (int round = 0; round < 3 + INODE_STAY_MAX; round++) {
		if (round == 2)
			dropped += rest_dirs(fs, MIN(most - dropped, DIRS_MAX));
		if (round >= 2 && dropped >= MIN(most, DIRS_MAX))
			break;
		search.links = round == 2 + INODE_STAY_MAX;
		if (search.links && (dropped || fs->config.links_stay))
			break;
		dropped += inode_table_drop(&fs->inodes, &spare, &hand, most - dropped);
		if (dropped >= most)
			break;
		hand = INODE_SLOT_FIRST;
	}
	__atomic_store_n(&fs->reclaim.hand, hand, __ATOMIC_RELAXED);
	return dropped;
}

static uint64_t used(const struct fs *fs)
{
	return __atomic_load_n(&fs->budget.used, __ATOMIC_RELAXED);
}

bool reclaim_files(void *ctx)
{
	struct fs *fs = ctx;
	uint64_t begin = clock_ns(), before = used(fs), end, dropped;

	if (begin < __atomic_load_n(&fs->reclaim.rest, __ATOMIC_RELAXED))
		return false;
	if (!__atomic_exchange_n(&fs->reclaim.said, true, __ATOMIC_RELAXED))
		log_info("the guest knows as many files as may be open (%llu, ulimit -n): those that it does not "
			 "use are let go from here on", (unsigned long long)fs->budget.limit);
	dropped = go_round(fs, fs->budget.limit / SHARE + 1);
	/* Another thread may have been quicker, and left us nothing. */
	if (dropped || used(fs) < before)
		return true;
	end = clock_ns();
	__atomic_store_n(&fs->reclaim.rest, end + (end - begin) * REST_FACTOR, __ATOMIC_RELAXED);
	return false;
}
