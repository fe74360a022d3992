/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioctls of the file system: what reaches the host and in which form, and what
 * never does. The C library's ioctl(2) is replaced, so that the host's file
 * system need not have flags or fs-verity.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/checked.h"
#include "tests/unit/fs_fixture.h"
#include "tests/skip.h"

static struct fixture *f;
static uint64_t file, dir;	/* handles */

/* The host's file, as the replaced ioctl(2) has it. */
static struct {
	unsigned int calls, changes;
	int flags;
	struct fsxattr attr;
	struct fsverity_enable_arg enable;
	char salt[32], signature[64];
	uint16_t digest_room;
	int error;
} host;

static void host_enable(const struct fsverity_enable_arg *arg)
{
	host.enable = *arg;
	if (arg->salt_size)
		memcpy(host.salt, (const void *)(uintptr_t)arg->salt_ptr, arg->salt_size);
	if (arg->sig_size)
		memcpy(host.signature, (const void *)(uintptr_t)arg->sig_ptr, arg->sig_size);
}

static void host_measure(struct fsverity_digest *digest)
{
	host.digest_room = digest->digest_size;
	digest->digest_algorithm = FS_VERITY_HASH_ALG_SHA256;
	digest->digest_size = 32;
	memset(digest->digest, 0xd1, 32);
}

int ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	host.calls++;
	errno = host.error;
	if (host.error)
		return -1;
	host.changes += cmd == FS_IOC_SETFLAGS || cmd == FS_IOC_FSSETXATTR || cmd == FS_IOC_ENABLE_VERITY;
	if (cmd == FS_IOC_GETFLAGS)
		*(int *)arg = host.flags;
	else if (cmd == FS_IOC_SETFLAGS)
		host.flags = *(const int *)arg;
	else if (cmd == FS_IOC_FSGETXATTR)
		*(struct fsxattr *)arg = host.attr;
	else if (cmd == FS_IOC_FSSETXATTR)
		host.attr = *(const struct fsxattr *)arg;
	else if (cmd == FS_IOC_ENABLE_VERITY)
		host_enable(arg);
	else if (cmd == FS_IOC_MEASURE_VERITY)
		host_measure(arg);
	else
		fail_msg("ioctl %#lx reached the host", cmd);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	f = fixture_new(NULL);
	must_create(f->fs, FS_ROOT_NODE, "a", &file);
	assert_int_equal(fs_opendir(f->fs, FS_ROOT_NODE, &dir), 0);
	memset(&host, 0, sizeof(host));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

/* The result; the bytes that came out in *filled, unless NULL. */
static int call_as(const struct fs_caller *caller, uint64_t handle, uint32_t cmd, const void *in,
		   size_t in_size, void *out, size_t out_size, size_t *filled)
{
	struct fs_ioctl io = { cmd, in, in_size, out, out_size };
	int rc = fs_ioctl(f->fs, caller, handle, handle == dir, &io);

	if (filled)
		*filled = io.out_size;
	return rc;
}

static int call(uint64_t handle, uint32_t cmd, const void *in, size_t in_size, void *out,
		size_t out_size)
{
	return call_as(&root_caller, handle, cmd, in, in_size, out, out_size, NULL);
}

static void test_flags(void **state)
{
	static const uint32_t gets[] = { FS_IOC_GETFLAGS, FS_IOC32_GETFLAGS };
	static const uint32_t sets[] = { FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS };
	const int wanted = FS_NODUMP_FL | FS_NOATIME_FL;
	struct { int flags, rest; } out;
	size_t filled;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(gets); i++) {
		uint64_t handle = i / 2 ? dir : file;

		host.flags = 0;
		assert_int_equal(call(handle, sets[i % 2], &wanted, sizeof(wanted), &out, 0), 0);
		assert_int_equal(host.flags, wanted);
		memset(&out, 0xff, sizeof(out));
		assert_int_equal(call_as(&root_caller, handle, gets[i % 2], NULL, 0, &out, 4, &filled), 0);
		assert_int_equal(filled, 4);
		assert_int_equal(out.flags, wanted);
		assert_int_equal(out.rest, -1);
		/* A guest that goes by the number has eight bytes; the upper are nothing. */
		assert_int_equal(call_as(&root_caller, handle, gets[i % 2], NULL, 0, &out, 8, &filled), 0);
		assert_int_equal(filled, 8);
		assert_int_equal(out.flags, wanted);
		assert_int_equal(out.rest, 0);
	}
}

