/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract between a fuzz target and what drives it: libFuzzer (`make
 * fuzz`) or replay.c (`make check`). A target must be as good as new after each
 * input, whatever was in it.
 */
#ifndef CASEMENT_TESTS_FUZZ_H
#define CASEMENT_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Run one input; a finding ends the process. 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Optional in a target: change an input in place. Its new size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);
/* The driver's: change some bytes in place. Their new number. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* What must be true after any input. */
#define FUZZ_CHECK(condition, ...) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
			abort(); \
		} \
	} while (0)

/* The input, taken piece by piece; past its end all is zero. */
struct fuzz_bytes {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t fuzz_u8(struct fuzz_bytes *bytes)
{
	if (!bytes->left)
		return 0;
	bytes->left--;
	return *bytes->at++;
}

static inline uint16_t fuzz_u16(struct fuzz_bytes *bytes)
{
	uint16_t low = fuzz_u8(bytes);

	return (uint16_t)(low | fuzz_u8(bytes) << 8);
}

/* A small generator for mutators, from libFuzzer's seed. */
static inline uint32_t fuzz_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

#endif
