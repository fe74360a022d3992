/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a thread has for itself: a working directory and a umask.
 *
 * The calls for extended attributes take a path and no directory, and an
 * O_PATH descriptor is not open enough for their other form. So a thread that
 * needs them makes /proc/self/fd its working directory, once, where a
 * descriptor's number is a path to the thing itself, whatever it is, also
 * when /proc is out of sight (pivot_root). The process' other threads do not
 * notice: unshare(CLONE_FS), which needs no privilege.
 */
#ifndef CASEMENT_DAEMON_FS_THREAD_FS_H
#define CASEMENT_DAEMON_FS_THREAD_FS_H

#include <sys/types.h>

/*
 * Give the calling thread its own, at /proc/self/fd, which `proc_fd` is; done
 * once a thread. 0, or -errno where a filter forbids it; that, too, is only
 * tried once.
 */
int thread_fs_enter(int proc_fd);

/*
 * The umask of what this thread makes from here on, at first 0: whoever makes
 * something says which. Another than 0 only after thread_fs_enter() said 0.
 */
void thread_fs_umask(mode_t mask);

#endif
