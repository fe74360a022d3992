/* SPDX-License-Identifier: BSD-3-Clause */
/* FUSE requests about names: look up, forget, make, remove, rename. */
#include "client/call.h"
#include "common/checked.h"
#include "proto/fuse_wire.h"

int casement_lookup(struct casement_queue *queue, uint64_t parent, const char *name,
		    struct fuse_entry_out *out)
{
	struct iovec iov = NAME(name);

	return call_object(queue, FUSE_LOOKUP, parent, &iov, 1, out, sizeof(*out));
}

int casement_forget(struct casement_queue *hiprio, uint64_t node, uint64_t lookups)
{
	struct fuse_forget_in body = { .nlookup = lookups };
	struct iovec iov = PIECE(&body);

	return call_object(hiprio, FUSE_FORGET, node, &iov, 1, NULL, 0);
}

int casement_batch_forget(struct casement_queue *hiprio, const struct fuse_forget_one *nodes,
			  uint32_t n)
{
	struct fuse_batch_forget_in body = { .count = n };
	struct iovec iov[2] = { PIECE(&body), CONST_BYTES(nodes, n * sizeof(*nodes)) };

	return call_object(hiprio, FUSE_BATCH_FORGET, 0, iov, 2, NULL, 0);
}

int casement_mknod(struct casement_queue *queue, uint64_t parent, const char *name,
		   uint32_t mode, uint32_t rdev, struct fuse_entry_out *out)
{
	struct fuse_mknod_in body = { .mode = mode, .rdev = rdev };
	struct iovec iov[2] = { PIECE(&body), NAME(name) };

	return call_object(queue, FUSE_MKNOD, parent, iov, 2, out, sizeof(*out));
}

int casement_mkdir(struct casement_queue *queue, uint64_t parent, const char *name,
		   uint32_t mode, struct fuse_entry_out *out)
{
	struct fuse_mkdir_in body = { .mode = mode };
	struct iovec iov[2] = { PIECE(&body), NAME(name) };

	return call_object(queue, FUSE_MKDIR, parent, iov, 2, out, sizeof(*out));
}

int casement_symlink(struct casement_queue *queue, uint64_t parent, const char *name,
		     const char *target, struct fuse_entry_out *out)
{
	struct iovec iov[2] = { NAME(name), NAME(target) };

	return call_object(queue, FUSE_SYMLINK, parent, iov, 2, out, sizeof(*out));
}

int casement_link(struct casement_queue *queue, uint64_t node, uint64_t new_parent,
		  const char *new_name, struct fuse_entry_out *out)
{
	struct fuse_link_in body = { .oldnodeid = node };
	struct iovec iov[2] = { PIECE(&body), NAME(new_name) };

	return call_object(queue, FUSE_LINK, new_parent, iov, 2, out, sizeof(*out));
}

int casement_unlink(struct casement_queue *queue, uint64_t parent, const char *name)
{
	struct iovec iov = NAME(name);

	return call_object(queue, FUSE_UNLINK, parent, &iov, 1, NULL, 0);
}

int casement_rmdir(struct casement_queue *queue, uint64_t parent, const char *name)
{
	struct iovec iov = NAME(name);

	return call_object(queue, FUSE_RMDIR, parent, &iov, 1, NULL, 0);
}

int casement_rename(struct casement_queue *queue, uint64_t parent, const char *name,
		    uint64_t new_parent, const char *new_name, uint32_t flags)
{
	struct fuse_rename_in plain = { .newdir = new_parent };
	struct fuse_rename2_in body = { .newdir = new_parent, .flags = flags };
	struct iovec iov[3] = { PIECE(&body), NAME(name), NAME(new_name) };

	if (!flags)
		iov[0] = PIECE(&plain);
	return call_object(queue, flags ? FUSE_RENAME2 : FUSE_RENAME, parent, iov, 3, NULL, 0);
}

ssize_t casement_readlink(struct casement_queue *queue, uint64_t node, char *buf, size_t size)
{
	struct iovec out = { buf, size };

	return casement_call(queue, FUSE_READLINK, node, NULL, 0, &out, 1);
}
