/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extended attributes through the real daemon: of files of every type, in all
 * sizes, by the host's names and by others.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "daemon/fs/xattr_map.h"
#include "tests/skip.h"

#define BIG 65536

static const struct fixture_config xattr = { .args = { "--xattr", NULL } };
/* trusted.* is for who may administrate the system: virtiofsd's users know that, too. */
static const struct fixture_config trusted = {
	.args = { "--xattr", "--modcaps", "+sys_admin", NULL } };
static const struct fixture_config readonly = { .args = { "--xattr", "--readonly", NULL } };
static const struct fixture_config mapped = {
	.args = { "--xattrmap", ":map::user.virtiofs.:", NULL },
};
static const struct fixture_config trusted_mapped = {
	.args = { "--xattrmap", "/map/trusted./user.virtiofs./", NULL },
};
static const struct fixture_config hidden = {
	.args = { "--xattrmap", "/unsupported/all/user.un/user.un/ /bad/all/user.no/user.no/ /ok/all///", NULL },
};

/* Not every file system has attributes; what the host cannot do we cannot show. */
static void need_attributes(struct fixture *f, const char *name)
{
	if (setxattr(f->daemon.share, name, "x", 1, 0) < 0)
		SKIP_BECAUSE("this file system does not have such attributes");
	removexattr(f->daemon.share, name);
}

static struct fixture *start(void **state)
{
	struct fixture *f = fixture_of(state);

	need_attributes(f, "user.probe");
	return f;
}

/* The host's value is this. */
static void check_host(struct fixture *f, const char *file, const char *name, const char *value)
{
	char buf[256];
	ssize_t n = lgetxattr(share_path(&f->daemon, file), name, buf, sizeof(buf));

	assert_int_equal(n, strlen(value));
	assert_memory_equal(buf, value, (size_t)n);
}

static void check_no_host(struct fixture *f, const char *file, const char *name)
{
	assert_int_equal(lgetxattr(share_path(&f->daemon, file), name, NULL, 0), -1);
	assert_int_equal(errno, ENODATA);
}

static bool list_has(const char *list, ssize_t size, const char *name)
{
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(list + at) + 1)
		if (!strcmp(list + at, name))
			return true;
	return false;
}

