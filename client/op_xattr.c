/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FUSE requests about extended attributes. Relies on casement_init() having
 * noted whether SETXATTR has its long form (FUSE_SETXATTR_EXT).
 */
#include <stddef.h>

#include "client/call.h"
#include "client/error.h"
#include "client/queue.h"
#include "common/checked.h"

int casement_setxattr(struct casement_queue *queue, uint64_t node, const char *name,
		      const void *value, size_t size, uint32_t flags)
{
	struct fuse_setxattr_in body = { .size = (uint32_t)size, .flags = flags };
	struct iovec iov[3] = { PIECE(&body), NAME(name), CONST_BYTES(value, size) };

	if (!(*queue->agreed & FUSE_SETXATTR_EXT))
		iov[0].iov_len = FUSE_COMPAT_SETXATTR_IN_SIZE;
	return call_object(queue, FUSE_SETXATTR, node, iov, size ? 3 : 2, NULL, 0);
}

/* GETXATTR and LISTXATTR: with room for nothing they are answered by a size. */
static ssize_t read_xattr(struct casement_queue *queue, uint32_t opcode, uint64_t node,
			  const char *name, void *buf, size_t size)
{
	struct fuse_getxattr_in body = { .size = (uint32_t)size };
	struct iovec in[2] = { PIECE(&body), name ? NAME(name) : (struct iovec){ 0 } };
	struct fuse_getxattr_out length = { 0 };
	struct iovec out = { buf, size };
	int err;

	if (size)
		return casement_call(queue, opcode, node, in, name ? 2 : 1, &out, 1);
	err = call_object(queue, opcode, node, in, name ? 2 : 1, &length, sizeof(length));
	return err ? err : (ssize_t)length.size;
}

ssize_t casement_getxattr(struct casement_queue *queue, uint64_t node, const char *name,
			  void *buf, size_t size)
{
	return read_xattr(queue, FUSE_GETXATTR, node, name, buf, size);
}

ssize_t casement_listxattr(struct casement_queue *queue, uint64_t node, char *buf, size_t size)
{
	return read_xattr(queue, FUSE_LISTXATTR, node, NULL, buf, size);
}

int casement_removexattr(struct casement_queue *queue, uint64_t node, const char *name)
{
	struct iovec iov = NAME(name);

	return call_object(queue, FUSE_REMOVEXATTR, node, &iov, 1, NULL, 0);
}
