/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replies; see reply.h. Relies on the opcode table to have made sure of room.
 * What the cache modes mean for a guest stands in one table here. Every wire
 * struct is filled from zero: nothing uninitialised ever leaves.
 */
#include "daemon/protocol/reply.h"

#include <errno.h>
#include <sys/stat.h>

#include "daemon/protocol/id_translate.h"

#define A_DAY_S 86400u

/* Errors below this never come from a system call, and a guest's kernel refuses them. */
#define REPLY_ERRNO_LIMIT 512

/* What each cache mode lets the guest keep, and for how long. */
static const struct reply_policy {
	bool timed;		/* valid for config.timeout_ms instead of valid_s */
	bool negative;		/* a missing name may be remembered, too */
	bool keep_unchanged;	/* pages of a file that nobody changed outlive its close */
	uint32_t valid_s;
	uint32_t file_flags;	/* FOPEN_* */
	uint32_t dir_flags;
} reply_policies[] = {
	[CACHE_AUTO] = { .timed = true, .negative = true, .keep_unchanged = true },
	[CACHE_ALWAYS] = { .valid_s = A_DAY_S, .negative = true, .file_flags = FOPEN_KEEP_CACHE,
		.dir_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR },
	[CACHE_NEVER] = { .file_flags = FOPEN_DIRECT_IO },
	[CACHE_METADATA] = { .valid_s = A_DAY_S, .negative = true, .file_flags = FOPEN_DIRECT_IO,
		.dir_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR },
};

/* STATX attribute bits that mean the same on the guest's side of the share. */
#define STATX_ATTRS_PASSED \
	(STATX_ATTR_COMPRESSED | STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | \
	 STATX_ATTR_NODUMP | STATX_ATTR_ENCRYPTED | STATX_ATTR_VERITY)

int reply_put(struct request *req, const void *body, size_t size)
{
	return iov_cursor_write(req->out, body, size) ? 0 : -EIO;
}

static const struct reply_policy *reply_policy(const struct request *req)
{
	return &reply_policies[req->server->config.cache];
}

/* How long the guest may believe what this reply says. */
static void reply_fill_valid_ms(const struct request *req, uint32_t ms, uint64_t *seconds,
				uint32_t *nanoseconds)
{
	const struct reply_policy *policy = reply_policy(req);

	*seconds = policy->timed ? ms / 1000 : policy->valid_s;
	*nanoseconds = policy->timed ? ms % 1000 * 1000000 : 0;
}

static void reply_fill_valid(const struct request *req, uint64_t *seconds, uint32_t *nanoseconds)
{
	reply_fill_valid_ms(req, req->server->config.timeout_ms, seconds, nanoseconds);
}

