/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about attributes of files and of the file system. Each returns 0
 * when the reply's body is in req->out, or -errno.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_HANDLE_ATTR_H
#define CASEMENT_DAEMON_PROTOCOL_HANDLE_ATTR_H

struct request;

int handle_getattr(struct request *req);
int handle_setattr(struct request *req);
int handle_statx(struct request *req);
int handle_statfs(struct request *req);
int handle_access(struct request *req);

#endif
