/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a thread has for itself: a umask. Makers need the caller's, where only
 * the host's kernel knows whether it or a default ACL counts. The process' other
 * threads do not notice: unshare(CLONE_FS), which needs no privilege, and leaves
 * the working directory what it is.
 */
#ifndef CASEMENT_DAEMON_FS_THREAD_FS_H
#define CASEMENT_DAEMON_FS_THREAD_FS_H

#include <sys/types.h>

/*
 * Give the calling thread a umask of its own; done once a thread. 0, or -errno
 * where a filter forbids it; that, too, is only tried once.
 */
int thread_fs_enter(void);

/*
 * The umask of what this thread makes from here on, at first 0: whoever makes
 * something says which. Another than 0 only after thread_fs_enter() said 0.
 */
void thread_fs_umask(mode_t mask);

#endif