/* The kernel's 32-bit form of a device number: 12 bits of major, 20 of minor. */
static uint32_t reply_encode_dev(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

static uint32_t reply_id(const struct id_translation *map, uint32_t host)
{
	return map ? id_to_guest(map, host) : host;
}

/* Of a guest whose window has them; what casement.ko and the kernel's driver map is made of them. */
#define WINDOW_PAGE 4096

/* A guest that makes an error of each range that cannot be mapped is offered only what always can be. */
static bool reply_offers(const struct request *req, const struct fs_attr *attr)
{
	return attr->dax && req->session & SESSION_INODE_DAX &&
	       (req->server->window.any_range || req->session & SESSION_SOME_RANGES);
}

/* What goes through the window does so by pages, and a kernel's DAX code knows no other blocks. */
static uint32_t reply_blksize(const struct request *req, const struct statx *stx)
{
	return req->server->window.setup && S_ISREG(stx->stx_mode) ? WINDOW_PAGE : stx->stx_blksize;
}

uint64_t reply_number(const struct request *req, const struct fs_number *number)
{
	bool mixed = req->session & SESSION_SUBMOUNTS ? number->foreign : number->below;

	return mixed ? number->mixed : number->own;
}

static void reply_fill_attr(const struct request *req, const struct fs_attr *attr,
			    struct fuse_attr *out)
{
	const struct statx *stx = &attr->stx;

	*out = (struct fuse_attr){
		.ino = reply_number(req, &attr->number),
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = (uint64_t)stx->stx_atime.tv_sec,
		.mtime = (uint64_t)stx->stx_mtime.tv_sec,
		.ctime = (uint64_t)stx->stx_ctime.tv_sec,
		.atimensec = stx->stx_atime.tv_nsec,
		.mtimensec = stx->stx_mtime.tv_nsec,
		.ctimensec = stx->stx_ctime.tv_nsec,
		.mode = stx->stx_mode,
		.nlink = stx->stx_nlink,
		.uid = reply_id(req->server->config.uid_map, stx->stx_uid),
		.gid = reply_id(req->server->config.gid_map, stx->stx_gid),
		.rdev = reply_encode_dev(stx->stx_rdev_major, stx->stx_rdev_minor),
		.blksize = reply_blksize(req, stx),
	};
	if (reply_offers(req, attr))
		out->flags |= FUSE_ATTR_DAX;
	if (attr->submount && req->session & SESSION_SUBMOUNTS)
		out->flags |= FUSE_ATTR_SUBMOUNT;
}

void reply_fill_entry(const struct request *req, const struct fs_entry *entry,
		      struct fuse_entry_out *out)
{
	*out = (struct fuse_entry_out){ .nodeid = entry->node, .generation = entry->generation };
	reply_fill_valid(req, &out->entry_valid, &out->entry_valid_nsec);
	out->attr_valid = out->entry_valid;
	out->attr_valid_nsec = out->entry_valid_nsec;
	reply_fill_attr(req, &entry->attr, &out->attr);
}

int reply_entry(struct request *req, const struct fs_entry *entry)
{
	struct fuse_entry_out out;

	reply_fill_entry(req, entry, &out);
	return reply_put(req, &out, sizeof(out));
}

int reply_no_entry(struct request *req)
{
	struct fuse_entry_out out = { .nodeid = 0 };

	if (reply_policy(req)->negative)
		reply_fill_valid_ms(req, req->server->config.negative_ms, &out.entry_valid,
				    &out.entry_valid_nsec);
	if (!out.entry_valid && !out.entry_valid_nsec)
		return -ENOENT;
	return reply_put(req, &out, sizeof(out));
}

int reply_attr(struct request *req, const struct fs_attr *attr)
{
	struct fuse_attr_out out = { .dummy = 0 };

	reply_fill_valid(req, &out.attr_valid, &out.attr_valid_nsec);
	reply_fill_attr(req, attr, &out.attr);
	return reply_put(req, &out, sizeof(out));
}

static struct fuse_sx_time reply_sx_time(const struct statx_timestamp *from)
{
	return (struct fuse_sx_time){ .tv_sec = from->tv_sec, .tv_nsec = from->tv_nsec };
}

static void reply_fill_statx(const struct request *req, const struct fs_attr *attr,
			     struct fuse_statx *out)
{
	const struct statx *stx = &attr->stx;

	*out = (struct fuse_statx){
		.mask = stx->stx_mask & (STATX_BASIC_STATS | STATX_BTIME),
		.blksize = reply_blksize(req, stx),
		.attributes = stx->stx_attributes & STATX_ATTRS_PASSED,
		.nlink = stx->stx_nlink,
		.uid = reply_id(req->server->config.uid_map, stx->stx_uid),
		.gid = reply_id(req->server->config.gid_map, stx->stx_gid),
		.mode = stx->stx_mode,
		.ino = reply_number(req, &attr->number),
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.attributes_mask = stx->stx_attributes_mask & STATX_ATTRS_PASSED,
		.atime = reply_sx_time(&stx->stx_atime),
		.btime = reply_sx_time(&stx->stx_btime),
		.ctime = reply_sx_time(&stx->stx_ctime),
		.mtime = reply_sx_time(&stx->stx_mtime),
		.rdev_major = stx->stx_rdev_major,
		.rdev_minor = stx->stx_rdev_minor,
		.dev_major = stx->stx_dev_major,
		.dev_minor = stx->stx_dev_minor,
	};
}

int reply_statx(struct request *req, const struct fs_attr *attr)
{
	struct fuse_statx_out out = { .flags = 0 };

	reply_fill_valid(req, &out.attr_valid, &out.attr_valid_nsec);
	reply_fill_statx(req, attr, &out.stat);
	return reply_put(req, &out, sizeof(out));
}

/*
 * Extras that the guest must know of: INIT has seen to that. A guest that caches
 * data takes the size for the end of it: where it is not, there is no cache.
 */
static uint32_t reply_file_flags(const struct request *req, uint64_t handle)
{
	uint32_t flags = reply_policy(req)->file_flags;

	if (!(flags & FOPEN_DIRECT_IO) && !fs_size_tells(req->server->fs, handle))
		flags = FOPEN_DIRECT_IO;

	/* The host's page cache puts writes to one file in order, as for local processes. */
	if (flags & FOPEN_DIRECT_IO && req->session & SESSION_PARALLEL_WRITES)
		flags |= FOPEN_PARALLEL_DIRECT_WRITES;
	/* Writes are on the host when they return, so that a close has nothing to send. */
	if (req->session & SESSION_NOFLUSH)
		flags |= FOPEN_NOFLUSH;
	return flags;
}

static int reply_put_open(struct request *req, uint64_t handle, uint32_t flags)
{
	struct fuse_open_out out = { .fh = handle, .open_flags = flags };

	return reply_put(req, &out, sizeof(out));
}

int reply_open(struct request *req, uint64_t handle)
{
	uint32_t flags = reply_file_flags(req, handle);

	if (!(flags & FOPEN_DIRECT_IO) && reply_policy(req)->keep_unchanged &&
	    fs_may_keep(req->server->fs, handle))
		flags |= FOPEN_KEEP_CACHE;
	return reply_put_open(req, handle, flags);
}

int reply_opendir(struct request *req, uint64_t handle)
{
	struct fuse_open_out out = { .fh = handle, .open_flags = reply_policy(req)->dir_flags };

	return reply_put(req, &out, sizeof(out));
}

int reply_create(struct request *req, const struct fs_entry *entry, uint64_t handle)
{
	int rc = reply_entry(req, entry);

	/* A name that the guest makes is one it has no pages of. */
	return rc ? rc : reply_put_open(req, handle, reply_file_flags(req, handle));
}

/* An error that the guest's kernel would not understand is -EIO. */
static int32_t reply_wire_error(int result)
{
	return result <= 0 && result > -REPLY_ERRNO_LIMIT ? result : -EIO;
}

long reply_send(struct request *req, int result)
{
	struct iov_cursor at = req->reply_at;
	struct fuse_out_header head = {
		.len = sizeof(head),
		.error = reply_wire_error(result),
		.unique = req->head.unique,
	};

	/* What a handler wrote before it failed is not part of the reply. */
	if (!head.error)
		head.len = (uint32_t)(req->out->done - req->reply_at.done);
	return iov_cursor_write(&at, &head, sizeof(head)) ? head.len : SERVER_NO_REPLY;
}
