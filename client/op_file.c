/* SPDX-License-Identifier: BSD-3-Clause */
/* FUSE requests about attributes and open files. */
#include <errno.h>

#include "client/call.h"
#include "client/error.h"
#include "common/checked.h"
#include "proto/fuse_wire.h"

int casement_getattr(struct casement_queue *queue, uint64_t node, uint64_t fh,
		     struct fuse_attr_out *out)
{
	struct fuse_getattr_in body = {
		.getattr_flags = fh == CASEMENT_NO_FH ? 0 : FUSE_GETATTR_FH,
		.fh = fh == CASEMENT_NO_FH ? 0 : fh,
	};
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_GETATTR, node, &iov, 1, out, sizeof(*out));
}

int casement_setattr(struct casement_queue *queue, uint64_t node,
		     const struct fuse_setattr_in *in, struct fuse_attr_out *out)
{
	struct iovec iov = CONST_BYTES(in, sizeof(*in));

	return call_object(queue, FUSE_SETATTR, node, &iov, 1, out, sizeof(*out));
}

int casement_statx(struct casement_queue *queue, uint64_t node, uint64_t fh, uint32_t mask,
		   struct fuse_statx_out *out)
{
	struct fuse_statx_in body = {
		.getattr_flags = fh == CASEMENT_NO_FH ? 0 : FUSE_GETATTR_FH,
		.fh = fh == CASEMENT_NO_FH ? 0 : fh,
		.sx_mask = mask,
	};
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_STATX, node, &iov, 1, out, sizeof(*out));
}

int casement_access(struct casement_queue *queue, uint64_t node, uint32_t mask)
{
	struct fuse_access_in body = { .mask = mask };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_ACCESS, node, &iov, 1, NULL, 0);
}

static int create(struct casement_queue *queue, uint32_t opcode, uint64_t parent,
		  const char *name, struct fuse_create_in body, struct fuse_entry_out *entry,
		  struct fuse_open_out *open)
{
	struct iovec in[2] = { PIECE(&body), NAME(name) };
	struct iovec out[2] = { PIECE(entry), PIECE(open) };

	return call_exact(queue, opcode, parent, in, 2, out, 2);
}

int casement_create(struct casement_queue *queue, uint64_t parent, const char *name,
		    uint32_t flags, uint32_t mode, struct fuse_entry_out *entry,
		    struct fuse_open_out *open)
{
	struct fuse_create_in body = { .flags = flags, .mode = mode };

	return create(queue, FUSE_CREATE, parent, name, body, entry, open);
}

int casement_tmpfile(struct casement_queue *queue, uint64_t parent, uint32_t flags,
		     uint32_t mode, struct fuse_entry_out *entry, struct fuse_open_out *open)
{
	struct fuse_create_in body = { .flags = flags, .mode = mode };

	/* Linux gives an unnamed file the name "/". */
	return create(queue, FUSE_TMPFILE, parent, "/", body, entry, open);
}

int casement_open(struct casement_queue *queue, uint64_t node, uint32_t flags,
		  struct fuse_open_out *out)
{
	struct fuse_open_in body = { .flags = flags };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_OPEN, node, &iov, 1, out, sizeof(*out));
}

int casement_release(struct casement_queue *queue, uint64_t node, uint64_t fh)
{
	struct fuse_release_in body = { .fh = fh };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_RELEASE, node, &iov, 1, NULL, 0);
}

int casement_flush(struct casement_queue *queue, uint64_t node, uint64_t fh)
{
	struct fuse_flush_in body = { .fh = fh };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_FLUSH, node, &iov, 1, NULL, 0);
}

int casement_fsync(struct casement_queue *queue, uint64_t node, uint64_t fh, int datasync)
{
	struct fuse_fsync_in body = { .fh = fh,
				      .fsync_flags = datasync ? FUSE_FSYNC_FDATASYNC : 0 };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_FSYNC, node, &iov, 1, NULL, 0);
}

ssize_t casement_read(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t offset,
		      void *buf, size_t size)
{
	struct fuse_read_in body = { .fh = fh, .offset = offset, .size = (uint32_t)size };
	struct iovec in = PIECE(&body), out = { buf, size };

	return casement_call(queue, FUSE_READ, node, &in, 1, &out, 1);
}

ssize_t casement_write(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t offset,
		       const void *buf, size_t size)
{
	struct fuse_write_in body = { .fh = fh, .offset = offset, .size = (uint32_t)size };
	struct iovec in[2] = { PIECE(&body), CONST_BYTES(buf, size) };
	struct fuse_write_out reply;
	int err = call_object(queue, FUSE_WRITE, node, in, 2, &reply, sizeof(reply));

	return err ? err : (ssize_t)reply.size;
}

int casement_fallocate(struct casement_queue *queue, uint64_t node, uint64_t fh, uint32_t mode,
		       uint64_t offset, uint64_t length)
{
	struct fuse_fallocate_in body = { .fh = fh, .offset = offset, .length = length,
					  .mode = mode };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_FALLOCATE, node, &iov, 1, NULL, 0);
}

int64_t casement_lseek(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t offset,
		       uint32_t whence)
{
	struct fuse_lseek_in body = { .fh = fh, .offset = offset, .whence = whence };
	struct iovec iov = PIECE(&body);
	struct fuse_lseek_out reply;
	int err = call_object(queue, FUSE_LSEEK, node, &iov, 1, &reply, sizeof(reply));

	return err ? err : (int64_t)reply.offset;
}

int64_t casement_copy_file_range_64(struct casement_queue *queue,
				    const struct fuse_copy_file_range_in *in, uint64_t node_in)
{
	struct iovec iov = CONST_BYTES(in, sizeof(*in));
	struct fuse_copy_file_range_out reply;
	int err = call_object(queue, FUSE_COPY_FILE_RANGE_64, node_in, &iov, 1, &reply,
			      sizeof(reply));

	return err ? err : (int64_t)reply.bytes_copied;
}

ssize_t casement_copy_file_range(struct casement_queue *queue,
				 const struct fuse_copy_file_range_in *in, uint64_t node_in)
{
	struct iovec iov = CONST_BYTES(in, sizeof(*in));
	struct fuse_write_out reply;
	int err = call_object(queue, FUSE_COPY_FILE_RANGE, node_in, &iov, 1, &reply, sizeof(reply));

	return err ? err : (ssize_t)reply.size;
}

ssize_t casement_ioctl(struct casement_queue *queue, uint64_t node, uint64_t fh, uint32_t cmd,
		       uint32_t flags, const void *in, size_t in_size, void *out, size_t out_size,
		       int32_t *result)
{
	struct fuse_ioctl_in body = { .fh = fh, .flags = flags, .cmd = cmd,
				      .in_size = (uint32_t)in_size,
				      .out_size = (uint32_t)out_size };
	struct iovec to[2] = { PIECE(&body), CONST_BYTES(in, in_size) };
	struct fuse_ioctl_out reply = { 0 };
	struct iovec from[2] = { PIECE(&reply), { out, out_size } };
	ssize_t n = casement_call(queue, FUSE_IOCTL, node, to, in_size ? 2 : 1, from,
				  out_size ? 2 : 1);

	if (n < 0)
		return n;
	if ((size_t)n < sizeof(reply))
		return error_set(-EPROTO, "IOCTL: an answer of %zd bytes", n);
	*result = reply.result;
	return n - (ssize_t)sizeof(reply);
}
