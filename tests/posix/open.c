/* SPDX-License-Identifier: BSD-3-Clause */
/* open(2) and its flags. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static const struct step steps[] = {
	{ "missing", ME, op_open, "file", NULL, O_RDONLY, -ENOENT },
	{ "create", ME, op_open, "file", NULL, O_CREAT | O_RDWR, 0 },
	{ "created-mode", ME, op_mode, "file", NULL, 0, 0644 },
	{ "create-again", ME, op_open, "file", NULL, O_CREAT | O_RDWR, 0 },
	{ "excl-existing", ME, op_open, "file", NULL, O_CREAT | O_EXCL | O_RDWR, -EEXIST },
	{ "excl-new", ME, op_open, "new", NULL, O_CREAT | O_EXCL | O_RDWR, 0 },
	{ "create-read-only", ME, op_open, "ro", NULL, O_CREAT | O_RDONLY, 0 },
	{ "below-file", ME, op_open, "file/x", NULL, O_CREAT | O_RDWR, -ENOTDIR },
	{ "below-missing", ME, op_open, "none/x", NULL, O_CREAT | O_RDWR, -ENOENT },
	{ "create-with-slash", ME, op_open, "slash/", NULL, O_CREAT | O_RDWR, -EISDIR },
	{ "file-with-slash", ME, op_open, "file/", NULL, O_RDONLY, -ENOTDIR },
	{ "directory-flag-on-file", ME, op_open, "file", NULL, O_DIRECTORY, -ENOTDIR },
	{ "o-path", ME, op_open, "file", NULL, O_PATH, 0 },
	{ "o-path-missing", ME, op_open, "none", NULL, O_PATH, -ENOENT },
	{ "noatime", ME, op_open, "file", NULL, O_RDONLY | O_NOATIME, 0 },
	{ "sync", ME, op_open, "file", NULL, O_WRONLY | O_SYNC, 0 },
	{ "dsync", ME, op_open, "file", NULL, O_WRONLY | O_DSYNC, 0 },
	{ "nonblock", ME, op_open, "file", NULL, O_RDWR | O_NONBLOCK, 0 },
	{ NULL, ME, op_fill, "file", "content", 0, 0 },
	{ "trunc-read-write", ME, op_open, "file", NULL, O_RDWR | O_TRUNC, 0 },
	{ "trunc-read-write-size", ME, op_size, "file", NULL, 0, 0 },
	{ NULL, ME, op_fill, "file", "content", 0, 0 },
	{ "trunc-create", ME, op_open, "file", NULL, O_WRONLY | O_CREAT | O_TRUNC, 0 },
	{ "trunc-create-size", ME, op_size, "file", NULL, 0, 0 },
	{ NULL, ME, op_fill, "file", "content", 0, 0 },
	{ "trunc-excl", ME, op_open, "file", NULL, O_WRONLY | O_CREAT | O_EXCL | O_TRUNC, -EEXIST },
	{ "trunc-excl-kept", ME, op_size, "file", NULL, 0, 7 },
	{ "no-trunc-kept", ME, op_open, "file", NULL, O_RDWR, 0 },
	{ "no-trunc-content", ME, op_holds, "file", "content", 0, 1 },
	{ "trunc-missing", ME, op_open, "none", NULL, O_WRONLY | O_TRUNC, -ENOENT },
	{ NULL, ME, op_symlink, "file", "soft", 0, 0 },
	{ "trunc-through-link", ME, op_open, "soft", NULL, O_WRONLY | O_TRUNC, 0 },
	{ "trunc-through-link-size", ME, op_size, "file", NULL, 0, 0 },
};

/* One opener cuts, another has it open. */
static void check_two(void)
{
	struct stat st = { .st_size = -1 };
	char buf[8] = "";
	int first, second;

	op_fill("file", "content", 0);
	first = open("file", O_RDWR);
	check(rc(pread(first, buf, sizeof(buf), 0)), 7, "two-before-cut");
	second = open("file", O_WRONLY | O_TRUNC);
	check(rc(fstat(first, &st)), 0, "two-stat");
	check(st.st_size, 0, "two-size");
	check(rc(pread(first, buf, sizeof(buf), 0)), 0, "two-reads-nothing");
	check(rc(pwrite(second, "xy", 2, 0)), 2, "two-write");
	check(rc(pread(first, buf, sizeof(buf), 0)), 2, "two-reads-it");
	check(memcmp(buf, "xy", 2), 0, "two-same");
	close(first);
	close(second);
}

