/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Files that are read, written and mapped through the window.
 *
 * Which way a file goes is decided when it is opened and nobody has it open: through
 * the window when the daemon offers it (FUSE_ATTR_DAX), and there is a place for all of
 * it that no other open file needs. Else it goes by the page cache, as if there were no
 * window: files that are open never take each other's places.
 *
 * A file that is in use and needs a range that cannot be had (it grew, and the window is full; the
 * daemon does not map it) leaves the window: until it is next opened by nobody else, it goes by the
 * page cache, also where it is mapped. read(2) and write(2) do without: they ask the daemon.
 *
 * A closed file keeps its ranges until somebody needs their places, and is large or was
 * opened more recently than it.
 */
#ifndef CASEMENT_KMOD_DAX_H
#define CASEMENT_KMOD_DAX_H

#include "fs.h"

/* When the module is loaded. */
void cs_dax_start(void);

/* The session may use its device's window: INIT is to ask for it. */
bool cs_dax_wanted(const struct cs_session *session);

/* Around the life of each open file; the first decides. */
void cs_dax_open(struct inode *inode);
void cs_dax_release(struct inode *inode);

/* As the file operations, for an inode that is S_DAX. The write's inode is locked. */
ssize_t cs_dax_read(struct kiocb *iocb, struct iov_iter *to);
ssize_t cs_dax_write(struct kiocb *iocb, struct iov_iter *from);
int cs_dax_mmap(struct file *file, struct vm_area_struct *vma);

/*
 * Before pages of the file go: wait until no device transfers to or from them. The
 * invalidate lock is held, and let go of meanwhile. 0 or -ERESTARTSYS.
 */
int cs_dax_wait_unpinned(struct inode *inode);

/*
 * After that, the lock being held: the file leaves the window as it is, until it is next opened by
 * nobody else.
 */
void cs_dax_leave_locked(struct inode *inode);

/* Of an inode that is evicted, before its pages go. */
void cs_dax_evict(struct inode *inode);

/* The device goes; the window has been killed. No file has a range after this. */
void cs_dax_revoke(struct cs_window *window);

/*
 * The same where the window stays: 0, or -EBUSY if a device transfers to or from it, or if the daemon does
 * not say within `patience` jiffies that all is unmapped. After 0 no file gets a range until cs_dax_resume().
 */
int cs_dax_suspend(struct cs_window *window, unsigned long patience);
void cs_dax_resume(struct cs_window *window);

#endif
