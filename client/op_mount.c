/* SPDX-License-Identifier: BSD-3-Clause */
/* FUSE requests of the whole mount: init, destroy, statfs, syncfs, the window's ranges. */
#include "client/call.h"
#include "client/queue.h"
#include "common/checked.h"
#include "proto/fuse_wire.h"

/* What Linux 6.12 offers over virtio-fs with a window. */
#define GUEST_FLAGS \
	(FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | \
	 FUSE_DONT_MASK | FUSE_HAS_IOCTL_DIR | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | \
	 FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT | \
	 FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV | FUSE_POSIX_ACL | FUSE_ABORT_ERROR | \
	 FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | \
	 FUSE_EXPLICIT_INVAL_DATA | FUSE_MAP_ALIGNMENT | FUSE_SUBMOUNTS | \
	 FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT | FUSE_HAS_INODE_DAX | \
	 FUSE_CREATE_SUPP_GROUP | FUSE_HAS_EXPIRE_ONLY | FUSE_DIRECT_IO_ALLOW_MMAP | \
	 FUSE_NO_EXPORT_SUPPORT | FUSE_HAS_RESEND)

int casement_init(struct casement_queue *queue, const struct fuse_init_in *in,
		  struct fuse_init_out *out)
{
	struct fuse_init_in usual = {
		.major = CASEMENT_FUSE_MAJOR, .minor = 41,
		.max_readahead = 128u << 10,
		.flags = (uint32_t)GUEST_FLAGS, .flags2 = (uint32_t)(GUEST_FLAGS >> 32),
	};
	struct iovec iov = CONST_BYTES(in ? in : &usual, sizeof(usual));
	struct fuse_init_out reply;
	int err = call_object(queue, FUSE_INIT, 0, &iov, 1, &reply, sizeof(reply));

	if (err)
		return err;
	*queue->agreed = reply.flags | (reply.flags & FUSE_INIT_EXT ?
					(uint64_t)reply.flags2 << 32 : 0);
	*out = reply;
	return 0;
}

int casement_destroy(struct casement_queue *queue)
{
	return call_object(queue, FUSE_DESTROY, 0, NULL, 0, NULL, 0);
}

int casement_statfs(struct casement_queue *queue, uint64_t node, struct fuse_statfs_out *out)
{
	return call_object(queue, FUSE_STATFS, node, NULL, 0, out, sizeof(*out));
}

int casement_syncfs(struct casement_queue *queue, uint64_t node)
{
	struct fuse_syncfs_in body = { 0 };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_SYNCFS, node, &iov, 1, NULL, 0);
}

int casement_setupmapping(struct casement_queue *queue, uint64_t node, uint64_t fh,
			  uint64_t offset, uint64_t length, uint64_t flags,
			  uint64_t window_offset)
{
	struct fuse_setupmapping_in body = {
		.fh = fh, .foffset = offset, .len = length, .flags = flags,
		.moffset = window_offset,
	};
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_SETUPMAPPING, node, &iov, 1, NULL, 0);
}

int casement_removemapping(struct casement_queue *queue,
			   const struct fuse_removemapping_one *ranges, uint32_t n)
{
	struct fuse_removemapping_in body = { .count = n };
	struct iovec iov[2] = { PIECE(&body), CONST_BYTES(ranges, n * sizeof(*ranges)) };

	return call_object(queue, FUSE_REMOVEMAPPING, FUSE_ROOT_ID, iov, 2, NULL, 0);
}
