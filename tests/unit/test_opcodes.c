/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The opcode table, row by row through the whole server: sizes, names, room,
 * sessions, read-only shares. A row added to the table is tested here at once.
 */
#include "daemon/protocol/opcodes.h"

#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "proto/fuse_extension.h"
#include "tests/unit/share.h"

static struct exchange again;

/* The shortest sensible body of a row, without its names. */
static void add_fixed(uint32_t number, const struct opcode *op)
{
	static const struct fuse_setupmapping_in setup = { .len = 4096, .flags = 2 };
	static const struct fuse_removemapping_one one = { .moffset = 4096, .len = 4096 };
	static const uint32_t count[2] = { 1, 0 };
	static const uint32_t init[4] = { 7, 41, 0, 0 };
	static const char zeros[256];

	if (number == FUSE_SETUPMAPPING) {
		exchange_add(&x, &setup, sizeof(setup));
	} else if (number == FUSE_REMOVEMAPPING || number == FUSE_BATCH_FORGET) {
		exchange_add(&x, count, op->arg_size);
		exchange_add(&x, &one, sizeof(one));
	} else if (number == FUSE_INIT) {
		exchange_add(&x, init, sizeof(init));
	} else {
		exchange_add(&x, zeros, op->long_if ? op->arg_min : op->arg_size);
	}
}

static void build(uint32_t number, const struct opcode *op, const char *first, const char *second)
{
	exchange_start(&x, number, FS_ROOT_NODE);
	add_fixed(number, op);
	if (op->names > 0)
		exchange_add_name(&x, first);
	if (op->names > 1)
		exchange_add_name(&x, second);
}

/* How often the layers below the protocol were called so far. */
static unsigned int below(void)
{
	return fake.calls + fake.resets + fake_window.setups + fake_window.removes;
}

static long expected_success(const struct opcode *op)
{
	return op->flags & OP_NO_REPLY ? EXCHANGE_NO_REPLY : 0;
}

static long expected_refusal(const struct opcode *op)
{
	return op->flags & OP_NO_REPLY ? EXCHANGE_NO_REPLY : -EINVAL;
}

/* Run x: it must get through to the layers below. */
static void check_served(const struct opcode *op)
{
	unsigned int before = below();

	assert_int_equal(exchange_run(&x, sq), expected_success(op));
	if (strcmp(op->name, "INTERRUPT"))
		assert_true(below() > before);
	if (!strcmp(op->name, "DESTROY"))
		assert_int_equal(exchange_init(&again, sq, 46, SHARE_ALL_FLAGS), 0);
}

/* Run x: it must be refused before anything is done. */
static void check_refused(long error)
{
	unsigned int before = below();

	assert_int_equal(exchange_run(&x, sq), error);
	assert_int_equal(below(), before);
}

/* But SUSPEND, which is not the protocol's and asks nothing of the layers below: test_wire_session.c. */
#define FOR_EACH_ROW(number, op) \
	for (uint32_t number = 0; number < 80; number++) \
		for (const struct opcode *op = number == FUSE_SUSPEND ? NULL : opcode_find(number); op; op = NULL)

static void test_unknown(void **state)
{
	static const uint32_t far[] = { 64, 65, 4096, 436207616, UINT32_MAX };

	(void)state;
	for (uint32_t number = 0; number < FUSE_OPCODE_LIMIT; number++) {
		if (opcode_find(number))
			continue;
		exchange_start(&x, number, FS_ROOT_NODE);
		check_refused(-ENOSYS);
	}
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		assert_null(opcode_find(far[i]));
		exchange_start(&x, far[i], FS_ROOT_NODE);
		check_refused(-ENOSYS);
	}
}

/* What a mainline guest counts on, and no more than that. */
static const uint32_t served[] = {
	FUSE_INIT, FUSE_DESTROY, FUSE_INTERRUPT, FUSE_LOOKUP, FUSE_FORGET, FUSE_BATCH_FORGET,
	FUSE_MKNOD, FUSE_MKDIR, FUSE_SYMLINK, FUSE_LINK, FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME,
	FUSE_RENAME2, FUSE_READLINK, FUSE_GETATTR, FUSE_SETATTR, FUSE_STATX, FUSE_STATFS,
	FUSE_ACCESS, FUSE_OPEN, FUSE_CREATE, FUSE_TMPFILE, FUSE_RELEASE, FUSE_FLUSH, FUSE_FSYNC,
	FUSE_SYNCFS, FUSE_READ, FUSE_WRITE, FUSE_LSEEK, FUSE_FALLOCATE, FUSE_COPY_FILE_RANGE,
	FUSE_COPY_FILE_RANGE_64, FUSE_OPENDIR, FUSE_READDIR, FUSE_READDIRPLUS, FUSE_RELEASEDIR,
	FUSE_FSYNCDIR, FUSE_SETUPMAPPING, FUSE_REMOVEMAPPING, FUSE_GETLK, FUSE_SETLK, FUSE_SETLKW,
	FUSE_IOCTL,
	FUSE_SETXATTR, FUSE_GETXATTR, FUSE_LISTXATTR, FUSE_REMOVEXATTR,
};

