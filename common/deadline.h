/* SPDX-License-Identifier: BSD-3-Clause */
/* When a wait that is bounded ends. */
#ifndef CASEMENT_COMMON_DEADLINE_H
#define CASEMENT_COMMON_DEADLINE_H

#include <time.h>

/* `ms` thousandths of a second from now, of CLOCK_MONOTONIC. */
static inline struct timespec deadline_in(unsigned int ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += ms % 1000 * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

#endif
