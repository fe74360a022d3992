/* SPDX-License-Identifier: BSD-3-Clause */
/* Mixing of numbers, for hashes. Not for secrets: it can be undone. */
#ifndef CASEMENT_COMMON_MIX_H
#define CASEMENT_COMMON_MIX_H

#include <stdint.h>

/* Mix all bits of a number into all bits of the result; no two numbers have one result. */
static inline uint64_t mix64(uint64_t v)
{
	v ^= v >> 30;
	v *= 0xbf58476d1ce4e5b9ULL;
	v ^= v >> 27;
	v *= 0x94d049bb133111ebULL;
	return v ^ (v >> 31);
}

#endif
