/* SPDX-License-Identifier: BSD-3-Clause */
/* FUSE requests about locks, and the closes that give locks back; INTERRUPT. */
#include "client/call.h"

int casement_getlk(struct casement_queue *queue, uint64_t node, const struct fuse_lk_in *in,
		   struct fuse_file_lock *out)
{
	struct iovec iov = CONST_BYTES(in, sizeof(*in));
	struct fuse_lk_out reply;
	int err = call_object(queue, FUSE_GETLK, node, &iov, 1, &reply, sizeof(reply));

	if (!err)
		*out = reply.lk;
	return err;
}

int casement_setlk(struct casement_queue *queue, uint64_t node, const struct fuse_lk_in *in,
		   int wait)
{
	struct iovec iov = CONST_BYTES(in, sizeof(*in));

	return call_object(queue, wait ? FUSE_SETLKW : FUSE_SETLK, node, &iov, 1, NULL, 0);
}

int casement_flush_owner(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t owner)
{
	struct fuse_flush_in body = { .fh = fh, .lock_owner = owner };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_FLUSH, node, &iov, 1, NULL, 0);
}

int casement_release_owner(struct casement_queue *queue, uint64_t node, uint64_t fh,
			   uint32_t release_flags, uint64_t owner)
{
	struct fuse_release_in body = { .fh = fh, .release_flags = release_flags,
					.lock_owner = owner };
	struct iovec iov = PIECE(&body);

	return call_object(queue, FUSE_RELEASE, node, &iov, 1, NULL, 0);
}

int casement_interrupt(struct casement_queue *hiprio, uint64_t unique)
{
	struct fuse_interrupt_in body = { .unique = unique };
	struct iovec iov = PIECE(&body);

	return call_object(hiprio, FUSE_INTERRUPT, 0, &iov, 1, NULL, 0);
}
