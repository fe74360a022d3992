/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Labels of new files, while somebody on the host puts something else in their
 * place: in the moment after the call that makes them (the linker leads those
 * calls through here, see meson.build). What he put there gets no label, and stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon/fs/creds.h"
#include "tests/skip.h"
#include "tests/unit/fs_fixture.h"

int __real_mkdirat(int dir, const char *name, mode_t mode);
int __real_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);
int __wrap_mkdirat(int dir, const char *name, mode_t mode);
int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);

static const struct fs_caller labelled = {
	.uid = 1000, .gid = 1000, .label = { "user.label", "secret", 6 },
};
static const struct fs_caller by_root = { .label = { "user.label", "secret", 6 } };

static struct fixture *f;
static struct fs *fs;
static const char *swap_in;	/* the host's, to be put in the place of what is made */
static bool refuse;		/* no label can be set */

static void swap(const char *name)
{
	if (!swap_in)
		return;
	assert_int_equal(rename(host_path(f, name), host_path(f, "away")), 0);
	assert_int_equal(rename(host_path(f, swap_in), host_path(f, name)), 0);
	swap_in = NULL;
}

int __wrap_mkdirat(int dir, const char *name, mode_t mode)
{
	int rc = __real_mkdirat(dir, name, mode);

	if (!rc)
		swap(name);
	return rc;
}

int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
	if (!refuse)
		return __real_fsetxattr(fd, name, value, size, flags);
	swap("new");
	errno = ENOSPC;
	return -1;
}

static int setup(void **state)
{
	(void)state;
	creds_home();
	f = fixture_new(NULL);
	fs = f->fs;
	swap_in = NULL;
	refuse = false;
	return chmod(f->dir, 0777);
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static bool has_label(const char *name)
{
	return getxattr(host_path(f, name), "user.label", NULL, 0) == 6;
}

static void need_attributes(void)
{
	if (setxattr(f->dir, "user.probe", "x", 1, 0))
		SKIP_BECAUSE("this file system does not have user attributes");
}

static void what_is_made_has_its_label(void **state)
{
	struct fs_entry entry;
	uint64_t handle;

	(void)state;
	need_attributes();
	assert_int_equal(fs_mkdir(fs, &labelled, 1, "dir", 0755, &entry), 0);
	assert_int_equal(fs_create(fs, &labelled, 1, "file", O_RDWR, 0644, &entry, &handle), 0);
	assert_int_equal(fs_mkdir(fs, &by_root, 1, "dir2", 0755, &entry), 0);
	assert_true(has_label("dir") && has_label("file") && has_label("dir2"));
	refuse = true;
	assert_int_equal(fs_create(fs, &labelled, 1, "new", O_RDWR, 0644, &entry, &handle), -ENOSPC);
	assert_int_equal(access(host_path(f, "new"), F_OK), -1);
}

/* The host's kernel has user.* for files and directories alone: what cannot have its label is not made. */
static void what_cannot_have_one_is_not_made(void **state)
{
	static const mode_t modes[] = { S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
	struct fs_entry entry;

	(void)state;
	need_attributes();
	assert_int_equal(fs_symlink(fs, &labelled, 1, "new", "target", &entry), -EPERM);
	for (unsigned int i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(fs_mknod(fs, &by_root, 1, "new", modes[i] | 0644, 0x103, &entry), -EPERM);
		assert_int_equal(faccessat(AT_FDCWD, host_path(f, "new"), F_OK, AT_SYMLINK_NOFOLLOW), -1);
	}
	assert_int_equal(fs_mknod(fs, &labelled, 1, "new", S_IFREG | 0644, 0, &entry), 0);
	assert_true(has_label("new"));
}

static void what_was_put_there_has_none(void **state)
{
	struct fs_entry entry;

	(void)state;
	need_attributes();
	assert_int_equal(mkdir(host_path(f, "hosts"), 0755), 0);
	swap_in = "hosts";
	assert_int_equal(fs_mkdir(fs, &labelled, 1, "dir", 0755, &entry), -ENOENT);
	assert_false(has_label("dir"));
	assert_int_equal(host_stat(f, "dir").st_uid, 0);
}

static void what_was_put_there_stays(void **state)
{
	struct fs_entry entry;
	uint64_t handle;

	(void)state;
	need_attributes();
	host_write(f, "hosts", "precious");
	swap_in = "hosts";
	refuse = true;
	assert_int_equal(fs_create(fs, &labelled, 1, "new", O_RDWR, 0644, &entry, &handle), -ENOSPC);
	assert_int_equal(host_stat(f, "new").st_size, 8);
}

#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(what_is_made_has_its_label),
		FS_TEST(what_cannot_have_one_is_not_made),
		FS_TEST(what_was_put_there_has_none),
		FS_TEST(what_was_put_there_stays),
	};

	if (geteuid() != 0) {
		print_message("skipped: only root can make files for others\n");
		return 77;
	}
	return creds_setup(UINT64_MAX) || cmocka_run_group_tests(tests, NULL, NULL);
}
