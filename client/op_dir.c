/* SPDX-License-Identifier: BSD-3-Clause */
/* FUSE requests about open directories. */
#include "client/call.h"
#include "common/checked.h"
#include "proto/fuse_wire.h"

int casement_opendir(struct casement_queue *queue, uint64_t node, struct fuse_open_out *out)
{
	struct fuse_open_in body = { 0 };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_OPENDIR, node, &iov, 1, out, sizeof(*out));
}

int casement_releasedir(struct casement_queue *queue, uint64_t node, uint64_t fh)
{
	struct fuse_release_in body = { .fh = fh };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_RELEASEDIR, node, &iov, 1, NULL, 0);
}

int casement_fsyncdir(struct casement_queue *queue, uint64_t node, uint64_t fh, int datasync)
{
	struct fuse_fsync_in body = { .fh = fh,
				      .fsync_flags = datasync ? FUSE_FSYNC_FDATASYNC : 0 };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_FSYNCDIR, node, &iov, 1, NULL, 0);
}

static ssize_t read_entries(struct casement_queue *queue, uint32_t opcode, uint64_t node,
			    uint64_t fh, uint64_t offset, void *buf, size_t size)
{
	struct fuse_read_in body = { .fh = fh, .offset = offset, .size = (uint32_t)size };
	struct iovec in = PIECE(&body), out = { buf, size };

	return casement_call(queue, opcode, node, &in, 1, &out, 1);
}

ssize_t casement_readdir(struct casement_queue *queue, uint64_t node, uint64_t fh,
			 uint64_t offset, void *buf, size_t size)
{
	return read_entries(queue, FUSE_READDIR, node, fh, offset, buf, size);
}

ssize_t casement_readdirplus(struct casement_queue *queue, uint64_t node, uint64_t fh,
			     uint64_t offset, void *buf, size_t size)
{
	return read_entries(queue, FUSE_READDIRPLUS, node, fh, offset, buf, size);
}
