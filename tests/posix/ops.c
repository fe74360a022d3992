/* SPDX-License-Identifier: BSD-3-Clause */
/* The things that rows do; see steps.h. One or two system calls each. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

#define UNUSED(x) ((void)(x))

long op_open(const char *a, const char *b, long arg)
{
	cleanup_close int fd = open(a, (int)arg, 0666);

	UNUSED(b);
	return fd < 0 ? -errno : 0;
}

long op_create(const char *a, const char *b, long arg)
{
	cleanup_close int fd = open(a, O_CREAT | O_EXCL | O_WRONLY, (mode_t)arg);

	UNUSED(b);
	return fd < 0 ? -errno : 0;
}

static long put(const char *path, int flags, const char *text)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
	size_t len = strlen(text);

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		return -errno;
	return 0;
}

long op_fill(const char *a, const char *b, long arg)
{
	UNUSED(arg);
	return put(a, O_TRUNC, b);
}

long op_append(const char *a, const char *b, long arg)
{
	UNUSED(arg);
	return put(a, O_APPEND, b);
}

long op_mkdir(const char *a, const char *b, long arg)
{
	UNUSED(b);
	return rc(mkdir(a, (mode_t)arg));
}

long op_rmdir(const char *a, const char *b, long arg)
{
	UNUSED(b);
	UNUSED(arg);
	return rc(rmdir(a));
}

long op_unlink(const char *a, const char *b, long arg)
{
	UNUSED(b);
	UNUSED(arg);
	return rc(unlink(a));
}

long op_link(const char *a, const char *b, long arg)
{
	UNUSED(arg);
	return rc(link(a, b));
}

long op_symlink(const char *a, const char *b, long arg)
{
	UNUSED(arg);
	return rc(symlink(a, b));
}

long op_rename(const char *a, const char *b, long arg)
{
	return rc(renameat2(AT_FDCWD, a, AT_FDCWD, b, (unsigned int)arg));
}

long op_mknod(const char *a, const char *b, long arg)
{
	UNUSED(b);
	return rc(mknod(a, (mode_t)arg, makedev(1, 3)));
}

long op_chmod(const char *a, const char *b, long arg)
{
	UNUSED(b);
	return rc(chmod(a, (mode_t)arg));
}

long op_chown(const char *a, const char *b, long arg)
{
	UNUSED(b);
	return rc(chown(a, (uid_t)arg, (gid_t)-1));
}

long op_chgrp(const char *a, const char *b, long arg)
{
	UNUSED(b);
	return rc(chown(a, (uid_t)-1, (gid_t)arg));
}

long op_lchown(const char *a, const char *b, long arg)
{
	UNUSED(b);
	return rc(lchown(a, (uid_t)arg, (gid_t)-1));
}

long op_truncate(const char *a, const char *b, long arg)
{
	UNUSED(b);
	return rc(truncate(a, arg));
}

long op_touch(const char *a, const char *b, long arg)
{
	UNUSED(b);
	UNUSED(arg);
	return rc(utimensat(AT_FDCWD, a, NULL, 0));
}

long op_set_times(const char *a, const char *b, long arg)
{
	struct timespec times[2] = { { .tv_sec = arg }, { .tv_sec = arg } };

	UNUSED(b);
	return rc(utimensat(AT_FDCWD, a, times, 0));
}

long op_chdir(const char *a, const char *b, long arg)
{
	cleanup_close int here = open(".", O_PATH | O_DIRECTORY);
	long result = rc(chdir(a));

	UNUSED(b);
	UNUSED(arg);
	if (!result && fchdir(here))
		return -errno;
	return result;
}

long op_list(const char *a, const char *b, long arg)
{
	DIR *dir = opendir(a);
	long result = 0;

	UNUSED(b);
	UNUSED(arg);
	if (!dir)
		return -errno;
	errno = 0;
	if (!readdir(dir))
		result = -errno;
	closedir(dir);
	return result;
}

long op_access(const char *a, const char *b, long arg)
{
	UNUSED(b);
	return rc(access(a, (int)arg));
}

/* In a child: its exit status; an execve(2) that failed comes back through the pipe that it closes. */
long op_execute(const char *a, const char *b, long arg)
{
	int pipes[2], status, err = 0;
	pid_t pid;

	UNUSED(b);
	UNUSED(arg);
	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl(a, a, "--exit", "7", (char *)NULL);
		err = errno;
		_exit(write(pipes[1], &err, sizeof(err)) != sizeof(err));
	}
	close(pipes[1]);
	if (read(pipes[0], &err, sizeof(err)) < 0)
		err = EIO;
	close(pipes[0]);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return err ? -err : WEXITSTATUS(status);
}

long op_umask(const char *a, const char *b, long arg)
{
	UNUSED(a);
	UNUSED(b);
	umask((mode_t)arg);
	return 0;
}

long op_sync_file(const char *a, const char *b, long arg)
{
	cleanup_close int fd = open(a, O_RDONLY);

	UNUSED(b);
	UNUSED(arg);
	return fd < 0 ? -errno : rc(fsync(fd));
}

/* One field of stat(2) or lstat(2). */
#define FACT(op, call, field) \
	long op(const char *a, const char *b, long arg) \
	{ \
		struct stat st; \
		UNUSED(b); \
		UNUSED(arg); \
		return call(a, &st) < 0 ? -errno : (long)(field); \
	}

FACT(op_exists, lstat, 0)
FACT(op_mode, stat, st.st_mode & 07777)
FACT(op_type, lstat, st.st_mode & S_IFMT)
FACT(op_nlink, lstat, st.st_nlink)
FACT(op_size, stat, st.st_size)
FACT(op_uid, lstat, st.st_uid)
FACT(op_gid, lstat, st.st_gid)
FACT(op_blocks, stat, st.st_blocks)

long op_holds(const char *a, const char *b, long arg)
{
	cleanup_close int fd = open(a, O_RDONLY);
	char buf[256];
	ssize_t n;

	UNUSED(arg);
	n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	return (size_t)n == strlen(b) && !memcmp(buf, b, (size_t)n);
}

long op_points(const char *a, const char *b, long arg)
{
	char buf[256];
	ssize_t n = readlink(a, buf, sizeof(buf));

	UNUSED(arg);
	if (n < 0)
		return -errno;
	return (size_t)n == strlen(b) && !memcmp(buf, b, (size_t)n);
}

long op_same(const char *a, const char *b, long arg)
{
	struct stat sa, sb;

	UNUSED(arg);
	if (lstat(a, &sa) < 0 || lstat(b, &sb) < 0)
		return -errno;
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}
