/* SPDX-License-Identifier: BSD-3-Clause */
/* Decoding alone: made-up rows against bodies of every kind, in pieces of every size. */
#include "daemon/protocol/decode.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/opcodes.h"

static const struct opcode one_name = { "ONE", .names = 1 };
static const struct opcode two_names = { "TWO", .names = 2 };
static const struct opcode name_target = { "TARGET", .names = 2, .flags = OP_TARGET };
static const struct opcode fixed = { "FIXED", .arg_size = sizeof(struct fuse_read_in) };
static const struct opcode fixed_name = { "BOTH", .arg_size = sizeof(struct fuse_mkdir_in),
	.names = 1 };
static const struct opcode growing = { "GROWING", .arg_size = sizeof(struct fuse_init_in),
	.arg_min = 16 };

static struct server_queue queue;
static struct request req;
static struct iov_cursor cursor;

/* Decode `len` bytes, cut to pieces of `piece` bytes, each an allocation of its own. */
static int decode_pieces(const struct opcode *op, const void *body, size_t len, size_t piece)
{
	size_t n = (len + piece - 1) / piece;
	struct iovec *iov = calloc(n ? n : 1, sizeof(*iov));
	int rc;

	assert_non_null(iov);
	for (size_t i = 0; i < n; i++) {
		iov[i].iov_len = MIN(piece, len - i * piece);
		iov[i].iov_base = malloc(iov[i].iov_len);
		assert_non_null(iov[i].iov_base);
		memcpy(iov[i].iov_base, (const char *)body + i * piece, iov[i].iov_len);
	}
	memset(&queue, 0x5a, sizeof(queue));
	memset(&req, 0x5a, sizeof(req));
	iov_cursor_init(&cursor, iov, (unsigned int)n);
	req.sq = &queue;
	req.op = op;
	req.in = &cursor;
	rc = decode_request(&req);
	for (size_t i = 0; i < n; i++)
		free(iov[i].iov_base);
	free(iov);
	return rc;
}

/* The same answer, however the body is cut. */
static int decode(const struct opcode *op, const void *body, size_t len)
{
	int rc = decode_pieces(op, body, len, 1);

	assert_int_equal(rc, decode_pieces(op, body, len, 3));
	assert_int_equal(rc, decode_pieces(op, body, len, len ? len : 1));
	return rc;
}

/* A string literal with its NUL. */
#define DECODE(op, text) decode(op, text, sizeof(text))

static void test_good_names(void **state)
{
	char longest[NAME_MAX + 1];

	(void)state;
	assert_int_equal(DECODE(&one_name, "a"), 0);
	assert_string_equal(req.name[0], "a");
	assert_int_equal(DECODE(&one_name, "..."), 0);
	assert_int_equal(DECODE(&one_name, ".hidden"), 0);
	assert_int_equal(DECODE(&one_name, "with space\n\xff"), 0);
	memset(longest, 'x', NAME_MAX);
	longest[NAME_MAX] = '\0';
	assert_int_equal(decode(&one_name, longest, sizeof(longest)), 0);
	assert_string_equal(req.name[0], longest);
	assert_int_equal(DECODE(&two_names, "old\0new"), 0);
	assert_string_equal(req.name[0], "old");
	assert_string_equal(req.name[1], "new");
}

static void test_bad_names(void **state)
{
	(void)state;
	assert_int_equal(DECODE(&one_name, ""), -EINVAL);
	assert_int_equal(DECODE(&one_name, "."), -EINVAL);
	assert_int_equal(DECODE(&one_name, ".."), -EINVAL);
	assert_int_equal(DECODE(&one_name, "/"), -EINVAL);
	assert_int_equal(DECODE(&one_name, "a/b"), -EINVAL);
	assert_int_equal(DECODE(&one_name, "../x"), -EINVAL);
	assert_int_equal(DECODE(&one_name, "x/"), -EINVAL);
	assert_int_equal(DECODE(&one_name, "em\0bedded"), -EINVAL);
	assert_int_equal(DECODE(&one_name, "a\0"), -EINVAL);
	assert_int_equal(decode(&one_name, "", 0), -EINVAL);
	assert_int_equal(decode(&one_name, "noend", 5), -EINVAL);
}

static void test_bad_pairs(void **state)
{
	(void)state;
	assert_int_equal(DECODE(&two_names, "old"), -EINVAL);
	assert_int_equal(DECODE(&two_names, "old\0"), -EINVAL);
	assert_int_equal(DECODE(&two_names, "\0new"), -EINVAL);
	assert_int_equal(DECODE(&two_names, "old\0.."), -EINVAL);
	assert_int_equal(DECODE(&two_names, "..\0new"), -EINVAL);
	assert_int_equal(DECODE(&two_names, "old\0a/b"), -EINVAL);
	assert_int_equal(DECODE(&two_names, "old\0new\0more"), -EINVAL);
	assert_int_equal(decode(&two_names, "old\0new", 7), -EINVAL);
}

