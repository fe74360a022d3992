/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * File handles: what names an inode of the host without holding it open.
 * name_to_handle_at(2) makes one, of a descriptor, never of a name; with it
 * and any descriptor on the same mount open_by_handle_at(2) finds the inode
 * again, wherever it is named now, or says ESTALE when it is gone: its
 * generation is part of the handle.
 *
 * A guest never sees a handle and never gives one. Opening by handle takes
 * CAP_DAC_READ_SEARCH, and a file system that can be exported; mount_table.h
 * tries both out on each mount.
 */
#ifndef CASEMENT_DAEMON_FS_FILE_HANDLE_H
#define CASEMENT_DAEMON_FS_FILE_HANDLE_H

#include "daemon/fs/inode.h"

/* The handle of a descriptor, also an O_PATH one; release it. 0 or -errno. */
int file_handle_make(int fd, struct packed_handle *handle);
void file_handle_release(struct packed_handle *handle);
/*
 * Open the file of a handle with open(2)'s flags; `mount_fd` is any descriptor on
 * its mount. The caller owns the result; -errno, -ESTALE if the file is gone.
 */
int file_handle_open(int mount_fd, const struct packed_handle *handle, int flags);

#endif
