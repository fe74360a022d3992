/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a directory in pieces; see dir_stream.h. */
#include "daemon/fs/dir_stream.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/fs/mem_budget.h"

/* Enough that a guest which asks by the page costs few calls; not a burden per open directory. */
#define FILL_MIN 8192
#define FILL_MAX 32768

struct dir_stream *dir_stream_new(struct mem_budget *budget, bool as_opened)
{
	struct dir_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	pthread_mutex_init(&stream->lock, NULL);
	stream->budget = budget;
	stream->as_opened = as_opened;
	return stream;
}

static void drop_buffer(struct dir_stream *stream)
{
	if (stream->buf && !stream->unpaid)
		mem_budget_give(stream->budget, stream->size);
	free(stream->buf);
	stream->buf = NULL;
	stream->size = 0;
	stream->len = 0;
	stream->pos = 0;
	stream->unpaid = false;
}

static int make_buffer(struct dir_stream *stream, size_t hint)
{
	size_t size = MIN(MAX(hint, (size_t)FILL_MIN), (size_t)FILL_MAX);

	stream->buf = malloc(size);
	if (!stream->buf)
		return -ENOMEM;
	stream->size = size;
	stream->unpaid = !mem_budget_take(stream->budget, size);
	if (stream->unpaid)
		log_guest(LOG_LEVEL_WARN, "the guest reads too many directories at once: %lu MiB of their "
			  "listings are kept, and what is past that is read again at each request",
			  (unsigned long)(stream->budget->limit >> 20));
	return 0;
}

void dir_stream_free(struct dir_stream *stream)
{
	if (!stream)
		return;
	pthread_mutex_destroy(&stream->lock);
	drop_buffer(stream);
	free(stream);
}

/* Find an offset the buffer still covers, and stand there. */
static bool seek_in_buffer(struct dir_stream *stream, uint64_t offset)
{
	uint64_t at = stream->start;
	size_t pos = 0;

	while (pos < stream->len && at != offset) {
		const struct dir_record *record = (const void *)(stream->buf + pos);

		at = (uint64_t)record->next;
		pos += record->len;
	}
	if (at != offset)
		return false;
	stream->pos = pos;
	stream->next = offset;
	return true;
}

int dir_stream_seek(struct dir_stream *stream, int fd, uint64_t offset)
{
	bool here = stream->next == offset && !stream->astray;

	/*
	 * A walk from the start must see what was made since the last one; and since
	 * the directory was opened, as a guest may keep the listing for everybody.
	 */
	if (here && (offset || (!stream->len && !stream->as_opened)))
		return 0;
	if (offset && stream->len && seek_in_buffer(stream, offset))
		return 0;
	if (offset > INT64_MAX)
		return -EINVAL;
	if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	stream->len = 0;
	stream->pos = 0;
	stream->start = offset;
	stream->next = offset;
	stream->astray = false;
	return 0;
}

const struct dir_record *dir_stream_peek(const struct dir_stream *stream)
{
	if (stream->pos >= stream->len)
		return NULL;
	return (const void *)(stream->buf + stream->pos);
}

void dir_stream_advance(struct dir_stream *stream)
{
	const struct dir_record *record = dir_stream_peek(stream);

	stream->next = (uint64_t)record->next;
	stream->pos += record->len;
}

/*
 * ext4 remembers where a descriptor was read first. If that was the end, the
 * next walk from the start is empty, which a guest would keep as the listing
 * for everybody. A read at the start, whatever it gives, makes ext4 look anew.
 */
static int mend_end_first(int fd, uint64_t end)
{
	char unused[sizeof(struct dir_record) + NAME_MAX + 1];

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	if (syscall(SYS_getdents64, fd, unused, sizeof(unused)) < 0)
		return -errno;
	return lseek(fd, (off_t)end, SEEK_SET) < 0 ? -errno : 0;
}

ssize_t dir_stream_fill(struct dir_stream *stream, int fd, size_t hint)
{
	bool first = !stream->begun;
	int err = stream->buf ? 0 : make_buffer(stream, hint);
	long n;

	if (err)
		return err;
	n = syscall(SYS_getdents64, fd, stream->buf, stream->size);
	stream->start = stream->next;
	stream->pos = 0;
	stream->len = n > 0 ? (size_t)n : 0;
	if (n < 0)
		return -errno;
	stream->begun = true;
	if (n > 0)
		return n;
	/* A directory that is merely kept open needs no memory. */
	drop_buffer(stream);
	return first && stream->next ? mend_end_first(fd, stream->next) : 0;
}

void dir_stream_rest(struct dir_stream *stream)
{
	if (!stream->unpaid)
		return;
	stream->astray = stream->pos < stream->len;
	drop_buffer(stream);
}
