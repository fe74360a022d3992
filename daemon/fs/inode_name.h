/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories that rest: when descriptors are spent (reclaim.h), a directory that no request uses gives
 * its own back and keeps its node id, since a process of the guest may be in it. What leads to it from then on
 * is its parent's node id and its name there. A request that needs it opens it by these; it is the same
 * only if mount, device, inode number and birth are. Where the host moved it the id is stale until
 * the guest looks it up by the name that it has now.
 *
 * Names are never followed through a link or out of the parent (safe_open.h).
 */
#ifndef CASEMENT_DAEMON_FS_INODE_NAME_H
#define CASEMENT_DAEMON_FS_INODE_NAME_H

#include <stdbool.h>

#include "daemon/fs/inode_table.h"

/*
 * Let a counted directory rest that has a descriptor of its own: true when that was closed and
 * given to the budget. False when another request uses it, or it might not be found again.
 */
bool inode_name_rest(struct inode_table *table, struct inode *dir);

/* A name just led to this directory: if it rests, that is its name from now on. Both are counted. */
void inode_name_note(struct inode *dir, const struct inode *parent, const char *name);

/* An O_PATH descriptor of a counted directory that rests; the caller owns it. -ESTALE when it is not there, or -errno. */
int inode_name_open(struct inode *dir);

#endif
