/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shared directory as the root; see mounts.h. Relies on /proc, and on
 * running in the process that will serve; a descriptor from before would lead
 * back to the host's mounts, so the directory is opened only in here.
 */
#include "daemon/sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

static int fail(const char *what)
{
	int err = -errno;

	log_error("cannot confine the daemon: %s: %s; give --sandbox none to do without", what,
		  strerror(-err));
	return err;
}

/* Asked by the ids that will serve. No other sandbox would let them in. */
static int check_dir(const char *dir)
{
	int err;

	if (!faccessat(AT_FDCWD, dir, R_OK | X_OK, AT_EACCESS))
		return 0;
	err = -errno;
	log_error("%s: cannot be shared: %s: user %u must be able to read and enter it", dir, strerror(-err),
		  geteuid());
	return err;
}

/* A copy of a directory's mount that hangs nowhere: ".." of its root is itself. */
static int clone_tree(const char *path, unsigned int flags)
{
	return open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
}

static int restrict_tree(int tree, bool readonly)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID };

	if (readonly)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (!mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)))
		return 0;
	if (errno != ENOSYS)
		return fail("mount_setattr");
	log_warn("this kernel cannot forbid devices below the shared directory (mount_setattr, Linux 5.12)");
	return 0;
}

/* "." is on top of the old root afterwards, and the old root is taken away from below. */
static int pivot_into(int tree)
{
	if (fchdir(tree) || syscall(SYS_pivot_root, ".", "."))
		return fail("pivot_root");
	if (umount2(".", MNT_DETACH))
		return fail("cannot detach the old root");
	return chdir("/") ? fail("chdir") : 0;
}

static int open_root(const char *path, int *root_fd)
{
	*root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*root_fd >= 0)
		return 0;
	return fail(path);
}

int mounts_enter(const char *dir, bool readonly, struct sandbox_roots *roots)
{
	cleanup_close int tree = -1, proc = -1;
	int err = check_dir(dir);

	if (err)
		return err;
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL))
		return fail("cannot leave the host's mounts");
	proc = clone_tree("/proc/self/fd", 0);
	if (proc < 0)
		return fail("/proc/self/fd");
	tree = clone_tree(dir, AT_RECURSIVE);
	if (tree < 0)
		return fail(dir);
	err = restrict_tree(tree, readonly);
	if (err)
		return err;
	if (move_mount(tree, "", AT_FDCWD, dir, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS))
		return fail("move_mount");
	err = pivot_into(tree);
	if (!err)
		err = open_root("/", &roots->root_fd);
	if (!err)
		roots->proc_fd = take_fd(&proc);
	return err;
}

/* Without CAP_SYS_ADMIN a way up from here to the rest of /proc stays; Landlock closes it. */
static int open_proc(int *proc_fd)
{
	*proc_fd = clone_tree("/proc/self/fd", 0);
	if (*proc_fd < 0)
		*proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *proc_fd < 0 ? fail("/proc/self/fd") : 0;
}

int mounts_chroot(const char *dir, struct sandbox_roots *roots)
{
	cleanup_close int proc = -1;
	int err = check_dir(dir);

	if (!err)
		err = open_proc(&proc);
	if (err)
		return err;
	if (chdir(dir))
		return fail(dir);
	if (chroot("."))
		return fail("chroot");
	err = open_root("/", &roots->root_fd);
	if (!err)
		roots->proc_fd = take_fd(&proc);
	return err;
}

int mounts_plain(const char *dir, struct sandbox_roots *roots)
{
	int err;

	roots->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (roots->proc_fd < 0) {
		err = -errno;
		log_error("/proc/self/fd: %s: casementd needs /proc", strerror(-err));
		return err;
	}
	roots->root_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (roots->root_fd >= 0)
		return 0;
	err = -errno;
	log_error("%s: cannot be shared: %s", dir, strerror(-err));
	return err;
}
