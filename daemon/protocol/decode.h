/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a request's bytes to a request that can be trusted: what handlers see.
 * Wire layouts: <linux/fuse.h>, by way of proto/fuse_wire.h.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_DECODE_H
#define CASEMENT_DAEMON_PROTOCOL_DECODE_H

#include <stdint.h>

#include "common/iov_cursor.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/detach.h"
#include "daemon/protocol/session.h"
#include "proto/fuse_wire.h"

struct opcode;

/* The fixed part of each kind of request; which one is valid follows from the opcode. */
union request_args {
	struct fuse_access_in access;
	struct fuse_batch_forget_in batch_forget;
	struct fuse_copy_file_range_in copy;
	struct fuse_create_in create;		/* TMPFILE too */
	struct fuse_fallocate_in fallocate;
	struct fuse_flush_in flush;
	struct fuse_forget_in forget;
	struct fuse_fsync_in fsync;		/* FSYNCDIR too */
	struct fuse_getattr_in getattr;
	struct fuse_getxattr_in getxattr;	/* LISTXATTR too */
	struct fuse_init_in init;
	struct fuse_interrupt_in interrupt;
	struct fuse_ioctl_in ioctl;
	struct fuse_link_in link;
	struct fuse_lk_in lk;
	struct fuse_lseek_in lseek;
	struct fuse_mkdir_in mkdir;
	struct fuse_mknod_in mknod;
	struct fuse_open_in open;		/* OPENDIR too */
	struct fuse_read_in read;		/* READDIR and READDIRPLUS too */
	struct fuse_release_in release;		/* RELEASEDIR too */
	struct fuse_removemapping_in removemapping;
	struct fuse_rename_in rename;
	struct fuse_rename2_in rename2;
	struct fuse_setattr_in setattr;
	struct fuse_setxattr_in setxattr;
	struct fuse_setupmapping_in setupmapping;
	struct fuse_statx_in statx;
	struct fuse_syncfs_in syncfs;
	struct fuse_write_in write;
};

/* One request on its way through the daemon; lives in its server_queue. */
struct request {
	struct server *server;		/* borrowed */
	struct server_queue *sq;	/* where it is, borrowed */
	const struct opcode *op;	/* the opcode's row; NULL: an opcode we do not serve */
	uint32_t session;		/* SESSION_* as they were when the request came in */
	struct fuse_in_header head;	/* our copy */
	union request_args args;	/* our copy */
	const char *name[2];		/* checked, in sq->text; as many as op->names */
	struct fs_label label;		/* from an extension, in sq->value; name NULL: none */
	uint32_t uid, gid;		/* of the caller; the host's with OP_CALLER */
	uint32_t n_groups;		/* from an extension */
	uint32_t groups[FS_GROUPS_MAX];
	struct iov_cursor *in;		/* what follows the decoded part, up to head.len */
	struct iov_cursor *out;		/* room for the reply's body */
	struct iov_cursor reply_at;	/* where the reply's header goes */
	enum server_patience patience;	/* of whoever serves this */
	uint32_t fs_session;		/* fs_session(), of a request that may outlive its guest; else 0 */
	bool resumed;			/* its queue has let it go: it cannot be put back */
	bool may_wait_lock;		/* a wait for a lock was reserved, and is given back at the end */
};

/* A request and what it is decoded into: goes whole to whoever serves the request. */
struct server_queue {
	struct server *server;		/* borrowed [I] */
	struct request req;		/* the one at hand [Q], as the rest */
	struct iov_cursor in, out;	/* what req.in and req.out point to */
	struct detached detached;
	uint64_t key;			/* what it waits for, beside others that wait for the same */
	char text[SESSION_TEXT_MAX];	/* its names, or a link's target */
	char value[FS_XATTR_SIZE_MAX];	/* an attribute's value, names of attributes, or extensions */
};

/*
 * What a handler answers instead of waiting, having done nothing, when there is
 * PATIENCE_NONE: it would wait for a disk, or for as long as somebody likes.
 */
#define REQUEST_DEFERRED 1
#define REQUEST_DEFERRED_LOCK 2
/* And when such a wait was given up: the guest hears EINTR. */
#define REQUEST_INTERRUPTED 3
/* With PATIENCE_OTHERS: it has waited, and the rest is to be done with PATIENCE_NONE, on its queue's thread. */
#define REQUEST_DEFERRED_QUEUE 4

/*
 * Take the fixed part and the names of req->op from req->in, whose end is the
 * request's end, and check them. Afterwards every name is one path component
 * (or an attribute's name, 1 to 255 bytes), a link's target is 1 to PATH_MAX - 1
 * bytes, extensions are those negotiated, and nobody needs to look again. With
 * OP_DATA req->in is at what follows the name, and with OP_CALLER the ids of the
 * caller are the host's. 0, -EINVAL, -ENAMETOOLONG, -ERANGE for an attribute's
 * name, or -EPERM for ids that the guest may not use.
 */
int decode_request(struct request *req);

/* Who sent the request, in the words of fs.h; with OP_CALLER by the host's ids, which were checked. */
struct fs_caller decode_caller(const struct request *req);

/*
 * The same of a request that makes nothing: by the host's ids, or FS_NO_ID where the
 * guest may not use its own. Not for requests with OP_CALLER.
 */
struct fs_caller decode_changer(const struct request *req);

/* The host's ids of the guest's; 0 or -EPERM. */
int decode_uid(const struct request *req, uint32_t guest, uint32_t *host);
int decode_gid(const struct request *req, uint32_t guest, uint32_t *host);

#endif
