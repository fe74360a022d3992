/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes that tell where they belong. */
#ifndef CASEMENT_TESTS_POSIX_PATTERN_H
#define CASEMENT_TESTS_POSIX_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

static inline char pattern_at(size_t i, unsigned int salt)
{
	return (char)(i * 7 + i / 251 + i / 4096 * 3 + salt * 41 + 1);
}

static inline void pattern_fill(char *to, size_t size, unsigned int salt)
{
	for (size_t i = 0; i < size; i++)
		to[i] = pattern_at(i, salt);
}

/* True when `of` is `size` bytes of zero. */
static inline bool pattern_is_zero(const char *of, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (of[i])
			return false;
	return true;
}

#endif
