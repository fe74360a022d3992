/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes and words in one stream: what a terminal and a program on it say to each other, and what is
 * to be known about both. A byte STUFFED_MARK begins a word, which ends with a newline; an empty word is
 * that byte itself. A mark within a word begins another: after a writer that was ended in the middle of
 * one, the next is understood.
 */
#ifndef CASEMENT_COMMON_STUFFED_H
#define CASEMENT_COMMON_STUFFED_H

#include <stdbool.h>
#include <stddef.h>

#define STUFFED_MARK '\xff'
#define STUFFED_WORD_MAX 96	/* bytes, with a NUL; what is longer is cut off */

/* Zero-initialise. */
struct stuffed_reader {
	bool in_word;
	char word[STUFFED_WORD_MAX];
	size_t len;
};

enum stuffed { STUFFED_NOTHING, STUFFED_BYTE, STUFFED_WORD };

/* Take one byte in. STUFFED_BYTE: *byte is one of the stream; STUFFED_WORD: reader->word is complete. */
enum stuffed stuffed_take(struct stuffed_reader *reader, char *byte);

/* Write n bytes of the stream to `out`, which has room for twice as many. How many it is then. */
size_t stuffed_put(char *out, const char *bytes, size_t n);

/* Write a word, of printable characters. How many bytes it is; 0: no room. */
size_t stuffed_put_word(char *out, size_t room, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
