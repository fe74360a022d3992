/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about open files and their data. Relies on decode for sizes. File
 * ranges are checked here to be ranges, so that the file system below can
 * hand them to system calls, where a negative offset may mean something else.
 * Data is never copied on the way: it goes between the cursors and the file.
 */
#include "daemon/protocol/handle_file.h"

#include <errno.h>
#include <fcntl.h>

#include "common/checked.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/decode.h"
#include "daemon/protocol/reply.h"

/* What one request moves while its queue cannot be stopped. */
#define DATA_MAX (32u << 20)
/* What COPY_FILE_RANGE's 32-bit answer can say, in whole pages. */
#define COPY_MAX ((1ULL << 32) - 4096)

/*
 * Whoever cuts a file without CAP_FSETID takes its set-id bits. A guest says so
 * only where HANDLE_KILLPRIV_V2 was agreed upon; without, we go by the caller.
 */
static uint32_t open_flags(const struct request *req, uint32_t flags, uint32_t extra)
{
	bool kill = extra & FUSE_OPEN_KILL_SUIDGID || req->head.uid != 0;

	flags &= ~FS_OPEN_KILL_SUIDGID;
	return flags & O_TRUNC && kill ? flags | FS_OPEN_KILL_SUIDGID : flags;
}

int handle_open(struct request *req)
{
	struct fs_caller caller = decode_changer(req);
	uint64_t handle;
	int rc = fs_open(req->server->fs, &caller, req->head.nodeid,
			 open_flags(req, req->args.open.flags, req->args.open.open_flags), &handle);

	return rc ? rc : reply_open(req, handle);
}

int handle_create(struct request *req)
{
	const struct fuse_create_in *in = &req->args.create;
	struct fs_caller caller = decode_caller(req);
	struct fs_entry entry;
	uint64_t handle;
	int rc = fs_create(req->server->fs, &caller, req->head.nodeid, req->name[0],
			   open_flags(req, in->flags, in->open_flags), in->mode, &entry, &handle);

	return rc ? rc : reply_create(req, &entry, handle);
}

int handle_tmpfile(struct request *req)
{
	const struct fuse_create_in *in = &req->args.create;
	struct fs_caller caller = decode_caller(req);
	struct fs_entry entry;
	uint64_t handle;
	int rc = fs_tmpfile(req->server->fs, &caller, req->head.nodeid, in->flags, in->mode,
			    &entry, &handle);

	return rc ? rc : reply_create(req, &entry, handle);
}

int handle_release(struct request *req)
{
	return fs_release(req->server->fs, req->args.release.fh);
}

int handle_flush(struct request *req)
{
	const struct fuse_flush_in *in = &req->args.flush;
	int rc = 0;

	if (req->server->config.posix_lock)
		rc = fs_lock_closed(req->server->fs, in->fh, in->lock_owner);
	return rc ? rc : fs_flush(req->server->fs, in->fh);
}

int handle_fsync(struct request *req)
{
	const struct fuse_fsync_in *in = &req->args.fsync;

	return fs_fsync(req->server->fs, in->fh, in->fsync_flags & FUSE_FSYNC_FDATASYNC);
}

int handle_syncfs(struct request *req)
{
	return fs_syncfs(req->server->fs, req->head.nodeid);
}

/*
 * With pages of 64 KiB a mainline guest asks for 16 MiB at a time, and would take a
 * short answer for the file's end. Who asks for more has the same memory twice.
 */
int handle_read(struct request *req)
{
	const struct fuse_read_in *in = &req->args.read;
	size_t size = MIN(in->size, MIN(req->out->left, (size_t)DATA_MAX));
	uint32_t how = in->flags & O_DIRECT ? FS_READ_DIRECT : 0;
	ssize_t n;

	if (!range_within(in->offset, size, INT64_MAX))
		return -EINVAL;
	if (req->patience == PATIENCE_NONE)
		how |= FS_READ_NOWAIT;
	n = fs_read(req->server->fs, req->head.nodeid, in->fh, in->offset, size, req->out, how);
	if (n == -EAGAIN && req->patience == PATIENCE_NONE)
		return REQUEST_DEFERRED;
	return n < 0 ? (int)n : 0;
}

/*
 * A kernel says with each write how the file is open by now. What comes from
 * its page cache has its place, however that is.
 */
