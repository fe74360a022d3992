/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests about extended attributes. */
#ifndef CASEMENT_DAEMON_PROTOCOL_HANDLE_XATTR_H
#define CASEMENT_DAEMON_PROTOCOL_HANDLE_XATTR_H

struct request;

/* Handlers: 0 when the reply's body, if any, is in req->out, or -errno. */
int handle_setxattr(struct request *req);
int handle_getxattr(struct request *req);
int handle_listxattr(struct request *req);
int handle_removexattr(struct request *req);

#endif