static void test_long_names(void **state)
{
	char text[3 * NAME_MAX];

	(void)state;
	memset(text, 'x', sizeof(text));
	/* 255 bytes and no NUL: cut off; 256: too long, whether a NUL follows or not */
	assert_int_equal(decode(&one_name, text, NAME_MAX), -EINVAL);
	assert_int_equal(decode(&one_name, text, NAME_MAX + 1), -ENAMETOOLONG);
	assert_int_equal(decode(&one_name, text, sizeof(text)), -ENAMETOOLONG);
	text[NAME_MAX + 1] = '\0';
	assert_int_equal(decode(&one_name, text, NAME_MAX + 2), -ENAMETOOLONG);
	/* the second of two, and a long tail behind a good name */
	memcpy(text, "old", 4);
	text[NAME_MAX + 1] = 'x';
	assert_int_equal(decode(&two_names, text, sizeof(text)), -ENAMETOOLONG);
	assert_int_equal(decode(&one_name, text, sizeof(text)), -EINVAL);
}

static void test_targets(void **state)
{
	char body[5 + PATH_MAX + 64];

	(void)state;
	assert_int_equal(DECODE(&name_target, "name\0../any/where"), 0);
	assert_string_equal(req.name[0], "name");
	assert_string_equal(req.name[1], "../any/where");
	assert_int_equal(DECODE(&name_target, "name\0"), -EINVAL);
	assert_int_equal(DECODE(&name_target, "a/b\0target"), -EINVAL);
	assert_int_equal(decode(&name_target, "name\0target", 11), -EINVAL);

	memset(body, 't', sizeof(body));
	memcpy(body, "name", 5);
	body[5 + PATH_MAX - 1] = '\0';
	assert_int_equal(decode(&name_target, body, 5 + PATH_MAX), 0);
	assert_int_equal(strlen(req.name[1]), PATH_MAX - 1);
	body[5 + PATH_MAX - 1] = 't';
	body[5 + PATH_MAX] = '\0';
	assert_int_equal(decode(&name_target, body, 5 + PATH_MAX + 1), -ENAMETOOLONG);
	assert_int_equal(decode(&name_target, body, sizeof(body)), -ENAMETOOLONG);
}

/* A name and a target both as long as can be fill the scratch space to the last byte. */
static void test_longest_text(void **state)
{
	char body[NAME_MAX + 1 + PATH_MAX];

	(void)state;
	memset(body, 'y', sizeof(body));
	body[NAME_MAX] = '\0';
	body[sizeof(body) - 1] = '\0';
	assert_int_equal(decode(&name_target, body, sizeof(body)), 0);
	assert_int_equal(strlen(req.name[0]), NAME_MAX);
	assert_int_equal(strlen(req.name[1]), PATH_MAX - 1);
}

static void test_fixed(void **state)
{
	struct fuse_read_in in = { .fh = 1, .offset = 2, .size = 3, .lock_owner = 4, .flags = 5 };
	char body[sizeof(in) + 7];

	(void)state;
	memset(body, 0, sizeof(body));
	memcpy(body, &in, sizeof(in));
	assert_int_equal(decode(&fixed, body, 0), -EINVAL);
	assert_int_equal(decode(&fixed, body, sizeof(in) - 1), -EINVAL);
	assert_int_equal(decode(&fixed, body, sizeof(in)), 0);
	assert_memory_equal(&req.args.read, &in, sizeof(in));
	/* what follows is left for the handler */
	assert_int_equal(decode(&fixed, body, sizeof(body)), 0);
	assert_int_equal(cursor.left, 7);
}

static void test_growing(void **state)
{
	struct fuse_init_in in = { .major = 7, .minor = 31, .flags = 9, .flags2 = 8 };

	(void)state;
	assert_int_equal(decode(&growing, &in, 15), -EINVAL);
	assert_int_equal(decode(&growing, &in, 16), 0);
	assert_int_equal(req.args.init.flags, 9);
	assert_int_equal(req.args.init.flags2, 0);
	assert_int_equal(req.args.init.unused[10], 0);
	assert_int_equal(decode(&growing, &in, 64), 0);
	assert_int_equal(req.args.init.flags2, 8);
}

static void test_fixed_and_name(void **state)
{
	char body[] = "\1\0\0\0\2\0\0\0name";

	(void)state;
	assert_int_equal(decode(&fixed_name, body, sizeof(body)), 0);
	assert_int_equal(req.args.mkdir.mode, 1);
	assert_string_equal(req.name[0], "name");
	assert_int_equal(decode(&fixed_name, body, 8), -EINVAL);
	assert_int_equal(decode(&fixed_name, body, 7), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_names),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_bad_pairs),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_longest_text),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_growing),
		cmocka_unit_test(test_fixed_and_name),
	};

	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
