/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about locks, which come only from guests that INIT gave them to.
 * Each returns 0 when the reply's body is in req->out, -errno, or a REQUEST_*.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_HANDLE_LOCK_H
#define CASEMENT_DAEMON_PROTOCOL_HANDLE_LOCK_H

struct request;

int handle_getlk(struct request *req);
int handle_setlk(struct request *req);
int handle_setlkw(struct request *req);

#endif
