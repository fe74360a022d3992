/* SPDX-License-Identifier: BSD-3-Clause */
/* Extended attributes. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static long op_set(const char *a, const char *b, long arg)
{
	return rc(setxattr(a, b, "value", 5, (int)arg));
}

static long op_get(const char *a, const char *b, long arg)
{
	char value[64];

	(void)arg;
	return rc(lgetxattr(a, b, value, sizeof(value)));
}

static long op_remove(const char *a, const char *b, long arg)
{
	(void)arg;
	return rc(removexattr(a, b));
}

/* How many names of "user." it has. */
static long op_count(const char *a, const char *b, long arg)
{
	char names[4096];
	ssize_t size = listxattr(a, names, sizeof(names));
	long n = 0;

	(void)b;
	(void)arg;
	if (size < 0)
		return -errno;
	for (char *p = names; p < names + size; p += strlen(p) + 1)
		n += !strncmp(p, "user.", 5);
	return n;
}

static const struct step steps[] = {
	{ NULL, ME, op_create, "file", NULL, 0644, 0 },
	{ NULL, ME, op_mkdir, "dir", NULL, 0755, 0 },
	{ NULL, ME, op_symlink, "file", "soft", 0, 0 },
	{ NULL, ME, op_mknod, "fifo", NULL, S_IFIFO | 0600, 0 },
	{ "none-yet", ME, op_count, "file", NULL, 0, 0 },
	{ "get-none", ME, op_get, "file", "user.a", 0, -ENODATA },
	{ "remove-none", ME, op_remove, "file", "user.a", 0, -ENODATA },
	{ "replace-none", ME, op_set, "file", "user.a", XATTR_REPLACE, -ENODATA },
	{ "create", ME, op_set, "file", "user.a", XATTR_CREATE, 0 },
	{ "create-again", ME, op_set, "file", "user.a", XATTR_CREATE, -EEXIST },
	{ "replace", ME, op_set, "file", "user.a", XATTR_REPLACE, 0 },
	{ "set", ME, op_set, "file", "user.b", 0, 0 },
	{ "unknown-flag", ME, op_set, "file", "user.b", 8, -EINVAL },
	{ "get", ME, op_get, "file", "user.a", 0, 5 },
	{ "count", ME, op_count, "file", NULL, 0, 2 },
	{ "through-link", ME, op_count, "soft", NULL, 0, 2 },
	{ "remove", ME, op_remove, "file", "user.a", 0, 0 },
	{ "removed", ME, op_get, "file", "user.a", 0, -ENODATA },
	{ "removed-count", ME, op_count, "file", NULL, 0, 1 },
	{ "on-dir", ME, op_set, "dir", "user.d", 0, 0 },
	{ "on-dir-count", ME, op_count, "dir", NULL, 0, 1 },
	{ "on-fifo", ME, op_set, "fifo", "user.f", 0, -EPERM },
	{ "no-namespace", ME, op_set, "file", "plain", 0, -EOPNOTSUPP },
	{ "unknown-namespace", ME, op_set, "file", "foreign.x", 0, -EOPNOTSUPP },
	{ "only-namespace", ME, op_set, "file", "user.", 0, -EINVAL },
	{ "empty-name", ME, op_set, "file", "", 0, -ERANGE },
	{ "missing-file", ME, op_set, "none", "user.a", 0, -ENOENT },
	{ "rename-keeps", ME, op_rename, "file", "file2", 0, 0 },
	{ "rename-kept", ME, op_count, "file2", NULL, 0, 1 },
	{ NULL, ME, op_rename, "file2", "file", 0, 0 },
};

static const struct step by_whom[] = {
	{ "read-by-other", OTHER, op_get, "file", "user.b", 0, 5 },
	{ "set-by-other", OTHER, op_set, "file", "user.o", 0, -EACCES },
	{ "remove-by-other", OTHER, op_remove, "file", "user.b", 0, -EACCES },
	{ NULL, ME, op_chmod, "file", NULL, 0600, 0 },
	{ "read-by-other-without-r", OTHER, op_get, "file", "user.b", 0, -EACCES },
	{ NULL, ME, op_chmod, "file", NULL, 0666, 0 },
	{ "set-by-writer", OTHER, op_set, "file", "user.o", 0, 0 },
	{ "trusted-by-other", OTHER, op_set, "file", "trusted.o", 0, -EPERM },
	{ "trusted-read-by-other", OTHER, op_get, "file", "trusted.o", 0, -ENODATA },
};

static void check_values(void)
{
	static char value[65537], got[1024];
	char name[300];
	long n;

	memset(value, 'v', sizeof(value));
	value[3] = '\0';
	check(rc(setxattr("file", "user.big", value, 1000, 0)), 0, "big");
	check(rc(getxattr("file", "user.big", NULL, 0)), 1000, "big-size");
	check(rc(getxattr("file", "user.big", got, 999)), -ERANGE, "big-small-buffer");
	check(rc(getxattr("file", "user.big", got, sizeof(got))), 1000, "big-get");
	check(memcmp(value, got, 1000), 0, "big-content");
	check(rc(setxattr("file", "user.empty", value, 0, 0)), 0, "empty");
	check(rc(getxattr("file", "user.empty", got, sizeof(got))), 0, "empty-get");
	check(rc(setxattr("file", "user.big", "short", 5, XATTR_REPLACE)), 0, "shorter");
	check(rc(getxattr("file", "user.big", got, sizeof(got))), 5, "shorter-get");
	n = rc(listxattr("file", NULL, 0));
	check(n > 0, 1, "list-size");
	check(rc(listxattr("file", got, 3)), -ERANGE, "list-small-buffer");
	check(rc(listxattr("file", got, sizeof(got))), n, "list");
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[255] = '\0';
	check(rc(setxattr("file", name, "x", 1, 0)), 0, "name-255");
	check(rc(getxattr("file", name, got, sizeof(got))), 1, "name-255-get");
	check(rc(removexattr("file", name)), 0, "name-255-remove");
	name[255] = 'n';
	name[256] = '\0';
	check(rc(setxattr("file", name, "x", 1, 0)), -ERANGE, "name-256");
	check(rc(setxattr("file", "user.huge", value, 65537, 0)), -E2BIG, "value-65537");
}

static void check_descriptors(void)
{
	int fd = open("file", O_RDWR);
	char got[8];

	check(rc(fsetxattr(fd, "user.fd", "fd", 2, 0)), 0, "fset");
	check(rc(getxattr("file", "user.fd", got, sizeof(got))), 2, "fset-seen");
	check(rc(fremovexattr(fd, "user.fd")), 0, "fremove");
	check(rc(fgetxattr(fd, "user.fd", got, sizeof(got))), -ENODATA, "fget-removed");
	check(rc(lsetxattr("soft", "user.s", "x", 1, 0)), -EPERM, "user-on-symlink");
	unlink("file");
	check(rc(fsetxattr(fd, "user.gone", "fd", 2, 0)), 0, "fset-unlinked");
	check(rc(fgetxattr(fd, "user.gone", got, sizeof(got))), 2, "fget-unlinked");
	close(fd);
}

static void run(void)
{
	op_create("probe", NULL, 0600);
	if (op_set("probe", "user.probe", 0) == -EOPNOTSUPP) {
		check_skip("no extended attributes here", "all");
		return;
	}
	unlink("probe");
	RUN_STEPS(steps);
	if (geteuid() == 0)
		RUN_STEPS(by_whom);
	else
		check_skip("only root can be several users", "by-whom");
	check_values();
	check_descriptors();
}

const struct subject subject_xattr = { "xattr", false, run };
