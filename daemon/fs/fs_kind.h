/* SPDX-License-Identifier: BSD-3-Clause */
/* What kind of file system a descriptor is on, as far as it changes what may be relied on. */
#ifndef CASEMENT_DAEMON_FS_FS_KIND_H
#define CASEMENT_DAEMON_FS_FS_KIND_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Another machine or process serves it: it checks permissions by the ids it is
 * sent, hands out inode numbers as it likes, and may make us wait.
 */
#define FS_KIND_REMOTE (1u << 0)
/* Files are made as they are read: their sizes (0, or a page) say nothing of what is in them. */
#define FS_KIND_MADE_UP (1u << 1)
/*
 * Known to give each change of a file's data another ctime: also when it is
 * stored through a mapping whose page was clean, and nobody can set it.
 */
#define FS_KIND_TELLS_CHANGES (1u << 2)
/* An open directory lists what was there when it was opened or last sought to its start. */
#define FS_KIND_LISTS_AS_OPENED (1u << 3)

/* Somebody's program says sizes, perhaps of files that it makes up in the same way. */
#define FS_KIND_MAY_MAKE_UP (1u << 4)
/* Here, and whoever asks it waits for a disk at most. Of all others nobody knows how long they take. */
#define FS_KIND_LOCAL (1u << 5)
/* All its data is in memory. */
#define FS_KIND_IN_MEMORY (1u << 6)
/* Its directories are mounted over when somebody enters them. */
#define FS_KIND_AUTOMOUNTS (1u << 7)

/* FS_KIND_* bits of the file system of a descriptor; 0 where it cannot be told. */
uint8_t fs_kind(int fd);

#endif
