/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server object and the way of one request: header, row, decode, handler,
 * reply. Relies on the opcode table for everything that differs between
 * requests. Allocates nothing while serving, and holds no lock. A request that
 * has to wait stays decoded in its server_queue, for whoever may wait.
 */
#include "daemon/protocol/server.h"

#include <errno.h>
#include <stdlib.h>

#include "common/log.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/decode.h"
#include "daemon/protocol/opcodes.h"
#include "daemon/protocol/reply.h"
#include "daemon/protocol/session.h"

const char *const server_cache_names[] = { "auto", "always", "never", "metadata", NULL };
const char *const server_readdirplus_names[] = { "never", "auto", "always", NULL };
const char *const server_demand_names[] = { "never", "auto", "always", NULL };

int server_new(struct fs *fs, const struct server_config *config, const struct window_ops *window,
	       struct server **out)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	server->fs = fs;
	server->config = *config;
	if (window)
		server->window = *window;
	*out = server;
	return 0;
}

void server_free(struct server *server)
{
	free(server);
}

int server_queue_new(struct server *server, struct server_queue **out)
{
	/* Most of it is room for long texts, which few requests have. */
	struct server_queue *sq = malloc(sizeof(*sq));

	if (!sq)
		return -ENOMEM;
	sq->server = server;
	sq->detached = (struct detached){ .is = false };
	*out = sq;
	return 0;
}

void server_queue_free(struct server_queue *sq)
{
	if (sq)
		detach_fetch(sq, NULL, 0);
	free(sq);
}

/* Copy the header and find the row. From here on the request ends where its header says. */
static int server_read_header(struct request *req)
{
	struct fuse_in_header *head = &req->head;

	if (!iov_cursor_read(req->in, head, sizeof(*head)))
		return -EINVAL;
	req->op = opcode_find(head->opcode);
	if (head->len < sizeof(*head) || head->len - sizeof(*head) > req->in->left)
		return -EINVAL;
	iov_cursor_limit(req->in, head->len - sizeof(*head));
	return 0;
}

/* Leave room for the reply's header, and refuse what could not be answered whole. */
static int server_reserve_reply(struct request *req)
{
	if (req->op->flags & OP_NO_REPLY)
		return 0;
	if (!iov_cursor_skip(req->out, sizeof(struct fuse_out_header)) ||
	    req->out->left < req->op->reply_min)
		return -EINVAL;
	return 0;
}

static void server_log_malformed(const struct request *req)
{
	log_guest(LOG_LEVEL_WARN,
		  "guest sent a malformed request: %s, opcode %u, %u bytes, room for %zu",
		  req->op ? req->op->name : "unknown", req->head.opcode, req->head.len,
		  req->reply_at.left);
}

/* All that must hold before the handler runs: 0, or the error that answers the request. */
static int server_accept(struct request *req)
{
	int rc = server_read_header(req);

	if (!rc && !req->op)
		return -ENOSYS;
	if (!rc)
		rc = server_reserve_reply(req);
	/* A guest's reboot can leave requests behind that were meant for the old session. */
	if (!rc && !(req->session & SESSION_STARTED) && !(req->op->flags & OP_ANYTIME))
		return -EIO;
	if (!rc && req->op->flags & OP_XATTR && !req->server->config.xattr)
		return -ENOSYS;
	if (!rc)
		rc = decode_request(req);
	if (rc == -EINVAL)
		server_log_malformed(req);
	if (!rc && req->session & SESSION_SUSPENDED && !(req->op->flags & OP_ANYTIME))
		session_go_on(req->server);
	if (!rc && req->op->flags & OP_CHANGES && req->server->config.readonly)
		return -EROFS;
	return rc;
}

/* What the handler may wait for, and whether it is of a kind that waits for a disk. */
static void server_set_patience(const struct request *req)
{
	static const enum fs_patience patience[] = {
		[PATIENCE_NONE] = FS_PATIENCE_NONE, [PATIENCE_DISK] = FS_PATIENCE_DISK,
		[PATIENCE_OTHERS] = FS_PATIENCE_ENDLESS, [PATIENCE_ENOUGH] = FS_PATIENCE_ENDLESS,
	};
	/* Those that talk to the VMM must do it on their queue's thread, which can be stopped. */
	uint32_t waits = OP_WAITS | (req->server->window.setup ? 0 : OP_WAITS_UNWINDOWED);

	fs_set_patience(patience[req->patience], req->op->flags & waits);
}

