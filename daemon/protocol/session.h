/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all requests of one share have in common: the server object, and the
 * session, which is the time between a guest's INIT and its DESTROY. Private
 * to protocol/.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_SESSION_H
#define CASEMENT_DAEMON_PROTOCOL_SESSION_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/fs/fs.h"
#include "daemon/protocol/server.h"

/* What INIT agreed upon, as far as later requests need it; 0: no session. */
#define SESSION_STARTED		(1u << 0)
#define SESSION_INODE_DAX	(1u << 1)	/* the guest obeys FUSE_ATTR_DAX */
#define SESSION_NOFLUSH		(1u << 2)	/* FOPEN_NOFLUSH is known, and loses nothing */
#define SESSION_PARALLEL_WRITES	(1u << 3)	/* FOPEN_PARALLEL_DIRECT_WRITES is known */
#define SESSION_SUBMOUNTS	(1u << 4)	/* the guest mounts what FUSE_ATTR_SUBMOUNT marks */
#define SESSION_POSIX_ACL	(1u << 5)	/* ACLs are served, and umasks are ours to apply */
#define SESSION_SETXATTR_EXT	(1u << 6)	/* SETXATTR has its long form */
#define SESSION_SECURITY_CTX	(1u << 7)	/* makers send a label */
#define SESSION_SUPP_GROUP	(1u << 8)	/* makers send the group that matters */
#define SESSION_KILLPRIV	(1u << 9)	/* set-id bits are ours to clear */
#define SESSION_WHOLE_DIR	(1u << 10)	/* directories are read without a handle */
#define SESSION_MAY_SUSPEND	(1u << 11)	/* the guest will say so before it is suspended */
#define SESSION_SOME_RANGES	(1u << 13)	/* a range that cannot be mapped is no error for the guest */
#define SESSION_SUSPENDED	(1u << 12)	/* it has: the device's reset does not end the session */

struct server {
	struct fs *fs;			/* borrowed [I] */
	struct server_config config;	/* [I] */
	struct window_ops window;	/* all NULL without a window [I] */
	/*
	 * SESSION_* bits [A]: INIT and DESTROY store with release, each request
	 * loads once with acquire and so sees one session from end to end, but for
	 * SESSION_SUSPENDED, which comes and goes within it. It
	 * orders nothing else: fs and window are safe beside a reset.
	 */
	_Atomic uint32_t session;
	_Atomic size_t detached;	/* bytes that detached requests keep; [A] relaxed */
};

/* The longest text of one request: a link's name and its target, each with its NUL. */
#define SESSION_TEXT_MAX (NAME_MAX + 1 + PATH_MAX)

/* True when the VMM gave us a window that is usable now. */
bool session_has_window(const struct server *server);

/*
 * End the session, if there is one: from here on requests are refused, nodes
 * and handles are forgotten, the window is empty. 0, or what the window's
 * clear() says; -EINTR means that the queue is being stopped and the request is
 * to be tried again.
 */
int session_end(struct server *server);

/* Start a session with these SESSION_* bits; SESSION_STARTED is added. */
void session_begin(struct server *server, uint32_t bits);

/* The guest says that it will be suspended; it goes on. Any thread. */
void session_suspend(struct server *server);
void session_go_on(struct server *server);

/* The session goes on after the device's reset. */
bool session_is_suspended(const struct server *server);

#endif
