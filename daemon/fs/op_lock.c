/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks that hold beyond one guest. POSIX locks are those of an open file of
 * the owner's own (lock_table.h); flock(2) locks are those of the handle's
 * descriptor. Nothing waits on a queue's thread: a lock that is not free is
 * -EAGAIN there, and whoever then waits can be told to give up (lock_wait.h).
 */
#include <fcntl.h>
#include <sys/file.h>

#include "daemon/fs/fs_private.h"

/* A range of the host's words; `end` is inclusive, and INT64_MAX is "to the end". */
static int lock_range(const struct fs_lock *lock, struct flock *fl)
{
	if (lock->start > INT64_MAX || lock->end > INT64_MAX || lock->end < lock->start)
		return -EINVAL;
	if (lock->type != F_RDLCK && lock->type != F_WRLCK && lock->type != F_UNLCK)
		return -EINVAL;
	*fl = (struct flock){
		.l_type = (short)lock->type, .l_whence = SEEK_SET, .l_start = (off_t)lock->start,
		.l_len = lock->end == INT64_MAX ? 0 : (off_t)(lock->end - lock->start + 1),
	};
	return 0;
}

int fs_getlk(struct fs *fs, uint64_t handle, uint64_t owner, struct fs_lock *lock)
{
	cleanup_handle struct handle *open = NULL;
	struct lock_owner *file;
	struct flock fl;
	int err = fs_handle_get(fs, handle, HANDLE_FILE, &open);

	if (!err)
		err = lock_range(lock, &fl);
	if (!err)
		err = lock_table_get(&fs->locks, open, owner, false, &file);
	if (err)
		return err;
	if (fcntl(lock_table_fd(file), F_OFD_GETLK, &fl))
		err = -errno;
	lock_table_put(&fs->locks, file);
	if (err)
		return err;
	*lock = (struct fs_lock){ .type = (uint32_t)fl.l_type };
	if (fl.l_type == F_UNLCK)
		return 0;
	lock->start = (uint64_t)fl.l_start;
	lock->end = fl.l_len ? (uint64_t)(fl.l_start + fl.l_len - 1) : INT64_MAX;
	return 0;
}

/* What is locked: a range of the owner's file, or the handle's file as a whole. */
struct target {
	int fd;
	struct flock *range;	/* NULL: flock(2), by `operation` */
	int operation;
};

static int target_try(const struct target *target)
{
	int rc = target->range ? fcntl(target->fd, F_OFD_SETLK, target->range)
			       : flock(target->fd, target->operation | LOCK_NB);

	/* EACCES is POSIX's other word for it. */
	return rc ? errno == EACCES ? -EAGAIN : -errno : 0;
}

static int target_wait(const struct target *target)
{
	int rc = target->range ? fcntl(target->fd, F_OFD_SETLKW, target->range)
			       : flock(target->fd, target->operation);

	return rc ? -errno : 0;
}

static int lock_target(struct fs *fs, const struct target *target, const struct lock_wait_keys *keys,
		       bool wait)
{
	struct lock_wait waiting;
	int err;

	if (!wait)
		return target_try(target);
	err = lock_wait_begin(&fs->waits, &waiting, keys);
	if (err)
		return err;
	do
		err = target_wait(target);
	while (err == -EINTR && !__atomic_load_n(&waiting.cancelled, __ATOMIC_RELAXED));
	lock_wait_end(&fs->waits, &waiting);
	return err;
}

/* The same of an owner's file, which keeps account. target->fd is set here. */
static int lock_owned(struct fs *fs, struct lock_owner *file, const struct fs_lock *lock,
		      struct target *target, const struct lock_wait_keys *keys, bool wait)
{
	const struct lock_range range = { lock->start, lock->end };
	int err;

	target->fd = lock_table_fd(file);
	err = lock_target(fs, target, keys, wait);
	return err ? err : lock_table_note(&fs->locks, file, target->fd, range, lock->type);
}

int fs_setlk(struct fs *fs, uint64_t handle, uint64_t owner, const struct fs_lock *lock,
	     uint64_t unique, bool wait)
{
	struct lock_wait_keys keys = { .unique = unique, .handle = handle, .owner = owner };
	cleanup_handle struct handle *open = NULL;
	struct lock_owner *file = NULL;
	struct flock fl;
	int err = fs_handle_get(fs, handle, HANDLE_FILE, &open);

	if (!err) {
		keys.node = inode_id(open->inode);
		err = lock_range(lock, &fl);
	}
	if (!err && lock->type == F_UNLCK) {
		/* An owner of no locks has nothing to unlock. */
		file = lock_table_find(&fs->locks, open, owner);
		if (!file)
			return 0;
	} else if (!err) {
		err = lock_table_get(&fs->locks, open, owner, lock->type == F_WRLCK, &file);
		/* No close would ever tell of it. */
		if (!err && patience_outlived(&fs->session)) {
			lock_table_drop(&fs->locks, open, owner);
			err = -ESTALE;
		}
	}
	if (!err)
		err = lock_owned(fs, file, lock, &(struct target){ .range = &fl }, &keys, wait);
	lock_table_put(&fs->locks, file);
	return err;
}

int fs_flock(struct fs *fs, uint64_t handle, uint64_t owner, uint32_t type, uint64_t unique, bool wait)
{
	struct lock_wait_keys keys = { .unique = unique, .handle = handle, .owner = owner };
	struct target target = { .range = NULL };
	cleanup_handle struct handle *open = NULL;
	int err = fs_handle_get(fs, handle, HANDLE_ANY, &open);

	if (err)
		return err;
	if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK)
		return -EINVAL;
	keys.node = inode_id(open->inode);
	target.fd = open->fd;
	target.operation = type == F_RDLCK ? LOCK_SH : type == F_WRLCK ? LOCK_EX : LOCK_UN;
	return lock_target(fs, &target, &keys, wait);
}

bool fs_lock_may_wait(struct fs *fs)
{
	return lock_waits_reserve(&fs->waits);
}

void fs_lock_waited(struct fs *fs)
{
	lock_waits_unreserve(&fs->waits);
}

void fs_lock_interrupt(struct fs *fs, uint64_t unique)
{
	lock_waits_cancel(&fs->waits, LOCK_WAIT_UNIQUE, &(struct lock_wait_keys){ .unique = unique });
}

void fs_lock_interrupt_stopped(struct fs *fs)
{
	lock_waits_cancel(&fs->waits, LOCK_WAIT_STOPPED, NULL);
}

int fs_lock_closed(struct fs *fs, uint64_t handle, uint64_t owner)
{
	struct lock_wait_keys keys = { .owner = owner };
	cleanup_handle struct handle *open = NULL;
	int err = fs_handle_get(fs, handle, HANDLE_FILE, &open);

	if (err)
		return err;
	keys.node = inode_id(open->inode);
	lock_waits_cancel(&fs->waits, LOCK_WAIT_OWNER, &keys);
	lock_table_drop(&fs->locks, open, owner);
	return 0;
}