static enum fs_place write_place(const struct fuse_write_in *in)
{
	if (in->write_flags & FUSE_WRITE_CACHE)
		return FS_PLACE_OFFSET;
	if ((in->flags & O_ACCMODE) == O_RDONLY)	/* who writes is no reader: it was not said */
		return FS_PLACE_OPENED;
	return in->flags & O_APPEND ? FS_PLACE_END : FS_PLACE_OFFSET;
}

int handle_write(struct request *req)
{
	const struct fuse_write_in *in = &req->args.write;
	struct fs_caller caller = decode_changer(req);
	struct fuse_write_out out = { .size = 0 };
	/* What comes from a page cache is of any size, whatever the file is. */
	const struct fs_write how = {
		/* With what is cached the header's ids are nobody's. */
		.caller = in->write_flags & FUSE_WRITE_CACHE ? NULL : &caller,
		.place = write_place(in),
		.direct = in->flags & O_DIRECT && !(in->write_flags & FUSE_WRITE_CACHE),
		.kill_suidgid = in->write_flags & FUSE_WRITE_KILL_SUIDGID,
	};
	ssize_t n;

	if (in->size > req->in->left || !range_within(in->offset, in->size, INT64_MAX))
		return -EINVAL;
	n = fs_write(req->server->fs, req->head.nodeid, in->fh, in->offset, MIN(in->size, DATA_MAX),
		     req->in, &how);
	if (n < 0)
		return (int)n;
	out.size = (uint32_t)n;
	return reply_put(req, &out, sizeof(out));
}

int handle_lseek(struct request *req)
{
	const struct fuse_lseek_in *in = &req->args.lseek;
	int64_t at = fs_lseek(req->server->fs, in->fh, in->offset, in->whence);
	struct fuse_lseek_out out = { .offset = (uint64_t)at };

	return at < 0 ? (int)at : reply_put(req, &out, sizeof(out));
}

/*
 * Requests that have no word for it: with HANDLE_KILLPRIV_V2 set-id bits are
 * ours to clear, and root alone is taken to have the right to keep them.
 */
static bool kills_suidgid(const struct request *req)
{
	return req->session & SESSION_KILLPRIV && req->head.uid != 0;
}

int handle_fallocate(struct request *req)
{
	const struct fuse_fallocate_in *in = &req->args.fallocate;
	uint32_t kill = kills_suidgid(req) ? FS_FALLOCATE_KILL_SUIDGID : 0;
	struct fs_caller caller = decode_changer(req);

	if (!range_within(in->offset, in->length, INT64_MAX))
		return -EFBIG;
	if (in->mode & FS_FALLOCATE_KILL_SUIDGID)
		return -EOPNOTSUPP;
	return fs_fallocate(req->server->fs, &caller, req->head.nodeid, in->fh, in->mode | kill,
			    in->offset, in->length);
}

/*
 * Copy at most `max` bytes: their number, or -errno. By a thread that its queue waits for before it stops,
 * as that of a disk, a part of them: copy_file_range(2) may do so, and its callers go on from there.
 */
static ssize_t copy_range(struct request *req, uint64_t max)
{
	const struct fuse_copy_file_range_in *in = &req->args.copy;
	uint64_t kill = kills_suidgid(req) ? FS_COPY_KILL_SUIDGID : 0;
	struct fs_caller caller = decode_changer(req);
	uint64_t len = MIN(in->len, req->patience <= PATIENCE_DISK ? DATA_MAX : max);

	if (!range_within(in->off_in, len, INT64_MAX) || !range_within(in->off_out, len, INT64_MAX))
		return -EINVAL;
	if (in->flags & FS_COPY_KILL_SUIDGID)
		return -EINVAL;
	return fs_copy_file_range(req->server->fs, &caller, in->fh_in, in->off_in, in->nodeid_out,
				  in->fh_out, in->off_out, len, in->flags | kill);
}

int handle_copy_file_range(struct request *req)
{
	ssize_t n = copy_range(req, COPY_MAX);
	struct fuse_write_out out = { .size = (uint32_t)n };

	return n < 0 ? (int)n : reply_put(req, &out, sizeof(out));
}

int handle_copy_file_range_64(struct request *req)
{
	ssize_t n = copy_range(req, INT64_MAX);
	struct fuse_copy_file_range_out out = { .bytes_copied = (uint64_t)n };

	return n < 0 ? (int)n : reply_put(req, &out, sizeof(out));
}
