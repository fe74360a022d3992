/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest that opens a file may believe of it: that its size tells what it
 * holds, which is so but for files that are made as they are read; and that the
 * pages it has of it are still good. They are if nothing has changed the file
 * since before the first of them was read.
 *
 * Each OPEN that is not told so empties the guest's cache. It samples the
 * file's ctime, and the first READ through its handle, which shows that the
 * cache was emptied, puts the sample on record: every page the guest has from
 * here on was read later. An OPEN that finds this very ctime again is told to
 * keep them. So a record may be older than need be, never younger.
 *
 * That works where any change makes another ctime. It does not when
 *  - the clock that ctime is taken from has not moved on yet: a sample must be
 *    older than its grain;
 *  - somebody writes just now, or has pages mapped that he has stored into,
 *    which he may do again without a trace: nobody may have it open for writing
 *    while it is sampled. fcntl(2) gives a read lease only then. It is given
 *    back at once; who would write meanwhile waits for these microseconds.
 *  - the file system is not known for it (FS_KIND_TELLS_CHANGES): it is another
 *    machine's clock, and another machine's writers; or a store through a mapping
 *    changes no time, as on tmpfs.
 * Then there is no sample, and the next OPEN empties the cache, too.
 *
 * System calls: 1 in an OPEN to read, none in one to write a file that is not on
 * record, 2 more for a sample.
 */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/fs/fs_kind.h"
#include "daemon/fs/fs_private.h"

#define NS_PER_S 1000000000ULL
/* The kernel's tick is 10 ms at most; some file systems count in 10 ms, or in 1 or 2 s. */
#define GRAIN_NS (100 * 1000000ULL)
#define COARSE_GRAIN_NS (3 * NS_PER_S)

static uint64_t ns_of(int64_t sec, uint32_t nsec)
{
	return (uint64_t)sec * NS_PER_S + nsec;
}

/* True when any change from now on has another ctime than `stx`. */
static bool is_settled(const struct statx *stx)
{
	uint64_t grain = stx->stx_ctime.tv_nsec ? GRAIN_NS : COARSE_GRAIN_NS;
	uint64_t changed = ns_of(stx->stx_ctime.tv_sec, stx->stx_ctime.tv_nsec);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return stx->stx_ctime.tv_sec > 0 && changed + grain < ns_of(now.tv_sec, (uint32_t)now.tv_nsec);
}

/* True when nobody has the file open for writing. False where that cannot be asked. */
static bool has_no_writer(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return false;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

/* The sample for this handle's first READ to put on record, or 0. */
static uint64_t take_sample(const struct statx *stx, const struct handle *open)
{
	if (!is_settled(stx) || !(fs_kind_of(open) & FS_KIND_TELLS_CHANGES))
		return 0;
	/* Only after the attributes were read: what a writer did before he left is in no page yet. */
	if (!has_no_writer(open->fd))
		return 0;
	return ns_of(stx->stx_ctime.tv_sec, stx->stx_ctime.tv_nsec);
}

bool fs_may_keep(struct fs *fs, uint64_t fh)
{
	cleanup_handle struct handle *open = NULL;
	struct statx stx;
	uint64_t on_record;

	if (fs_handle_get(fs, fh, HANDLE_FILE, &open))
		return false;
	on_record = kept_table_get(&fs->kept, inode_id(open->inode));
	/* Who opens for writing is a writer himself: there is nothing to sample. */
	if ((!on_record && !open->reader) || fs_stat_fd(open->fd, &stx))
		return false;
	if (on_record && on_record == ns_of(stx.stx_ctime.tv_sec, stx.stx_ctime.tv_nsec))
		return true;
	if (open->reader)
		__atomic_store_n(&open->sample, take_sample(&stx, open), __ATOMIC_RELAXED);
	return false;
}

/*
 * True when the file does not end where its size says. Made-up files are empty,
 * or small: of others the end is not fetched, perhaps from far away. And of those
 * that are not empty only a guest that writes back takes a wrong end for good.
 */
#define MADE_UP_MAX 65536

static bool ends_elsewhere(const struct fs *fs, int fd)
{
	char bytes[2];
	struct statx stx;
	ssize_t n;

	if (fs_stat_fd(fd, &stx) || stx.stx_size > (fs->config.writeback ? MADE_UP_MAX : 0))
		return false;
	n = pread(fd, bytes, sizeof(bytes), stx.stx_size ? (off_t)stx.stx_size - 1 : 0);
	return n >= 0 && n != (stx.stx_size > 0);
}

bool fs_size_tells(struct fs *fs, uint64_t fh)
{
	cleanup_handle struct handle *open = NULL;
	uint8_t kind;

	if (fs_handle_get(fs, fh, HANDLE_FILE, &open))
		return true;
	kind = fs_kind_of(open);
	if (kind & FS_KIND_MADE_UP)
		return false;
	return !(kind & FS_KIND_MAY_MAKE_UP) || !ends_elsewhere(fs, open->fd);
}

void fs_keep_from_here(struct fs *fs, struct handle *open)
{
	uint64_t sample = __atomic_exchange_n(&open->sample, 0, __ATOMIC_RELAXED);

	if (sample)
		kept_table_put(&fs->kept, inode_id(open->inode), sample);
}
