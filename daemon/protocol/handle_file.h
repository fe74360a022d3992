/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests about open files and their data. Each returns 0 when the reply's
 * body is in req->out, or -errno.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_HANDLE_FILE_H
#define CASEMENT_DAEMON_PROTOCOL_HANDLE_FILE_H

struct request;

int handle_open(struct request *req);
int handle_create(struct request *req);
int handle_tmpfile(struct request *req);
int handle_release(struct request *req);
int handle_flush(struct request *req);
int handle_fsync(struct request *req);
int handle_syncfs(struct request *req);
int handle_read(struct request *req);
int handle_write(struct request *req);
int handle_lseek(struct request *req);
int handle_fallocate(struct request *req);
int handle_copy_file_range(struct request *req);
int handle_copy_file_range_64(struct request *req);

#endif
