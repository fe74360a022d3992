/* SPDX-License-Identifier: BSD-3-Clause */
/* Making the shared directory the root of all that the process can name. */
#ifndef CASEMENT_DAEMON_SANDBOX_MOUNTS_H
#define CASEMENT_DAEMON_SANDBOX_MOUNTS_H

#include <stdbool.h>

/* What is left to reach files by. Descriptors are the caller's. */
struct sandbox_roots {
	int root_fd;	/* the shared directory, open for reading */
	int proc_fd;	/* O_PATH /proc/self/fd of this process, with no way up from it */
};

/*
 * In a mount namespace of its own: `dir` (by the host's names) becomes the
 * root, without devices and set-id programs, and read-only if so asked; the
 * old root is detached. What the host mounts or unmounts below `dir` later
 * shows. 0, or -errno, logged.
 */
int mounts_enter(const char *dir, bool readonly, struct sandbox_roots *roots);

/* chroot(2), for who may not have a mount namespace. 0, or -errno, logged. */
int mounts_chroot(const char *dir, struct sandbox_roots *roots);

/* No walls: open both where they are. 0, or -errno, logged. */
int mounts_plain(const char *dir, struct sandbox_roots *roots);

#endif
