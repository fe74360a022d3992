/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files opened, closed, flushed. One system call each; FLUSH none on a local
 * file system.
 *
 * Relies on the type recorded with the inode: only regular files
 * are opened. A device, FIFO or socket is -ENXIO, a link -ELOOP, a directory
 * -EISDIR, which are open(2)'s own words; a guest opens those by itself, so
 * only a hostile one asks. Never passes on an open flag it does not know.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/fs/fs_private.h"

/* What may reach the host's open(2) beside the access mode. */
#define PASSED_FLAGS (O_TRUNC | O_SYNC | O_DSYNC)

int fs_check_regular(const struct inode *inode)
{
	switch (inode->type) {
	case S_IFREG:
		return 0;
	case S_IFDIR:
		return -EISDIR;
	case S_IFLNK:
		return -ELOOP;
	default:
		return -ENXIO;
	}
}

int fs_open_flags(const struct fs *fs, uint32_t flags, bool *append)
{
	int mode = (int)(flags & O_ACCMODE);
	int passed = (int)(flags & PASSED_FLAGS);

	if (mode == O_ACCMODE)
		return -EINVAL;
	if (mode != O_RDONLY || (flags & O_TRUNC)) {
		int err = fs_check_writable(fs);

		if (err)
			return err;
	}
	if (fs->config.preserve_noatime)
		passed |= (int)(flags & O_NOATIME);
	/* A guest that caches writes reads the rest of a page first, and knows the end itself. */
	if (fs->config.writeback && mode == O_WRONLY)
		mode = O_RDWR;
	*append = (flags & O_APPEND) && !fs->config.writeback;
	return mode | passed;
}

/*
 * An appending handle is opened without O_APPEND: writes ask for it one by one
 * (RWF_APPEND), so that a page the guest's mapping made dirty goes to its own
 * place. A file with the append-only attribute insists on it, though. And
 * O_NOATIME is only a wish.
 */
static int open_with_fallbacks(struct inode *inode, int flags, struct handle_parts *parts)
{
	int fd = inode_fd_open(inode, flags);

	if (fd == -EPERM && (flags & O_NOATIME)) {
		flags &= ~O_NOATIME;
		fd = inode_fd_open(inode, flags);
	}
	if (fd == -EPERM && parts->append) {
		parts->only_appends = true;
		fd = inode_fd_open(inode, flags | O_APPEND);
	}
	return fd;
}

/* The file is about to lose all it has: who must know, and what must go with it. */
static int prepare_cut(struct fs *fs, struct inode *inode)
{
	struct inode_fd held = INODE_FD_NONE;
	int err = fs_watch_cut(fs, inode, 0);

	if (!err && fs->capability[0]) {
		err = inode_fd_get(inode, &held);
		if (!err)
			err = fs_drop_capability(fs, inode, held.fd, false);
		inode_fd_put(&held);
	}
	return err;
}

/*
 * A guest's file may be O_DIRECT in one request and not in the next: fcntl(2)
 * says so, and what its kernel writes back from its page cache is of any size. So
 * an open file has a descriptor for its data that is not O_DIRECT, and one that is.
 */
static int open_direct(struct fs *fs, int fd)
{
	int flags = fcntl(fd, F_GETFL) & (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME | O_APPEND);
	int direct;

	if (!fd_budget_take(&fs->budget))
		return -ENFILE;
	direct = safe_open_again(&fs->open, fd, flags | O_DIRECT);
	if (direct < 0)
		fd_budget_give(&fs->budget);
	return direct;
}

/* Whether an open for O_DIRECT that failed may be tried again. */
static int no_direct(int err)
{
	return err == -ENFILE ? HANDLE_NO_DIRECT : HANDLE_NEVER_DIRECT;
}