static void test_set_get_list_remove(void **state)
{
	struct fixture *f = start(state);
	char buf[256];
	uint64_t node;
	ssize_t n;

	create_file(f->q, "file", &node);
	ok(casement_setxattr(f->q, node, "user.a", "value", 5, 0));
	check_host(f, "file", "user.a", "value");
	assert_int_equal(casement_getxattr(f->q, node, "user.a", buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "value", 5);
	ok(casement_setxattr(f->q, node, "user.b", NULL, 0, 0));
	assert_int_equal(casement_getxattr(f->q, node, "user.b", NULL, 0), 0);
	n = casement_listxattr(f->q, node, buf, sizeof(buf));
	assert_true(n > 0);
	assert_true(list_has(buf, n, "user.a") && list_has(buf, n, "user.b"));
	refused(casement_setxattr(f->q, node, "user.a", "x", 1, XATTR_CREATE), EEXIST);
	refused(casement_setxattr(f->q, node, "user.c", "x", 1, XATTR_REPLACE), ENODATA);
	refused(casement_setxattr(f->q, node, "user.c", "x", 1, 4), EINVAL);
	ok(casement_setxattr(f->q, node, "user.a", "new", 3, XATTR_REPLACE));
	check_host(f, "file", "user.a", "new");
	ok(casement_removexattr(f->q, node, "user.a"));
	check_no_host(f, "file", "user.a");
	refused(casement_removexattr(f->q, node, "user.a"), ENODATA);
	refused(casement_getxattr(f->q, node, "user.a", buf, sizeof(buf)), ENODATA);
	refused(casement_getxattr(f->q, node, "nonsense", buf, sizeof(buf)), EOPNOTSUPP);
	refused(casement_getxattr(f->q, 4711, "user.a", buf, sizeof(buf)), ESTALE);
}

/* With room for nothing the length is told; a byte too little is ERANGE, the right room is enough. */
static void test_sizes(void **state)
{
	struct fixture *f = start(state);
	char value[100], buf[256];
	ssize_t list;
	uint64_t node;

	create_file(f->q, "file", &node);
	memset(value, 'v', sizeof(value));
	ok(casement_setxattr(f->q, node, "user.a", value, 100, 0));
	assert_int_equal(casement_getxattr(f->q, node, "user.a", NULL, 0), 100);
	refused(casement_getxattr(f->q, node, "user.a", buf, 99), ERANGE);
	refused(casement_getxattr(f->q, node, "user.a", buf, 1), ERANGE);
	assert_int_equal(casement_getxattr(f->q, node, "user.a", buf, 100), 100);
	list = casement_listxattr(f->q, node, NULL, 0);
	assert_true(list >= 7);
	refused(casement_listxattr(f->q, node, buf, (size_t)list - 1), ERANGE);
	assert_int_equal(casement_listxattr(f->q, node, buf, (size_t)list), list);
}

/* The largest value there can be, where the file system takes it, and one byte more. */
static void test_largest(void **state)
{
	struct fixture *f = start(state);
	cleanup_free char *value = calloc(1, BIG + 1);
	uint64_t node;
	long err;

	assert_non_null(value);
	memset(value, 'v', BIG);
	create_file(f->q, "file", &node);
	refused(casement_setxattr(f->q, node, "user.a", value, BIG + 1, 0), E2BIG);
	err = casement_setxattr(f->q, node, "user.a", value, BIG, 0);
	if (err == -ENOSPC || err == -E2BIG)
		err = casement_setxattr(f->q, node, "user.a", value, 2000, 0);
	ok(err);
	err = casement_getxattr(f->q, node, "user.a", NULL, 0);
	memset(value, 0, BIG);
	assert_int_equal(casement_getxattr(f->q, node, "user.a", value, BIG), err);
	assert_int_equal(value[err - 1], 'v');
}

/* Asking for a FIFO's or a device's attributes opens neither; a link's are its own. */
static void test_every_type(void **state)
{
	static const struct { const char *name; mode_t mode; } nodes[] = {
		{ "fifo", S_IFIFO | 0600 }, { "socket", S_IFSOCK | 0600 }, { "char", S_IFCHR | 0600 },
	};
	struct fixture *f = start(state);
	struct fuse_entry_out entry;
	char buf[64];

	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &entry));
	ok(casement_setxattr(f->q, entry.nodeid, "user.a", "d", 1, 0));
	check_host(f, "dir", "user.a", "d");
	need_attributes(f, "trusted.probe");
	for (unsigned int i = 0; i < ARRAY_SIZE(nodes); i++) {
		ok(casement_mknod(f->q, CASEMENT_ROOT, nodes[i].name, nodes[i].mode, 0, &entry));
		ok(casement_setxattr(f->q, entry.nodeid, "trusted.a", nodes[i].name, 4, 0));
		assert_int_equal(casement_getxattr(f->q, entry.nodeid, "trusted.a", buf, sizeof(buf)), 4);
		assert_memory_equal(buf, nodes[i].name, 4);
		refused(casement_setxattr(f->q, entry.nodeid, "user.a", "x", 1, 0), EPERM);
	}
	share_fill(&f->daemon, "target", 10, 1);
	ok(casement_symlink(f->q, CASEMENT_ROOT, "link", "target", &entry));
	ok(casement_setxattr(f->q, entry.nodeid, "trusted.a", "link", 4, 0));
	check_host(f, "link", "trusted.a", "link");
	check_no_host(f, "target", "trusted.a");
	assert_true(casement_listxattr(f->q, entry.nodeid, buf, sizeof(buf)) >= 10);
	ok(casement_removexattr(f->q, entry.nodeid, "trusted.a"));
	check_no_host(f, "link", "trusted.a");
	daemon_check(&f->daemon);
}

/* An unlinked file that is still known has its attributes yet. */
static void test_unlinked(void **state)
{
	struct fixture *f = start(state);
	uint64_t node;
	char buf[8];

	create_file(f->q, "file", &node);
	ok(casement_setxattr(f->q, node, "user.a", "v", 1, 0));
	ok(casement_unlink(f->q, CASEMENT_ROOT, "file"));
	assert_int_equal(casement_getxattr(f->q, node, "user.a", buf, sizeof(buf)), 1);
}

