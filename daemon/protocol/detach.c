/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests without the guest's memory; see detach.h. */
#include "daemon/protocol/detach.h"

#include <errno.h>
#include <stdlib.h>

#include "common/checked.h"
#include "daemon/protocol/decode.h"
#include "daemon/protocol/opcodes.h"
#include "daemon/protocol/session.h"

/* NULL: too much, or none to be had. */
static void *copy_new(struct server *server, size_t size)
{
	size_t before = atomic_fetch_add_explicit(&server->detached, size, memory_order_relaxed);
	void *copy = before + size <= DETACHED_ALL_MAX ? malloc(size) : NULL;

	if (!copy)
		atomic_fetch_sub_explicit(&server->detached, size, memory_order_relaxed);
	return copy;
}

static void copy_free(struct server *server, void *copy, size_t size)
{
	if (!copy)
		return;
	free(copy);
	atomic_fetch_sub_explicit(&server->detached, size, memory_order_relaxed);
}

static void point_reply(struct server_queue *sq, void *at, size_t size)
{
	sq->detached.out_iov = (struct iovec){ at, size };
	iov_cursor_init(&sq->out, &sq->detached.out_iov, 1);
	sq->req.reply_at = sq->out;
	if (!(sq->req.op->flags & OP_NO_REPLY))
		iov_cursor_skip(&sq->out, sizeof(struct fuse_out_header));
}

int detach(struct server_queue *sq)
{
	struct detached *d = &sq->detached;
	size_t size = sq->in.left;

	if (d->is)
		return 0;
	if (size > DETACHED_MAX)
		return -ENOBUFS;
	if (size) {
		d->in = copy_new(sq->server, size);
		if (!d->in)
			return -ENOBUFS;
		iov_cursor_read(&sq->in, d->in, size);
	}
	d->is = true;
	d->in_size = size;
	d->room = MIN(sq->req.reply_at.left, (size_t)DETACHED_MAX);
	d->in_iov = (struct iovec){ d->in, size };
	iov_cursor_init(&sq->in, &d->in_iov, 1);
	point_reply(sq, &d->bare, MIN(d->room, sizeof(d->bare)));
	return 0;
}

int detach_reply(struct server_queue *sq)
{
	struct detached *d = &sq->detached;

	if (!d->is || d->room <= sizeof(d->bare))
		return 0;
	if (!d->out)
		d->out = copy_new(sq->server, d->room);
	if (!d->out)
		return -ENOBUFS;
	point_reply(sq, d->out, d->room);
	return 0;
}

void detach_fetch(struct server_queue *sq, struct iov_cursor *out, long written)
{
	struct detached *d = &sq->detached;

	if (!d->is)
		return;
	if (out && written > 0)
		iov_cursor_write(out, d->out_iov.iov_base, (size_t)written);
	copy_free(sq->server, d->in, d->in_size);
	copy_free(sq->server, d->out, d->room);
	*d = (struct detached){ .is = false };
}
