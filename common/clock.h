/* SPDX-License-Identifier: BSD-3-Clause */
/* The time that only goes forward. */
#ifndef CASEMENT_COMMON_CLOCK_H
#define CASEMENT_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
