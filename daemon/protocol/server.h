/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FUSE server: takes the bytes of one request, gives the bytes of its
 * reply. Knows no virtio: it sees two bounded cursors. One server a share;
 * queue threads call it at once, each with a `struct server_queue` of its own.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_SERVER_H
#define CASEMENT_DAEMON_PROTOCOL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/iov_cursor.h"

struct fs;
struct id_translation;
struct server;
struct server_queue;

/* virtiofsd's --cache words; the order is that of server_cache_names[]. */
enum cache_mode { CACHE_AUTO, CACHE_ALWAYS, CACHE_NEVER, CACHE_METADATA };
extern const char *const server_cache_names[];

/* When listing looks up, too; the order is that of server_readdirplus_names[]. */
enum readdirplus_mode { READDIRPLUS_NEVER, READDIRPLUS_AUTO, READDIRPLUS_ALWAYS };
extern const char *const server_readdirplus_names[];

/* virtiofsd's words for what a guest may have to agree to; in the order of server_demand_names[]. */
enum server_demand {
	DEMAND_NEVER,	/* not offered */
	DEMAND_AUTO,	/* if the guest can */
	DEMAND_ALWAYS,	/* a guest that cannot is not served: its INIT fails with -EPROTO */
};
extern const char *const server_demand_names[];

/*
 * What the server asks of the window. A function called on a queue's thread
 * may answer -EINTR when that queue is being stopped: the request is then left
 * unanswered and will be taken from the ring again. All NULL: no window.
 */
struct window_ops {
	void *ctx;
	/* SETUPMAPPING: map [offset, offset+len) of node at `at` in the window. 0 or -errno. */
	int (*setup)(void *ctx, uint64_t node, uint64_t offset, uint64_t len,
		     bool writable, uint64_t at);
	/* REMOVEMAPPING: unmap [at, at+len). What is not mapped there is no error. */
	int (*remove)(void *ctx, uint64_t at, uint64_t len);
	/* Unmap everything: INIT, DESTROY. */
	int (*clear)(void *ctx);
	/* True when the VMM gave us a window (so MAP_ALIGNMENT and ATTR_DAX mean something). */
	bool (*present)(void *ctx);
	/* Every range of a file that may be mapped can be, also the one in which it ends. */
	bool any_range;
};

struct server_config {
	enum cache_mode cache;
	bool readonly;
	bool writeback;
	bool allow_mmap;	/* offer DIRECT_IO_ALLOW_MMAP */
	enum readdirplus_mode readdirplus;
	bool submounts;		/* tell the guest where other file systems start */
	bool posix_lock, flock;	/* locks are shared with the host and other guests */
	uint32_t timeout_ms;	/* of entries and attributes in CACHE_AUTO */
	uint32_t negative_ms;	/* of missing names in CACHE_AUTO */
	bool xattr;		/* serve extended attributes; the next two are about some of them */
	enum server_demand posix_acl, security_label;
	bool killpriv_v2;	/* set-id bits are cleared here, not by the guest's kernel */
	const struct id_translation *uid_map, *gid_map;	/* borrowed, outlive the server; NULL: ids are the same */
};

/*
 * `fs` and `window->ctx` are borrowed and outlive the server; the structs are
 * copied. `window` may be NULL: none. 0 or -ENOMEM.
 */
int server_new(struct fs *fs, const struct server_config *config, const struct window_ops *window,
	       struct server **out);
void server_free(struct server *server);

/* A place for one request at a time. 0 or -ENOMEM. */
int server_queue_new(struct server *server, struct server_queue **out);
void server_queue_free(struct server_queue *sq);

#define SERVER_NO_REPLY (-1L)	/* FORGET and its kin: nothing was written, used length 0 */
#define SERVER_AGAIN    (-2L)	/* the queue is being stopped: put the request back */
#define SERVER_WAITS_DISK (-3L)	/* nothing was done: it would wait for a disk, or the like */
#define SERVER_WAITS_OTHERS (-4L)	/* the same, for another machine or process, which may never answer */
#define SERVER_WAITS_LOCK (-5L)	/* the same, for a lock: nobody knows for how long */
#define SERVER_WAITS_QUEUE (-6L)	/* it has waited, and its queue's thread has to do the rest: PATIENCE_NONE */

/* What whoever serves a request may wait for; each includes those before it. */
enum server_patience { PATIENCE_NONE, PATIENCE_DISK, PATIENCE_OTHERS, PATIENCE_ENOUGH };
/*
 * Serve one request. `in` holds what the guest sent, `out` where it wants the
 * reply. Returns the bytes written to `out` (header and all), SERVER_NO_REPLY
 * or SERVER_AGAIN. Nonsense gets an error reply, if there is room for one. Before INIT and after DESTROY all but INIT,
 * DESTROY, INTERRUPT and the forgets is -EIO. -EINTR from the window, or from
 * the fs where that asks the window, means that the queue is being stopped (no
 * signal reaches a queue's thread): SERVER_AGAIN.
 *
 * After a SERVER_WAITS_* the request is in `sq`, decoded: server_resume() or
 * server_refuse() is due, and nothing else may be served there before.
 */
long server_handle(struct server_queue *sq, struct iov_cursor *in, struct iov_cursor *out,
		   enum server_patience patience);
/*
 * Serve the request that server_handle() left in `sq`, with more patience, on any
 * thread. It is not decoded a second time: what the guest may have written over it
 * since is never looked at. What the cursors pointed to must still be there, unless
 * it was detached. Returns as server_handle() does, but for SERVER_AGAIN.
 */
long server_resume(struct server_queue *sq, enum server_patience patience);
/* Nobody can be found who may wait for it: answer so. */
long server_refuse(struct server_queue *sq);
/*
 * From here on it needs the guest's memory no more: what is left of it is copied, and
 * server_resume() and server_refuse() keep the reply for server_fetch(). 0 or -ENOBUFS.
 */
int server_detach(struct server_queue *sq);
/* Put the reply of a detached request into `out`; else nothing. Returns `written`. */
long server_fetch(struct server_queue *sq, struct iov_cursor *out, long written);
/* What a request waits for: equal for those that wait for the same. */
uint64_t server_key(const struct server_queue *sq);

/* Have those waits for locks end whose thread's stop token was fired. Any thread. */
void server_interrupt(struct server *server);

/*
 * The device was reset, or the VMM `left`: forget all of the guest's state, unless
 * the guest is suspended and there. Queues are stopped. The window is left alone:
 * whether there is still a VMM to unmap with, the caller knows. (INIT clears it in
 * any case.)
 */
void server_reset(struct server *server, bool left);

#endif