static void test_fsxattr(void **state)
{
	struct fsxattr attr = { .fsx_xflags = FS_XFLAG_NODUMP, .fsx_extsize = 4096 }, back;

	(void)state;
	assert_int_equal(call(file, FS_IOC_FSSETXATTR, &attr, sizeof(attr), NULL, 0), 0);
	assert_memory_equal(&host.attr, &attr, sizeof(attr));
	assert_int_equal(call(dir, FS_IOC_FSGETXATTR, NULL, 0, &back, sizeof(back)), 0);
	assert_memory_equal(&back, &attr, sizeof(attr));
}

/* Quota by project is the host's: neither an id nor what a directory hands down may change. */
static void test_project_ids(void **state)
{
	struct fsxattr attr = { .fsx_projid = 8 };
	int flags;

	(void)state;
	host.attr.fsx_projid = 7;
	assert_int_equal(call(file, FS_IOC_FSSETXATTR, &attr, sizeof(attr), NULL, 0), -EPERM);
	attr.fsx_projid = 7;
	attr.fsx_xflags = FS_XFLAG_PROJINHERIT;
	assert_int_equal(call(dir, FS_IOC_FSSETXATTR, &attr, sizeof(attr), NULL, 0), -EPERM);
	flags = FS_PROJINHERIT_FL;
	assert_int_equal(call(dir, FS_IOC_SETFLAGS, &flags, sizeof(flags), NULL, 0), -EPERM);
	host.flags = FS_PROJINHERIT_FL;
	flags = 0;
	assert_int_equal(call(dir, FS_IOC_SETFLAGS, &flags, sizeof(flags), NULL, 0), -EPERM);
	assert_int_equal(host.changes, 0);
	flags = FS_PROJINHERIT_FL | FS_NODUMP_FL;
	assert_int_equal(call(dir, FS_IOC_SETFLAGS, &flags, sizeof(flags), NULL, 0), 0);
	attr.fsx_xflags = FS_XFLAG_NODUMP;
	assert_int_equal(call(file, FS_IOC_FSSETXATTR, &attr, sizeof(attr), NULL, 0), 0);
}

/* A guest's kernel of before 5.13 does not ask whose file it is. */
static void test_who_may(void **state)
{
	struct fsverity_enable_arg enable = { .version = 1 };
	struct fsxattr attr = { 0 };
	int flags = FS_NODUMP_FL;

	(void)state;
	assert_int_equal(call_as(&user_caller, file, FS_IOC_SETFLAGS, &flags, 4, NULL, 0, NULL), -EPERM);
	assert_int_equal(call_as(&user_caller, file, FS_IOC_FSSETXATTR, &attr, sizeof(attr), NULL, 0,
				 NULL), -EPERM);
	assert_int_equal(call_as(&user_caller, file, FS_IOC_ENABLE_VERITY, &enable, sizeof(enable),
				 NULL, 0, NULL), -EACCES);
	assert_int_equal(host.calls, 0);
	assert_int_equal(call_as(&user_caller, file, FS_IOC_GETFLAGS, NULL, 0, &flags, 4, NULL), 0);
	if (chown(host_path(f, "a"), user_caller.uid, user_caller.gid) < 0)
		SKIP_BECAUSE("another process's threads are not shown here");
	assert_int_equal(call_as(&user_caller, file, FS_IOC_SETFLAGS, &flags, 4, NULL, 0, NULL), 0);
	assert_int_equal(call_as(&user_caller, file, FS_IOC_ENABLE_VERITY, &enable, sizeof(enable),
				 NULL, 0, NULL), 0);
}

