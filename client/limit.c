/* SPDX-License-Identifier: BSD-3-Clause */
/* Bounded waits; see limit.h. Never sets the error's text: the caller knows what was waited for. */
#include "client/limit.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "common/checked.h"

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct limit limit_in(int timeout_ms, int stop_fd)
{
	return (struct limit){ now_ms() + timeout_ms, stop_fd };
}

int limit_left(const struct limit *limit)
{
	return (int)MAX(limit->end - now_ms(), 0);
}

int limit_wait(const struct limit *limit, int fd, short events)
{
	struct pollfd pfds[2] = {
		{ .fd = fd, .events = events },
		{ .fd = limit->stop_fd, .events = POLLIN },
	};
	int n = poll(pfds, 2, limit_left(limit));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ETIMEDOUT;
	return pfds[1].revents ? -ECANCELED : 0;
}
