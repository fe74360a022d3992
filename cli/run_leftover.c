/* SPDX-License-Identifier: BSD-3-Clause */
/* Leftovers of killed runs; see run_leftover.h. */
#include "cli/run_leftover.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

#define LOCK_FILE "casement-run.lock"

/* ---- held ---- */

int leftover_hold(const char *dir)
{
	cleanup_close int fd = -1;
	char path[256];
	struct stat st;

	if ((size_t)snprintf(path, sizeof(path), "%s/" LOCK_FILE, dir) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* A run that sweeps may have it for a moment, and then there is no such file any more. */
	while (flock(fd, LOCK_EX))
		if (errno != EINTR)
			return unlink(path) ? -errno : 0;
	if (fstat(fd, &st) || !st.st_nlink)
		return -ESTALE;
	take_fd(&fd);
	return 0;
}

/* ---- removed ---- */

/* One that was made under an odd umask is opened all the same. */
static DIR *open_dir(int above, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(above, name, flags);
	DIR *dir;

	if (fd < 0 && errno == EACCES && !fchmodat(above, name, 0700, 0))
		fd = openat(above, name, flags);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		close_fd(&fd);
	return dir;
}

int leftover_remove(int above, const char *name)
{
	struct dirent *entry;
	DIR *dir;
	int err = 0;

	if (!unlinkat(above, name, 0))
		return 0;
	dir = errno == EISDIR || errno == EPERM ? open_dir(above, name) : NULL;
	if (!dir)
		return -errno;
	fchmod(dirfd(dir), 0700);
	while ((entry = readdir(dir)) && !err)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			err = leftover_remove(dirfd(dir), entry->d_name);
	closedir(dir);
	return err || !unlinkat(above, name, AT_REMOVEDIR) ? err : -errno;
}

/* ---- swept ---- */

static bool is_named_ours(const char *name)
{
	size_t len = strlen(LEFTOVER_NAME);

	if (strncmp(name, LEFTOVER_NAME, len) || strlen(name) != len + 6)
		return false;
	for (const char *p = name + len; *p; p++)
		if (!isalnum((unsigned char)*p))
			return false;
	return true;
}

/* The lock of a directory of this user's runs, or -1. */
static int open_lock(int base, const char *name)
{
	cleanup_close int dir = -1;
	struct stat st;

	if (!is_named_ours(name))
		return -1;
	dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) || st.st_uid != geteuid() || st.st_mode & 077)
		return -1;
	return openat(dir, LOCK_FILE, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

bool leftover_is_held(int base, const char *name)
{
	cleanup_close int lock = open_lock(base, name);

	return lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
}

/* True when none of this user's runs holds its directory; *lock is ours then. */
static bool is_left(int base, const char *name, int *lock)
{
	struct stat st;

	*lock = open_lock(base, name);
	return *lock >= 0 && !flock(*lock, LOCK_EX | LOCK_NB) && !fstat(*lock, &st) && st.st_nlink &&
	       S_ISREG(st.st_mode);
}

static void sweep_one(int base, const char *name)
{
	cleanup_close int lock = -1;
	int err;

	if (!is_left(base, name, &lock))
		return;
	err = leftover_remove(base, name);
	log_debug("%s of a killed run: %s", name, err ? strerror(-err) : "removed");
}

void leftover_sweep(const char *base)
{
	DIR *dir = opendir(base);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		sweep_one(dirfd(dir), entry->d_name);
	closedir(dir);
}
