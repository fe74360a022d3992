/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the calling thread may wait for. A queue's thread waits for nothing but
 * its processor: the step at which an operation takes an inode or a handle asks
 * here, before it does anything, and the operation ends with FS_WAITS_* (fs.h),
 * to be called again by a thread that may wait. A thread that never said
 * anything may wait for all.
 */
#ifndef CASEMENT_DAEMON_FS_PATIENCE_H
#define CASEMENT_DAEMON_FS_PATIENCE_H

#include "daemon/fs/fd_budget.h"
#include "daemon/fs/fs.h"
#include "daemon/fs/inode.h"

/* May the thread wait for other machines and processes? */
bool patience_is_endless(void);
/* 0 or FS_WAITS_*: is this an inode that the thread's request may go on with? */
int patience_ask(const struct inode *inode);
/* The same of a mount that is about to be entered, and is not known to be local. */
int patience_ask_mount(uint32_t mount, uint32_t device);
/* Somebody may keep the thread waiting at this file for as long as he likes: FS_WAITS_OTHERS. */
int patience_await_file(const struct inode *inode);

/* True when the session of the thread's request is not `*now` any more. */
bool patience_outlived(const uint32_t *now);

/* Change it for a few calls; give back what it was. */
enum fs_patience patience_swap(enum fs_patience patience);

/*
 * Close a descriptor of a file: at once, or where that may wait and the thread may
 * not, by another thread. It leaves the budget when it is closed.
 */
void patience_close(const struct inode *inode, int fd, struct fd_budget *budget);

#endif