/* What may take as long as the file is long keeps neither its queue nor the queue's stop waiting. */
static void test_changes_wait(void **state)
{
	static const enum fs_patience little[] = { FS_PATIENCE_NONE, FS_PATIENCE_DISK };
	struct fsverity_enable_arg enable = { .version = 1 };
	int flags = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(little); i++) {
		fs_set_patience(little[i], false);
		assert_int_equal(call(file, FS_IOC_ENABLE_VERITY, &enable, sizeof(enable), NULL, 0), FS_WAITS_OTHERS);
		assert_int_equal(call(dir, FS_IOC_SETFLAGS, &flags, 4, NULL, 0), FS_WAITS_OTHERS);
		assert_int_equal(host.calls, 0);
		assert_int_equal(call(file, FS_IOC_SETFLAGS, &flags, 3, NULL, 0), -EINVAL);
		assert_int_equal(call(file, FS_IOC_GETFLAGS, NULL, 0, &flags, 4), 0);
		host.calls = 0;
	}
	fs_set_patience(FS_PATIENCE_ENDLESS, false);
	assert_int_equal(call(file, FS_IOC_ENABLE_VERITY, &enable, sizeof(enable), NULL, 0), 0);
}

static void test_enable_verity(void **state)
{
	struct { struct fsverity_enable_arg arg; char salt[8], signature[5]; } in = {
		.arg = { .version = 1, .hash_algorithm = 1, .block_size = 4096, .salt_size = 8,
			 .sig_size = 5, .salt_ptr = 0xdeadbeef, .sig_ptr = 0xdeadbeef },
		.salt = "saltsal", .signature = "sign",
	};

	(void)state;
	assert_int_equal(call(file, FS_IOC_ENABLE_VERITY, &in, sizeof(in.arg) + 13, NULL, 0), 0);
	assert_int_equal(host.enable.block_size, 4096);
	assert_memory_equal(host.salt, in.salt, 8);
	assert_memory_equal(host.signature, in.signature, 5);
	assert_int_equal(call(dir, FS_IOC_ENABLE_VERITY, &in, sizeof(in.arg) + 13, NULL, 0), -ENOTTY);
	/* Sizes that lie about what follows; a pointer of the guest's is never used. */
	host.calls = 0;
	assert_int_equal(call(file, FS_IOC_ENABLE_VERITY, &in, sizeof(in.arg) + 12, NULL, 0), -EMSGSIZE);
	assert_int_equal(call(file, FS_IOC_ENABLE_VERITY, &in, sizeof(in.arg), NULL, 0), -EMSGSIZE);
	assert_int_equal(call(file, FS_IOC_ENABLE_VERITY, &in, sizeof(in.arg) - 1, NULL, 0), -EINVAL);
	in.arg.salt_size = UINT32_MAX;
	assert_int_equal(call(file, FS_IOC_ENABLE_VERITY, &in, sizeof(in.arg) + 13, NULL, 0), -EMSGSIZE);
	in.arg.salt_size = 8;
	in.arg.sig_size = UINT32_MAX;
	assert_int_equal(call(file, FS_IOC_ENABLE_VERITY, &in, sizeof(in.arg) + 13, NULL, 0), -EMSGSIZE);
	assert_int_equal(host.calls, 0);
	in.arg.salt_size = in.arg.sig_size = 0;
	assert_int_equal(call(file, FS_IOC_ENABLE_VERITY, &in, sizeof(in.arg), NULL, 0), 0);
	assert_true(host.enable.salt_ptr == 0 && host.enable.sig_ptr == 0);
}

static void test_measure_verity(void **state)
{
	struct { struct fsverity_digest head; unsigned char digest[64]; } buffer;
	const struct fsverity_digest large = { .digest_size = UINT16_MAX };
	struct fsverity_digest asked = { .digest_size = 64 };
	size_t filled;

	(void)state;
	assert_int_equal(call_as(&root_caller, file, FS_IOC_MEASURE_VERITY, &asked, sizeof(asked),
				 &buffer, sizeof(buffer), &filled), 0);
	assert_int_equal(filled, sizeof(asked) + 32);
	assert_int_equal(buffer.head.digest_size, 32);
	assert_int_equal(buffer.digest[31], 0xd1);
	assert_int_equal(host.digest_room, 64);
	/* The host is never told of more room than there is. */
	assert_int_equal(call(file, FS_IOC_MEASURE_VERITY, &large, sizeof(large), &buffer,
			      sizeof(large) + 40), 0);
	assert_int_equal(host.digest_room, 40);
	assert_int_equal(call(file, FS_IOC_MEASURE_VERITY, &large, sizeof(large), &buffer, 3), -EINVAL);
	assert_int_equal(call(file, FS_IOC_MEASURE_VERITY, &large, 3, &buffer, 68), -EINVAL);
}