static void test_without(void **state)
{
	struct fixture *f = fixture_of(state);
	char buf[8];

	refused(casement_getxattr(f->q, CASEMENT_ROOT, "user.a", buf, sizeof(buf)), ENOSYS);
	refused(casement_setxattr(f->q, CASEMENT_ROOT, "user.a", "v", 1, 0), ENOSYS);
	refused(casement_listxattr(f->q, CASEMENT_ROOT, buf, sizeof(buf)), ENOSYS);
	refused(casement_removexattr(f->q, CASEMENT_ROOT, "user.a"), ENOSYS);
}

static void test_readonly(void **state)
{
	struct fixture *f = start(state);
	char buf[8];

	assert_int_equal(setxattr(f->daemon.share, "user.a", "v", 1, 0), 0);
	refused(casement_setxattr(f->q, CASEMENT_ROOT, "user.a", "w", 1, 0), EROFS);
	refused(casement_removexattr(f->q, CASEMENT_ROOT, "user.a"), EROFS);
	assert_int_equal(casement_getxattr(f->q, CASEMENT_ROOT, "user.a", buf, sizeof(buf)), 1);
}

/* Where ACLs were not agreed on, there are none: not to ask for, not in a list. */
static void test_acl_hidden(void **state)
{
	static const unsigned char acl[] = {
		2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 6, 0, 232, 3, 0, 0,
		4, 0, 5, 0, 255, 255, 255, 255, 16, 0, 7, 0, 255, 255, 255, 255,
		32, 0, 5, 0, 255, 255, 255, 255,
	};
	struct fixture *f = start(state);
	char buf[256];
	ssize_t n;

	if (setxattr(f->daemon.share, "system.posix_acl_access", acl, sizeof(acl), 0) < 0)
		SKIP_BECAUSE("this file system does not have such attributes");
	n = casement_listxattr(f->q, CASEMENT_ROOT, buf, sizeof(buf));
	assert_true(n >= 0);
	assert_false(list_has(buf, n, "system.posix_acl_access"));
	refused(casement_getxattr(f->q, CASEMENT_ROOT, "system.posix_acl_access", buf, 256), EOPNOTSUPP);
	refused(casement_setxattr(f->q, CASEMENT_ROOT, "system.posix_acl_access", acl, sizeof(acl), 0),
		EOPNOTSUPP);
	refused(casement_removexattr(f->q, CASEMENT_ROOT, "system.posix_acl_default"), EOPNOTSUPP);
}

/* Everything the guest has is under a prefix, and all that the host has is hidden. */
static void test_map_all(void **state)
{
	struct fixture *f = start(state);
	char longest[XATTR_MAP_NAME_SIZE], buf[256];
	uint64_t node;
	ssize_t n;

	create_file(f->q, "file", &node);
	ok(casement_setxattr(f->q, node, "trusted.overlay.opaque", "y", 1, 0));
	check_host(f, "file", "user.virtiofs.trusted.overlay.opaque", "y");
	assert_int_equal(setxattr(share_path(&f->daemon, "file"), "user.host", "h", 1, 0), 0);
	n = casement_listxattr(f->q, node, buf, sizeof(buf));
	assert_int_equal(n, sizeof("trusted.overlay.opaque"));
	assert_string_equal(buf, "trusted.overlay.opaque");
	assert_int_equal(casement_listxattr(f->q, node, NULL, 0), n);
	refused(casement_listxattr(f->q, node, buf, (size_t)n - 1), ERANGE);
	refused(casement_getxattr(f->q, node, "user.host", buf, sizeof(buf)), ENODATA);
	ok(casement_removexattr(f->q, node, "trusted.overlay.opaque"));
	check_no_host(f, "file", "user.virtiofs.trusted.overlay.opaque");
	memset(longest, 'n', sizeof(longest));
	longest[255] = '\0';
	refused(casement_setxattr(f->q, node, longest, "v", 1, 0), ERANGE);
}

/* A guest's user can write user.*, and must not make trusted.* of it. */
static void test_map_no_detour(void **state)
{
	struct fixture *f = start(state);
	char buf[64];
	uint64_t node;

	create_file(f->q, "file", &node);
	refused(casement_setxattr(f->q, node, "user.virtiofs.trusted.a", "x", 1, 0), EPERM);
	refused(casement_removexattr(f->q, node, "user.virtiofs.trusted.a"), EPERM);
	refused(casement_getxattr(f->q, node, "user.virtiofs.trusted.a", buf, sizeof(buf)), ENODATA);
	ok(casement_setxattr(f->q, node, "trusted.a", "x", 1, 0));
	check_host(f, "file", "user.virtiofs.trusted.a", "x");
	ok(casement_setxattr(f->q, node, "user.a", "y", 1, 0));
	check_host(f, "file", "user.a", "y");
}

