/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests about attributes: every field, both ways. */
#include "daemon/protocol/handle_attr.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "proto/fuse_extension.h"
#include "tests/unit/share.h"

/* A file with every attribute different from every other. */
static void fill_attr(void)
{
	struct statx *stx = &fake.entry.attr.stx;

	stx->stx_mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;
	stx->stx_blksize = 8192;
	stx->stx_attributes = STATX_ATTR_APPEND | STATX_ATTR_MOUNT_ROOT;
	stx->stx_attributes_mask = STATX_ATTR_APPEND | STATX_ATTR_MOUNT_ROOT;
	stx->stx_nlink = 3;
	stx->stx_uid = 1001;
	stx->stx_gid = 1002;
	stx->stx_mode = S_IFCHR | 0640;
	stx->stx_ino = 0x123456789abcULL;
	fake.entry.attr.number.own = 0x123456789abcULL;
	stx->stx_size = 0x1ffffffffULL;
	stx->stx_blocks = 77;
	stx->stx_atime = (struct statx_timestamp){ .tv_sec = -5, .tv_nsec = 1 };
	stx->stx_mtime = (struct statx_timestamp){ .tv_sec = 1600000000, .tv_nsec = 2 };
	stx->stx_ctime = (struct statx_timestamp){ .tv_sec = 1700000000, .tv_nsec = 3 };
	stx->stx_btime = (struct statx_timestamp){ .tv_sec = 1500000000, .tv_nsec = 4 };
	stx->stx_rdev_major = 8;
	stx->stx_rdev_minor = 0x12345;
	stx->stx_dev_major = 259;
	stx->stx_dev_minor = 6;
	fake.entry.attr.dax = true;
}

static void check_attr(const struct fuse_attr *attr)
{
	assert_int_equal(attr->ino, 0x123456789abcULL);
	assert_int_equal(attr->size, 0x1ffffffffULL);
	assert_int_equal(attr->blocks, 77);
	assert_true(attr->atime == (uint64_t)-5);
	assert_int_equal(attr->mtime, 1600000000);
	assert_int_equal(attr->ctime, 1700000000);
	assert_int_equal(attr->atimensec, 1);
	assert_int_equal(attr->mtimensec, 2);
	assert_int_equal(attr->ctimensec, 3);
	assert_int_equal(attr->mode, S_IFCHR | 0640);
	assert_int_equal(attr->nlink, 3);
	assert_int_equal(attr->uid, 1001);
	assert_int_equal(attr->gid, 1002);
	assert_int_equal(attr->rdev, makedev(8, 0x12345));
	assert_int_equal(attr->blksize, 8192);
	assert_int_equal(attr->flags, FUSE_ATTR_DAX);
}

static void test_getattr(void **state)
{
	struct fuse_getattr_in in = { .fh = 5 };
	struct fuse_attr_out out;

	(void)state;
	fill_attr();
	assert_int_equal(ASK(FUSE_GETATTR, 7, in), 0);
	assert_true(fake.handle == FS_NO_HANDLE);
	ANSWER(out);
	assert_int_equal(out.attr_valid, 1);
	assert_int_equal(out.attr_valid_nsec, 500000000);
	check_attr(&out.attr);
	in.getattr_flags = FUSE_GETATTR_FH;
	assert_int_equal(ASK(FUSE_GETATTR, 7, in), 0);
	assert_int_equal(fake.handle, 5);
	/* a guest that knows nothing of ATTR_DAX is not sent it */
	exchange_init(&x, sq, 46, 0);
	assert_int_equal(ASK(FUSE_GETATTR, 7, in), 0);
	ANSWER(out);
	assert_int_equal(out.attr.flags, 0);
}