int fs_data_fd(struct fs *fs, struct handle *open, bool direct)
{
	int fd, known = HANDLE_NO_DIRECT;

	if (!direct || !fs->config.allow_direct_io)
		return open->fd;
	/* Acquire pairs with the exchange below: the descriptor is open. */
	fd = __atomic_load_n(&open->direct_fd, __ATOMIC_ACQUIRE);
	if (fd != HANDLE_NO_DIRECT)
		return fd >= 0 ? fd : open->fd;
	fd = open_direct(fs, open->fd);
	if (fd < 0)
		fd = no_direct(fd);
	if (__atomic_compare_exchange_n(&open->direct_fd, &known, fd, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return fd >= 0 ? fd : open->fd;
	/* Another request was quicker. */
	fs_close_direct(fs, &fd);
	return known >= 0 ? known : open->fd;
}

void fs_close_direct(struct fs *fs, int *direct_fd)
{
	if (*direct_fd >= 0) {
		close(*direct_fd);
		fd_budget_give(&fs->budget);
	}
	*direct_fd = HANDLE_NO_DIRECT;
}

int fs_open_direct(struct fs *fs, int fd, uint32_t flags, int *direct_fd)
{
	*direct_fd = HANDLE_NO_DIRECT;
	if (!(flags & O_DIRECT) || !fs->config.allow_direct_io)
		return 0;
	*direct_fd = open_direct(fs, fd);
	if (*direct_fd == -EINVAL)
		return -EINVAL;
	/* A new file's mode may be in the way of a second open. Without O_DIRECT its data is right, too. */
	if (*direct_fd < 0)
		*direct_fd = no_direct(*direct_fd);
	return 0;
}

/* Nothing is cut where O_DIRECT cannot be had: open(2) sees to that first. */
static int probe_direct(const struct fs *fs, struct inode *inode, uint32_t flags, int host_flags)
{
	cleanup_close int fd = -1;

	if (!(flags & O_DIRECT) || !(flags & O_TRUNC) || !fs->config.allow_direct_io)
		return 0;
	fd = inode_fd_open(inode, (host_flags & ~O_TRUNC) | O_DIRECT);
	return fd == -EINVAL ? -EINVAL : 0;
}

int fs_open_inode(struct fs *fs, const struct fs_caller *caller, struct inode *inode,
		  uint32_t flags, uint64_t *handle)
{
	int host_flags, direct_fd, err = fs_check_regular(inode);
	struct handle_parts parts = {
		.inode = inode, .direct_fd = &direct_fd, .uid = caller->uid, .gid = caller->gid,
	};
	cleanup_creds struct creds as = CREDS_NONE;
	cleanup_close int fd = -1;

	if (err)
		return err;
	host_flags = fs_open_flags(fs, flags, &parts.append);
	if (host_flags < 0)
		return host_flags;
	parts.reader = (host_flags & O_ACCMODE) == O_RDONLY;
	err = probe_direct(fs, inode, flags, host_flags);
	if (!err && host_flags & O_TRUNC)
		err = prepare_cut(fs, inode);
	if (!err && host_flags & O_TRUNC)
		err = fs_act_as(fs, inode, caller, flags & FS_OPEN_KILL_SUIDGID ? CREDS_SETID_LOSE :
				CREDS_SETID_KEEP, &as);
	if (err)
		return err;
	fd = open_with_fallbacks(inode, host_flags, &parts);
	if (fd < 0)
		return fd;
	err = fs_open_direct(fs, fd, flags, &direct_fd);
	if (err)
		return err;
	parts.fd = fd;
	err = fs_handle_add(fs, &parts, handle);
	if (err)
		fs_close_direct(fs, &direct_fd);
	else
		take_fd(&fd);
	return err;
}

int fs_open(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint32_t flags,
	    uint64_t *handle)
{
	cleanup_inode struct inode *inode = NULL;
	int err = fs_node_get(fs, node, &inode);

	return err ? err : fs_open_inode(fs, caller, inode, flags, handle);
}

static int let_go(struct fs *fs, struct handle *open, uint64_t handle)
{
	/* A wait for a lock would keep the file open. */
	if (__atomic_load_n(&fs->waits.reserved, __ATOMIC_RELAXED))
		lock_waits_cancel(&fs->waits, LOCK_WAIT_HANDLE,
				  &(struct lock_wait_keys){ .handle = handle });
	/* While the handle is ours: its place may be another's afterwards. */
	if (__atomic_load_n(&fs->locks.count, __ATOMIC_RELAXED))
		lock_table_drop_handle(&fs->locks, open);
	room_expected(&fs->room);
	return handle_table_release(&fs->handles, handle, HANDLE_FILE);
}

int fs_release(struct fs *fs, uint64_t handle)
{
	cleanup_handle struct handle *open = NULL;
	int err = fs_handle_get(fs, handle, HANDLE_FILE, &open);

	return err ? err : let_go(fs, open, handle);
}

int fs_release_soon(struct fs *fs, uint64_t handle)
{
	enum fs_patience patience = patience_swap(FS_PATIENCE_NONE);
	struct handle *open = handle_table_get(&fs->handles, handle, HANDLE_FILE);
	int err = open ? let_go(fs, open, handle) : -EBADF;

	handle_put(open);
	patience_swap(patience);
	return err;
}

/*
 * close(2) in the guest. Its writes are already in the host's page cache; only
 * a network file system does more at a close, and says there what went wrong.
 */
int fs_flush(struct fs *fs, uint64_t handle)
{
	cleanup_handle struct handle *open = NULL;
	int fd, err = fs_handle_get(fs, handle, HANDLE_FILE, &open);

	if (err || !inode_has(open->inode, INODE_WAITS))
		return err;
	fd = fcntl(open->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	return close(fd) < 0 ? -errno : 0;
}

static int sync_handle(struct fs *fs, uint64_t fh, enum handle_kind kind, bool datasync)
{
	cleanup_handle struct handle *open = NULL;
	int err = fs_handle_get(fs, fh, kind, &open);

	if (err)
		return err;
	err = datasync ? fdatasync(open->fd) : fsync(open->fd);
	return err < 0 ? -errno : 0;
}

int fs_fsync(struct fs *fs, uint64_t handle, bool datasync)
{
	return sync_handle(fs, handle, HANDLE_FILE, datasync);
}

int fs_fsyncdir(struct fs *fs, uint64_t handle, bool datasync)
{
	return sync_handle(fs, handle, HANDLE_DIR, datasync);
}

int fs_syncfs(struct fs *fs, uint64_t node)
{
	cleanup_inode struct inode *inode = NULL;
	cleanup_close int fd = -1;
	struct inode *real;
	int err = fs_node_get(fs, node, &inode);

	if (err)
		return err;
	/* syncfs(2) wants a descriptor that was really opened, and we open no special file. */
	real = S_ISDIR(inode->type) || S_ISREG(inode->type) ? inode : fs->inodes.root;
	fd = inode_fd_open(real, O_RDONLY);
	if (fd < 0)
		return fd;
	return syncfs(fd) < 0 ? -errno : 0;
}
