/* SPDX-License-Identifier: BSD-3-Clause */
/* What kind of file system a descriptor is on, as far as it changes what may be relied on. */
#ifndef CASEMENT_DAEMON_FS_FS_KIND_H
#define CASEMENT_DAEMON_FS_FS_KIND_H

#include <stdbool.h>

/*
 * Another machine or process serves it: it checks permissions by the ids it is
 * sent, and hands out inode numbers as it likes. False when that cannot be told.
 */
bool fs_kind_remote(int fd);

#endif
