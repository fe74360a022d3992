/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data. Bytes go straight between the file and the memory the cursor
 * describes: one system call for a usual READ or WRITE, no copy, no heap.
 *
 * Relies on the handle alone (the node in these requests is only a hint).
 * Never uses a descriptor's own position, but for SEEK_DATA and SEEK_HOLE,
 * which do not depend on it.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/checked.h"
#include "daemon/fs/fs_kind.h"
#include "daemon/fs/fs_private.h"

/* The kernel's limit for one call; a request of 1 MiB in pages has about 260. */
#define IOV_BATCH 1024
#define PAGE 4096
/* One call moves at most this much, whatever is asked. */
#define COPY_MAX (1ULL << 30)

/* Of linux/fs.h, for C libraries before it. */
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

/* Offset and length as the kernel takes them: off_t, with no wrap. -1 would mean "the position". */
static int check_range(uint64_t offset, uint64_t len)
{
	uint64_t end;

	if (!checked_add_u64(offset, len, &end) || end > INT64_MAX)
		return -EINVAL;
	return 0;
}

/*
 * A short read that does not end at a page boundary is the end of the file.
 * One that does may be, or a signal or a network file system cut it short:
 * then, and only then, another call asks.
 */
static bool may_be_cut_short(uint64_t end, size_t n, size_t asked)
{
	return n && (n == asked || end % PAGE == 0);
}

/*
 * Flags for a read that must not wait for a disk; -EAGAIN if it may. File systems
 * in memory do not know RWF_NOWAIT, and do not wait; others that do not know it do.
 */
static int nowait_flags(struct handle *open, bool direct)
{
	if (direct)
		return -EAGAIN;
	if (!__atomic_load_n(&open->no_nowait, __ATOMIC_RELAXED))
		return RWF_NOWAIT;
	return inode_fs_kind(open->inode) & FS_KIND_IN_MEMORY ? 0 : -EAGAIN;
}

ssize_t fs_read(struct fs *fs, uint64_t node, uint64_t handle, uint64_t offset, size_t size,
		struct iov_cursor *to, uint32_t how)
{
	bool direct = how & FS_READ_DIRECT && fs->config.allow_direct_io;
	cleanup_handle struct handle *open = NULL;
	struct iovec iov[IOV_BATCH];
	size_t done = 0, asked;
	int fd, flags = 0, err = fs_handle_get(fs, handle, HANDLE_FILE, &open);

	(void)node;
	size = MIN(size, to->left);
	if (!err)
		err = check_range(offset, size);
	if (!err && __atomic_load_n(&open->sample, __ATOMIC_RELAXED))
		fs_keep_from_here(fs, open);
	if (!err && how & FS_READ_NOWAIT)
		err = flags = nowait_flags(open, direct);
	if (err < 0)
		return err;
	fd = fs_data_fd(fs, open, direct);
	while (done < size) {
		unsigned int segs = iov_cursor_peek(to, size - done, iov, IOV_BATCH, &asked);
		ssize_t n = preadv2(fd, iov, (int)segs, (off_t)(offset + done), flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && flags && errno == EOPNOTSUPP) {
			__atomic_store_n(&open->no_nowait, true, __ATOMIC_RELAXED);
			flags = nowait_flags(open, direct);
			if (flags < 0)
				return flags;
			continue;
		}
		if (n < 0 && flags && errno == EAGAIN)
			return -EAGAIN;
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		iov_cursor_skip(to, (size_t)n);
		done += (size_t)n;
		if (!may_be_cut_short(offset + done, (size_t)n, asked))
			break;
	}
	return (ssize_t)done;
}

