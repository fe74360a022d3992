/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about attributes. Relies on decode for sizes. A wire's bit that has
 * no word in fs.h is dropped here, knowingly, and nowhere else.
 */
#include "daemon/protocol/handle_attr.h"

#include <errno.h>
#include <limits.h>

#include "common/checked.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/decode.h"
#include "daemon/protocol/reply.h"

#define NSEC_PER_SEC 1000000000u

int handle_getattr(struct request *req)
{
	const struct fuse_getattr_in *in = &req->args.getattr;
	uint64_t handle = in->getattr_flags & FUSE_GETATTR_FH ? in->fh : FS_NO_HANDLE;
	struct fs_attr attr;
	int rc = fs_getattr(req->server->fs, req->head.nodeid, handle, &attr);

	return rc ? rc : reply_attr(req, &attr);
}

/*
 * FATTR_FH is looked at below. Not here: FATTR_CTIME (the host sets it) and
 * FATTR_LOCKOWNER (locks stay in the guest).
 */
static const struct {
	uint32_t wire, fs;
} setattr_bits[] = {
	{ FATTR_MODE, FS_SET_MODE },
	{ FATTR_UID, FS_SET_UID },
	{ FATTR_GID, FS_SET_GID },
	{ FATTR_SIZE, FS_SET_SIZE },
	{ FATTR_ATIME, FS_SET_ATIME },
	{ FATTR_MTIME, FS_SET_MTIME },
	{ FATTR_ATIME_NOW, FS_SET_ATIME_NOW },
	{ FATTR_MTIME_NOW, FS_SET_MTIME_NOW },
	{ FATTR_KILL_SUIDGID, FS_SET_KILL_SUIDGID },
};

/* -EINVAL for a time that is none; utimensat(2) gives some such values a meaning of their own. */
static int setattr_convert(const struct fuse_setattr_in *in, struct fs_setattr *set)
{
	*set = (struct fs_setattr){
		.mode = in->mode,
		.uid = in->uid,
		.gid = in->gid,
		.size = in->size,
		.atime = { .tv_sec = (time_t)in->atime, .tv_nsec = in->atimensec },
		.mtime = { .tv_sec = (time_t)in->mtime, .tv_nsec = in->mtimensec },
	};
	for (size_t i = 0; i < ARRAY_SIZE(setattr_bits); i++)
		if (in->valid & setattr_bits[i].wire)
			set->valid |= setattr_bits[i].fs;
	if (set->valid & FS_SET_ATIME && in->atimensec >= NSEC_PER_SEC)
		return -EINVAL;
	if (set->valid & FS_SET_MTIME && in->mtimensec >= NSEC_PER_SEC)
		return -EINVAL;
	if (set->valid & FS_SET_SIZE && in->size > INT64_MAX)
		return -EFBIG;
	return 0;
}

int handle_setattr(struct request *req)
{
	const struct fuse_setattr_in *in = &req->args.setattr;
	uint64_t handle = in->valid & FATTR_FH ? in->fh : FS_NO_HANDLE;
	struct fs_caller caller = decode_changer(req);
	struct fs_setattr set;
	struct fs_attr attr;
	int rc = setattr_convert(in, &set);

	if (!rc && set.valid & FS_SET_UID)
		rc = decode_uid(req, in->uid, &set.uid);
	if (!rc && set.valid & FS_SET_GID)
		rc = decode_gid(req, in->gid, &set.gid);
	if (!rc)
		rc = fs_setattr(req->server->fs, &caller, req->head.nodeid, handle, &set, &attr);
	return rc ? rc : reply_attr(req, &attr);
}

/* All we know is sent, whatever sx_mask asks: it is one system call either way. */
int handle_statx(struct request *req)
{
	const struct fuse_statx_in *in = &req->args.statx;
	uint64_t handle = in->getattr_flags & FUSE_GETATTR_FH ? in->fh : FS_NO_HANDLE;
	struct fs_attr attr;
	int rc = fs_getattr(req->server->fs, req->head.nodeid, handle, &attr);

	return rc ? rc : reply_statx(req, &attr);
}

int handle_statfs(struct request *req)
{
	struct fuse_statfs_out out = { .st = { .padding = 0 } };
	struct statvfs st;
	int rc = fs_statfs(req->server->fs, req->head.nodeid, &st);

	if (rc)
		return rc;
	out.st.blocks = st.f_blocks;
	out.st.bfree = st.f_bfree;
	out.st.bavail = st.f_bavail;
	out.st.files = st.f_files;
	out.st.ffree = st.f_ffree;
	out.st.bsize = (uint32_t)st.f_bsize;
	/* Some file systems have longer names; no request can carry one. */
	out.st.namelen = (uint32_t)MIN(st.f_namemax, (unsigned long)NAME_MAX);
	out.st.frsize = (uint32_t)st.f_frsize;
	return reply_put(req, &out, sizeof(out));
}

int handle_access(struct request *req)
{
	struct fs_caller caller = decode_caller(req);

	return fs_access(req->server->fs, &caller, req->head.nodeid, req->args.access.mask);
}
