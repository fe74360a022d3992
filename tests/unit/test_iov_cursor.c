/* SPDX-License-Identifier: BSD-3-Clause */
/* The bounded cursor: every cut of the same bytes reads and writes the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/iov_cursor.h"

#define BYTES 40

static unsigned int cut(char *bytes, size_t piece, struct iovec *iov)
{
	unsigned int n = 0;

	for (size_t at = 0; at < BYTES; at += piece)
		iov[n++] = (struct iovec){ bytes + at, at + piece > BYTES ? BYTES - at : piece };
	return n;
}

static void read_in_any_cut(void **state)
{
	char bytes[BYTES], got[BYTES];
	struct iovec iov[BYTES];

	(void)state;
	for (int i = 0; i < BYTES; i++)
		bytes[i] = (char)i;
	for (size_t piece = 1; piece <= BYTES; piece++) {
		struct iov_cursor c;

		iov_cursor_init(&c, iov, cut(bytes, piece, iov));
		assert_int_equal(c.left, BYTES);
		assert_true(iov_cursor_read(&c, got, 7));
		assert_true(iov_cursor_read(&c, got + 7, BYTES - 7));
		assert_memory_equal(got, bytes, BYTES);
		assert_int_equal(c.done, BYTES);
		assert_false(iov_cursor_read(&c, got, 1));
		assert_true(iov_cursor_read(&c, got, 0));
	}
}

static void write_in_any_cut(void **state)
{
	char bytes[BYTES], want[BYTES];
	struct iovec iov[BYTES];

	(void)state;
	memset(want, 'x', BYTES);
	for (size_t piece = 1; piece <= BYTES; piece++) {
		struct iov_cursor c;

		memset(bytes, 0, BYTES);
		iov_cursor_init(&c, iov, cut(bytes, piece, iov));
		assert_false(iov_cursor_write(&c, want, BYTES + 1));
		assert_int_equal(c.done, 0);
		assert_true(iov_cursor_write(&c, want, 39));
		assert_true(iov_cursor_write(&c, want, 1));
		assert_memory_equal(bytes, want, BYTES);
	}
}

static void empty_segments_are_passed(void **state)
{
	char a[2] = "ab", b[2] = "cd", got[4];
	struct iovec iov[] = { { a, 0 }, { a, 2 }, { b, 0 }, { b, 2 }, { b, 0 } };
	struct iov_cursor c;

	(void)state;
	iov_cursor_init(&c, iov, 5);
	assert_int_equal(c.left, 4);
	assert_true(iov_cursor_skip(&c, 1));
	assert_true(iov_cursor_read(&c, got, 3));
	assert_memory_equal(got, "bcd", 3);
	assert_false(iov_cursor_skip(&c, 1));
}

static void peek_describes_without_moving(void **state)
{
	char bytes[BYTES];
	struct iovec iov[BYTES], out[4];
	struct iov_cursor c;
	size_t total;

	(void)state;
	iov_cursor_init(&c, iov, cut(bytes, 10, iov));
	assert_true(iov_cursor_skip(&c, 5));
	assert_int_equal(iov_cursor_peek(&c, 12, out, 4, &total), 2);
	assert_int_equal(total, 12);
	assert_ptr_equal(out[0].iov_base, bytes + 5);
	assert_int_equal(out[0].iov_len, 5);
	assert_int_equal(out[1].iov_len, 7);
	assert_int_equal(c.done, 5);
	assert_int_equal(iov_cursor_peek(&c, 1000, out, 2, &total), 2);
	assert_int_equal(total, 15);
	assert_int_equal(iov_cursor_peek(&c, 1000, out, 4, &total), 4);
	assert_int_equal(total, 35);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_in_any_cut),
		cmocka_unit_test(write_in_any_cut),
		cmocka_unit_test(empty_segments_are_passed),
		cmocka_unit_test(peek_describes_without_moving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
