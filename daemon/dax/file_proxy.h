/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stand-ins for files, to be mapped by the VMM: the same page cache, another
 * size.
 *
 * QEMU 11.1 refuses to map a range that ends behind the file's end, rounded up
 * to a page; so the last page of nearly every file, and every 2 MiB range that
 * a guest asks for at the end of one, would be refused. A stand-in is a file on
 * a private FUSE mount of our own that says it is huge, and whose mappings the
 * kernel passes through to the real file (FUSE passthrough, Linux 6.9).
 *
 * To pass through takes CAP_SYS_ADMIN, each time. So stand-ins are made by a
 * process of their own, which never sees a byte of the guest's.
 */
#ifndef CASEMENT_DAEMON_DAX_FILE_PROXY_H
#define CASEMENT_DAEMON_DAX_FILE_PROXY_H

struct file_proxy;

/*
 * Start that process, a child of this one, before there are threads. It runs
 * `confine` (0 or -errno; NULL: nothing) when it needs nothing any more but
 * to start a thread, chroot(2) and stand_in_open(). -EOPNOTSUPP when the kernel has no FUSE passthrough, -EPERM
 * without CAP_SYS_ADMIN, -errno.
 */
int file_proxy_new(int (*confine)(const void *ctx), const void *ctx, struct file_proxy **out);
/* End it. Stand-ins that the VMM still maps stay mapped. */
void file_proxy_free(struct file_proxy *proxy);

/*
 * A new descriptor of a stand-in for the regular file `fd`, open for reading
 * and writing; caller closes. One thread at a time. -errno; -ELOOP when the
 * file lies on a stacked file system, which FUSE does not pass through to;
 * -EIO when the process is gone.
 */
int file_proxy_open(struct file_proxy *proxy, int fd);

#endif
