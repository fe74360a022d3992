/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of the three times what changes, and utimensat(2). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

#define OLD 1000000000	/* what access and modification time are set to before each change */

#define ACCESS 1
#define MODIFY 2
#define CHANGE 4

static bool later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec;
}

/* Until a change made from now on has a time other than one that was made before. */
static void let_clocks_tick(void)
{
	struct timespec start, now;
	struct stat first, st;

	clock_gettime(CLOCK_REALTIME_COARSE, &start);
	chmod("../posix-check.time", 0777);
	stat("../posix-check.time", &first);
	do {
		chmod("../posix-check.time", 0777);
		stat("../posix-check.time", &st);
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	} while (!later(&now, &start) || !later(&st.st_ctim, &first.st_ctim));
}

static void make_old(const char *path)
{
	struct timespec old[2] = { { .tv_sec = OLD }, { .tv_sec = OLD } };

	utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW);
}

static long changed(const struct stat *before, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	return (later(&before->st_atim, &st.st_atim) ? ACCESS : 0) |
	       (later(&before->st_mtim, &st.st_mtim) ? MODIFY : 0) |
	       (later(&before->st_ctim, &st.st_ctim) ? CHANGE : 0);
}

static long op_read_one(const char *a, const char *b, long arg)
{
	cleanup_close int fd = open(a, O_RDONLY);
	char byte;

	(void)b;
	(void)arg;
	return rc(pread(fd, &byte, 1, 0));
}

static long op_fallocate(const char *a, const char *b, long arg)
{
	cleanup_close int fd = open(a, O_WRONLY);

	(void)b;
	return rc(fallocate(fd, 0, 0, arg));
}

static long op_write_nothing(const char *a, const char *b, long arg)
{
	cleanup_close int fd = open(a, O_WRONLY);

	(void)arg;
	return rc(pwrite(fd, b, 0, 0));
}

static long op_chown_same(const char *a, const char *b, long arg)
{
	(void)b;
	(void)arg;
	return rc(chown(a, geteuid(), getegid()));
}

/* One change: to `path`, where "dir/file" has content and "dir/hard" is its other name. */
static const struct change {
	const char *name;
	op_fn *op;
	const char *a, *b;
	long arg;
	const char *watched;
	long times;
} changes[] = {
	{ "write", op_append, "dir/file", "more", 0, "dir/file", MODIFY | CHANGE },
	{ "write-nothing", op_write_nothing, "dir/file", "", 0, "dir/file", 0 },
	{ "o-trunc", op_fill, "dir/file", "", 0, "dir/file", MODIFY | CHANGE },
	{ "shrink", op_truncate, "dir/file", NULL, 2, "dir/file", MODIFY | CHANGE },
	{ "grow", op_truncate, "dir/file", NULL, 5000, "dir/file", MODIFY | CHANGE },
	{ "fallocate", op_fallocate, "dir/file", NULL, 9000, "dir/file", MODIFY | CHANGE },
	{ "chmod", op_chmod, "dir/file", NULL, 0600, "dir/file", CHANGE },
	{ "chmod-leaves-dir", op_chmod, "dir/file", NULL, 0600, "dir", 0 },
	{ "chown", op_chown_same, "dir/file", NULL, 0, "dir/file", CHANGE },
	{ "touch", op_touch, "dir/file", NULL, 0, "dir/file", ACCESS | MODIFY | CHANGE },
	{ "set-times", op_set_times, "dir/file", NULL, OLD + 1, "dir/file", ACCESS | MODIFY | CHANGE },
	{ "read", op_read_one, "dir/file", NULL, 0, "dir/file", ACCESS },
	{ "open", op_open, "dir/file", NULL, O_RDWR, "dir/file", 0 },
	{ "stat", op_size, "dir/file", NULL, 0, "dir/file", 0 },
	{ "write-leaves-dir", op_append, "dir/file", "more", 0, "dir", 0 },
	{ "link", op_link, "dir/file", "dir/name", 0, "dir/file", CHANGE },
	{ "link-dir", op_link, "dir/file", "dir/name", 0, "dir", MODIFY | CHANGE },
	{ "unlink-one-of-two", op_unlink, "dir/hard", NULL, 0, "dir/file", CHANGE },
	{ "unlink-dir", op_unlink, "dir/file", NULL, 0, "dir", MODIFY | CHANGE },
	{ "create-dir", op_create, "dir/name", NULL, 0600, "dir", MODIFY | CHANGE },
	{ "mkdir-dir", op_mkdir, "dir/name", NULL, 0700, "dir", MODIFY | CHANGE },
	{ "rmdir-dir", op_rmdir, "dir/sub", NULL, 0, "dir", MODIFY | CHANGE },
	{ "symlink-dir", op_symlink, "x", "dir/name", 0, "dir", MODIFY | CHANGE },
	{ "mkfifo-dir", op_mknod, "dir/name", NULL, S_IFIFO | 0600, "dir", MODIFY | CHANGE },
	{ "rename", op_rename, "dir/file", "dir/name", 0, "dir", MODIFY | CHANGE },
	{ "rename-file", op_rename, "dir/hard", "dir/name", 0, "dir/file", CHANGE },
	{ "rename-target-dir", op_rename, "dir/file", "dir/sub/name", 0, "dir/sub", MODIFY | CHANGE },
	{ "readlink-leaves-times", op_points, "dir/soft", "file", 0, "dir/file", 0 },
	{ "list-dir", op_list, "dir", NULL, 0, "dir", ACCESS },
};

