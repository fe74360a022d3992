/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making things on this host on the word of a share; see cp_local.h. Relies on
 * the caller for names that are one name. What cp(1) does is the model, but where
 * a share that changes between two runs could lead it elsewhere.
 */
#include "cli/cp_local.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define OPEN_FLAGS (O_WRONLY | O_CLOEXEC | O_NOCTTY)

/* 0 where something that is there may be written to. */
static int judge_existing(const struct cp_target *to, mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 0;
	case S_IFDIR:
		return -EISDIR;
	case S_IFLNK:
		return -ELOOP;
	default:
		return to->named ? 0 : -EEXIST;
	}
}

/* `st` is what there was under the name a moment ago. */
static int open_judged(const struct cp_target *to, const struct stat *st)
{
	int flags = OPEN_FLAGS | (to->named ? 0 : O_NOFOLLOW);
	int fd = openat(to->dir, to->name, flags | O_NONBLOCK);

	/* Whoever has a lease on a file is asked for it, and waited for, by an open that blocks. */
	if (fd < 0 && errno == EAGAIN && S_ISREG(st->st_mode))
		fd = openat(to->dir, to->name, flags);
	return fd < 0 ? -errno : fd;
}

static int open_existing(const struct cp_target *to, bool cut)
{
	cleanup_close int fd = -1;
	struct stat st;
	int err;

	/* Looked at before it is opened: the open of a device alone can set something going. */
	if (fstatat(to->dir, to->name, &st, to->named ? 0 : AT_SYMLINK_NOFOLLOW))
		return -errno;
	err = judge_existing(to, st.st_mode);
	if (err)
		return err;
	fd = open_judged(to, &st);
	if (fd < 0)
		return fd;
	/* What was opened is what counts. */
	if (fstat(fd, &st))
		return -errno;
	err = judge_existing(to, st.st_mode);
	if (!err && cut && S_ISREG(st.st_mode) && ftruncate(fd, 0))
		err = -errno;
	if (!err && !S_ISREG(st.st_mode) && fcntl(fd, F_SETFL, 0))
		err = -errno;	/* its O_NONBLOCK */
	return err ? err : take_fd(&fd);
}

int cp_open_file(const struct cp_target *to, mode_t mode, bool cut)
{
	/* Not through a link that leads nowhere, either. */
	int fd = openat(to->dir, to->name, OPEN_FLAGS | O_CREAT | O_EXCL, mode);

	if (fd >= 0 || errno != EEXIST)
		return fd < 0 ? -errno : fd;
	return open_existing(to, cut);
}

int cp_open_dir(const struct cp_target *to, mode_t mode)
{
	int fd;

	if (mkdirat(to->dir, to->name, mode) && errno != EEXIST)
		return -errno;
	fd = openat(to->dir, to->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_same_link(const struct cp_target *to, const char *target)
{
	char there[PATH_MAX];
	ssize_t n = readlinkat(to->dir, to->name, there, sizeof(there));

	return n >= 0 && (size_t)n == strlen(target) && !memcmp(there, target, (size_t)n);
}

int cp_make_link(const struct cp_target *to, const char *target)
{
	if (!symlinkat(target, to->dir, to->name))
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (is_same_link(to, target))
		return 0;
	/* unlinkat(2) leaves directories alone. */
	if (unlinkat(to->dir, to->name, 0) || symlinkat(target, to->dir, to->name))
		return -errno;
	return 0;
}
