/* SPDX-License-Identifier: BSD-3-Clause */
/* Extensions behind names: good ones, each kind of bad one, and every cut of a good one. */
#include "daemon/protocol/decode_ext.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"

#define BOTH (SESSION_SECURITY_CTX | SESSION_SUPP_GROUP)
#define LABEL "security.selinux"
#define VALUE "system_u:object_r:a_t:s0"

static struct server_queue queue;
static struct request req;
static char bytes[FS_XATTR_SIZE_MAX + 64];
static size_t size;
static uint32_t session;
static uint16_t total;

static int start(void **state)
{
	(void)state;
	size = 0;
	session = BOTH;
	total = 0;
	return 0;
}

static void put(const void *data, size_t len)
{
	memcpy(bytes + size, data, len);
	size += len;
}

static void put_u32(uint32_t value)
{
	put(&value, sizeof(value));
}

static void fill(void)
{
	while (size % 8)
		bytes[size++] = '\0';
}

static size_t label_size(void)
{
	return (16 + sizeof(LABEL) + sizeof(VALUE) + 7) & ~7UL;
}

static void put_label(void)
{
	put_u32((uint32_t)label_size());
	put_u32(1);
	put_u32(sizeof(VALUE));
	put_u32(0);
	put(LABEL, sizeof(LABEL));
	put(VALUE, sizeof(VALUE));
	fill();
}

static void put_groups(uint32_t n)
{
	put_u32((12 + 4 * n + 7) & ~7U);
	put_u32(FUSE_WIRE_EXT_GROUPS);
	put_u32(n);
	for (uint32_t i = 0; i < n; i++)
		put_u32(100 + i);
	fill();
}

/* From an allocation of exactly this size, so that a sanitizer sees a byte too far. */
static int run(size_t len)
{
	char *copy = malloc(len ? len : 1);
	struct iovec iov = { copy, len };
	struct iov_cursor cursor;
	int rc;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	memset(&queue, 0x5a, sizeof(queue));
	memset(&req, 0, sizeof(req));
	iov_cursor_init(&cursor, &iov, 1);
	req.sq = &queue;
	req.session = session;
	req.head.total_extlen = total;
	req.in = &cursor;
	rc = decode_extensions(&req);
	free(copy);
	return rc;
}

static void check_label(void)
{
	assert_string_equal(req.label.name, LABEL);
	assert_int_equal(req.label.size, sizeof(VALUE));
	assert_memory_equal(req.label.value, VALUE, sizeof(VALUE));
}

static void test_none(void **state)
{
	(void)state;
	assert_int_equal(run(0), 0);
	assert_null(req.label.name);
	assert_int_equal(req.n_groups, 0);
	session = 0;
	assert_int_equal(run(0), 0);
}

static void test_label(void **state)
{
	(void)state;
	put_label();
	assert_int_equal(run(size), 0);
	check_label();
	assert_int_equal(req.n_groups, 0);
	/* no security module in the guest */
	size = 0;
	put_u32(8);
	put_u32(0);
	assert_int_equal(run(size), 0);
	assert_null(req.label.name);
}

static void test_groups(void **state)
{
	(void)state;
	for (uint32_t n = 0; n <= FS_GROUPS_MAX; n++) {
		size = 0;
		put_groups(n);
		assert_int_equal(run(size), 0);
		assert_int_equal(req.n_groups, n);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(req.groups[i], 100 + i);
	}
	size = 0;
	put_groups(FS_GROUPS_MAX + 1);
	assert_int_equal(run(size), -EINVAL);
}

static void test_both(void **state)
{
	(void)state;
	put_label();
	put_groups(1);
	total = (uint16_t)(size / 8);
	assert_int_equal(run(size), 0);
	check_label();
	assert_int_equal(req.n_groups, 1);
	total++;
	assert_int_equal(run(size), -EINVAL);
	start(NULL);
	put_groups(2);
	put_label();
	assert_int_equal(run(size), 0);
	check_label();
	assert_int_equal(req.n_groups, 2);
}

/* Each only where it was agreed on, and once. */
static void test_negotiated(void **state)
{
	(void)state;
	put_label();
	session = 0;
	assert_int_equal(run(size), -EINVAL);
	session = SESSION_SUPP_GROUP;
	assert_int_equal(run(size), -EINVAL);
	session = SESSION_SECURITY_CTX;
	assert_int_equal(run(size), 0);
	put_groups(1);
	assert_int_equal(run(size), -EINVAL);
	start(NULL);
	put_label();
	put_label();
	assert_int_equal(run(size), -EINVAL);
	start(NULL);
	put_groups(1);
	put_groups(1);
	assert_int_equal(run(size), -EINVAL);
}