/* All of it, or what went before the first error; or, with `whole`, that error. */
static ssize_t write_all(struct fs *fs, int fd, uint64_t offset, size_t size, struct iov_cursor *from, int flags,
			 bool whole)
{
	struct iovec iov[IOV_BATCH];
	size_t done = 0;

	while (done < size) {
		unsigned int segs = iov_cursor_peek(from, size - done, iov, IOV_BATCH, NULL);
		ssize_t n = pwritev2(fd, iov, (int)segs, (off_t)(offset + done), flags);

		if (n < 0 && (errno == EINTR || fs_wait_for_room(fs, -errno)))
			continue;
		if (n < 0 && (whole || !done))
			return -errno;
		if (n <= 0)
			break;
		iov_cursor_skip(from, (size_t)n);
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/*
 * The window learns how long the file is; after an append only the file itself
 * knows. A write is done again when its queue was stopped meanwhile (-EINTR),
 * but an append must not be: it was made, and the window hears of it next time.
 */
static int announce_written(struct fs *fs, const struct handle *open, uint64_t end, bool appended)
{
	struct statx stx;
	int err = 0;

	if (!fs_is_mapped(fs, open->inode))
		return 0;
	if (appended) {
		err = fs_stat_fd(open->fd, &stx);
		end = stx.stx_size;
	}
	if (!err)
		err = fs_watch_size(fs, open->inode, end);
	return appended ? 0 : err;
}

static enum creds_setid setid_of(bool kill)
{
	return kill ? CREDS_SETID_LOSE : CREDS_SETID_KEEP;
}

/* Who writes: what a page cache gathered is written for who opened the file. */
static int write_as(const struct fs *fs, const struct handle *open, const struct fs_write *how,
		    struct creds *as)
{
	const struct fs_caller opener = { .uid = open->uid, .gid = open->gid };

	return fs_act_as(fs, open->inode, how->caller ? how->caller : &opener,
			 setid_of(how->kill_suidgid), as);
}

/*
 * To the file's end, or to its place. A descriptor that is O_APPEND since its file only may be appended to
 * needs a word for that, which is refused as long as the file has the attribute.
 */
static ssize_t write_there(struct fs *fs, struct handle *open, bool append, uint64_t offset, size_t size,
			   struct iov_cursor *from, const struct fs_write *how)
{
	int flags = append ? RWF_APPEND : open->only_appends ? RWF_NOAPPEND : 0;
	ssize_t n = write_all(fs, fs_data_fd(fs, open, how->direct), offset, size, from, flags, !how->caller);

	/* A host before Linux 6.9 has no such word. */
	return n == -EOPNOTSUPP && flags == RWF_NOAPPEND ? -EPERM : n;
}

ssize_t fs_write(struct fs *fs, uint64_t node, uint64_t handle, uint64_t offset, size_t size,
		 struct iov_cursor *from, const struct fs_write *how)
{
	cleanup_handle struct handle *open = NULL;
	cleanup_creds struct creds as = CREDS_NONE;
	bool append;
	ssize_t n;
	int err = fs_check_writable(fs);

	(void)node;
	if (!err)
		err = fs_handle_get(fs, handle, HANDLE_FILE, &open);
	if (!err)
		err = check_range(offset, size);
	if (!err && size > from->left)
		err = -EINVAL;
	if (!err)
		err = fs_drop_capability(fs, open->inode, open->fd, true);
	if (!err)
		err = write_as(fs, open, how, &as);
	if (err)
		return err;
	append = how->place == FS_PLACE_END || (how->place == FS_PLACE_OPENED && open->append);
	/* Past the end, it leaves a hole before it. */
	err = append ? 0 : fs_watch_growth(fs, open->inode, offset);
	if (err)
		return err;
	n = write_there(fs, open, append, offset, size, from, how);
	if (n > 0)
		err = announce_written(fs, open, offset + (uint64_t)n, append);
	else if (n < 0 && !how->caller)
		/* Some of it may be there. */
		announce_written(fs, open, 0, true);
	return err ? err : n;
}

/*
 * What a Linux guest can send. Collapsing and inserting move data under
 * mappings, so they are not taken even from those who could.
 */
static bool fallocate_mode_known(uint32_t mode)
{
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		return true;
	default:
		return false;
	}
}

int fs_fallocate(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint64_t handle,
		 uint32_t mode, uint64_t offset, uint64_t len)
{
	cleanup_handle struct handle *open = NULL;
	cleanup_creds struct creds as = CREDS_NONE;
	bool kill_suidgid = mode & FS_FALLOCATE_KILL_SUIDGID;
	int err = fs_check_writable(fs);

	(void)node;
	mode &= ~FS_FALLOCATE_KILL_SUIDGID;
	if (!err)
		err = fs_handle_get(fs, handle, HANDLE_FILE, &open);
	if (!err)
		err = check_range(offset, len);
	if (!err && !fallocate_mode_known(mode))
		err = -EOPNOTSUPP;
	if (err)
		return err;
	/* A store into a hole on a full disk kills the machine: no holes below a writable mapping. */
	if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) &&
	    fs_watch_writable(fs, open->inode, offset, len))
		return -EOPNOTSUPP;
	err = fs_drop_capability(fs, open->inode, open->fd, true);
	if (!err)
		err = fs_act_as(fs, open->inode, caller, setid_of(kill_suidgid), &as);
	if (!err && !(mode & FALLOC_FL_KEEP_SIZE))
		err = fs_watch_growth(fs, open->inode, offset);
	if (err)
		return err;
	if (fallocate(open->fd, (int)mode, (off_t)offset, (off_t)len) < 0)
		return -errno;
	if (mode & FALLOC_FL_KEEP_SIZE)
		return 0;
	return fs_watch_size(fs, open->inode, offset + len);
}