static void server_begin(struct server_queue *sq, const struct iov_cursor *in,
			 const struct iov_cursor *out, enum server_patience patience)
{
	struct request *req = &sq->req;

	sq->in = *in;
	sq->out = *out;
	req->server = sq->server;
	req->sq = sq;
	req->op = NULL;
	req->session = atomic_load_explicit(&sq->server->session, memory_order_acquire);
	req->head = (struct fuse_in_header){ .len = 0 };
	req->in = &sq->in;
	req->out = &sq->out;
	req->reply_at = *out;
	req->patience = patience;
	req->fs_session = 0;
	req->resumed = req->may_wait_lock = false;
	sq->key = 0;
}

static long server_finish(struct request *req, int rc)
{
	if (req->may_wait_lock)
		fs_lock_waited(req->server->fs);
	req->may_wait_lock = false;
	log_trace("%s unique %llu node %llu: %d", req->op ? req->op->name : "unknown",
		  (unsigned long long)req->head.unique, (unsigned long long)req->head.nodeid, rc);
	/* The window's word on a queue's thread; elsewhere it is a file system's, and an answer like others. */
	if (rc == -EINTR && !req->resumed)
		return SERVER_AGAIN;
	if (req->op && req->op->flags & OP_NO_REPLY)
		return SERVER_NO_REPLY;
	return reply_send(req, rc == REQUEST_INTERRUPTED ? -EINTR : rc);
}

/* What a handler that did nothing would wait for; 0: it did it. */
static long server_waits(const struct request *req, int rc)
{
	/* Its queue is being stopped. It cannot be put back, but it comes again when the queue goes on. */
	if (rc == -EINTR && req->resumed && req->patience == PATIENCE_NONE)
		return SERVER_WAITS_OTHERS;
	switch (rc) {
	case REQUEST_DEFERRED:
	case FS_WAITS_DISK:
		return SERVER_WAITS_DISK;
	case FS_WAITS_OTHERS:
		return SERVER_WAITS_OTHERS;
	case REQUEST_DEFERRED_LOCK:
		return SERVER_WAITS_LOCK;
	case REQUEST_DEFERRED_QUEUE:
		return SERVER_WAITS_QUEUE;
	default:
		return 0;
	}
}

/*
 * Have the handler do it. One that defers, or finds the disk full, has done nothing,
 * but may have moved the cursors.
 */
static long server_serve(struct request *req)
{
	const struct iov_cursor in = *req->in, out = *req->out;
	long waits;
	int rc;

	server_set_patience(req);
	rc = req->op->handle(req);
	waits = server_waits(req, rc);
	while (!waits && fs_wait_for_room(req->server->fs, rc)) {
		*req->in = in;
		*req->out = out;
		rc = req->op->handle(req);
		waits = server_waits(req, rc);
	}
	if (!waits)
		return server_finish(req, rc);
	req->sq->key = waits == SERVER_WAITS_OTHERS ? fs_awaited() : 0;
	*req->in = in;
	*req->out = out;
	return waits;
}

long server_handle(struct server_queue *sq, struct iov_cursor *in, struct iov_cursor *out,
		   enum server_patience patience)
{
	int rc;

	server_begin(sq, in, out, patience);
	rc = server_accept(&sq->req);
	return rc ? server_finish(&sq->req, rc) : server_serve(&sq->req);
}

long server_resume(struct server_queue *sq, enum server_patience patience)
{
	int err = detach_reply(sq);
	long written;

	sq->req.patience = patience;
	sq->req.resumed = true;
	fs_set_session(sq->req.fs_session);
	written = err ? server_finish(&sq->req, err) : server_serve(&sq->req);
	/* A queue's thread goes on with requests that are of the session of now. */
	fs_set_session(0);
	return written;
}

long server_refuse(struct server_queue *sq)
{
	struct request *req = &sq->req;

	/* No guest asks again. */
	if (req->op->flags & OP_CLOSES)
		return server_finish(req, fs_release_soon(req->server->fs, req->args.release.fh));
	return server_finish(req, req->may_wait_lock ? -ENOLCK : -EBUSY);
}

int server_detach(struct server_queue *sq)
{
	sq->req.fs_session = fs_session(sq->server->fs);
	return detach(sq);
}

long server_fetch(struct server_queue *sq, struct iov_cursor *out, long written)
{
	detach_fetch(sq, out, written);
	return written;
}

uint64_t server_key(const struct server_queue *sq)
{
	return sq->key;
}

void server_interrupt(struct server *server)
{
	fs_lock_interrupt_stopped(server->fs);
}

void server_reset(struct server *server, bool left)
{
	if (!left && session_is_suspended(server))
		return;
	atomic_store_explicit(&server->session, 0, memory_order_release);
	fs_reset(server->fs);
}
