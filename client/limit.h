/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a wait may last: until a time, or until somebody wants all waits to
 * end. One limit is for a whole step, however many pieces it comes in.
 */
#ifndef CASEMENT_CLIENT_LIMIT_H
#define CASEMENT_CLIENT_LIMIT_H

#include <stdint.h>

struct limit {
	int64_t end;		/* CLOCK_MONOTONIC, ms */
	int stop_fd;		/* readable: no longer; -1: none */
};

struct limit limit_in(int timeout_ms, int stop_fd);
/* Milliseconds left; 0 when the time is over. */
int limit_left(const struct limit *limit);
/* Wait for poll(2)'s `events` of `fd`: 0 (there may be none, yet), -ETIMEDOUT, -ECANCELED by stop_fd. */
int limit_wait(const struct limit *limit, int fd, short events);

#endif
