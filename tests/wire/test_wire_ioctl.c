/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOCTL against the real daemon and the host's own file system: a file has the
 * same flags from both sides, and what is not served says so. Relies on the
 * scratch tree's file system to have flags, or skips.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "tests/skip.h"

static const struct fixture_config readonly = { .args = { "--readonly", NULL } };

/* The host's flags of a name of the share; -errno. */
static int host_flags(struct fixture *f, const char *name)
{
	cleanup_close int fd = open(share_path(&f->daemon, name), O_RDONLY | O_CLOEXEC);
	int flags = 0;

	assert_true(fd >= 0);
	return ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ? -errno : flags;
}

static ssize_t get(struct fixture *f, uint64_t node, uint64_t fh, uint32_t how, int *flags)
{
	int32_t result = -1;
	ssize_t n = casement_ioctl(f->q, node, fh, FS_IOC_GETFLAGS, how, NULL, 0, flags, sizeof(*flags),
				   &result);

	assert_true(n < 0 || result == 0);
	return n;
}

static ssize_t set(struct fixture *f, uint64_t node, uint64_t fh, uint32_t how, int flags)
{
	int32_t result;

	return casement_ioctl(f->q, node, fh, FS_IOC_SETFLAGS, how, &flags, sizeof(flags), NULL, 0,
			      &result);
}

static void test_offered(void **state)
{
	struct fixture *f = fixture_of(state);

	assert_true(f->init.flags & FUSE_HAS_IOCTL_DIR);
}

static void test_flags_of_a_file(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	int flags, before = host_flags(f, "file");

	if (before < 0)
		SKIP_BECAUSE("this file system has no file flags");
	assert_int_equal(ok(get(f, node, fh, 0, &flags)), sizeof(flags));
	assert_int_equal(flags, before);
	ok(set(f, node, fh, 0, before | FS_NODUMP_FL));
	assert_int_equal(host_flags(f, "file"), before | FS_NODUMP_FL);
	ok(get(f, node, fh, FUSE_IOCTL_32BIT, &flags));
	assert_int_equal(flags, before | FS_NODUMP_FL);
}

static void test_flags_of_a_directory(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	int flags, before;

	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &entry));
	ok(casement_opendir(f->q, entry.nodeid, &open));
	before = host_flags(f, "dir");
	if (before < 0)
		SKIP_BECAUSE("this file system has no file flags");
	ok(set(f, entry.nodeid, open.fh, FUSE_IOCTL_DIR, before | FS_NODUMP_FL));
	assert_int_equal(host_flags(f, "dir"), before | FS_NODUMP_FL);
	ok(get(f, entry.nodeid, open.fh, FUSE_IOCTL_DIR, &flags));
	assert_int_equal(flags, before | FS_NODUMP_FL);
	/* The handle of one kind is not that of the other. */
	refused(get(f, entry.nodeid, open.fh, 0, &flags), EBADF);
}

static void test_fsxattr(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	struct fsxattr attr;
	int32_t result;

	if (host_flags(f, "file") < 0)
		SKIP_BECAUSE("this file system has no file flags");
	assert_int_equal(ok(casement_ioctl(f->q, node, fh, FS_IOC_FSGETXATTR, 0, NULL, 0, &attr,
					   sizeof(attr), &result)), sizeof(attr));
	attr.fsx_xflags |= FS_XFLAG_NOATIME;
	ok(casement_ioctl(f->q, node, fh, FS_IOC_FSSETXATTR, 0, &attr, sizeof(attr), NULL, 0, &result));
	assert_true(host_flags(f, "file") & FS_NOATIME_FL);
	attr.fsx_projid++;
	refused(casement_ioctl(f->q, node, fh, FS_IOC_FSSETXATTR, 0, &attr, sizeof(attr), NULL, 0,
			       &result), EPERM);
}

static void test_not_the_owner(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	int flags = 0;

	casement_set_caller(f->q, 1000, 1000, 1);
	refused(set(f, node, fh, 0, FS_NODUMP_FL), EPERM);
	if (host_flags(f, "file") >= 0)
		ok(get(f, node, fh, 0, &flags));
	assert_false(flags & FS_NODUMP_FL);
}

/* The host's own answer, whatever it is; a directory has none. */
static void test_verity(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fsverity_enable_arg arg = { .version = 1, .hash_algorithm = 1, .block_size = 4096 };
	uint64_t node, fh;
	int32_t result;
	int host;

	share_fill(&f->daemon, "twin", 5000, 1);
	share_fill(&f->daemon, "file", 5000, 1);
	{
		cleanup_close int fd = open(share_path(&f->daemon, "twin"), O_RDONLY | O_CLOEXEC);

		host = ioctl(fd, FS_IOC_ENABLE_VERITY, &arg) < 0 ? -errno : 0;
	}
	fh = open_file(f->q, "file", O_RDONLY, &node);
	assert_int_equal(casement_ioctl(f->q, node, fh, FS_IOC_ENABLE_VERITY, 0, &arg, sizeof(arg),
					NULL, 0, &result), host);
}

static void test_not_served(void **state)
{
	static const uint32_t cmds[] = { 0, FIGETBSZ, FICLONE, FS_IOC_FIEMAP, 0x5401, UINT32_MAX };
	static const uint32_t hows[] = { FUSE_IOCTL_UNRESTRICTED, FUSE_IOCTL_RETRY, 1u << 6, 1u << 31 };
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	char room[64] = "";
	int32_t result;
	int flags;

	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++)
		refused(casement_ioctl(f->q, node, fh, cmds[i], 0, room, 8, room, 8, &result), ENOTTY);
	for (size_t i = 0; i < ARRAY_SIZE(hows); i++)
		refused(get(f, node, fh, hows[i], &flags), EINVAL);
	refused(get(f, node, fh + 1, 0, &flags), EBADF);
}

static void test_readonly(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh;

	share_fill(&f->daemon, "file", 1, 0);
	fh = open_file(f->q, "file", O_RDONLY, &node);
	refused(set(f, node, fh, 0, FS_NODUMP_FL), EROFS);
}

/* A guest that polls concludes from this that everything is ready, and asks no more. */
static void test_poll_and_bmap(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_poll_in poll = { .events = 1 };
	struct fuse_bmap_in bmap = { .blocksize = 4096 };
	struct fuse_poll_out out;
	const struct iovec poll_in = { &poll, sizeof(poll) }, bmap_in = { &bmap, sizeof(bmap) };
	const struct iovec into = { &out, sizeof(out) };
	uint64_t node;

	poll.fh = create_file(f->q, "file", &node);
	refused(casement_call(f->q, FUSE_POLL, node, &poll_in, 1, &into, 1), ENOSYS);
	refused(casement_call(f->q, FUSE_BMAP, node, &bmap_in, 1, &into, 1), ENOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_offered, NULL),
		FIXTURE_TEST(test_flags_of_a_file, NULL),
		FIXTURE_TEST(test_flags_of_a_directory, NULL),
		FIXTURE_TEST(test_fsxattr, NULL),
		FIXTURE_TEST(test_not_the_owner, NULL),
		FIXTURE_TEST(test_verity, NULL),
		FIXTURE_TEST(test_not_served, NULL),
		FIXTURE_TEST(test_readonly, &readonly),
		FIXTURE_TEST(test_poll_and_bmap, NULL),
	};

	return cmocka_run_group_tests_name("wire_ioctl", tests, NULL, NULL);
}