int64_t fs_lseek(struct fs *fs, uint64_t handle, uint64_t offset, uint32_t whence)
{
	cleanup_handle struct handle *open = NULL;
	off_t at;
	int err = fs_handle_get(fs, handle, HANDLE_FILE, &open);

	if (!err && whence != SEEK_DATA && whence != SEEK_HOLE)
		err = -EINVAL;
	if (!err && offset > INT64_MAX)
		err = -ENXIO;
	if (err)
		return err;
	at = lseek(open->fd, (off_t)offset, (int)whence);
	if (at == -1)
		return -errno;
	/* tmpfs counts past the end of the number line, and sets no errno for it. */
	return at < 0 ? -EOVERFLOW : at;
}

ssize_t fs_copy_file_range(struct fs *fs, const struct fs_caller *caller, uint64_t handle_in,
			   uint64_t off_in, uint64_t node_out, uint64_t handle_out,
			   uint64_t off_out, uint64_t len, uint64_t flags)
{
	cleanup_handle struct handle *in = NULL;
	cleanup_handle struct handle *out = NULL;
	cleanup_creds struct creds as = CREDS_NONE;
	off_t from = (off_t)off_in, to = (off_t)off_out;
	ssize_t n;
	int err = fs_check_writable(fs);

	(void)node_out;
	len = MIN(len, COPY_MAX);
	if (!err && flags & ~FS_COPY_KILL_SUIDGID)
		err = -EINVAL;
	if (!err)
		err = fs_handle_get(fs, handle_in, HANDLE_FILE, &in);
	if (!err)
		err = fs_handle_get(fs, handle_out, HANDLE_FILE, &out);
	if (!err)
		err = check_range(off_in, len);
	if (!err)
		err = check_range(off_out, len);
	if (err)
		return err;
	/* Shared blocks are copied at the next store, for which a full disk has no room. */
	if (fs_watch_writable(fs, in->inode, off_in, len) ||
	    fs_watch_writable(fs, out->inode, off_out, len))
		return -EOPNOTSUPP;
	err = fs_drop_capability(fs, out->inode, out->fd, true);
	if (!err)
		err = fs_act_as(fs, out->inode, caller, setid_of(flags & FS_COPY_KILL_SUIDGID), &as);
	if (!err)
		err = fs_watch_growth(fs, out->inode, off_out);
	if (err)
		return err;
	n = copy_file_range(in->fd, &from, out->fd, &to, len, 0);
	if (n < 0)
		return -errno;
	err = fs_watch_size(fs, out->inode, off_out + (uint64_t)n);
	return err ? err : n;
}
