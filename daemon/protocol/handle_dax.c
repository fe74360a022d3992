/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about the DAX window. Only sees to it that ranges are ranges;
 * alignment, limits and who may map what are the window's to decide. Without
 * a window both are -ENOSYS, as from a server that never heard of them.
 */
#include "daemon/protocol/handle_dax.h"

#include <errno.h>

#include "common/checked.h"
#include "daemon/protocol/decode.h"

/* What fits a guest's page, for pages of up to 64 KiB (FUSE_REMOVEMAPPING_MAX_ENTRY). */
#define REMOVEMAPPING_MAX (65536 / sizeof(struct fuse_removemapping_one))

/* The file handle is not looked at: a mainline guest sends -1. */
int handle_setupmapping(struct request *req)
{
	const struct fuse_setupmapping_in *in = &req->args.setupmapping;
	const struct window_ops *window = &req->server->window;
	const uint64_t known = FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE;
	struct fs_caller caller = decode_changer(req);
	int rc;

	if (!session_has_window(req->server))
		return -ENOSYS;
	if (in->flags & ~known || in->len == 0)
		return -EINVAL;
	if (!range_within(in->foffset, in->len, INT64_MAX) ||
	    !range_within(in->moffset, in->len, INT64_MAX))
		return -EINVAL;
	rc = fs_change_as(req->server->fs, &caller, req->head.nodeid);
	if (rc)
		return rc;
	/* Only the thread of a queue can talk to the VMM: another waits for the file, and no more. */
	if (req->patience == PATIENCE_OTHERS) {
		rc = fs_await_dax(req->server->fs, req->head.nodeid);
		return rc ? rc : REQUEST_DEFERRED_QUEUE;
	}
	return window->setup(window->ctx, req->head.nodeid, in->foffset, in->len,
			     in->flags & FUSE_SETUPMAPPING_FLAG_WRITE, in->moffset);
}

static int remove_one(struct request *req)
{
	const struct window_ops *window = &req->server->window;
	struct fuse_removemapping_one one;

	if (!iov_cursor_read(req->in, &one, sizeof(one)))
		return -EINVAL;
	if (one.len == 0 || !range_within(one.moffset, one.len, INT64_MAX))
		return -EINVAL;
	return window->remove(window->ctx, one.moffset, one.len);
}

int handle_removemapping(struct request *req)
{
	uint32_t count = req->args.removemapping.count;
	int first = 0;

	if (!session_has_window(req->server))
		return -ENOSYS;
	if (count == 0 || count > REMOVEMAPPING_MAX ||
	    count > req->in->left / sizeof(struct fuse_removemapping_one))
		return -EINVAL;
	while (count--) {
		int rc = remove_one(req);

		if (rc == -EINTR)	/* the whole request will be done again */
			return rc;
		if (rc && !first)
			first = rc;
	}
	return first;
}
