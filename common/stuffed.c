/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes and words in one stream; see stuffed.h. */
#include "common/stuffed.h"

#include <stdarg.h>
#include <stdio.h>

enum stuffed stuffed_take(struct stuffed_reader *reader, char *byte)
{
	if (*byte == STUFFED_MARK) {
		reader->in_word = true;
		reader->len = 0;
		return STUFFED_NOTHING;
	}
	if (!reader->in_word)
		return STUFFED_BYTE;
	if (*byte != '\n') {
		if (reader->len < sizeof(reader->word) - 1)
			reader->word[reader->len++] = *byte;
		return STUFFED_NOTHING;
	}
	reader->in_word = false;
	reader->word[reader->len] = '\0';
	if (reader->len)
		return STUFFED_WORD;
	*byte = STUFFED_MARK;
	return STUFFED_BYTE;
}

size_t stuffed_put(char *out, const char *bytes, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		out[len++] = bytes[i];
		if (bytes[i] == STUFFED_MARK)
			out[len++] = '\n';
	}
	return len;
}

size_t stuffed_put_word(char *out, size_t room, const char *format, ...)
{
	va_list args;
	int n;

	if (room < 3)
		return 0;
	va_start(args, format);
	n = vsnprintf(out + 1, room - 2, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= room - 2)
		return 0;
	out[0] = STUFFED_MARK;
	out[n + 1] = '\n';
	return (size_t)n + 2;
}
