/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about open directories. Each returns 0 when the reply's body is in
 * req->out, or -errno.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_HANDLE_DIR_H
#define CASEMENT_DAEMON_PROTOCOL_HANDLE_DIR_H

struct request;

int handle_opendir(struct request *req);
int handle_readdir(struct request *req);
int handle_readdirplus(struct request *req);
int handle_releasedir(struct request *req);
int handle_fsyncdir(struct request *req);

#endif