/* Whatever else there is on a host. */
static void test_others(void **state)
{
	static const uint32_t cmds[] = {
		0, 1, UINT32_MAX, FIGETBSZ, FIONREAD, FICLONE, FITRIM, FIFREEZE, FS_IOC_FIEMAP,
		FS_IOC_GETFSLABEL, FS_IOC_SETFSLABEL, FS_IOC_READ_VERITY_METADATA, BLKGETSIZE,
		FUSE_DEV_IOC_CLONE,
	};
	char room[64] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++) {
		assert_int_equal(call(file, cmds[i], room, 8, room, 8), -ENOTTY);
		assert_int_equal(call(dir, cmds[i], room, 8, room, 8), -ENOTTY);
	}
	assert_int_equal(host.calls, 0);
}

static void test_sizes(void **state)
{
	static const struct { uint32_t cmd; size_t in, out; } cases[] = {
		{ FS_IOC_GETFLAGS, 0, 0 }, { FS_IOC_GETFLAGS, 0, 3 }, { FS_IOC_GETFLAGS, 0, 9 },
		{ FS_IOC_SETFLAGS, 0, 0 }, { FS_IOC_SETFLAGS, 3, 0 }, { FS_IOC_SETFLAGS, 9, 0 },
		{ FS_IOC_FSGETXATTR, 0, 27 }, { FS_IOC_FSGETXATTR, 0, 29 },
		{ FS_IOC_FSSETXATTR, 27, 0 }, { FS_IOC_FSSETXATTR, 29, 0 },
	};
	char room[64] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(call(file, cases[i].cmd, room, cases[i].in, room, cases[i].out), -EINVAL);
	assert_int_equal(host.calls, 0);
}

static void test_handles(void **state)
{
	struct fs_ioctl io = { .cmd = FS_IOC_GETFLAGS, .out = &io, .out_size = 4 };

	(void)state;
	assert_int_equal(fs_ioctl(f->fs, &root_caller, dir, false, &io), -EBADF);
	assert_int_equal(fs_ioctl(f->fs, &root_caller, file, true, &io), -EBADF);
	assert_int_equal(fs_ioctl(f->fs, &root_caller, FS_NO_HANDLE, false, &io), -EBADF);
	assert_int_equal(host.calls, 0);
}

static void test_readonly(void **state)
{
	const struct fs_config config = { .readonly = true };
	struct fs *fs = fixture_serve(f, &config);
	uint64_t handle = must_open(fs, must_lookup(fs, FS_ROOT_NODE, "a"), O_RDONLY);
	int flags = 0;
	struct fs_ioctl get = { FS_IOC_GETFLAGS, NULL, 0, &flags, 4 };
	struct fs_ioctl set = { FS_IOC_SETFLAGS, &flags, 4, NULL, 0 };

	(void)state;
	assert_int_equal(fs_ioctl(fs, &root_caller, handle, false, &get), 0);
	assert_int_equal(fs_ioctl(fs, &root_caller, handle, false, &set), -EROFS);
	assert_int_equal(host.changes, 0);
	fs_free(fs);
}

static void test_host_errors(void **state)
{
	int flags = 0;

	(void)state;
	host.error = ENOTTY;
	assert_int_equal(call(file, FS_IOC_GETFLAGS, NULL, 0, &flags, 4), -ENOTTY);
	host.error = EOPNOTSUPP;
	assert_int_equal(call(file, FS_IOC_SETFLAGS, &flags, 4, NULL, 0), -EOPNOTSUPP);
	assert_int_equal(host.changes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_flags), TEST(test_fsxattr), TEST(test_project_ids), TEST(test_who_may),
		TEST(test_changes_wait), TEST(test_enable_verity), TEST(test_measure_verity), TEST(test_others),
		TEST(test_sizes), TEST(test_handles), TEST(test_readonly), TEST(test_host_errors),
	};

	return cmocka_run_group_tests_name("fs_ioctl", tests, NULL, NULL);
}
