/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOCTL. Relies on the file system to know which numbers there are, and how
 * large what goes with them is. Data is copied in and out: no ioctl ever sees
 * guest memory, and none that would want a second look at it (UNRESTRICTED,
 * RETRY) is served.
 */
#include "daemon/protocol/handle_ioctl.h"

#include <errno.h>

#include "common/checked.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/decode.h"
#include "daemon/protocol/reply.h"

/* Numbers of 32-bit programs are served like their own; their structs are laid out alike. */
#define IOCTL_FLAGS_KNOWN \
	(FUSE_IOCTL_COMPAT | FUSE_IOCTL_32BIT | FUSE_IOCTL_DIR | FUSE_IOCTL_COMPAT_X32)
/* More than any ioctl that is served fills. */
#define IOCTL_OUT_MAX 128

_Static_assert(SESSION_TEXT_MAX >= FS_IOCTL_DATA_MAX, "a request's data goes where names go");

static int reply_ioctl(struct request *req, const struct fs_ioctl *io)
{
	/* The result of those that are served is 0, or an error that is the request's. */
	struct fuse_ioctl_out out = { .result = 0 };
	int rc = reply_put(req, &out, sizeof(out));

	return rc || !io->out_size ? rc : reply_put(req, io->out, io->out_size);
}

int handle_ioctl(struct request *req)
{
	const struct fuse_ioctl_in *in = &req->args.ioctl;
	struct fs_caller caller = decode_caller(req);
	char filled[IOCTL_OUT_MAX];
	struct fs_ioctl io = {
		.cmd = in->cmd, .in = req->sq->text, .in_size = in->in_size,
		.out = filled, .out_size = MIN(in->out_size, sizeof(filled)),
	};
	int rc;

	if (in->flags & ~IOCTL_FLAGS_KNOWN || in->in_size > req->in->left ||
	    in->out_size > req->out->left - sizeof(struct fuse_ioctl_out))
		return -EINVAL;
	if (in->in_size > FS_IOCTL_DATA_MAX)
		return -EMSGSIZE;
	iov_cursor_read(req->in, req->sq->text, in->in_size);
	rc = fs_ioctl(req->server->fs, &caller, in->fh, in->flags & FUSE_IOCTL_DIR, &io);
	return rc ? rc : reply_ioctl(req, &io);
}
