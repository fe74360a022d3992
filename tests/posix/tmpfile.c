/* SPDX-License-Identifier: BSD-3-Clause */
/* O_TMPFILE: files without a name, and giving them one. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static long link_it(int fd, const char *name)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return rc(linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW));
}

static void check_linked(void)
{
	struct stat st = { .st_nlink = 9 };
	char buf[8];
	int fd = open("dir", O_TMPFILE | O_RDWR, 0640);

	check(fd >= 0, 1, "open");
	check(rc(fstat(fd, &st)), 0, "fstat");
	check(st.st_nlink, 0, "nlink");
	check(st.st_mode, S_IFREG | 0640, "mode");
	check(op_rmdir("dir", NULL, 0), 0, "dir-is-empty");
	mkdir("dir", 0755);
	check(rc(write(fd, "content", 7)), 7, "write");
	check(rc(pread(fd, buf, sizeof(buf), 0)), 7, "read");
	check(link_it(fd, "dir/named"), 0, "link");
	check(op_holds("dir/named", "content", 0), 1, "linked-content");
	fstat(fd, &st);
	check(st.st_nlink, 1, "linked-nlink");
	check(rc(pwrite(fd, "C", 1, 0)), 1, "linked-write");
	check(op_holds("dir/named", "Content", 0), 1, "linked-write-seen");
	check(link_it(fd, "dir/named"), -EEXIST, "link-existing");
	check(link_it(fd, "dir/second"), 0, "link-again");
	check(op_nlink("dir/named", NULL, 0), 2, "link-again-nlink");
	close(fd);
}

static void run(void)
{
	int fd;

	mkdir("dir", 0755);
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	if (fd < 0 && errno == EOPNOTSUPP) {
		check_skip("no O_TMPFILE here", "all");
		return;
	}
	close(fd);
	check_linked();
	fd = open("dir", O_TMPFILE | O_WRONLY | O_EXCL, 0600);
	check(fd >= 0, 1, "excl-open");
	check(link_it(fd, "dir/never"), -ENOENT, "excl-link");
	close(fd);
	check(rc(open("dir", O_TMPFILE | O_RDONLY, 0600)), -EINVAL, "read-only");
	check(rc(open("dir/named", O_TMPFILE | O_RDWR, 0600)), -ENOTDIR, "in-file");
	check(rc(open("none", O_TMPFILE | O_RDWR, 0600)), -ENOENT, "in-missing");
	if (geteuid() != 0) {
		check_skip("only root can be several users", "by-other");
		return;
	}
	check(do_as(OTHER, op_open, "dir", NULL, O_TMPFILE | O_RDWR), -EACCES, "by-other");
	chmod("dir", 0777);
	check(do_as(OTHER, op_open, "dir", NULL, O_TMPFILE | O_RDWR), 0, "by-other-allowed");
}

const struct subject subject_tmpfile = { "tmpfile", false, run };
