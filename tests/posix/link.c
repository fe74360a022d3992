/* SPDX-License-Identifier: BSD-3-Clause */
/* Hard links. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static const struct step steps[] = {
	{ NULL, ME, op_fill, "a", "one", 0, 0 },
	{ "link", ME, op_link, "a", "b", 0, 0 },
	{ "same-file", ME, op_same, "a", "b", 0, 1 },
	{ "nlink-2", ME, op_nlink, "a", NULL, 0, 2 },
	{ "nlink-2-other-name", ME, op_nlink, "b", NULL, 0, 2 },
	{ "append-by-one", ME, op_append, "a", "two", 0, 0 },
	{ "seen-by-the-other", ME, op_holds, "b", "onetwo", 0, 1 },
	{ "truncate-by-one", ME, op_truncate, "b", NULL, 3, 0 },
	{ "size-by-the-other", ME, op_size, "a", NULL, 0, 3 },
	{ "chmod-by-one", ME, op_chmod, "b", NULL, 0604, 0 },
	{ "mode-by-the-other", ME, op_mode, "a", NULL, 0, 0604 },
	{ "link-existing", ME, op_link, "a", "b", 0, -EEXIST },
	{ "link-to-itself", ME, op_link, "a", "a", 0, -EEXIST },
	{ "link-missing", ME, op_link, "none", "c", 0, -ENOENT },
	{ "link-into-missing-dir", ME, op_link, "a", "none/c", 0, -ENOENT },
	{ "link-into-file", ME, op_link, "a", "b/c", 0, -ENOTDIR },
	{ NULL, ME, op_mkdir, "dir", NULL, 0755, 0 },
	{ "link-into-dir", ME, op_link, "a", "dir/c", 0, 0 },
	{ "nlink-3", ME, op_nlink, "dir/c", NULL, 0, 3 },
	{ "link-of-dir", ME, op_link, "dir", "dir2", 0, -EPERM },
	{ "unlink-one", ME, op_unlink, "a", NULL, 0, 0 },
	{ "nlink-after-unlink", ME, op_nlink, "b", NULL, 0, 2 },
	{ "content-after-unlink", ME, op_holds, "dir/c", "one", 0, 1 },
	{ "rename-over-own-link", ME, op_rename, "b", "dir/c", 0, 0 },
	{ "both-names-stay", ME, op_exists, "b", NULL, 0, 0 },
	{ "nlink-stays", ME, op_nlink, "b", NULL, 0, 2 },
	{ NULL, ME, op_symlink, "b", "soft", 0, 0 },
	{ "link-of-symlink", ME, op_link, "soft", "soft2", 0, 0 },
	{ "link-of-symlink-type", ME, op_type, "soft2", NULL, 0, S_IFLNK },
	{ "link-of-symlink-nlink", ME, op_nlink, "b", NULL, 0, 2 },
	{ "link-of-symlink-same", ME, op_same, "soft", "soft2", 0, 1 },
	{ NULL, ME, op_mknod, "fifo", NULL, S_IFIFO | 0600, 0 },
	{ "link-of-fifo", ME, op_link, "fifo", "fifo2", 0, 0 },
	{ "link-of-fifo-same", ME, op_same, "fifo", "fifo2", 0, 1 },
	{ "unlink-last", ME, op_unlink, "b", NULL, 0, 0 },
	{ NULL, ME, op_unlink, "dir/c", NULL, 0, 0 },
	{ "gone", ME, op_exists, "b", NULL, 0, -ENOENT },
};

static void check_many(void)
{
	char name[16];
	long made = 0, removed = 0;

	op_create("many", NULL, 0600);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "many-%d", i);
		made += !link("many", name);
	}
	check(made, 100, "many-made");
	check(op_nlink("many", NULL, 0), 101, "many-nlink");
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "many-%d", i);
		removed += !unlink(name);
	}
	check(removed, 100, "many-removed");
	check(op_nlink("many", NULL, 0), 1, "many-nlink-after");
}

static void check_linkat(void)
{
	int fd = open("many", O_RDONLY);
	char path[32];

	symlink("many", "to-many");
	check(rc(linkat(AT_FDCWD, "to-many", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW)), 0,
	      "linkat-follow");
	check(op_same("followed", "many", 0), 1, "linkat-follow-same");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check(rc(linkat(AT_FDCWD, path, AT_FDCWD, "by-proc", AT_SYMLINK_FOLLOW)), 0, "linkat-proc");
	check(op_same("by-proc", "many", 0), 1, "linkat-proc-same");
	unlink("many");
	unlink("followed");
	unlink("by-proc");
	check(rc(linkat(AT_FDCWD, path, AT_FDCWD, "back", AT_SYMLINK_FOLLOW)), -ENOENT,
	      "linkat-of-unlinked");
	check(rc(linkat(AT_FDCWD, "x", AT_FDCWD, "y", 0x40000000)), -EINVAL, "linkat-unknown-flag");
	close(fd);
}

static void run(void)
{
	RUN_STEPS(steps);
	check_many();
	check_linkat();
}

const struct subject subject_link = { "link", false, run };
