/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Requests whose data is where the caller of read(2) or write(2) has it. A user's pages are
 * pinned until the request is freed, so that who waits for it can be killed. The kernel's own
 * buffers may be gone when their owner has been told of an error: they are copied.
 */
#ifndef CASEMENT_KMOD_DIRECT_H
#define CASEMENT_KMOD_DIRECT_H

#include "fs.h"

/*
 * READ or WRITE at `pos` of as much of the iterator as one request takes; the iterator moves
 * on by its data_len. An error pointer: nothing was done.
 */
struct cs_request *cs_direct_request(struct kiocb *iocb, loff_t pos, struct iov_iter *iter, bool write);

/*
 * Call once when a write has ended, also when no process waits for it. Drops cached pages of the range that it
 * wrote, then counts it as ended for its inode.
 */
void cs_direct_ended(struct cs_request *request);

/* The reply's number of bytes moved; never more than there was. */
u32 cs_direct_got(struct cs_request *request, bool write);

/*
 * The device wrote to the pages behind the page tables' back, or will. True when their owner
 * knows; else cs_direct_dirty() tells it, which may sleep.
 */
bool cs_direct_is_dirty(struct cs_request *request);
void cs_direct_dirty(struct cs_request *request);

/* ---- transfer.c ---- */

/*
 * Move all of the iterator by as many requests as it takes, all under way at once, and do not
 * wait: -EIOCBQUEUED, and the I/O control block is completed some time. A write's pages of the
 * cache are dropped before that.
 */
ssize_t cs_transfer_start(struct kiocb *iocb, struct iov_iter *iter, bool write);

/*
 * The same, waited for, of `limit` bytes and at most a request more. Bytes moved in one piece from
 * the start, or -errno. *asked: what it was to be; the iterator has moved on by that.
 */
ssize_t cs_transfer_wait(struct kiocb *iocb, struct iov_iter *iter, bool write, size_t limit, size_t *asked);

#endif
