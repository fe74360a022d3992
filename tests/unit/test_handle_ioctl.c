/* SPDX-License-Identifier: BSD-3-Clause */
/* IOCTL: which flags are known, sizes that lie, who waits, and what the reply holds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "tests/unit/share.h"

#define CMD 0x1234

static const char data[FS_IOCTL_DATA_MAX + 1] = "the data";

/* Build one, with `given` bytes of data behind it. */
static void build(const struct fuse_ioctl_in *in, size_t given)
{
	exchange_start(&x, FUSE_IOCTL, 7);
	exchange_add(&x, in, sizeof(*in));
	exchange_add(&x, data, given);
}

static long ask(struct fuse_ioctl_in in, size_t given)
{
	build(&in, given);
	return exchange_run(&x, sq);
}

static void test_arguments(void **state)
{
	const struct fuse_ioctl_in in = {
		.fh = 5, .flags = FUSE_IOCTL_DIR, .cmd = CMD, .arg = 0xdeadbeef,
		.in_size = 8, .out_size = 12,
	};
	struct { struct fuse_ioctl_out head; char bytes[12]; } out;

	(void)state;
	assert_int_equal(ask(in, 8), 0);
	ANSWER(out);
	assert_int_equal(out.head.result, 0);
	assert_int_equal(out.head.flags, 0);
	assert_int_equal(out.head.in_iovs + out.head.out_iovs, 0);
	for (size_t i = 0; i < sizeof(out.bytes); i++)
		assert_int_equal(out.bytes[i], 0x5a);
	assert_string_equal(fake.last, "fs_ioctl");
	assert_int_equal(fake.handle, 5);
	assert_int_equal(fake.flags, CMD);
	assert_int_equal(fake.size, 8);
	assert_int_equal(fake.offset, 12);
	assert_memory_equal(fake.data, data, 8);
	assert_true(fake.bit);
	share_check_caller();
}

static void test_nothing_comes_back(void **state)
{
	struct fuse_ioctl_out out;

	(void)state;
	assert_int_equal(ask((struct fuse_ioctl_in){ .cmd = CMD }, 0), 0);
	ANSWER(out);
	assert_false(fake.bit);
}

static void test_flags(void **state)
{
	const uint32_t known = FUSE_IOCTL_COMPAT | FUSE_IOCTL_32BIT | FUSE_IOCTL_DIR |
			       FUSE_IOCTL_COMPAT_X32;

	(void)state;
	for (unsigned int bit = 0; bit < 32; bit++) {
		bool good = known & 1u << bit;
		unsigned int calls = fake.calls;

		assert_int_equal(ask((struct fuse_ioctl_in){ .cmd = CMD, .flags = 1u << bit }, 0),
				 good ? 0 : -EINVAL);
		assert_int_equal(fake.calls - calls, good);
	}
}

/* What is said to come and does not, and room that is not there. */
static void test_sizes(void **state)
{
	static const struct { uint32_t in, out; size_t given; long error; } cases[] = {
		{ 1, 0, 0, -EINVAL }, { 9, 0, 8, -EINVAL }, { UINT32_MAX, 0, 8, -EINVAL },
		{ FS_IOCTL_DATA_MAX, 0, FS_IOCTL_DATA_MAX, 0 },
		{ FS_IOCTL_DATA_MAX + 1, 0, FS_IOCTL_DATA_MAX + 1, -EMSGSIZE },
		{ 0, UINT32_MAX, 0, -EINVAL }, { 0, EXCHANGE_OUT_MAX, 0, -EINVAL },
		{ 4, 0, 8, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int calls = fake.calls;

		assert_int_equal(ask((struct fuse_ioctl_in){ .cmd = CMD, .in_size = cases[i].in,
				     .out_size = cases[i].out }, cases[i].given), cases[i].error);
		assert_int_equal(fake.calls - calls, !cases[i].error);
	}
	/* Room for exactly what is asked, and for one byte less. */
	build(&(struct fuse_ioctl_in){ .cmd = CMD, .out_size = 28 }, 0);
	x.room = sizeof(struct fuse_out_header) + sizeof(struct fuse_ioctl_out) + 28;
	assert_int_equal(exchange_run(&x, sq), 0);
	x.room--;
	assert_int_equal(exchange_run(&x, sq), -EINVAL);
}

/* More room than any ioctl fills is not filled. */
static void test_large_room(void **state)
{
	(void)state;
	assert_int_equal(ask((struct fuse_ioctl_in){ .cmd = CMD, .out_size = 4000 }, 0), 0);
	assert_true(fake.offset < 4000);
	assert_int_equal(x.answer_len, sizeof(struct fuse_ioctl_out) + fake.offset);
}

static void test_waits(void **state)
{
	(void)state;
	build(&(struct fuse_ioctl_in){ .cmd = CMD, .in_size = 12 }, 12);
	fake.result = FS_WAITS_OTHERS;
	assert_int_equal(exchange_run(&x, sq), EXCHANGE_WAITS);
	fake.result = 0;
	fake.size = 0;
	assert_int_equal(exchange_resume(&x, sq, PATIENCE_OTHERS), 0);
	assert_int_equal(fake.size, 12);
}

static void test_errors(void **state)
{
	(void)state;
	fake.result = -ENOTTY;
	assert_int_equal(ask((struct fuse_ioctl_in){ .cmd = CMD, .out_size = 4 }, 0), -ENOTTY);
	assert_int_equal(x.answer_len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, share_setup, share_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_arguments), TEST(test_nothing_comes_back), TEST(test_flags), TEST(test_sizes),
		TEST(test_large_room), TEST(test_waits), TEST(test_errors),
	};

	log_setup("test_handle_ioctl", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("handle_ioctl", tests, NULL, NULL);
}
