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

#include "common/clock.h"
#include "daemon/fs/fs_private.h"
#include "daemon/fs/patience.h"

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
	if (stay) {
		__atomic_store_n(&inode->stay, stay - 1, __ATOMIC_RELAXED);
		return false;
	}
	/* To close a file of another machine's may wait for that. */
	if (inode_has(inode, INODE_WAITS) && !patience_is_endless())
		return false;
	return inode_fd_is_own(inode) && !fs_is_mapped(search->fs, inode) &&
	       (search->links || !has_names(inode));
}

/*
 * From the hand to the last slot, and from the first one until nothing is passed over any more; then, if
 * there was nothing, files with several names.
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
