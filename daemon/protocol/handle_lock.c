/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks. Relies on the file system for ranges and types. A lock that is not
 * free is waited for by a thread of the transport's, never by a queue.
 */
#include "daemon/protocol/handle_lock.h"

#include <errno.h>

#include "daemon/fs/fs.h"
#include "daemon/protocol/decode.h"
#include "daemon/protocol/reply.h"

static struct fs_lock lock_of(const struct fuse_lk_in *in)
{
	return (struct fs_lock){ .start = in->lk.start, .end = in->lk.end, .type = in->lk.type };
}

int handle_getlk(struct request *req)
{
	const struct fuse_lk_in *in = &req->args.lk;
	struct fs_lock lock = lock_of(in);
	struct fuse_lk_out out;
	int rc;

	if (!req->server->config.posix_lock)
		return -ENOSYS;
	rc = fs_getlk(req->server->fs, in->fh, in->owner, &lock);
	/* Whose it is: a process of the host or of another guest, so no pid that means anything. */
	out = (struct fuse_lk_out){
		.lk = { .start = lock.start, .end = lock.end, .type = lock.type },
	};
	return rc ? rc : reply_put(req, &out, sizeof(out));
}

static int lock_set(struct request *req, bool wait)
{
	const struct fuse_lk_in *in = &req->args.lk;
	const struct server_config *config = &req->server->config;
	struct fs_lock lock = lock_of(in);

	if (in->lk_flags & FUSE_LK_FLOCK)
		return !config->flock ? -ENOSYS :
		       fs_flock(req->server->fs, in->fh, in->owner, in->lk.type, req->head.unique, wait);
	return !config->posix_lock ? -ENOSYS :
	       fs_setlk(req->server->fs, in->fh, in->owner, &lock, req->head.unique, wait);
}

int handle_setlk(struct request *req)
{
	return lock_set(req, false);
}

/* First without waiting; then, where that did not do, once more by somebody who may. */
int handle_setlkw(struct request *req)
{
	int rc;

	if (req->patience < PATIENCE_ENOUGH) {
		rc = lock_set(req, false);
		if (rc != -EAGAIN)
			return rc;
		req->may_wait_lock = fs_lock_may_wait(req->server->fs);
		return req->may_wait_lock ? REQUEST_DEFERRED_LOCK : -ENOLCK;
	}
	rc = lock_set(req, true);
	return rc == -EINTR ? REQUEST_INTERRUPTED : rc;
}
