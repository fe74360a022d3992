/* SPDX-License-Identifier: BSD-3-Clause */
/* How many descriptors this process has open, in one system call. */
#ifndef CASEMENT_TESTS_FUZZ_FDS_H
#define CASEMENT_TESTS_FUZZ_FDS_H

#include <poll.h>

#define FDS_LOOKED_AT 512

static inline unsigned int count_fds(void)
{
	struct pollfd fds[FDS_LOOKED_AT];
	unsigned int n = FDS_LOOKED_AT;

	for (int i = 0; i < FDS_LOOKED_AT; i++)
		fds[i] = (struct pollfd){ .fd = i };
	poll(fds, FDS_LOOKED_AT, 0);
	for (int i = 0; i < FDS_LOOKED_AT; i++)
		n -= !!(fds[i].revents & POLLNVAL);
	return n;
}

#endif
