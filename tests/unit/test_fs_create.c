/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CREATE of a name that somebody else made after the guest saw that it was
 * missing. The guest's kernel did not ask whether the caller may have it, so it
 * is opened only where that is certain, and else is -ESTALE: look it up again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/checked.h"
#include "daemon/fs/creds.h"
#include "tests/skip.h"
#include "tests/unit/plain_fs.h"

static const struct fs_caller squashed_caller = { .uid = 1000, .gid = 1000, .shares_uid = true };
static const struct fs_caller stranger = { .uid = 2000, .gid = 2000 };

static void host_file(const char *name, uid_t uid, mode_t mode)
{
	host_write(f, name, "text");
	assert_int_equal(chown(host_path(f, name), uid, uid), 0);
	assert_int_equal(chmod(host_path(f, name), mode), 0);
}

/* Nothing of it is left in the guest's hands when it is refused. */
static int create(const struct fs_caller *caller, const char *name, uint32_t flags)
{
	unsigned int fds = open_fds();
	struct fs_entry entry;
	uint64_t handle;
	int err = fs_create(fs, caller, FS_ROOT_NODE, name, flags, 0644, &entry, &handle);

	if (!err) {
		assert_int_equal(fs_release(fs, handle), 0);
		fs_forget(fs, entry.node, 1);
	}
	if (!fixture_by_handle())
		assert_int_equal(open_fds(), fds);
	return err;
}

static const struct {
	const struct fs_caller *caller;
	uid_t owner;
	mode_t mode;
	uint32_t flags;
	int err;
} cases[] = {
	/* the owner, by the owner's bits alone */
	{ &user_caller, 1000, 0600, O_RDWR, 0 },
	{ &user_caller, 1000, 0600, O_RDWR | O_TRUNC, 0 },
	{ &user_caller, 1000, 0400, O_RDONLY, 0 },
	{ &user_caller, 1000, 0400, O_WRONLY, -ESTALE },
	{ &user_caller, 1000, 0200, O_RDONLY, -ESTALE },
	{ &user_caller, 1000, 0200, O_WRONLY | O_TRUNC, 0 },
	{ &user_caller, 1000, 0466, O_RDONLY | O_TRUNC, -ESTALE },
	{ &user_caller, 1000, 0066, O_RDONLY, -ESTALE },
	/* somebody else's */
	{ &user_caller, 0, 0600, O_RDONLY, -ESTALE },
	{ &user_caller, 0, 0600, O_WRONLY | O_TRUNC, -ESTALE },
	{ &user_caller, 0, 0644, O_RDONLY, 0 },
	{ &user_caller, 0, 0644, O_RDWR, -ESTALE },
	{ &user_caller, 0, 0666, O_RDWR, 0 },
	{ &user_caller, 0, 0666, O_RDWR | O_TRUNC, -ESTALE },
	{ &user_caller, 2000, 0606, O_RDONLY, -ESTALE },
	{ &user_caller, 2000, 0660, O_RDONLY, -ESTALE },
	{ &user_caller, 2000, 0066, O_RDONLY, -ESTALE },
	/* root of the guest has not all rights there, if it is in a container */
	{ &root_caller, 0, 0600, O_RDWR | O_TRUNC, 0 },
	{ &root_caller, 1000, 0600, O_RDONLY, -ESTALE },
	{ &root_caller, 1000, 0644, O_RDONLY, 0 },
	/* an id that several users of the guest have says nothing */
	{ &squashed_caller, 1000, 0600, O_RDONLY, -ESTALE },
	{ &squashed_caller, 1000, 0666, O_RDONLY, 0 },
};

static void who_certainly_may_opens(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char name[8];

		snprintf(name, sizeof(name), "%zu", i);
		host_file(name, cases[i].owner, cases[i].mode);
		if (create(cases[i].caller, name, cases[i].flags) != cases[i].err)
			fail_msg("case %zu is not %d", i, cases[i].err);
		assert_int_equal(host_stat(f, name).st_size,
				 !cases[i].err && cases[i].flags & O_TRUNC ? 0 : 4);
		assert_int_equal(create(cases[i].caller, name, cases[i].flags | O_EXCL), -EEXIST);
	}
}

/* An ACL may keep somebody out whom all the bits let in. */
static void with_an_acl_nothing_is_certain(void **state)
{
	static const uint16_t acl[] = {
		2, 0,				/* the version */
		1, 6, 0xffff, 0xffff,		/* the owner rw */
		2, 0, 2000, 0,			/* user 2000 nothing */
		4, 6, 0xffff, 0xffff, 16, 6, 0xffff, 0xffff, 32, 6, 0xffff, 0xffff,
	};

	(void)state;
	host_file("file", 0, 0666);
	assert_int_equal(create(&stranger, "file", O_RDONLY), 0);
	if (setxattr(host_path(f, "file"), "system.posix_acl_access", acl, sizeof(acl), 0))
		SKIP_BECAUSE("this file system does not have ACLs");
	assert_int_equal(host_stat(f, "file").st_mode & 0777, 0666);
	assert_int_equal(create(&stranger, "file", O_RDONLY), -ESTALE);
	/* but for the owner, for whom the bits are the ACL's own */
	assert_int_equal(create(&root_caller, "file", O_RDWR), 0);
}

