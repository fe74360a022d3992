/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that are served without the guest's memory. One that waits for
 * another machine or process may wait until the ring it came from, and even the
 * VMM, is gone; so what is left of it is copied, and its reply is kept until
 * the queue takes it. All copies of a share are counted against one limit.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_DETACH_H
#define CASEMENT_DAEMON_PROTOCOL_DETACH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "common/iov_cursor.h"
#include "proto/fuse_wire.h"

/* One request's or reply's bytes: what a Linux guest with pages of 64 KiB sends at most, and its headers. */
#define DETACHED_MAX ((16u << 20) + (64u << 10))
/* All that are kept at once. */
#define DETACHED_ALL_MAX (256u << 20)

struct server_queue;

struct detached {
	bool is;
	size_t in_size, room;		/* of the two, in bytes */
	void *in, *out;			/* owned; NULL: none */
	struct iovec in_iov, out_iov;
	struct fuse_out_header bare;	/* a reply without a body needs no memory */
};

/* Detach the request that is in `sq`; 0, or -ENOBUFS. Done already: 0. */
int detach(struct server_queue *sq);
/* Room for its reply, empty: 0 or -ENOBUFS, and then there is room for an error. Not detached: 0. */
int detach_reply(struct server_queue *sq);
/* The reply of `written` bytes goes to `out`, and all copies go. Not detached: nothing. */
void detach_fetch(struct server_queue *sq, struct iov_cursor *out, long written);

#endif
