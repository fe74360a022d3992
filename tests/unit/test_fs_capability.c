/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A capability that a file has under another name (an xattr map moves it) goes
 * when the file changes. What has none, or can have none, changes as it would
 * without a map: by root, and by an ordinary user's daemon, which may write to
 * files whose attributes it may neither read nor change.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon/fs/xattr_map.h"
#include "tests/skip.h"
#include "tests/unit/fs_fixture.h"

#define MOVED "user.virtiofs.security.capability"

static struct xattr_map map;
static const struct fs_config mapped = { .xattr_map = &map };
static struct fixture *f;
static struct fs *fs;

static int setup(void **state)
{
	unsigned int at;
	const char *why;

	(void)state;
	if (xattr_map_parse(&map, ":map::user.virtiofs.:", &why, &at))
		return -1;
	f = fixture_new(&mapped);
	fs = f->fs;
	return 0;
}

static int set_append_only(const char *name, bool on)
{
	int fd = open(host_path(f, name), O_RDONLY), flags = 0, rc;

	if (fd < 0)
		return -1;
	rc = ioctl(fd, FS_IOC_GETFLAGS, &flags);
	flags = on ? flags | FS_APPEND_FL : flags & ~FS_APPEND_FL;
	rc = rc ? rc : ioctl(fd, FS_IOC_SETFLAGS, &flags);
	close(fd);
	return rc;
}

static int teardown(void **state)
{
	(void)state;
	/* Of a test that failed half-way: they could not be removed. */
	set_append_only("log", false);
	set_append_only("program", false);
	fixture_free(f);
	return 0;
}

static void need_attributes(void)
{
	if (setxattr(f->dir, "user.probe", "x", 1, 0))
		SKIP_BECAUSE("this file system does not have user attributes");
}

static void give(const char *name)
{
	assert_int_equal(setxattr(host_path(f, name), MOVED, "cap", 3, 0), 0);
}

static bool has(const char *name)
{
	return getxattr(host_path(f, name), MOVED, NULL, 0) >= 0;
}

static int chown_node(uint64_t node)
{
	struct fs_setattr set = { .valid = FS_SET_UID | FS_SET_GID, .uid = 1000, .gid = 1000 };
	struct fs_attr attr;

	return fs_setattr(fs, &root_caller, node, FS_NO_HANDLE, &set, &attr);
}

static void everything_can_be_given_away(void **state)
{
	static const mode_t types[] = { S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR };
	struct fs_entry entry;
	char name[] = "0";

	(void)state;
	if (geteuid())
		SKIP_BECAUSE("only root can give files away");
	need_attributes();
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++, name[0]++) {
		assert_int_equal(fs_mknod(fs, &root_caller, 1, name, types[i] | 0600, 0x103, &entry), 0);
		assert_int_equal(chown_node(entry.node), 0);
		assert_int_equal(host_stat(f, name).st_uid, 1000);
	}
	assert_int_equal(fs_symlink(fs, &root_caller, 1, "link", "0", &entry), 0);
	assert_int_equal(chown_node(entry.node), 0);
	assert_int_equal(host_stat(f, "link").st_gid, 1000);
	assert_int_equal(chown_node(must_mkdir(fs, 1, "dir")), 0);
	give("0");
	assert_int_equal(chown_node(must_lookup(fs, 1, "0")), 0);
	assert_false(has("0"));
}

static ssize_t write_in_place(uint64_t handle)
{
	struct iovec iov = { (char[]){ '!' }, 1 };
	struct iov_cursor from;

	iov_cursor_init(&from, &iov, 1);
	return fs_write(fs, 0, handle, 0, 1, &from, &(struct fs_write){ .place = FS_PLACE_OFFSET });
}

/* A file of the attribute +a may grow, and its attributes may not change. */
static void an_append_only_file_is_appended_to(void **state)
{
	uint64_t node, handle;
	ssize_t done;

	(void)state;
	need_attributes();
	host_write(f, "log", "1");
	host_write(f, "program", "1");
	give("program");
	if (set_append_only("log", true))
		SKIP_BECAUSE("files cannot be made append-only here");
	node = must_lookup(fs, 1, "log");
	handle = must_open(fs, node, O_WRONLY | O_APPEND);
	assert_int_equal(write_at(fs, handle, 0, "2", 1), 1);
	/* A descriptor whose O_APPEND was taken away, or a page of a mapping: it has its place, and no right to it. */
	assert_int_equal(write_in_place(handle), -EPERM);
	assert_int_equal(host_stat(f, "log").st_size, 2);
	assert_int_equal(set_append_only("log", false), 0);
	/* Before Linux 6.9 the descriptor cannot be used in any other way. */
	done = write_in_place(handle);
	assert_true(done == 1 || done == -EPERM);
	assert_int_equal(host_stat(f, "log").st_size, 2);
	/* One that has a capability must not change, if that cannot be taken away. */
	assert_int_equal(set_append_only("program", true), 0);
	handle = must_open(fs, must_lookup(fs, 1, "program"), O_WRONLY | O_APPEND);
	assert_int_equal(write_at(fs, handle, 0, "2", 1), -EPERM);
	assert_int_equal(set_append_only("program", false), 0);
	assert_int_equal(host_stat(f, "program").st_size, 1);
}

/* Run by an ordinary user, in a process of its own: files of these modes have a handle for writing from their making. */
static int write_to_own_files(void)
{
	static const mode_t modes[] = { 0444, 0200, 0000, 0644 };
	struct fs_entry entry;
	char name[] = "a";
	uint64_t handle;

	fs = fixture_serve(f, &mapped);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++, name[0]++) {
		if (fs_create(fs, &user_caller, 1, name, O_WRONLY | O_EXCL, modes[i], &entry, &handle))
			return 1;
		if (write_at(fs, handle, 0, "x", 1) != 1 ||
		    fs_fallocate(fs, &root_caller, entry.node, handle, 0, 0, 10))
			return 2;
	}
	/* What has a capability, and keeps it, is not written to. */
	if (fs_create(fs, &user_caller, 1, "cap", O_WRONLY | O_EXCL, 0644, &entry, &handle) ||
	    setxattr(host_path(f, "cap"), MOVED, "cap", 3, 0) || chmod(host_path(f, "cap"), 0))
		return 3;
	return write_at(fs, handle, 0, "x", 1) == -EACCES ? 0 : 4;
}

static void a_user_writes_to_what_he_made(void **state)
{
	int status = -1;
	pid_t child;

	(void)state;
	if (geteuid())
		SKIP_BECAUSE("only root can become another user");
	need_attributes();
	assert_int_equal(chown(f->dir, 1000, 1000), 0);
	child = fork();
	if (child == 0)
		_exit(setgid(1000) || setuid(1000) ? 5 : write_to_own_files());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(everything_can_be_given_away),
		FS_TEST(an_append_only_file_is_appended_to),
		FS_TEST(a_user_writes_to_what_he_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
