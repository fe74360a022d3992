/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests about names: what reaches the file system, what reaches the guest. */
#include "daemon/protocol/handle_name.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "tests/unit/share.h"

static void test_lookup(void **state)
{
	struct fuse_entry_out out;

	(void)state;
	assert_int_equal(ASK_BARE(FUSE_LOOKUP, 7, "name", NULL), 0);
	assert_string_equal(fake.last, "fs_lookup");
	assert_int_equal(fake.node, 7);
	assert_string_equal(fake.name, "name");
	ANSWER(out);
	assert_int_equal(out.nodeid, 42);
	assert_int_equal(out.generation, 0);
	assert_int_equal(out.entry_valid, 1);
	assert_int_equal(out.entry_valid_nsec, 500000000);
	assert_int_equal(out.attr_valid, 1);
	assert_int_equal(out.attr_valid_nsec, 500000000);
	assert_int_equal(out.attr.mode, S_IFREG | 0644);
	fake.result = -ENOENT;
	assert_int_equal(ASK_BARE(FUSE_LOOKUP, 7, "name", NULL), -ENOENT);
}

/* How long a guest may remember that there is nothing; 0 0: not at all. */
static const struct {
	struct server_config config;
	uint64_t seconds;
	uint32_t nanoseconds;
} negatives[] = {
	{ { .cache = CACHE_AUTO, .timeout_ms = 1000 }, 0, 0 },
	{ { .cache = CACHE_AUTO, .timeout_ms = 1000, .negative_ms = 2500 }, 2, 500000000 },
	{ { .cache = CACHE_AUTO, .negative_ms = 1 }, 0, 1000000 },
	{ { .cache = CACHE_ALWAYS }, 86400, 0 },
	{ { .cache = CACHE_METADATA }, 86400, 0 },
	{ { .cache = CACHE_NEVER, .timeout_ms = 1000, .negative_ms = 2500 }, 0, 0 },
};

static void test_negative_entry(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(negatives); i++) {
		struct fuse_entry_out out;

		share_restart(&negatives[i].config, 46, 0);
		fake.result = -ENOENT;
		if (!negatives[i].seconds && !negatives[i].nanoseconds) {
			assert_int_equal(ASK_BARE(FUSE_LOOKUP, 1, "none", NULL), -ENOENT);
			continue;
		}
		assert_int_equal(ASK_BARE(FUSE_LOOKUP, 1, "none", NULL), 0);
		ANSWER(out);
		assert_int_equal(out.nodeid, 0);
		assert_int_equal(out.entry_valid, negatives[i].seconds);
		assert_int_equal(out.entry_valid_nsec, negatives[i].nanoseconds);
	}
}

static void test_forget(void **state)
{
	struct fuse_forget_in one = { .nlookup = 3 };
	struct fuse_batch_forget_in head = { .count = 2 };
	struct fuse_forget_one list[2] = { { 5, 10 }, { 6, 20 } };

	(void)state;
	assert_int_equal(ASK(FUSE_FORGET, 9, one), EXCHANGE_NO_REPLY);
	assert_int_equal(fake.node, 9);
	assert_int_equal(fake.forgotten, 3);
	exchange_start(&x, FUSE_BATCH_FORGET, 0);
	exchange_add(&x, &head, sizeof(head));
	exchange_add(&x, list, sizeof(list));
	x.in_piece = 7;
	assert_int_equal(exchange_run(&x, sq), EXCHANGE_NO_REPLY);
	assert_int_equal(fake.node, 6);
	assert_int_equal(fake.forgotten, 33);
	/* a count that is a lie: nothing of it is believed */
	head.count = 3;
	exchange_start(&x, FUSE_BATCH_FORGET, 0);
	exchange_add(&x, &head, sizeof(head));
	exchange_add(&x, list, sizeof(list));
	assert_int_equal(exchange_run(&x, sq), EXCHANGE_NO_REPLY);
	assert_int_equal(fake.forgotten, 33);
	head.count = UINT32_MAX;
	assert_int_equal(ASK(FUSE_BATCH_FORGET, 0, head), EXCHANGE_NO_REPLY);
	assert_int_equal(fake.forgotten, 33);
}

/* A request of more than any guest sends is not begun: nothing would stop it in the middle. */
static void test_forget_without_end(void **state)
{
	enum { COUNT = (1 << 17) + 1 };
	struct fuse_batch_forget_in batch = { .count = COUNT };
	struct fuse_forget_one *list = calloc(COUNT, sizeof(*list));
	struct fuse_in_header head = {
		.opcode = FUSE_BATCH_FORGET, .len = sizeof(head) + sizeof(batch) + COUNT * sizeof(*list),
	};
	struct iovec iov[] = {
		{ &head, sizeof(head) }, { &batch, sizeof(batch) }, { list, COUNT * sizeof(*list) },
	};
	struct iov_cursor in, out;

	(void)state;
	assert_non_null(list);
	for (int i = 0; i < 2; i++) {
		fake.calls = 0;
		iov_cursor_init(&in, iov, 3);
		iov_cursor_init(&out, NULL, 0);
		assert_int_equal(server_handle(sq, &in, &out, PATIENCE_NONE), SERVER_NO_REPLY);
		assert_int_equal(fake.calls, i ? COUNT - 1 : 0);
		batch.count--;
		head.len -= sizeof(*list);
	}
	free(list);
}

