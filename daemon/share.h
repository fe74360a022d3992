/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything of one share: the layers, and what they hand to each other.
 * One a process; made and used by the main thread.
 */
#ifndef CASEMENT_DAEMON_SHARE_H
#define CASEMENT_DAEMON_SHARE_H

#include "daemon/transport/vu_backend.h"
#include "daemon/transport/vu_session.h"

struct config;
struct file_proxy;
struct fs;
struct sandbox_roots;
struct server;
struct window;

struct share {
	struct fs *fs;
	struct server *server;
	struct file_proxy *proxy;	/* NULL: the kernel has no FUSE passthrough */
	struct window *window;		/* NULL: none was asked for */
	struct vu_backend backend;
	struct vu_device device;
	struct request_ops ops;
};

/* Can the directory be shared? 0, or -errno, logged. */
int share_check(const struct config *config);
/* What has to be made before the sandbox is entered, in a zeroed *share. share_close() is due from here on. */
void share_prepare(const struct config *config, struct share *share);
/* Make all that serves the directory; takes over *roots. 0, or -errno, logged. */
int share_open(const struct config *config, struct sandbox_roots *roots, struct share *share);
/* The process ends after it: what a stuck request still uses is left to it. */
void share_close(struct share *share);

/*
 * Serve the VMM of this connection, which stays the caller's, until it leaves
 * or stop_fd becomes readable, and look after `other` meanwhile. 0, or -errno, logged.
 * Nothing of that VMM is left behind: the next one may be served.
 */
int share_serve(struct share *share, int sock, int stop_fd, const struct vu_bystander *other);

#endif