/* Only who can do without a range is offered a file that may have one which cannot be mapped. */
static void test_offers(void **state)
{
	struct fuse_init_in init = { .major = 7, .minor = 46, .flags = FUSE_INIT_EXT,
				     .flags2 = FUSE_HAS_INODE_DAX >> 32 };
	const struct server_config config = { .cache = CACHE_AUTO };
	struct fuse_extension extension = { FUSE_EXTENSION_MAGIC, 0 };
	struct window_ops window = fake_window_ops;
	const struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out out;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		share_free();
		window.any_range = i & 1;
		share_new(&config, &window);
		extension.flags = i & 2 ? FUSE_EXTENSION_SOME_RANGES : FUSE_EXTENSION_WHOLE_DIR;
		memcpy((char *)(&init + 1) - sizeof(extension), &extension, sizeof(extension));
		exchange_start(&x, FUSE_INIT, 0);
		exchange_add(&x, &init, sizeof(init));
		assert_int_equal(exchange_run(&x, sq), 0);
		fill_attr();
		assert_int_equal(ASK(FUSE_GETATTR, 7, in), 0);
		ANSWER(out);
		assert_int_equal(out.attr.flags, i ? FUSE_ATTR_DAX : 0);
	}
}

/* The kernel's DAX code writes back by pages, and refuses an inode of other blocks. */
static void test_blocks_are_pages_with_a_window(void **state)
{
	const struct server_config config = { .cache = CACHE_AUTO };
	const struct fuse_statx_in ask_statx = { 0 };
	const struct fuse_getattr_in ask = { 0 };
	struct fuse_statx_out statx;
	struct fuse_attr_out out;

	(void)state;
	for (unsigned int window = 0; window < 2; window++) {
		share_free();
		share_new(&config, window ? &fake_window_ops : NULL);
		assert_int_equal(exchange_init(&x, sq, 46, 0), 0);
		for (unsigned int i = 0; i < 3; i++) {
			static const uint32_t sizes[] = { 1024, 4096, 2 << 20 };

			fill_attr();
			fake.entry.attr.stx.stx_blksize = sizes[i];
			fake.entry.attr.stx.stx_mode = S_IFREG | 0644;
			assert_int_equal(ASK(FUSE_GETATTR, 7, ask), 0);
			ANSWER(out);
			assert_int_equal(out.attr.blksize, window ? 4096 : sizes[i]);
			assert_int_equal(ASK(FUSE_STATX, 7, ask_statx), 0);
			ANSWER(statx);
			assert_int_equal(statx.stat.blksize, window ? 4096 : sizes[i]);
			fake.entry.attr.stx.stx_mode = S_IFDIR | 0755;
			assert_int_equal(ASK(FUSE_GETATTR, 7, ask), 0);
			ANSWER(out);
			assert_int_equal(out.attr.blksize, sizes[i]);
		}
	}
}

static void test_statx(void **state)
{
	struct fuse_statx_in in = { .getattr_flags = FUSE_GETATTR_FH, .fh = 5 };
	struct fuse_statx_out out;
	const struct fuse_statx *stat = &out.stat;

	(void)state;
	fill_attr();
	assert_int_equal(ASK(FUSE_STATX, 7, in), 0);
	assert_int_equal(fake.handle, 5);
	ANSWER(out);
	assert_int_equal(out.attr_valid, 1);
	assert_int_equal(stat->mask, STATX_BASIC_STATS | STATX_BTIME);
	assert_int_equal(stat->attributes, STATX_ATTR_APPEND);
	assert_int_equal(stat->attributes_mask, STATX_ATTR_APPEND);
	assert_int_equal(stat->mode, S_IFCHR | 0640);
	assert_int_equal(stat->size, 0x1ffffffffULL);
	assert_int_equal(stat->btime.tv_sec, 1500000000);
	assert_int_equal(stat->btime.tv_nsec, 4);
	assert_int_equal(stat->atime.tv_sec, -5);
	assert_int_equal(stat->rdev_minor, 0x12345);
	assert_int_equal(stat->dev_major, 259);
}

