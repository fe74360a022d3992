/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests about the window: sizes and sums, several ranges, errors, a queue that stops. */
#include "daemon/protocol/handle_dax.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "tests/unit/share.h"

#define MIB (1ULL << 20)

static void test_setup(void **state)
{
	struct fuse_setupmapping_in in = { .fh = UINT64_MAX, .foffset = 2 * MIB, .len = 2 * MIB,
		.flags = FUSE_SETUPMAPPING_FLAG_READ, .moffset = 6 * MIB };

	(void)state;
	assert_int_equal(ASK(FUSE_SETUPMAPPING, 7, in), 0);
	assert_int_equal(x.used, 16);
	assert_int_equal(fake_window.node, 7);
	assert_int_equal(fake_window.offset, 2 * MIB);
	assert_int_equal(fake_window.len, 2 * MIB);
	assert_int_equal(fake_window.at, 6 * MIB);
	assert_false(fake_window.writable);
	in.flags |= FUSE_SETUPMAPPING_FLAG_WRITE;
	assert_int_equal(ASK(FUSE_SETUPMAPPING, 7, in), 0);
	assert_true(fake_window.writable);
	fake_window.result = -ENOSPC;
	assert_int_equal(ASK(FUSE_SETUPMAPPING, 7, in), -ENOSPC);
	fake_window.result = -EINTR;
	assert_int_equal(ASK(FUSE_SETUPMAPPING, 7, in), EXCHANGE_AGAIN);
}

static void test_setup_nonsense(void **state)
{
	static const struct fuse_setupmapping_in bad[] = {
		{ .len = 0 },
		{ .len = 4096, .flags = 4 },
		{ .len = UINT64_MAX },
		{ .len = 4096, .foffset = UINT64_MAX },
		{ .len = 4096, .foffset = UINT64_MAX - 4095 },
		{ .len = 4096, .foffset = INT64_MAX },
		{ .len = 4096, .moffset = UINT64_MAX - 4095 },
		{ .len = 4096, .moffset = INT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ASK(FUSE_SETUPMAPPING, 7, bad[i]), -EINVAL);
	assert_int_equal(fake_window.setups, 0);
}

/* REMOVEMAPPING with this count and these ranges. */
static long removemapping(uint32_t count, const struct fuse_removemapping_one *list, size_t n)
{
	exchange_start(&x, FUSE_REMOVEMAPPING, 7);
	exchange_add(&x, &count, sizeof(count));
	exchange_add(&x, list, n * sizeof(*list));
	x.in_piece = 5;
	return exchange_run(&x, sq);
}

static void test_remove(void **state)
{
	static const struct fuse_removemapping_one list[] = {
		{ MIB, MIB }, { 2 * MIB, MIB }, { 3 * MIB, 2 * MIB },
	};

	(void)state;
	assert_int_equal(removemapping(3, list, 3), 0);
	assert_int_equal(x.used, 16);
	assert_int_equal(fake_window.removes, 3);
	assert_int_equal(fake_window.at, 3 * MIB);
	assert_int_equal(fake_window.len, 2 * MIB);
	/* all are done, and the first error is told */
	fake_window.result = -EIO;
	fake_window.fail_at = 2 * MIB;
	assert_int_equal(removemapping(3, list, 3), -EIO);
	assert_int_equal(fake_window.removes, 6);
	/* a stopped queue: at once, and without an answer */
	fake_window.result = -EINTR;
	assert_int_equal(removemapping(3, list, 3), EXCHANGE_AGAIN);
	assert_int_equal(fake_window.removes, 8);
}

static void test_remove_nonsense(void **state)
{
	static const struct fuse_removemapping_one bad[] = {
		{ MIB, 0 }, { UINT64_MAX, MIB }, { MIB, UINT64_MAX }, { 4 * MIB, MIB },
	};
	static struct fuse_removemapping_one many[512];

	(void)state;
	assert_int_equal(removemapping(0, bad, 4), -EINVAL);
	assert_int_equal(removemapping(5, bad, 4), -EINVAL);
	assert_int_equal(removemapping(UINT32_MAX, bad, 4), -EINVAL);
	assert_int_equal(fake_window.removes, 0);
	/* a bad range does not keep a good one from being removed */
	assert_int_equal(removemapping(4, bad, 4), -EINVAL);
	assert_int_equal(fake_window.removes, 1);
	assert_int_equal(fake_window.at, 4 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct fuse_removemapping_one){ i * MIB, MIB };
	assert_int_equal(removemapping(512, many, 512), 0);
	assert_int_equal(fake_window.removes, 513);
}

static void test_no_window(void **state)
{
	struct fuse_setupmapping_in in = { .len = 4096 };
	static const struct fuse_removemapping_one one = { MIB, MIB };

	(void)state;
	fake_window.present = false;
	assert_int_equal(ASK(FUSE_SETUPMAPPING, 7, in), -ENOSYS);
	assert_int_equal(removemapping(1, &one, 1), -ENOSYS);
	assert_int_equal(fake_window.setups + fake_window.removes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_setup, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_setup_nonsense, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_remove, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_remove_nonsense, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_no_window, share_setup, share_teardown),
	};

	log_setup("test_handle_dax", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("handle_dax", tests, NULL, NULL);
}