static void test_map_hides(void **state)
{
	struct fixture *f = start(state);
	char buf[256];
	uint64_t node;
	ssize_t n;

	create_file(f->q, "file", &node);
	assert_int_equal(setxattr(share_path(&f->daemon, "file"), "user.un", "h", 1, 0), 0);
	assert_int_equal(setxattr(share_path(&f->daemon, "file"), "user.no", "h", 1, 0), 0);
	n = casement_listxattr(f->q, node, buf, sizeof(buf));
	assert_true(n >= 0);
	assert_false(list_has(buf, n, "user.un") || list_has(buf, n, "user.no"));
	refused(casement_getxattr(f->q, node, "user.un", buf, sizeof(buf)), EOPNOTSUPP);
	refused(casement_setxattr(f->q, node, "user.un", "x", 1, 0), EOPNOTSUPP);
	refused(casement_getxattr(f->q, node, "user.no", buf, sizeof(buf)), ENODATA);
	refused(casement_setxattr(f->q, node, "user.no", "x", 1, 0), EPERM);
	check_host(f, "file", "user.un", "h");
}

#define CAP_HOST "user.virtiofs.security.capability"

static void give_capability(struct fixture *f)
{
	assert_int_equal(setxattr(share_path(&f->daemon, "file"), CAP_HOST, "cap", 3, 0), 0);
}

static void check_dropped(struct fixture *f)
{
	check_no_host(f, "file", CAP_HOST);
	give_capability(f);
}

/*
 * CVE-2021-20263: a capability under another name is nothing to the host's
 * kernel, so that it stayed on a file that had got other contents or owners.
 */
static void test_cve_2021_20263(void **state)
{
	struct fixture *f = start(state);
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = 1 };
	struct fuse_copy_file_range_in copy = { .len = 1 };
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	uint64_t fh, node;
	char buf[8];

	fh = create_file(f->q, "file", &node);
	give_capability(f);
	ok(casement_write(f->q, node, fh, 0, "x", 1));
	check_dropped(f);
	ok(casement_setattr(f->q, node, &set, &attr));
	check_dropped(f);
	set.valid = FATTR_SIZE | FATTR_FH;
	set.fh = fh;
	ok(casement_setattr(f->q, node, &set, &attr));
	check_dropped(f);
	set = (struct fuse_setattr_in){ .valid = FATTR_UID, .uid = geteuid() };
	ok(casement_setattr(f->q, node, &set, &attr));
	check_dropped(f);
	ok(casement_open(f->q, node, O_RDWR | O_TRUNC, &open));
	check_dropped(f);
	ok(casement_fallocate(f->q, node, fh, 0, 0, 10));
	check_dropped(f);
	copy.fh_in = open.fh;
	copy.nodeid_out = node;
	copy.fh_out = fh;
	copy.off_out = 20;
	if (casement_copy_file_range(f->q, &copy, node) >= 0)
		check_dropped(f);
	/* but not by looking, nor by a change of mode or times */
	assert_int_equal(casement_getxattr(f->q, node, "security.capability", buf, sizeof(buf)), 3);
	set = (struct fuse_setattr_in){ .valid = FATTR_MODE | FATTR_ATIME_NOW, .mode = 0755 };
	ok(casement_setattr(f->q, node, &set, &attr));
	assert_int_equal(casement_read(f->q, node, fh, 0, buf, sizeof(buf)), 8);
	check_host(f, "file", CAP_HOST, "cap");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_set_get_list_remove, &xattr),
		FIXTURE_TEST(test_sizes, &xattr),
		FIXTURE_TEST(test_largest, &xattr),
		FIXTURE_TEST(test_every_type, &trusted),
		FIXTURE_TEST(test_unlinked, &xattr),
		FIXTURE_TEST(test_without, NULL),
		FIXTURE_TEST(test_readonly, &readonly),
		FIXTURE_TEST(test_acl_hidden, &xattr),
		FIXTURE_TEST(test_map_all, &mapped),
		FIXTURE_TEST(test_map_no_detour, &trusted_mapped),
		FIXTURE_TEST(test_map_hides, &hidden),
		FIXTURE_TEST(test_cve_2021_20263, &mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
