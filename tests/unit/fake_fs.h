/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file system that does nothing but remember what it was asked, and answers
 * what the test wants: in the place of daemon/fs for tests of daemon/protocol.
 * A window of the same kind. Single-threaded; never touches the host's files.
 */
#ifndef CASEMENT_TESTS_UNIT_FAKE_FS_H
#define CASEMENT_TESTS_UNIT_FAKE_FS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/fs/fs.h"
#include "daemon/protocol/server.h"

#define FAKE_DIRENTS_MAX 64
#define FAKE_DATA_MAX 8192
#define FAKE_AWAITED 4711	/* what for */

struct fake_fs {
	/* what was asked */
	unsigned int calls;		/* of all functions but fs_reset() */
	unsigned int resets;
	const char *last;		/* name of the last function called */
	uint64_t node, handle, offset, size, node2, handle2, offset2;
	uint64_t forgotten, lookups;
	uint64_t owner, unique;
	struct fs_lock lock;
	int waits;			/* may_wait() less waited() */
	uint32_t flags, mode, rdev;
	bool bit, kill;
	uint32_t how;			/* of fs_read() */
	struct fs_write write;
	char name[NAME_MAX + 1], name2[PATH_MAX];
	char xattr[NAME_MAX + 1];	/* an attribute's name, which is none of the above */
	struct fs_caller caller;	/* its pointers: see the next three */
	uint32_t groups[FS_GROUPS_MAX];
	char label_name[NAME_MAX + 1], label[64];
	struct fs_setattr set;
	char data[FAKE_DATA_MAX];	/* last fs_write() or fs_setxattr() */
	/* what to answer */
	int64_t result;			/* negative: the error of every function */
	bool others;			/* every function would have to wait for somebody else */
	struct fs_entry entry;
	struct statvfs statvfs;
	bool may_keep, made_up;
	unsigned int full;		/* how often it is worth to try again */
	const char *target;
	const char *contents;		/* what fs_read() finds at any offset */
	bool no_umask;			/* fs_umask_ready() says no */
	const char *value;		/* of every attribute, and of every list of names */
	size_t value_len;
	unsigned int dirents;		/* entries fs_readdir() has to give */
	unsigned int dirent_name_len;
	unsigned int dirent_fail_at;	/* fail with -EIO before this entry; 0: never */
};
extern struct fake_fs fake;
/* What a call by a thread of the patience that was set last has to wait for: 0 or FS_WAITS_*. */
int fake_waits(void);

struct fake_window {
	unsigned int setups, removes, clears;
	bool present;
	uint64_t node, offset, len, at;
	bool writable;
	int result;
	uint64_t fail_at;		/* remove() of this offset alone answers `result` */
};
extern struct fake_window fake_window;
extern const struct window_ops fake_window_ops;

/* Back to the beginning: nothing asked, every answer a success. */
void fake_clear(void);

#endif
