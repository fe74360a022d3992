/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes and words in one stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/stuffed.h"

/* Bytes as they are, words in brackets. */
static void expect(struct stuffed_reader *reader, const char *stream, size_t n, const char *expected)
{
	char said[512] = "";

	for (size_t i = 0; i < n; i++) {
		char byte = stream[i];
		enum stuffed what = stuffed_take(reader, &byte);

		if (what == STUFFED_BYTE)
			strncat(said, &byte, 1);
		if (what == STUFFED_WORD)
			strcat(strcat(strcat(said, "["), reader->word), "]");
	}
	assert_string_equal(said, expected);
}

static void test_what_is_put_is_taken(void **state)
{
	struct stuffed_reader reader = { 0 };
	const char bytes[] = "a\xff\xff" "b\n\xff";
	char stream[64];
	size_t n = stuffed_put(stream, bytes, sizeof(bytes) - 1);

	n += stuffed_put_word(stream + n, sizeof(stream) - n, "size %dx%d", 24, 80);
	n += stuffed_put(stream + n, "c", 1);
	expect(&reader, stream, n, "a\xff\xff" "b\n\xff[size 24x80]c");
	(void)state;
}

static void test_a_writer_that_was_ended(void **state)
{
	struct stuffed_reader reader = { 0 };

	expect(&reader, "a\xff", 2, "a");
	expect(&reader, "\xffopen\n", 6, "[open]");
	expect(&reader, "\xffhalf\xffwhole\nb", 13, "[whole]b");
	expect(&reader, "\xff\xff\n", 3, "\xff");
	(void)state;
}

static void test_a_word_that_is_too_long(void **state)
{
	struct stuffed_reader reader = { 0 };
	char stream[4 * STUFFED_WORD_MAX], kept[STUFFED_WORD_MAX + 2] = "[";

	memset(stream, 'x', sizeof(stream));
	stream[0] = STUFFED_MARK;
	stream[sizeof(stream) - 1] = '\n';
	memset(kept + 1, 'x', STUFFED_WORD_MAX - 1);
	strcpy(kept + STUFFED_WORD_MAX, "]");
	expect(&reader, stream, sizeof(stream), kept);
	assert_int_equal(stuffed_put_word(stream, 6, "long"), 0);
	assert_int_equal(stuffed_put_word(stream, 7, "long"), 6);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_put_is_taken),
		cmocka_unit_test(test_a_writer_that_was_ended),
		cmocka_unit_test(test_a_word_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
