/* SPDX-License-Identifier: BSD-3-Clause */
/* A bounded cursor over scattered memory; see iov_cursor.h. */
#include "common/iov_cursor.h"

#include <string.h>

#include "common/checked.h"

void iov_cursor_init(struct iov_cursor *cursor, const struct iovec *iov, unsigned int n)
{
	*cursor = (struct iov_cursor){ .iov = iov, .segs = n };
	for (unsigned int i = 0; i < n; i++)
		cursor->left += iov[i].iov_len;
}

/* The contiguous bytes at the cursor; steps over segments that are used up. */
static size_t cursor_run(struct iov_cursor *cursor, char **at)
{
	while (cursor->segs && cursor->offset == cursor->iov->iov_len) {
		cursor->iov++;
		cursor->segs--;
		cursor->offset = 0;
	}
	if (!cursor->segs)
		return 0;
	*at = (char *)cursor->iov->iov_base + cursor->offset;
	return cursor->iov->iov_len - cursor->offset;
}

static void cursor_advance(struct iov_cursor *cursor, size_t n)
{
	cursor->offset += n;
	cursor->left -= n;
	cursor->done += n;
}

bool iov_cursor_read(struct iov_cursor *cursor, void *to, size_t len)
{
	char *out = to, *at = NULL;

	if (len > cursor->left)
		return false;
	while (len) {
		size_t n = MIN(cursor_run(cursor, &at), len);

		memcpy(out, at, n);
		out += n;
		len -= n;
		cursor_advance(cursor, n);
	}
	return true;
}

bool iov_cursor_write(struct iov_cursor *cursor, const void *from, size_t len)
{
	const char *in = from;
	char *at = NULL;

	if (len > cursor->left)
		return false;
	while (len) {
		size_t n = MIN(cursor_run(cursor, &at), len);

		memcpy(at, in, n);
		in += n;
		len -= n;
		cursor_advance(cursor, n);
	}
	return true;
}

bool iov_cursor_skip(struct iov_cursor *cursor, size_t len)
{
	char *at = NULL;

	if (len > cursor->left)
		return false;
	while (len) {
		size_t n = MIN(cursor_run(cursor, &at), len);

		len -= n;
		cursor_advance(cursor, n);
	}
	return true;
}

unsigned int iov_cursor_peek(const struct iov_cursor *cursor, size_t len,
			     struct iovec *out, unsigned int max, size_t *total)
{
	struct iov_cursor walk = *cursor;
	unsigned int n = 0;
	size_t sum = 0;
	char *at = NULL;

	len = MIN(len, walk.left);
	while (len && n < max) {
		size_t run = MIN(cursor_run(&walk, &at), len);

		out[n].iov_base = at;
		out[n++].iov_len = run;
		len -= run;
		sum += run;
		cursor_advance(&walk, run);
	}
	if (total)
		*total = sum;
	return n;
}
