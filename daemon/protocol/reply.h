/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing replies. A handler puts its body with one of the reply_*() below;
 * reply_send() then puts the header in front. Guests of Linux 7.3 check that
 * used length, header length and unique agree and that an error is 16 bytes.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_REPLY_H
#define CASEMENT_DAEMON_PROTOCOL_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/fs/fs.h"
#include "daemon/protocol/decode.h"

/*
 * Bodies. 0, or -EIO when the guest gave less room than the opcode's row asks
 * for, which server_handle() has ruled out.
 */
int reply_put(struct request *req, const void *body, size_t size);
int reply_entry(struct request *req, const struct fs_entry *entry);
int reply_attr(struct request *req, const struct fs_attr *attr);
int reply_statx(struct request *req, const struct fs_attr *attr);
int reply_open(struct request *req, uint64_t handle);
int reply_opendir(struct request *req, uint64_t handle);
int reply_create(struct request *req, const struct fs_entry *entry, uint64_t handle);

/* "There is no such name", worth remembering; -ENOENT where the cache mode forbids that. */
int reply_no_entry(struct request *req);

/* The inode number that this guest is given. */
uint64_t reply_number(const struct request *req, const struct fs_number *number);

/* The wire's words for an entry, for READDIRPLUS. */
void reply_fill_entry(const struct request *req, const struct fs_entry *entry,
		      struct fuse_entry_out *out);

/*
 * Finish: write the header for `result`, which is 0 or -errno. Returns the
 * reply's bytes, header and all, or SERVER_NO_REPLY when not even a header
 * has room. The one place where an errno becomes the wire's.
 */
long reply_send(struct request *req, int result);

#endif