static void test_setattr(void **state)
{
	struct fuse_setattr_in in = {
		.valid = UINT32_MAX, .fh = 5, .size = 6, .atime = 7, .mtime = (uint64_t)-8,
		.atimensec = 9, .mtimensec = 10, .mode = 0700, .uid = 11, .gid = 12,
	};

	(void)state;
	assert_int_equal(ASK(FUSE_SETATTR, 7, in), 0);
	assert_int_equal(x.answer_len, sizeof(struct fuse_attr_out));
	assert_int_equal(fake.handle, 5);
	assert_int_equal(fake.set.valid, (1 << 9) - 1);
	assert_int_equal(fake.set.size, 6);
	assert_int_equal(fake.set.atime.tv_sec, 7);
	assert_int_equal(fake.set.atime.tv_nsec, 9);
	assert_int_equal(fake.set.mtime.tv_sec, -8);
	assert_int_equal(fake.set.mtime.tv_nsec, 10);
	assert_int_equal(fake.set.mode, 0700);
	assert_int_equal(fake.set.uid, 11);
	assert_int_equal(fake.set.gid, 12);
	share_check_caller();
	in.valid = FATTR_CTIME | FATTR_LOCKOWNER | FATTR_ATIME_NOW | FATTR_ATIME;
	assert_int_equal(ASK(FUSE_SETATTR, 7, in), 0);
	assert_int_equal(fake.set.valid, FS_SET_ATIME | FS_SET_ATIME_NOW);
	assert_true(fake.handle == FS_NO_HANDLE);
}

static void test_setattr_nonsense(void **state)
{
	/* UTIME_NOW, spelled as a time */
	struct fuse_setattr_in in = { .valid = FATTR_MTIME, .mtimensec = (1 << 30) - 1 };

	(void)state;
	assert_int_equal(ASK(FUSE_SETATTR, 7, in), -EINVAL);
	in = (struct fuse_setattr_in){ .valid = FATTR_ATIME, .atimensec = 1000000000 };
	assert_int_equal(ASK(FUSE_SETATTR, 7, in), -EINVAL);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 1ULL << 63 };
	assert_int_equal(ASK(FUSE_SETATTR, 7, in), -EFBIG);
	assert_int_equal(fake.calls, 0);
}

static void test_statfs(void **state)
{
	struct fuse_statfs_out out;

	(void)state;
	fake.statvfs = (struct statvfs){ .f_blocks = 1, .f_bfree = 2, .f_bavail = 3, .f_files = 4,
		.f_ffree = 5, .f_bsize = 6, .f_namemax = 1000, .f_frsize = 8 };
	assert_int_equal(ASK_BARE(FUSE_STATFS, 7, NULL, NULL), 0);
	ANSWER(out);
	assert_int_equal(out.st.blocks, 1);
	assert_int_equal(out.st.bfree, 2);
	assert_int_equal(out.st.bavail, 3);
	assert_int_equal(out.st.files, 4);
	assert_int_equal(out.st.ffree, 5);
	assert_int_equal(out.st.bsize, 6);
	assert_int_equal(out.st.namelen, 255);
	assert_int_equal(out.st.frsize, 8);
}

/* An entry carries the same attributes as GETATTR. */
static void test_entry_attr(void **state)
{
	struct fuse_entry_out out;

	(void)state;
	fill_attr();
	assert_int_equal(ASK_BARE(FUSE_LOOKUP, 7, "name", NULL), 0);
	ANSWER(out);
	check_attr(&out.attr);
}

static void test_access(void **state)
{
	struct fuse_access_in in = { .mask = 6 };

	(void)state;
	assert_int_equal(ASK(FUSE_ACCESS, 7, in), 0);
	assert_int_equal(fake.mode, 6);
	assert_int_equal(fake.node, 7);
	share_check_caller();
	fake.result = -EACCES;
	assert_int_equal(ASK(FUSE_ACCESS, 7, in), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_getattr, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_statx, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_offers, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_blocks_are_pages_with_a_window, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_setattr, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_setattr_nonsense, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_statfs, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_entry_attr, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_access, share_setup, share_teardown),
	};

	log_setup("test_handle_attr", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("handle_attr", tests, NULL, NULL);
}
