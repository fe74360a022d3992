/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bounded cursor over scattered memory: the only way the daemon and the
 * library read a request or write a reply. It never goes past the end and
 * never loses count, however the other side cut its buffers.
 */
#ifndef CASEMENT_COMMON_IOV_CURSOR_H
#define CASEMENT_COMMON_IOV_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct iov_cursor {
	const struct iovec *iov;	/* current segment; the array is borrowed */
	unsigned int segs;		/* segments left, with the current one */
	size_t offset;			/* bytes used of the current segment */
	size_t left;			/* bytes left in all */
	size_t done;			/* bytes passed so far */
};

/* Start at the beginning of `n` segments. Their lengths must not sum past SIZE_MAX. */
void iov_cursor_init(struct iov_cursor *cursor, const struct iovec *iov, unsigned int n);

/* Copy the next `len` bytes out of the segments. False, with nothing moved, if fewer are left. */
bool iov_cursor_read(struct iov_cursor *cursor, void *to, size_t len);

/* Copy `len` bytes into the segments. False, with nothing moved, if fewer fit. */
bool iov_cursor_write(struct iov_cursor *cursor, const void *from, size_t len);

/* Pass over `len` bytes. False, with nothing moved, if fewer are left. */
bool iov_cursor_skip(struct iov_cursor *cursor, size_t len);

/* Let the cursor end after at most `len` more bytes; what lies beyond is out of reach. */
static inline void iov_cursor_limit(struct iov_cursor *cursor, size_t len)
{
	if (cursor->left > len)
		cursor->left = len;
}

/*
 * Describe the next bytes, at most `len` of them and at most `max` segments,
 * without moving. Returns the number of segments put into `out`; *total, if
 * not NULL, gets their bytes. For preadv2(2) and pwritev2(2) on guest memory;
 * follow with iov_cursor_skip() of what was used.
 */
unsigned int iov_cursor_peek(const struct iov_cursor *cursor, size_t len,
			     struct iovec *out, unsigned int max, size_t *total);

#endif