static void test_rows(void **state)
{
	unsigned int rows = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(served); i++)
		assert_non_null(opcode_find(served[i]));
	FOR_EACH_ROW(number, op) {
		rows++;
		assert_non_null(op->name);
		assert_true(op->names <= 2);
		assert_true(op->arg_min <= op->arg_size);
		assert_true(op->arg_size <= sizeof(struct fuse_setattr_in));
	}
	assert_int_equal(rows, ARRAY_SIZE(served));
}

/* Every number that protocol 7.46 has, from <linux/fuse.h> of Linux 7.1. */
static const uint32_t protocol[] = {
	1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27,
	28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50,
	51, 52, 53, CUSE_INIT,
};

static bool in_protocol(uint32_t number)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocol); i++)
		if (protocol[i] == number)
			return true;
	return false;
}

static bool is_refused(uint32_t number)
{
	size_t n;
	const struct opcode_refusal *refusals = opcode_refusals(&n);

	for (size_t i = 0; i < n; i++)
		if (refusals[i].number == number)
			return true;
	return false;
}

/* Each is served, or refused for a reason; and nothing else is. */
static void test_protocol(void **state)
{
	size_t n;
	const struct opcode_refusal *refusals = opcode_refusals(&n);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(protocol); i++)
		if (!opcode_find(protocol[i]) == !is_refused(protocol[i]))
			fail_msg("opcode %u must be either served or refused with a reason", protocol[i]);
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(refusals[i].name) > 0 && strlen(refusals[i].why) > 0);
		assert_true(in_protocol(refusals[i].number));
	}
	for (uint32_t number = 0; number < FUSE_OPCODE_LIMIT; number++)
		assert_true(!opcode_find(number) || in_protocol(number) != (number == FUSE_SUSPEND));
}

static void test_sizes(void **state)
{
	(void)state;
	FOR_EACH_ROW(number, op) {
		build(number, op, "first", "second");
		check_served(op);

		build(number, op, "first", "second");
		if (x.body_len)
			x.body_len--;
		else
			x.claim = sizeof(x.head) - 1;
		check_refused(expected_refusal(op));

		build(number, op, "first", "second");
		exchange_add(&x, "", 1);
		if (op->names)
			check_refused(-EINVAL);
		else
			check_served(op);
	}
}

/* The header's length rules: more is not there, less ends the request. */
static void test_header_length(void **state)
{
	(void)state;
	FOR_EACH_ROW(number, op) {
		uint32_t real;

		build(number, op, "first", "second");
		real = (uint32_t)(sizeof(x.head) + x.body_len);
		x.claim = real + 1;
		check_refused(expected_refusal(op));
		x.claim = UINT32_MAX;
		check_refused(expected_refusal(op));
		x.claim = 1;
		check_refused(expected_refusal(op));
		/* bytes behind the request's end are no part of it */
		exchange_add(&x, "/../", 4);
		x.claim = real;
		check_served(op);
	}
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", ".", "..", "/", "a/b", "/etc", "../up", "x/" };
	char too_long[NAME_MAX + 2];

	(void)state;
	memset(too_long, 'n', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	FOR_EACH_ROW(number, op) {
		bool two = op->names == 2 && !(op->flags & OP_TARGET);

		/* Those are no names of files: test_attribute_names() below, test_decode.c. */
		if (!op->names || op->flags & (OP_XATTR | OP_UNNAMED))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			build(number, op, bad[i], "good");
			check_refused(-EINVAL);
			if (!two)
				continue;
			build(number, op, "good", bad[i]);
			check_refused(-EINVAL);
		}
		build(number, op, too_long, "good");
		check_refused(-ENAMETOOLONG);
		build(number, op, too_long + 1, "good");
		check_served(op);
		if (!two)
			continue;
		build(number, op, "good", too_long);
		check_refused(-ENAMETOOLONG);
	}
}

