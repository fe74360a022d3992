/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors of files that the guest knows and does not use. A guest's kernel
 * remembers each file that it came across for as long as it has memory, and each costs
 * casementd a descriptor (inode_fd.h). When they are spent, files that are not
 * open and were not looked up lately are let go, as if the guest had forgotten
 * them. To the guest their node ids are stale: Linux then looks the name up again by
 * itself, so that a program sees nothing of it.
 *
 * Regular files and symbolic links that have one name alone. A directory may be where a process of
 * the guest's is: it keeps its id, and rests (inode_name.h). A FIFO or a socket may be open in
 * the guest without a word to casementd: a new node id would be another file. So is a file that is
 * mapped through the window.
 */
#ifndef CASEMENT_DAEMON_FS_RECLAIM_H
#define CASEMENT_DAEMON_FS_RECLAIM_H

#include <stdbool.h>
#include <stdint.h>

struct fs;

struct reclaim {
	uint32_t hand;	/* slot to look at next; [A] relaxed: a hint */
	uint32_t dir_hand;	/* the same, for directories */
	bool said;	/* the guest came to the end of descriptors; [A] relaxed */
	bool dirs;	/* a directory was made to rest; [A] relaxed, never unset */
	uint64_t rest;	/* CLOCK_MONOTONIC, ns: no search starts before this; [A] relaxed */
};

/*
 * fd_budget.reclaim of a struct fs: lets a sixteenth of the budget go, or what there is. False when there
 * is nothing, or was nothing a moment ago. Closes descriptors; the caller holds no lock.
 */
bool reclaim_files(void *fs);

/* A directory may be known by its name alone. */
bool reclaim_made_dirs_rest(const struct fs *fs);

#endif
