/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The only two ways a host file is reached: one name below a directory we
 * hold, never through a symbolic link, and again through a descriptor we
 * hold, never by name.
 *
 * Relies on /proc being mounted when safe_open_init() runs (or its caller
 * opened what it wants of it), in the process that will serve: a fork
 * afterwards would leave us with the parent's descriptors. Never opens a
 * device, FIFO or socket for I/O: the callers check the type that was recorded
 * with the O_PATH descriptor. Nothing else in daemon/fs/ opens files, but by
 * file handle (tests/tree/check_tree.py).
 */
#ifndef CASEMENT_DAEMON_FS_SAFE_OPEN_H
#define CASEMENT_DAEMON_FS_SAFE_OPEN_H

#include <stdbool.h>
#include <sys/types.h>

struct safe_open {
	int proc_fd;	/* O_PATH directory /proc/self/fd, owned; [I] */
	bool openat2;	/* the kernel (and its filters) let us use openat2(2); [I] */
};

/* The decimal name of a descriptor below safe_open.proc_fd. */
struct fd_name {
	char text[12];
};

/*
 * `proc_fd` is taken over on success; -1: /proc/self/fd is opened here.
 * `root_fd` is only used to try things on. 0 or -errno; on success release with _fini().
 */
int safe_open_init(struct safe_open *so, int proc_fd, int root_fd);
void safe_open_fini(struct safe_open *so);

/*
 * An O_PATH descriptor of `name` in the directory `parent_fd`: the thing
 * itself, also when it is a symbolic link. `name` is one checked component.
 * The caller owns the result; -errno, where EMFILE became ENFILE.
 */
int safe_open_child(const struct safe_open *so, int parent_fd, const char *name);
/* A child that is a directory, to be read; what is to be mounted there is. The caller owns the result; -errno. */
int safe_open_directory(const struct safe_open *so, int parent_fd, const char *name);

/*
 * Make `name` in `parent_fd` and open it; -EEXIST if there was something of
 * that name, whatever it was. `flags` without O_CREAT. The caller owns the result.
 */
int safe_open_new(int parent_fd, const char *name, int flags, mode_t mode);

/*
 * A new file without a name on the file system of the directory `parent_fd`.
 * `flags` without O_TMPFILE; with O_EXCL it cannot be linked later. The caller owns the result.
 */
int safe_open_unnamed(int parent_fd, int flags, mode_t mode);

/*
 * Open what `fd` refers to once more, with `flags` (O_NOFOLLOW and O_CREAT
 * must not be among them). The caller has checked the type and owns the result.
 */
int safe_open_again(const struct safe_open *so, int fd, int flags);

/* What a guest is told when no more files can be opened, here or by file handle: -ENFILE. */
int safe_open_no_more(void);

/* For the calls that take a path but no O_PATH descriptor: below safe_open.proc_fd, or the working directory. */
struct fd_name safe_open_name(int fd);

#endif
