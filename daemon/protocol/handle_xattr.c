/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about extended attributes. Relies on decode for names, and on the
 * file system's limits for values. ACLs are hidden unless INIT agreed on them:
 * a guest that does not enforce them must not believe that it has some.
 */
#include "daemon/protocol/handle_xattr.h"

#include <errno.h>
#include <string.h>

#include "common/checked.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/decode.h"
#include "daemon/protocol/reply.h"

static bool xattr_hidden(const struct request *req, const char *name)
{
	if (req->session & SESSION_POSIX_ACL)
		return false;
	return !strcmp(name, "system.posix_acl_access") || !strcmp(name, "system.posix_acl_default");
}

int handle_setxattr(struct request *req)
{
	const struct fuse_setxattr_in *in = &req->args.setxattr;
	struct fs_caller caller = decode_caller(req);

	if (xattr_hidden(req, req->name[0]))
		return -EOPNOTSUPP;
	if (in->size > FS_XATTR_SIZE_MAX)
		return -E2BIG;
	if (req->in->left != in->size || !iov_cursor_read(req->in, req->sq->value, in->size))
		return -EINVAL;
	return fs_setxattr(req->server->fs, &caller, req->head.nodeid, req->name[0], req->sq->value,
			   in->size, in->flags, in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID);
}

/* Asked with size 0, the answer is the length of `n` bytes; else they are in sq->value. */
static int reply_sized(struct request *req, uint32_t size, ssize_t n)
{
	struct fuse_getxattr_out length = { .size = (uint32_t)n };

	if (n < 0)
		return (int)n;
	if (!size)
		return reply_put(req, &length, sizeof(length));
	if ((size_t)n > MIN(size, req->out->left))
		return -ERANGE;
	return reply_put(req, req->sq->value, (size_t)n);
}

int handle_getxattr(struct request *req)
{
	uint32_t size = req->args.getxattr.size;
	ssize_t n;

	if (xattr_hidden(req, req->name[0]))
		return -EOPNOTSUPP;
	n = fs_getxattr(req->server->fs, req->head.nodeid, req->name[0], req->sq->value,
			MIN(size, (uint32_t)FS_XATTR_SIZE_MAX));
	return reply_sized(req, size, n);
}

/* Linux names these to who may administrate the system alone; of a guest's users we take root to be that. */
static bool xattr_unlisted(const struct request *req, const char *name)
{
	return req->head.uid != 0 && !strncmp(name, "trusted.", strlen("trusted."));
}

/* Drop the names that are hidden, in place; the new length. */
static ssize_t hide_names(const struct request *req, char *names, size_t n)
{
	size_t from = 0, to = 0;

	while (from < n) {
		size_t len = strnlen(names + from, n - from) + 1;

		if (len > n - from)
			break;
		if (!xattr_hidden(req, names + from) && !xattr_unlisted(req, names + from)) {
			memmove(names + to, names + from, len);
			to += len;
		}
		from += len;
	}
	return (ssize_t)to;
}

int handle_listxattr(struct request *req)
{
	_Static_assert(sizeof(req->sq->value) >= FS_XATTR_LIST_MAX, "room for a list");
	ssize_t n = fs_listxattr(req->server->fs, req->head.nodeid, req->sq->value);

	if (n > 0)
		n = hide_names(req, req->sq->value, (size_t)n);
	return reply_sized(req, req->args.getxattr.size, n);
}

int handle_removexattr(struct request *req)
{
	struct fs_caller caller = decode_changer(req);

	if (xattr_hidden(req, req->name[0]))
		return -EOPNOTSUPP;
	return fs_removexattr(req->server->fs, &caller, req->head.nodeid, req->name[0]);
}
