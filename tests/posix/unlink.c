/* SPDX-License-Identifier: BSD-3-Clause */
/* Removing names, and what lives on behind a descriptor. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static const struct step steps[] = {
	{ NULL, ME, op_fill, "file", "text", 0, 0 },
	{ NULL, ME, op_mkdir, "dir", NULL, 0755, 0 },
	{ NULL, ME, op_mkdir, "dir/sub", NULL, 0755, 0 },
	{ "unlink-missing", ME, op_unlink, "none", NULL, 0, -ENOENT },
	{ "unlink-dir", ME, op_unlink, "dir", NULL, 0, -EISDIR },
	{ "unlink-below-file", ME, op_unlink, "file/x", NULL, 0, -ENOTDIR },
	{ "rmdir-missing", ME, op_rmdir, "none", NULL, 0, -ENOENT },
	{ "rmdir-file", ME, op_rmdir, "file", NULL, 0, -ENOTDIR },
	{ "rmdir-full", ME, op_rmdir, "dir", NULL, 0, -ENOTEMPTY },
	{ "rmdir-dot", ME, op_rmdir, "dir/.", NULL, 0, -EINVAL },
	{ "rmdir-dot-dot", ME, op_rmdir, "dir/sub/..", NULL, 0, -ENOTEMPTY },
	{ "rmdir", ME, op_rmdir, "dir/sub", NULL, 0, 0 },
	{ "rmdir-with-slash", ME, op_rmdir, "dir/", NULL, 0, 0 },
	{ "rmdir-gone", ME, op_exists, "dir", NULL, 0, -ENOENT },
	{ "unlink-with-slash", ME, op_unlink, "file/", NULL, 0, -ENOTDIR },
	{ "unlink", ME, op_unlink, "file", NULL, 0, 0 },
	{ "unlink-gone", ME, op_exists, "file", NULL, 0, -ENOENT },
	{ "unlink-twice", ME, op_unlink, "file", NULL, 0, -ENOENT },
	{ "open-gone", ME, op_open, "file", NULL, O_RDONLY, -ENOENT },
	{ "create-again", ME, op_create, "file", NULL, 0600, 0 },
	{ "created-again-is-empty", ME, op_size, "file", NULL, 0, 0 },
	{ NULL, ME, op_unlink, "file", NULL, 0, 0 },
	{ "dir-of-the-same-name", ME, op_mkdir, "file", NULL, 0700, 0 },
	{ "dir-of-the-same-name-type", ME, op_type, "file", NULL, 0, S_IFDIR },
};

static void check_open_file(void)
{
	struct stat st = { .st_size = 0 };
	int fd, second;
	char buf[16];
	char *map;

	op_fill("kept", "content", 0);
	fd = open("kept", O_RDWR);
	check(rc(unlink("kept")), 0, "unlink-open");
	check(rc(pread(fd, buf, sizeof(buf), 0)), 7, "unlinked-reads");
	check(memcmp(buf, "content", 7), 0, "unlinked-content");
	check(rc(pwrite(fd, "more", 4, 7)), 4, "unlinked-writes");
	check(rc(fstat(fd, &st)), 0, "unlinked-fstat");
	check(st.st_size, 11, "unlinked-size");
	check(st.st_nlink, 0, "unlinked-nlink");
	check(rc(ftruncate(fd, 3)), 0, "unlinked-truncates");
	check(rc(pread(fd, buf, sizeof(buf), 0)), 3, "unlinked-is-short");
	check(rc(fsync(fd)), 0, "unlinked-fsync");
	op_fill("kept", "another", 0);
	check(rc(pread(fd, buf, sizeof(buf), 0)), 3, "unlinked-is-not-the-new-one");
	check(op_holds("kept", "another", 0), 1, "new-one-is-not-the-unlinked");
	map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	check(map != MAP_FAILED && !memcmp(map, "con", 3), 1, "unlinked-maps");
	close(fd);
	check(map != MAP_FAILED && !memcmp(map, "con", 3), 1, "unlinked-map-lives-on");
	if (map != MAP_FAILED)
		munmap(map, 4096);
	fd = open("kept", O_RDWR);
	second = open("kept", O_RDONLY);
	unlink("kept");
	check(rc(pwrite(fd, "ANO", 3, 0)), 3, "unlinked-two-write");
	close(fd);
	check(rc(pread(second, buf, sizeof(buf), 0)), 7, "unlinked-two-read");
	check(memcmp(buf, "ANOther", 7), 0, "unlinked-two-content");
	close(second);
}

static void check_open_dir(void)
{
	struct stat st = { .st_size = 0 };
	DIR *stream;
	int fd;

	mkdir("gone", 0755);
	fd = open("gone", O_RDONLY | O_DIRECTORY);
	check(rc(rmdir("gone")), 0, "rmdir-open");
	check(rc(fstat(fd, &st)), 0, "removed-dir-fstat");
	check(st.st_nlink, 0, "removed-dir-nlink");
	check(rc(openat(fd, "x", O_CREAT | O_WRONLY, 0600)), -ENOENT, "removed-dir-create");
	check(rc(mkdirat(fd, "x", 0700)), -ENOENT, "removed-dir-mkdir");
	check(rc(openat(fd, ".", O_RDONLY)) >= 0, 1, "removed-dir-dot");
	stream = fdopendir(fd);
	errno = 0;
	check(stream && !readdir(stream) && !errno, 1, "removed-dir-is-empty");
	if (stream)
		closedir(stream);
	mkdir("cwd", 0755);
	if (chdir("cwd"))
		return;
	check(rc(rmdir("../cwd")), 0, "rmdir-cwd");
	check(op_create("x", NULL, 0600), -ENOENT, "removed-cwd-create");
	check(op_exists(".", NULL, 0), 0, "removed-cwd-dot");
	check(rc(chdir("..")), 0, "removed-cwd-leaves");
}

static void run(void)
{
	RUN_STEPS(steps);
	check_open_file();
	check_open_dir();
}

const struct subject subject_unlink = { "unlink", false, run };