/* What fcntl(2) says of a descriptor. */
static void check_flags(void)
{
	int fd = open("file", O_RDWR | O_APPEND | O_CLOEXEC);

	check(rc(fcntl(fd, F_GETFL)) & O_ACCMODE, O_RDWR, "getfl-mode");
	check(fcntl(fd, F_GETFL) & O_APPEND ? 1 : 0, 1, "getfl-append");
	check(rc(fcntl(fd, F_GETFD)), FD_CLOEXEC, "getfd-cloexec");
	check(rc(fcntl(fd, F_SETFL, 0)), 0, "setfl");
	check(fcntl(fd, F_GETFL) & O_APPEND ? 1 : 0, 0, "setfl-no-append");
	close(fd);
	fd = open("file", O_PATH);
	check(rc(write(fd, "x", 1)), -EBADF, "o-path-write");
	close(fd);
}

/* openat(2) stays with its directory, whatever that is called by now. */
static void check_openat(void)
{
	int dir, fd;

	mkdir("dir", 0755);
	dir = open("dir", O_RDONLY | O_DIRECTORY);
	rename("dir", "dir2");
	fd = openat(dir, "file", O_CREAT | O_EXCL | O_RDWR, 0600);
	check(fd >= 0, 1, "openat-in-renamed");
	check(op_exists("dir2/file", NULL, 0), 0, "openat-in-renamed-seen");
	check(rc(unlinkat(dir, "file", 0)), 0, "unlinkat");
	check(rc(mkdirat(dir, "sub", 0700)), 0, "mkdirat");
	check(rc(unlinkat(dir, "sub", 0)), -EISDIR, "unlinkat-of-dir");
	check(rc(unlinkat(dir, "sub", AT_REMOVEDIR)), 0, "unlinkat-removedir");
	check(rc(faccessat(dir, "sub", F_OK, 0)), -ENOENT, "faccessat");
	close(fd);
	check(rc(openat(dir, "/nonexistent-on-any-system", O_RDONLY)), -ENOENT, "openat-absolute");
	close(dir);
	check(rc(openat(dir, "x", O_RDONLY)), -EBADF, "openat-closed");
	fd = open("file", O_RDONLY);
	check(rc(openat(fd, "x", O_RDONLY)), -ENOTDIR, "openat-of-file");
	close(fd);
}

static void check_direct(void)
{
	void *block = NULL;
	int fd;

	if (posix_memalign(&block, 4096, 8192))
		return;
	memset(block, 'd', 8192);
	fd = open("direct", O_CREAT | O_RDWR | O_DIRECT, 0600);
	if (fd < 0) {
		check_skip("no O_DIRECT here", "direct");
		free(block);
		return;
	}
	check(rc(pwrite(fd, block, 8192, 0)), 8192, "direct-write");
	memset(block, 0, 8192);
	check(rc(pread(fd, block, 8192, 0)), 8192, "direct-read");
	check(((char *)block)[8191], 'd', "direct-content");
	check(rc(pread(fd, block, 4096, 8192)), 0, "direct-read-at-end");
	close(fd);
	check(op_size("direct", NULL, 0), 8192, "direct-size");
	free(block);
}

/* Many at once, and a descriptor that outlives nothing. */
static void check_many(void)
{
	int fds[200];
	long opened = 0, right = 0;

	op_fill("file", "content", 0);
	for (int i = 0; i < 200; i++)
		opened += (fds[i] = open("file", O_RDONLY)) >= 0;
	check(opened, 200, "many-open");
	for (int i = 0; i < 200; i++) {
		char byte = 0;

		right += pread(fds[i], &byte, 1, i % 7) == 1 && byte == "content"[i % 7];
	}
	check(right, 200, "many-read");
	for (int i = 0; i < 200; i++)
		close(fds[i]);
	check(rc(close(fds[0])), -EBADF, "closed-twice");
}

static void run(void)
{
	RUN_STEPS(steps);
	check_two();
	check_flags();
	check_openat();
	check_direct();
	check_many();
}

const struct subject subject_open = { "open", false, run };
