/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scope-bound release for locals: `cleanup_close int fd = open(...)`. To give
 * the resource away, take_fd() or take_ptr() it, which leaves an empty local.
 */
#ifndef CASEMENT_COMMON_CLEANUP_H
#define CASEMENT_COMMON_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <errno.h>

/* Close *fd if it is open (>= 0), keep errno, leave -1 behind. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
	*fd = -1;
}

/* Give up a descriptor held by a cleanup_close local. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline void cleanup_free_ptr(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fclose_ptr(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* clang does not take the clean-up for a use. */
#define cleanup_close  __attribute__((cleanup(close_fd), unused))
#define cleanup_free   __attribute__((cleanup(cleanup_free_ptr), unused))
#define cleanup_fclose __attribute__((cleanup(cleanup_fclose_ptr), unused))

/* Give up a pointer held by a cleanup_free local. */
#define take_ptr(p) ({ __typeof__(p) taken_ = (p); (p) = NULL; taken_; })

#endif