static void test_making(void **state)
{
	struct fuse_mknod_in mknod_in = { .mode = S_IFBLK | 0600, .rdev = 0x801 };
	struct fuse_mkdir_in mkdir_in = { .mode = 0750 };
	struct fuse_link_in link_in = { .oldnodeid = 55 };

	(void)state;
	assert_int_equal(ASK_NAMED(FUSE_MKNOD, 7, mknod_in, "dev", NULL), 0);
	assert_string_equal(fake.last, "fs_mknod");
	assert_int_equal(fake.mode, S_IFBLK | 0600);
	assert_int_equal(fake.rdev, 0x801);
	share_check_caller();
	assert_int_equal(ASK_NAMED(FUSE_MKDIR, 7, mkdir_in, "dir", NULL), 0);
	assert_string_equal(fake.last, "fs_mkdir");
	assert_int_equal(fake.mode, 0750);
	share_check_caller();
	assert_int_equal(ASK_BARE(FUSE_SYMLINK, 7, "link", "../target"), 0);
	assert_string_equal(fake.last, "fs_symlink");
	assert_string_equal(fake.name, "link");
	assert_string_equal(fake.name2, "../target");
	share_check_caller();
	assert_int_equal(ASK_NAMED(FUSE_LINK, 7, link_in, "hard", NULL), 0);
	assert_string_equal(fake.last, "fs_link");
	assert_int_equal(fake.node2, 55);
	assert_int_equal(fake.node, 7);
	assert_int_equal(x.answer_len, sizeof(struct fuse_entry_out));
}

static void test_renaming(void **state)
{
	struct fuse_rename_in in = { .newdir = 8 };
	struct fuse_rename2_in in2 = { .newdir = 9, .flags = 2 };

	(void)state;
	assert_int_equal(ASK_NAMED(FUSE_RENAME, 7, in, "old", "new"), 0);
	assert_int_equal(fake.node, 7);
	assert_int_equal(fake.node2, 8);
	assert_int_equal(fake.flags, 0);
	assert_string_equal(fake.name, "old");
	assert_string_equal(fake.name2, "new");
	assert_int_equal(ASK_NAMED(FUSE_RENAME2, 7, in2, "old", "new"), 0);
	assert_int_equal(fake.node2, 9);
	assert_int_equal(fake.flags, 2);
	assert_int_equal(ASK_BARE(FUSE_UNLINK, 7, "file", NULL), 0);
	assert_string_equal(fake.last, "fs_unlink");
	assert_int_equal(ASK_BARE(FUSE_RMDIR, 7, "dir", NULL), 0);
	assert_string_equal(fake.last, "fs_rmdir");
	assert_int_equal(x.answer_len, 0);
}

static void test_readlink(void **state)
{
	char longest[PATH_MAX];

	(void)state;
	assert_int_equal(ASK_BARE(FUSE_READLINK, 7, NULL, NULL), 0);
	assert_int_equal(x.answer_len, 6);
	assert_memory_equal(x.answer, "target", 6);
	memset(longest, 'l', sizeof(longest));
	longest[PATH_MAX - 1] = '\0';
	fake.target = longest;
	assert_int_equal(ASK_BARE(FUSE_READLINK, 7, NULL, NULL), 0);
	assert_int_equal(x.answer_len, PATH_MAX - 1);
	exchange_start(&x, FUSE_READLINK, 7);
	x.room = 16 + 100;
	assert_int_equal(exchange_run(&x, sq), -ENAMETOOLONG);
}

/* A request that finds the disk full is tried again, with all that came with it, while that is worth it. */
static void test_a_full_disk(void **state)
{
	struct fuse_mkdir_in in = { .mode = 0755 };

	(void)state;
	fake.result = -ENOSPC;
	fake.full = 3;
	assert_int_equal(ASK_NAMED(FUSE_MKDIR, 7, in, "made", NULL), -ENOSPC);
	assert_int_equal(fake.calls, 4);
	assert_int_equal(fake.full, 0);
	assert_string_equal(fake.name, "made");
	/* Any other error is none of that. */
	fake.calls = 0;
	fake.full = 3;
	fake.result = -EACCES;
	assert_int_equal(ASK_NAMED(FUSE_MKDIR, 7, in, "made", NULL), -EACCES);
	assert_int_equal(fake.calls, 1);
	assert_int_equal(fake.full, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_full_disk, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_lookup, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_negative_entry, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_forget, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_forget_without_end, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_making, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_renaming, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_readlink, share_setup, share_teardown),
	};

	log_setup("test_handle_name", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("handle_name", tests, NULL, NULL);
}
