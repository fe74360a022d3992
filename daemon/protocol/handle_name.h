/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about names: looking up, making, removing, renaming. Each returns
 * 0 when the reply's body is in req->out, or -errno.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_HANDLE_NAME_H
#define CASEMENT_DAEMON_PROTOCOL_HANDLE_NAME_H

struct request;

int handle_lookup(struct request *req);
int handle_forget(struct request *req);
int handle_batch_forget(struct request *req);
int handle_mknod(struct request *req);
int handle_mkdir(struct request *req);
int handle_symlink(struct request *req);
int handle_link(struct request *req);
int handle_unlink(struct request *req);
int handle_rmdir(struct request *req);
int handle_rename(struct request *req);
int handle_rename2(struct request *req);
int handle_readlink(struct request *req);

#endif