static void other_kinds_are_looked_up(void **state)
{
	(void)state;
	host_file("file", 1000, 0600);
	assert_int_equal(symlink("file", host_path(f, "link")), 0);
	assert_int_equal(lchown(host_path(f, "link"), 1000, 1000), 0);
	assert_int_equal(symlink("nowhere", host_path(f, "dangling")), 0);
	assert_int_equal(mkfifo(host_path(f, "fifo"), 0666), 0);
	assert_int_equal(mkdir(host_path(f, "dir"), 0777), 0);
	for (const char *const *name = (const char *const[]){ "link", "dangling", "fifo", "dir", NULL };
	     *name; name++) {
		assert_int_equal(create(&user_caller, *name, O_RDWR), -ESTALE);
		assert_int_equal(create(&root_caller, *name, O_RDONLY | O_TRUNC), -ESTALE);
		assert_int_equal(create(&root_caller, *name, O_RDWR | O_EXCL), -EEXIST);
	}
}

/* A sticky directory of root's, and in it a name that the guest saw as its user's own. */
static uint64_t sticky_dir(void)
{
	uint64_t dir = must_mkdir(fs, 1, "tmp");

	creds_home();
	assert_int_equal(chmod(host_path(f, "tmp"), 01777), 0);
	host_file("tmp/mine", 1000, 0600);
	host_file("tmp/other", 1000, 0600);
	must_lookup(fs, dir, "mine");
	must_lookup(fs, dir, "other");
	return dir;
}

static void replace(const char *name)
{
	creds_home();
	host_file("new", 0, 0600);
	assert_int_equal(rename(host_path(f, "new"), host_path(f, name)), 0);
}

/* Its kernel asked for another file: whose this one is nobody has asked, until it is looked up. */
static void names_in_a_sticky_directory(void **state)
{
	uint64_t dir = sticky_dir();

	(void)state;
	replace("tmp/mine");
	assert_int_equal(fs_unlink(fs, &user_caller, dir, "mine"), -ESTALE);
	assert_int_equal(fs_rename(fs, &user_caller, dir, "mine", 1, "stolen", 0), -ESTALE);
	assert_int_equal(fs_rename(fs, &user_caller, dir, "other", dir, "mine", 0), -ESTALE);
	assert_int_equal(fs_rename(fs, &user_caller, dir, "other", dir, "mine", 2 /* EXCHANGE */), -ESTALE);
	assert_int_equal(host_stat(f, "tmp/mine").st_uid, 0);
	/* Root of the guest, the directory's owner, and who comes again after a look may. */
	assert_int_equal(fs_rename(fs, &root_caller, dir, "mine", dir, "roots", 0), 0);
	must_lookup(fs, dir, "roots");
	assert_int_equal(fs_unlink(fs, &user_caller, dir, "roots"), 0);
	replace("tmp/mine");
	creds_home();
	assert_int_equal(chown(host_path(f, "tmp"), 2000, 0), 0);
	assert_int_equal(fs_unlink(fs, &stranger, dir, "mine"), 0);
	/* One's own, known or not. */
	creds_home();
	host_file("tmp/mine", 1000, 0600);
	assert_int_equal(fs_rename(fs, &user_caller, dir, "mine", dir, "mine2", 0), 0);
	assert_int_equal(fs_unlink(fs, &user_caller, dir, "mine2"), 0);
	assert_int_equal(fs_unlink(fs, &squashed_caller, dir, "other"), 0);
	/* Where the directory is not sticky, everybody who may write it. */
	creds_home();
	assert_int_equal(chmod(host_path(f, "tmp"), 0777), 0);
	replace("tmp/mine");
	assert_int_equal(fs_unlink(fs, &user_caller, dir, "mine"), 0);
}

/* Nothing is made there, but what the host has made can be opened. */
static void on_a_read_only_share(void **state)
{
	const struct fs_config readonly = { .readonly = true };
	struct fs *rw = fs;

	(void)state;
	host_file("file", 0, 0600);
	fs = fixture_serve(f, &readonly);
	assert_int_equal(create(&root_caller, "file", O_RDONLY), -ESTALE);
	assert_int_equal(create(&root_caller, "file", O_RDWR | O_TRUNC), -ESTALE);
	assert_int_equal(create(&root_caller, "file", O_RDONLY | O_EXCL), -EEXIST);
	assert_int_equal(create(&root_caller, "none", O_RDONLY), -EROFS);
	fs_free(fs);
	fs = rw;
	assert_int_equal(host_stat(f, "file").st_size, 4);
}

#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(who_certainly_may_opens),
		FS_TEST(with_an_acl_nothing_is_certain),
		FS_TEST(other_kinds_are_looked_up),
		FS_TEST(names_in_a_sticky_directory),
		FS_TEST(on_a_read_only_share),
	};

	if (geteuid() != 0) {
		print_message("skipped: only root can make files for others\n");
		return 77;
	}
	/* Owners say something only where files are made as their callers. */
	return creds_setup(UINT64_MAX) || cmocka_run_group_tests(tests, NULL, NULL);
}