static void check_changes(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		const struct change *change = &changes[i];
		struct stat before = { .st_size = 0 };

		mkdir("dir", 0755);
		mkdir("dir/sub", 0755);
		op_fill("dir/file", "content", 0);
		op_symlink("file", "dir/soft", 0);
		op_link("dir/file", "dir/hard", 0);
		make_old(change->watched);
		lstat(change->watched, &before);
		let_clocks_tick();
		change->op(change->a, change->b, change->arg);
		check(changed(&before, change->watched), change->times, "%s", change->name);
		op_unlink("dir/sub/name", NULL, 0);
		op_rmdir("dir/sub", NULL, 0);
		op_rmdir("dir/name", NULL, 0);
		op_unlink("dir/name", NULL, 0);
		op_unlink("dir/hard", NULL, 0);
		op_unlink("dir/soft", NULL, 0);
		op_unlink("dir/file", NULL, 0);
		op_rmdir("dir", NULL, 0);
	}
}

static const struct value {
	const char *name;
	long sec, nsec;
	long result;
} values[] = {
	{ "epoch", 0, 0, 0 },
	{ "before-epoch", -1, 500000000, 0 },
	{ "year-1901", -2147483648L, 0, 0 },
	{ "nanoseconds", 1234567890, 123456789, 0 },
	{ "last-nanosecond", 1234567890, 999999999, 0 },
	{ "past-2038", 2147483648L, 1, 0 },
	{ "year-2242", 8589934592L, 999999999, 0 },
	{ "nsec-too-large", 1, 1000000000, -EINVAL },
	{ "nsec-negative", 1, -1, -EINVAL },
};

static void check_values(void)
{
	op_create("file", NULL, 0644);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		const struct value *v = &values[i];
		struct timespec times[2] = { { v->sec, v->nsec }, { v->sec + 1, v->nsec } };
		struct stat st = { .st_size = 0 };

		check(rc(utimensat(AT_FDCWD, "file", times, 0)), v->result, "set-%s", v->name);
		if (v->result)
			continue;
		stat("file", &st);
		check(st.st_atim.tv_sec, v->sec, "set-%s-atime", v->name);
		check(st.st_mtim.tv_sec, v->sec + 1, "set-%s-mtime", v->name);
		check(st.st_mtim.tv_nsec, v->nsec, "set-%s-nsec", v->name);
	}
}

static void check_omit_and_now(void)
{
	struct timespec old[2] = { { OLD, 1 }, { OLD, 2 } };
	struct timespec atime_only[2] = { { 5, 6 }, { .tv_nsec = UTIME_OMIT } };
	struct timespec mtime_now[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };
	struct timespec nothing[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
	cleanup_close int fd = open("file", O_RDWR);
	struct stat st = { .st_size = 0 }, link = { .st_size = 0 };

	check(rc(futimens(fd, old)), 0, "futimens");
	check(rc(futimens(fd, atime_only)), 0, "omit-mtime");
	fstat(fd, &st);
	check(st.st_atim.tv_sec, 5, "omit-mtime-atime");
	check(st.st_mtim.tv_sec, OLD, "omit-mtime-mtime");
	check(rc(futimens(fd, mtime_now)), 0, "mtime-now");
	fstat(fd, &st);
	check(st.st_atim.tv_sec, 5, "mtime-now-atime");
	check(st.st_mtim.tv_sec > OLD, 1, "mtime-now-mtime");
	check(rc(utimensat(AT_FDCWD, "missing", nothing, 0)), 0, "omit-both-needs-no-file");
	check(rc(utimensat(AT_FDCWD, "missing", old, 0)), -ENOENT, "set-missing");
	op_symlink("file", "soft", 0);
	check(rc(utimensat(AT_FDCWD, "soft", old, AT_SYMLINK_NOFOLLOW)), 0, "set-link");
	lstat("soft", &link);
	stat("soft", &st);
	check(link.st_mtim.tv_sec, OLD, "set-link-link");
	check(st.st_mtim.tv_sec != OLD, 1, "set-link-target");
	unlink("file");
	check(rc(futimens(fd, old)), 0, "futimens-unlinked");
	fstat(fd, &st);
	check(st.st_mtim.tv_sec, OLD, "futimens-unlinked-mtime");
}

static const struct step by_whom[] = {
	{ NULL, OWNER, op_create, "owned", NULL, 0644, 0 },
	{ "touch-by-owner", OWNER, op_touch, "owned", NULL, 0, 0 },
	{ "set-by-owner", OWNER, op_set_times, "owned", NULL, OLD, 0 },
	{ "touch-by-other", OTHER, op_touch, "owned", NULL, 0, -EACCES },
	{ "set-by-other", OTHER, op_set_times, "owned", NULL, 7, -EPERM },
	{ NULL, ME, op_chmod, "owned", NULL, 0666, 0 },
	{ "touch-by-writer", OTHER, op_touch, "owned", NULL, 0, 0 },
	{ "set-by-writer", OTHER, op_set_times, "owned", NULL, 7, -EPERM },
	{ NULL, ME, op_chmod, "owned", NULL, 0444, 0 },
	{ "touch-by-owner-without-w", OWNER, op_touch, "owned", NULL, 0, 0 },
	{ "set-by-owner-without-w", OWNER, op_set_times, "owned", NULL, 7, 0 },
};

static void run(void)
{
	check_changes();
	check_values();
	check_omit_and_now();
	if (geteuid() == 0)
		RUN_STEPS(by_whom);
	else
		check_skip("only root can be several users", "by-whom");
}

const struct subject subject_time = { "time", false, run };
