/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about open directories. Entries go straight into the guest's
 * buffer, 8-aligned with zeroed padding, as long as they fit whole. Relies on
 * fs_readdir() to give back the lookup of an entry that did not fit.
 */
#include "daemon/protocol/handle_dir.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include "common/checked.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/decode.h"
#include "daemon/protocol/reply.h"
#include "proto/fuse_extension.h"

/* Entries of one reply, in bytes: each may take some system calls. A guest asks for the rest. */
#define LISTING_MAX (1u << 20)

int handle_opendir(struct request *req)
{
	uint64_t handle;
	int rc = fs_opendir(req->server->fs, req->head.nodeid, &handle);

	return rc ? rc : reply_opendir(req, handle);
}

/* A listing under way. */
struct dir_fill {
	struct request *req;
	size_t start;		/* req->out->done before the first entry */
	bool plus;
	bool refused;		/* an entry came that did not fit */
};

/* What goes before the name. Returns its size. */
static size_t dir_fill_head(const struct dir_fill *fill, const struct fs_dirent *dirent,
			    struct fuse_direntplus *plus)
{
	struct fuse_dirent head = {
		.ino = reply_number(fill->req, &dirent->number),
		.off = dirent->next,
		.namelen = dirent->name_len,
		.type = dirent->type | (dirent->last ? FUSE_DIRENT_LAST : 0),
	};

	plus->dirent = head;
	if (!fill->plus)
		return FUSE_NAME_OFFSET;
	/* "." and "..", and what has vanished: listed, but nothing was looked up. */
	plus->entry_out = (struct fuse_entry_out){ .nodeid = 0 };
	if (dirent->entry->node)
		reply_fill_entry(fill->req, dirent->entry, &plus->entry_out);
	return FUSE_NAME_OFFSET_DIRENTPLUS;
}

static bool dir_emit(void *ctx, const struct fs_dirent *dirent)
{
	static const char zeros[sizeof(uint64_t)];
	struct dir_fill *fill = ctx;
	struct iov_cursor *out = fill->req->out;
	struct fuse_direntplus head;
	size_t size = dir_fill_head(fill, dirent, &head);
	size_t whole = FUSE_REC_ALIGN(size + dirent->name_len);

	/* A host's name that no request may carry (some file systems have them) is not shown. */
	if (dirent->name_len > NAME_MAX) {
		if (fill->plus && dirent->entry->node)
			fs_forget(fill->req->server->fs, dirent->entry->node, 1);
		return true;
	}
	fill->refused = whole > out->left;
	if (fill->refused)
		return false;
	iov_cursor_write(out, fill->plus ? (void *)&head : (void *)&head.dirent, size);
	iov_cursor_write(out, dirent->name, dirent->name_len);
	iov_cursor_write(out, zeros, whole - size - dirent->name_len);
	return true;
}

static int dir_read(struct request *req, bool plus)
{
	const struct fuse_read_in *in = &req->args.read;
	struct dir_fill fill = { .req = req, .start = req->out->done, .plus = plus };
	int rc;

	iov_cursor_limit(req->out, MIN(in->size, LISTING_MAX));
	if (in->fh == FUSE_NO_HANDLE && !in->offset && (req->session & SESSION_WHOLE_DIR))
		rc = fs_list(req->server->fs, req->head.nodeid, plus, req->out->left, dir_emit, &fill);
	else
		rc = fs_readdir(req->server->fs, req->head.nodeid, in->fh, in->offset, plus,
				req->out->left, dir_emit, &fill);
	/* What is listed counts, and its lookups are counted: an error will come again. */
	if (req->out->done > fill.start)
		return 0;
	if (rc)
		return rc;
	/* An empty reply would mean the end of the directory. */
	return fill.refused ? -EINVAL : 0;
}

int handle_readdir(struct request *req)
{
	return dir_read(req, false);
}

int handle_readdirplus(struct request *req)
{
	return dir_read(req, true);
}

int handle_releasedir(struct request *req)
{
	return fs_releasedir(req->server->fs, req->args.release.fh);
}

int handle_fsyncdir(struct request *req)
{
	const struct fuse_fsync_in *in = &req->args.fsync;

	return fs_fsyncdir(req->server->fs, in->fh, in->fsync_flags & FUSE_FSYNC_FDATASYNC);
}
