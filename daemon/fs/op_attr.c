/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes. One system call to read them; to set them, one for each kind
 * that changes and one to read the result.
 *
 * Relies on the guest's kernel for permissions (default_permissions) and on
 * the window's watch, which hears of a cut before it is made. Never follows a
 * symbolic link and never opens anything but a regular file.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/fs/fs_private.h"

/* What is changed: through the guest's handle where it gave one, else through the inode. */
struct target {
	struct inode *inode;	/* borrowed */
	struct handle *handle;	/* borrowed, or NULL */
	const struct fs_caller *caller;
	int fd;			/* of either; borrowed */
};

int fs_stat_fd_cached(int fd, bool as_cached, struct statx *stx)
{
	int flags = AT_EMPTY_PATH | (as_cached ? AT_STATX_DONT_SYNC : 0);

	if (statx(fd, "", flags, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, stx) < 0)
		return -errno;
	return 0;
}

int fs_stat_fd(int fd, struct statx *stx)
{
	return fs_stat_fd_cached(fd, false, stx);
}

int fs_attr_complete(struct fs *fs, struct inode *inode, struct fs_attr *attr, bool in_use)
{
	attr->submount = false;
	attr->number = fs_number_of(fs, inode->key.device, attr->stx.stx_ino);
	attr->number.foreign = !S_ISDIR(inode->type) && inode_has(inode, INODE_ELSEWHERE);
	attr->dax = fs_dax_offered(fs, inode, &attr->stx, in_use);
	return fs_watch_size(fs, inode, attr->stx.stx_size);
}

int fs_getattr(struct fs *fs, uint64_t node, uint64_t handle, struct fs_attr *attr)
{
	cleanup_handle struct handle *open = NULL;
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	int err;

	if (handle != FS_NO_HANDLE)
		err = fs_handle_get(fs, handle, HANDLE_ANY, &open);
	else
		err = fs_at_get(fs, node, &at);
	if (!err)
		err = fs_stat_fd(open ? open->fd : at.fd, &attr->stx);
	return err ? err : fs_attr_complete(fs, open ? open->inode : at.inode, attr, open);
}

/* A range that the window maps must not lose its pages without being told, nor get holes that have no room. */
static int announce_size(struct fs *fs, const struct target *t, uint64_t size)
{
	struct statx stx;
	int err;

	if (!fs_is_mapped(fs, t->inode))
		return 0;
	err = fs_stat_fd(t->fd, &stx);
	if (err)
		return err;
	return size < stx.stx_size ? fs_watch_cut(fs, t->inode, size) : fs_watch_growth(fs, t->inode, size);
}

static enum creds_setid setid_of_size(const struct fs_setattr *set)
{
	return set->valid & FS_SET_KILL_SUIDGID ? CREDS_SETID_LOSE : CREDS_SETID_KEEP;
}

/*
 * As the guest's program said it: ftruncate(2) sets the times of a file whose size stays
 * what it is, truncate(2) of some file systems does not.
 */
static int cut(const struct target *t, uint64_t size)
{
	int rc = t->handle ? ftruncate(t->fd, (off_t)size) :
			     truncate(safe_open_name(t->fd).text, (off_t)size);

	return rc < 0 ? -errno : 0;
}

/* truncate(2) waits for who has a lease on the file, and cannot be told not to: open(2) can. */
static int ask_for_lease(const struct target *t)
{
	int fd = t->handle || patience_is_endless() ? -1 : inode_fd_open(t->inode, O_WRONLY);

	if (fd >= 0)
		close(fd);
	return fd == FS_WAITS_OTHERS ? fd : 0;
}

static int set_size(struct fs *fs, const struct target *t, const struct fs_setattr *set)
{
	cleanup_creds struct creds as = CREDS_NONE;
	int err = fs_check_regular(t->inode);

	if (!err && set->size > INT64_MAX)
		err = -EINVAL;
	if (!err)
		err = ask_for_lease(t);
	if (!err)
		err = announce_size(fs, t, set->size);
	if (!err)
		err = fs_drop_capability(fs, t->inode, t->fd, t->handle);
	if (!err)
		err = fs_act_as(fs, t->inode, t->caller, setid_of_size(set), &as);
	if (!err)
		err = cut(t, set->size);
	return err ? err : fs_watch_size(fs, t->inode, set->size);
}

/*
 * The host's kernel takes set-id bits at a change of owner, but that of a group that the
 * caller is in. Root, or a guest that has decided on the bits by itself, keeps that.
 */
static enum creds_setid setid_of_owner(const struct target *t, const struct fs_setattr *set)
{
	bool lose = set->valid & FS_SET_KILL_SUIDGID && t->caller->uid != 0;

	return lose ? CREDS_SETID_LOSE : CREDS_SETID_KEEP;
}

