/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about names. Relies on decode for names and sizes, and on the
 * opcode table for room in the reply: a lookup is counted only where the
 * guest can be told of it. Never re-checks either.
 */
#include "daemon/protocol/handle_name.h"

#include <errno.h>
#include <limits.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/decode.h"
#include "daemon/protocol/reply.h"

/*
 * In one request, which is not stopped in the middle: so many take ten milliseconds.
 * Linux sends what fits a read(2) of its server's, which here is at most a 1 MiB and a page.
 */
#define FORGETS_MAX (1u << 17)

int handle_lookup(struct request *req)
{
	struct fs_entry entry;
	int rc = fs_lookup(req->server->fs, req->head.nodeid, req->name[0], &entry);

	if (rc == -ENOENT)
		return reply_no_entry(req);
	return rc ? rc : reply_entry(req, &entry);
}

int handle_forget(struct request *req)
{
	fs_forget(req->server->fs, req->head.nodeid, req->args.forget.nlookup);
	return 0;
}

int handle_batch_forget(struct request *req)
{
	uint64_t count = req->args.batch_forget.count;
	struct fuse_forget_one one;

	if (count > MIN(req->in->left / sizeof(one), (uint64_t)FORGETS_MAX)) {
		log_guest(LOG_LEVEL_WARN, "guest sent a BATCH_FORGET of %llu that holds fewer, or too many",
			  (unsigned long long)count);
		return -EINVAL;
	}
	while (count-- && iov_cursor_read(req->in, &one, sizeof(one)))
		fs_forget(req->server->fs, one.nodeid, one.nlookup);
	return 0;
}

int handle_mknod(struct request *req)
{
	const struct fuse_mknod_in *in = &req->args.mknod;
	struct fs_caller caller = decode_caller(req);
	struct fs_entry entry;
	int rc = fs_mknod(req->server->fs, &caller, req->head.nodeid, req->name[0],
			  in->mode, in->rdev, &entry);

	return rc ? rc : reply_entry(req, &entry);
}

int handle_mkdir(struct request *req)
{
	struct fs_caller caller = decode_caller(req);
	struct fs_entry entry;
	int rc = fs_mkdir(req->server->fs, &caller, req->head.nodeid, req->name[0],
			  req->args.mkdir.mode, &entry);

	return rc ? rc : reply_entry(req, &entry);
}

int handle_symlink(struct request *req)
{
	struct fs_caller caller = decode_caller(req);
	struct fs_entry entry;
	int rc = fs_symlink(req->server->fs, &caller, req->head.nodeid, req->name[0],
			    req->name[1], &entry);

	return rc ? rc : reply_entry(req, &entry);
}

int handle_link(struct request *req)
{
	struct fs_caller caller = decode_changer(req);
	struct fs_entry entry;
	int rc = fs_link(req->server->fs, &caller, req->args.link.oldnodeid, req->head.nodeid,
			 req->name[0], &entry);

	return rc ? rc : reply_entry(req, &entry);
}

int handle_unlink(struct request *req)
{
	struct fs_caller caller = decode_changer(req);

	return fs_unlink(req->server->fs, &caller, req->head.nodeid, req->name[0]);
}

int handle_rmdir(struct request *req)
{
	struct fs_caller caller = decode_changer(req);

	return fs_rmdir(req->server->fs, &caller, req->head.nodeid, req->name[0]);
}

int handle_rename(struct request *req)
{
	struct fs_caller caller = decode_changer(req);

	return fs_rename(req->server->fs, &caller, req->head.nodeid, req->name[0],
			 req->args.rename.newdir, req->name[1], 0);
}

int handle_rename2(struct request *req)
{
	const struct fuse_rename2_in *in = &req->args.rename2;
	struct fs_caller caller = decode_changer(req);

	return fs_rename(req->server->fs, &caller, req->head.nodeid, req->name[0],
			 in->newdir, req->name[1], in->flags);
}

int handle_readlink(struct request *req)
{
	ssize_t len = fs_readlink(req->server->fs, req->head.nodeid, req->sq->text, PATH_MAX);

	if (len < 0)
		return (int)len;
	/* A target cut short would be another target. */
	if ((size_t)len > req->out->left)
		return -ENAMETOOLONG;
	return reply_put(req, req->sq->text, (size_t)len);
}