/* No cut of a good one is good, but the one between two. */
static void test_every_cut(void **state)
{
	size_t first;

	(void)state;
	put_label();
	first = size;
	put_groups(3);
	for (size_t len = 1; len < size; len++)
		assert_int_equal(run(len), len == first ? 0 : -EINVAL);
}

/* Every 32-bit word of a good one, replaced by numbers that lie. */
static void test_lies(void **state)
{
	static const uint32_t lies[] = { 0, 1, 2, 7, 8, 9, 12, 31, 32, 33, 64, 1000, 65536,
		0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff };
	unsigned int good = 0;

	(void)state;
	put_label();
	put_groups(3);
	for (size_t at = 0; at + 4 <= size; at += 4) {
		for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
			uint32_t kept;

			memcpy(&kept, bytes + at, 4);
			memcpy(bytes + at, &lies[i], 4);
			if (!run(size)) {
				good++;
				assert_true(req.n_groups <= FS_GROUPS_MAX);
				assert_true(!req.label.name || req.label.size <= sizeof(queue.value));
			}
			memcpy(bytes + at, &kept, 4);
		}
	}
	/* a group id and a label may be anything */
	assert_true(good > 0);
}

static void put_bad_label(uint32_t whole, uint32_t count, uint32_t value, const char *name, size_t len)
{
	size = 0;
	put_u32(whole);
	put_u32(count);
	put_u32(value);
	put_u32(0);
	put(name, len);
	while (size < whole)
		bytes[size++] = 'v';
}

static void test_bad_labels(void **state)
{
	static char name[XATTR_NAME_MAX + 2];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	put_bad_label(32, 1, 1, "", 1);				/* no name */
	assert_int_equal(run(size), -EINVAL);
	put_bad_label(32, 1, 1, "no end", 6);
	assert_int_equal(run(size), -EINVAL);
	put_bad_label(280, 1, 1, name, sizeof(name));		/* too long by one */
	assert_int_equal(run(size), -EINVAL);
	put_bad_label(280, 1, 6, name + 1, sizeof(name) - 1);
	assert_int_equal(run(size), 0);
	put_bad_label(32, 1, 0, "abc", 4);			/* no value */
	assert_int_equal(run(size), -EINVAL);
	put_bad_label(32, 1, 13, "abc", 4);			/* more than is there */
	assert_int_equal(run(size), -EINVAL);
	put_bad_label(32, 1, UINT32_MAX, "abc", 4);
	assert_int_equal(run(size), -EINVAL);
	put_bad_label(32, 1, 4, "abc", 4);			/* a whole word left over */
	assert_int_equal(run(size), -EINVAL);
	put_bad_label(32, 2, 12, "abc", 4);			/* one too many */
	assert_int_equal(run(size), -EINVAL);
	put_bad_label(32, 31, 12, "abc", 4);
	assert_int_equal(run(size), -EINVAL);
	put_bad_label(32, 33, 12, "abc", 4);			/* a type nobody knows */
	assert_int_equal(run(size), -EINVAL);
	put_bad_label(32, 1, 12, "abc", 4);
	assert_int_equal(run(size), 0);
}

static void test_too_large(void **state)
{
	(void)state;
	put_bad_label(sizeof(queue.value), 1, sizeof(queue.value) - 16 - 4, "abc", 4);
	assert_int_equal(run(size), 0);
	put_bad_label(sizeof(queue.value) + 8, 1, sizeof(queue.value) - 12, "abc", 4);
	assert_int_equal(run(size), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_none, start),
		cmocka_unit_test_setup(test_label, start),
		cmocka_unit_test_setup(test_groups, start),
		cmocka_unit_test_setup(test_both, start),
		cmocka_unit_test_setup(test_negotiated, start),
		cmocka_unit_test_setup(test_every_cut, start),
		cmocka_unit_test_setup(test_lies, start),
		cmocka_unit_test_setup(test_bad_labels, start),
		cmocka_unit_test_setup(test_too_large, start),
	};

	return cmocka_run_group_tests_name("decode_ext", tests, NULL, NULL);
}
