/* SPDX-License-Identifier: BSD-3-Clause */
/* IOCTL. Returns 0 when the reply's body is in req->out, -errno, or REQUEST_DEFERRED. */
#ifndef CASEMENT_DAEMON_PROTOCOL_HANDLE_IOCTL_H
#define CASEMENT_DAEMON_PROTOCOL_HANDLE_IOCTL_H

struct request;

int handle_ioctl(struct request *req);

#endif