/* An attribute's name may have anything in it but nothing. */
static void test_attribute_names(void **state)
{
	char too_long[XATTR_NAME_MAX + 2];

	(void)state;
	memset(too_long, 'n', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	FOR_EACH_ROW(number, op) {
		if (!(op->flags & OP_XATTR) || !op->names)
			continue;
		build(number, op, "", NULL);
		check_refused(-EINVAL);
		build(number, op, too_long, NULL);
		check_refused(-ERANGE);
		build(number, op, too_long + 1, NULL);
		check_served(op);
		build(number, op, "user./etc/../.", NULL);
		check_served(op);
		assert_string_equal(fake.xattr, "user./etc/../.");
	}
}

/* Without --xattr a guest hears at the first question that it need not ask again. */
static void test_no_xattr(void **state)
{
	struct server_config config = { .cache = CACHE_AUTO, .readonly = true };

	(void)state;
	share_restart(&config, 46, SHARE_ALL_FLAGS);
	FOR_EACH_ROW(number, op) {
		if (!(op->flags & OP_XATTR))
			continue;
		build(number, op, "first", NULL);
		check_refused(-ENOSYS);
	}
}

/* Room for the reply: what could not be told is not done. */
static void test_room(void **state)
{
	(void)state;
	FOR_EACH_ROW(number, op) {
		build(number, op, "first", "second");
		x.room = 0;
		if (op->flags & OP_NO_REPLY) {
			check_served(op);
			continue;
		}
		check_refused(EXCHANGE_NO_REPLY);
		x.room = 15;
		check_refused(EXCHANGE_NO_REPLY);
		if (op->reply_min) {
			x.room = 16;
			check_refused(-EINVAL);
			x.room = 16 + op->reply_min - 1u;
			check_refused(-EINVAL);
		}
		/* a link's target and an attribute's value need room that the row cannot know of */
		x.room = 16 + op->reply_min + (number == FUSE_READLINK || op->flags & OP_XATTR ? 8u : 0u);
		check_served(op);
	}
}

/* Each row, cut to single bytes on both sides, is served as if it were whole. */
static void test_pieces(void **state)
{
	(void)state;
	FOR_EACH_ROW(number, op) {
		build(number, op, "first", "second");
		x.in_first = 1;
		x.in_piece = 39;
		check_served(op);
		build(number, op, "first", "second");
		x.in_piece = 1;
		x.out_piece = 1;
		check_served(op);
		build(number, op, "first", "second");
		x.in_first = 40;
		x.out_first = 15;
		check_served(op);
	}
}

static void test_no_session(void **state)
{
	(void)state;
	FOR_EACH_ROW(number, op) {
		exchange_start(&x, FUSE_DESTROY, 0);
		assert_int_equal(exchange_run(&x, sq), 0);
		build(number, op, "first", "second");
		if (op->flags & OP_ANYTIME)
			check_served(op);
		else
			check_refused(-EIO);
	}
}

static void test_readonly(void **state)
{
	struct server_config config = { .cache = CACHE_AUTO, .readonly = true,
		.posix_lock = true, .flock = true, .xattr = true };

	(void)state;
	share_restart(&config, 46, SHARE_ALL_FLAGS);
	FOR_EACH_ROW(number, op) {
		build(number, op, "first", "second");
		if (op->flags & OP_CHANGES)
			check_refused(-EROFS);
		else
			check_served(op);
		if (number == FUSE_DESTROY)
			exchange_init(&x, sq, 46, 0);
	}
}

/* An error of the layers below reaches the guest as it is, in exactly 16 bytes. */
static void test_errors(void **state)
{
	(void)state;
	FOR_EACH_ROW(number, op) {
		long error = expected_success(op) ? expected_success(op) : -ENOSPC;

		build(number, op, "first", "second");
		fake.result = -ENOSPC;
		fake_window.result = -ENOSPC;
		assert_int_equal(exchange_run(&x, sq), error);
		fake_clear();
		exchange_init(&x, sq, 46, 0);
	}
}

/* A queue that is being stopped puts its request back, whichever it is, unless it waits for a lock. */
static void test_again(void **state)
{
	(void)state;
	FOR_EACH_ROW(number, op) {
		long error = op->flags & OP_NO_REPLY ? EXCHANGE_NO_REPLY : EXCHANGE_AGAIN;

		if (number == FUSE_SETLKW)
			error = -EINTR;
		build(number, op, "first", "second");
		fake.result = -EINTR;
		fake_window.result = -EINTR;
		assert_int_equal(exchange_run(&x, sq), error);
		fake_clear();
		exchange_init(&x, sq, 46, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unknown, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_rows, share_setup, share_teardown),
		cmocka_unit_test(test_protocol),
		cmocka_unit_test_setup_teardown(test_sizes, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_header_length, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_names, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_attribute_names, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_no_xattr, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_room, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_pieces, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_no_session, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_readonly, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_errors, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_again, share_setup, share_teardown),
	};

	log_setup("test_opcodes", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("opcodes", tests, NULL, NULL);
}