static int set_owner(const struct fs *fs, const struct target *t, const struct fs_setattr *set)
{
	cleanup_creds struct creds as = CREDS_NONE;
	uid_t uid = set->valid & FS_SET_UID ? set->uid : (uid_t)-1;
	gid_t gid = set->valid & FS_SET_GID ? set->gid : (gid_t)-1;
	int err = fs_drop_capability(fs, t->inode, t->fd, t->handle);

	if (!err)
		err = fs_act_as(fs, t->inode, t->caller, setid_of_owner(t, set), &as);
	if (err)
		return err;
	if (fchownat(t->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int set_mode(struct fs *fs, const struct target *t, const struct fs_setattr *set)
{
	cleanup_creds struct creds as = CREDS_NONE;
	mode_t mode = set->mode & 07777;
	struct fd_name name;
	int err;

	/* Through /proc the link itself would be changed, where a file system lets it. */
	if (S_ISLNK(t->inode->type))
		return -EOPNOTSUPP;
	/* Which groups the caller is in, only the guest's kernel knows: it has decided. */
	err = fs_act_as(fs, t->inode, t->caller, mode & S_ISGID ? CREDS_SETID_KEEP : CREDS_SETID_ANY,
			&as);
	if (err)
		return err;
	if (t->handle)
		return fchmod(t->handle->fd, mode) < 0 ? -errno : 0;
	name = safe_open_name(t->fd);
	return fchmodat(fs->open.proc_fd, name.text, mode, 0) < 0 ? -errno : 0;
}

static struct timespec time_of(uint32_t valid, uint32_t given, uint32_t now,
			       const struct timespec *value)
{
	if (valid & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (valid & given)
		return *value;
	return (struct timespec){ .tv_nsec = UTIME_OMIT };
}

static int set_times(struct fs *fs, const struct target *t, const struct fs_setattr *set)
{
	struct timespec times[2] = {
		time_of(set->valid, FS_SET_ATIME, FS_SET_ATIME_NOW, &set->atime),
		time_of(set->valid, FS_SET_MTIME, FS_SET_MTIME_NOW, &set->mtime),
	};
	cleanup_creds struct creds as = CREDS_NONE;
	struct fd_name name;
	int err = fs_act_as(fs, t->inode, t->caller, CREDS_SETID_ANY, &as);

	if (err)
		return err;
	if (t->handle)
		return futimens(t->handle->fd, times) < 0 ? -errno : 0;
	name = safe_open_name(t->fd);
	return utimensat(fs->open.proc_fd, name.text, times, 0) < 0 ? -errno : 0;
}

/*
 * In an order in which no step undoes another: a changed size or owner strips
 * set-id bits, so the mode comes after; all of them move times, which come last.
 */
static int set_all(struct fs *fs, const struct target *t, const struct fs_setattr *set)
{
	const uint32_t times = FS_SET_ATIME | FS_SET_MTIME | FS_SET_ATIME_NOW | FS_SET_MTIME_NOW;
	int err = 0;

	if (set->valid & FS_SET_SIZE)
		err = set_size(fs, t, set);
	if (!err && (set->valid & (FS_SET_UID | FS_SET_GID)))
		err = set_owner(fs, t, set);
	if (!err && (set->valid & FS_SET_MODE))
		err = set_mode(fs, t, set);
	if (!err && (set->valid & times))
		err = set_times(fs, t, set);
	return err;
}

int fs_setattr(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint64_t handle,
	       const struct fs_setattr *set, struct fs_attr *attr)
{
	cleanup_handle struct handle *open = NULL;
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	struct target target;
	int err = fs_check_writable(fs);

	if (err)
		return err;
	if (handle != FS_NO_HANDLE)
		err = fs_handle_get(fs, handle, HANDLE_ANY, &open);
	else
		err = fs_at_get(fs, node, &at);
	if (err)
		return err;
	target = (struct target){
		.inode = open ? open->inode : at.inode, .handle = open, .caller = caller,
		.fd = open ? open->fd : at.fd,
	};
	err = set_all(fs, &target, set);
	if (!err)
		err = fs_stat_fd(target.fd, &attr->stx);
	return err ? err : fs_attr_complete(fs, target.inode, attr, true);
}

int fs_statfs(struct fs *fs, uint64_t node, struct statvfs *st)
{
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	int err = fs_at_get(fs, node, &at);

	if (err)
		return err;
	return fstatvfs(at.fd, st) < 0 ? -errno : 0;
}

/* The three permission bits that apply to the caller. Its other groups are not known here. */
static uint32_t granted_bits(const struct statx *stx, const struct fs_caller *caller)
{
	uint32_t shift = 0;

	if (caller->uid == 0) {
		bool run = S_ISDIR(stx->stx_mode) || (stx->stx_mode & 0111);

		return R_OK | W_OK | (run ? X_OK : 0);
	}
	if (caller->uid == stx->stx_uid)
		shift = 6;
	else if (caller->gid == stx->stx_gid)
		shift = 3;
	return (stx->stx_mode >> shift) & 7;
}

int fs_access(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint32_t mask)
{
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	struct statx stx;
	int err = fs_at_get(fs, node, &at);

	if (!err && (mask & ~(uint32_t)(R_OK | W_OK | X_OK)))
		err = -EINVAL;
	if (!err)
		err = fs_stat_fd(at.fd, &stx);
	if (err)
		return err;
	if (mask & ~granted_bits(&stx, caller))
		return -EACCES;
	/* Devices and FIFOs may be written on a read-only share: they are the guest's own. */
	if ((mask & W_OK) && (S_ISREG(at.inode->type) || S_ISDIR(at.inode->type)))
		return fs_check_writable(fs);
	return 0;
}
