/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arithmetic on numbers that came from the other side. Every sum or product
 * of foreign numbers goes through these helpers, so that an overflow is an
 * error path and never a small number.
 */
#ifndef CASEMENT_COMMON_CHECKED_H
#define CASEMENT_COMMON_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Store a + b in *sum. False, and *sum unspecified, when it overflows. */
static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

/* Store a * b in *product. False when it overflows. */
static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

/* True when [start, start + len) lies within [0, limit). */
static inline bool range_within(uint64_t start, uint64_t len, uint64_t limit)
{
	return start <= limit && len <= limit - start;
}

/* True when [a, a + alen) and [b, b + blen) share a byte; neither may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

static inline bool is_power_of_two(uint64_t v)
{
	return v && !(v & (v - 1));
}

/* `align` is a power of two. */
static inline bool is_aligned(uint64_t v, uint64_t align)
{
	return !(v & (align - 1));
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
