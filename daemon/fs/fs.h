/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The passthrough file system: the contract between the FUSE protocol above
 * and the host's files below. Nothing here knows virtio or a wire struct.
 *
 * Names given to these functions are C strings that protocol/decode has
 * already checked: not empty, no '/', not "." or "..", at most 255 bytes.
 * The one exception is fs_lookup(), see there.
 *
 * Every function returns 0 (or a count where said) or a negative errno, may be
 * called from any number of threads at once, and takes node ids and file
 * handles as plain numbers: a number that was never handed out, or was given
 * back, is -ESTALE (nodes) or -EBADF (handles), never undefined.
 */
#ifndef CASEMENT_DAEMON_FS_FS_H
#define CASEMENT_DAEMON_FS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include "common/iov_cursor.h"

struct fs;
struct xattr_map;

/*
 * What the calling thread may wait for in the calls below, from here on; at first
 * for all. A call that would have to wait for more does nothing, and returns
 * FS_WAITS_DISK or FS_WAITS_OTHERS, which are no errnos: it is to be made again by
 * a thread that may. `disk`: what it is to do waits for a disk by its nature.
 */
enum fs_patience {
	FS_PATIENCE_ENDLESS,	/* also for other machines and processes, which may never answer */
	FS_PATIENCE_DISK,
	FS_PATIENCE_NONE,
};
void fs_set_patience(enum fs_patience patience, bool disk);
#define FS_WAITS_DISK (-5001)
#define FS_WAITS_OTHERS (-5002)
/* What FS_WAITS_OTHERS was said for last: equal for what others wait for, too. */
uint64_t fs_awaited(void);

/*
 * A request that waits for others may outlive its guest (fs_reset()). The thread says of which
 * session the calls below are, from here on; 0, as at first: of one that they do not outlive. What
 * they would hand out after its end, a node, a handle or a lock, is given back at once.
 */
uint32_t fs_session(const struct fs *fs);
void fs_set_session(uint32_t session);

#define FS_ROOT_NODE 1ULL	/* FUSE_ROOT_ID; always valid, never forgotten */
#define FS_NO_HANDLE UINT64_MAX	/* "without a file handle", where allowed */

/*
 * A file of the host, as the window must know it: two mounts, or two look-ups one after the
 * other, give one file two nodes.
 */
struct fs_file_id {
	uint64_t node;		/* by which the guest names it here */
	uint64_t ino;
	uint32_t device;	/* as in struct inode_key */
};

/* What the window above the file system is told and asked; see fs_set_watch(). */
struct fs_watch {
	void *ctx;
	/* False: nothing of the file is mapped; true: it may be. Asked often, before the others; no lock. */
	bool (*maps)(void *ctx, const struct fs_file_id *file);
	/* The file is about to be cut to `size` bytes (or replaced by an empty one): 0 or -errno. */
	int (*before_cut)(void *ctx, const struct fs_file_id *file, uint64_t size);
	/*
	 * The file is about to be `size` bytes long, at least, and new only by a hole: 0 or
	 * -errno, -ENOSPC where a store into that would find no room.
	 */
	int (*before_growth)(void *ctx, const struct fs_file_id *file, uint64_t size);
	/*
	 * The file is now at least `size` bytes long; it may have grown. Told
	 * before the guest hears of the size. 0, or -EINTR: the request is to be
	 * served again.
	 */
	int (*size_seen)(void *ctx, const struct fs_file_id *file, uint64_t size);
	/* True when [offset, offset + len) of the file is mapped writable by the guest. */
	bool (*maps_writable)(void *ctx, const struct fs_file_id *file, uint64_t offset, uint64_t len);
};

/* How an inode that the guest knows is held on the host. */
enum fs_handles {
	FS_HANDLES_NEVER,	/* by a descriptor */
	FS_HANDLES_PREFER,	/* by a file handle where the file system has them, and we may use them */
	FS_HANDLES_MANDATORY,	/* the same, or not at all */
	FS_HANDLES_AUTO,	/* main.c makes one of the first two of it */
};
extern const char *const fs_handles_names[];	/* in this order, NULL-terminated */

struct fs_config {
	int root_fd;		/* directory to share; the fs takes it over and closes it */
	int proc_fd;		/* O_PATH /proc/self/fd, taken over as well; 0: it opens that itself */
	bool readonly;		/* every change answers -EROFS; files open read-only */
	bool preserve_noatime;	/* else O_NOATIME is dropped from open flags */
	bool allow_direct_io;	/* else O_DIRECT is dropped from open flags */
	bool writeback;		/* WRONLY opens become RDWR, O_APPEND is dropped */
	uint64_t dax_min_size;	/* smallest file offered for mapping; 0 = no window at all */
	uint64_t dax_max_size;	/* largest: one that does not fit the window would thrash it */
	enum fs_handles handles;
	bool handles_late;	/* with FS_HANDLES_PREFER: by descriptors as long as there are many left */
	bool ids_stay;		/* a file's id is never stale before the guest forgets it: ENFILE when descriptors are spent */
	bool links_stay;	/* the same of a file with several names, as the guest believes attributes without end */
	uint64_t other_fds;	/* that the process needs beside the guest's: the guest gets none of these */
	unsigned int kept_fds;	/* with handles: descriptors kept of files used lately; 0: as many as is good */
	const struct xattr_map *xattr_map; /* of attributes' names; borrowed, outlives the fs; NULL: none */
};

/* A security label: an attribute that a file has from its making on. */
struct fs_label {
	const char *name;	/* the guest's; NULL: no label */
	const void *value;
	size_t size;
};

/*
 * Who asks; from the FUSE header, and from what makers send beside it. Each change is
 * made in its caller's name; FS_NO_ID is of one who has no id on this host: what is
 * made cannot be his, and what he changes is changed in the daemon's name.
 */
#define FS_GROUPS_MAX 32
#define FS_NO_ID UINT32_MAX
struct fs_caller {
	uint32_t uid, gid;
	bool shares_uid;	/* with others of the guest: a file of this uid need not be the caller's */
	uint32_t pid;
	uint32_t umask;		/* to apply to what is made, unless a default ACL does; 0: the guest has */
	uint32_t n_groups;	/* supplementary groups that matter, at most FS_GROUPS_MAX */
	const uint32_t *groups;
	struct fs_label label;	/* of what is made */
};

/*
 * A file's inode number. A guest that mounts the file systems below the share as such
 * is given `own`, but for what is `foreign`; one that sees a single file system is
 * given `own`, but for what is `below`. The others are given `mixed` (file_number.h).
 */
struct fs_number {
	uint64_t own;		/* the host's */
	uint64_t mixed;
	bool below;		/* on another file system than the share's root */
	bool foreign;		/* in a directory of another file system, and no directory itself */
};

/* Attributes of one file: the host's own words, and what we say of it. */
struct fs_attr {
	struct statx stx;
	struct fs_number number;
	bool dax;		/* may go through the window: FUSE_ATTR_DAX */
	bool submount;		/* of an entry: another file system starts at this directory */
};

/* A name resolved: node, one lookup counted on it, and its attributes. */
struct fs_entry {
	uint64_t node;
	uint64_t generation;	/* always 0: node ids are not used twice */
	struct fs_attr attr;
};

/* What fs_setattr() is to change; `valid` has FS_SET_* bits. */
#define FS_SET_MODE	(1u << 0)
#define FS_SET_UID	(1u << 1)
#define FS_SET_GID	(1u << 2)
#define FS_SET_SIZE	(1u << 3)
#define FS_SET_ATIME	(1u << 4)
#define FS_SET_MTIME	(1u << 5)
#define FS_SET_ATIME_NOW (1u << 6)
#define FS_SET_MTIME_NOW (1u << 7)
#define FS_SET_KILL_SUIDGID (1u << 8)	/* size change by a caller without CAP_FSETID */
struct fs_setattr {
	uint32_t valid;
	uint32_t mode, uid, gid;
	uint64_t size;
	struct timespec atime, mtime;
};

/*
 * Make a file system of config->root_fd. On success *out is the new object and
 * owns root_fd and proc_fd; on error they stay the caller's; -EOPNOTSUPP: handles are
 * mandatory, and the root has none, or CAP_DAC_READ_SEARCH is not ours. Raises
 * nothing, drops nothing: privileges are the sandbox's business. The process'
 * working directory is /proc/self/fd from here on, and must stay.
 */
int fs_new(const struct fs_config *config, struct fs **out);
/*
 * Files that fs_reset() closes may wait for a server, and are closed elsewhere: true when all are,
 * at the latest after `ms`. Else the object must stay.
 */
bool fs_await_closed(unsigned int ms);
/* Close everything. No other thread may be inside the file system. */
void fs_free(struct fs *fs);
/* The window that wants to know; set once before the first request, or NULL members. */
void fs_set_watch(struct fs *fs, const struct fs_watch *watch);
/*
 * Forget every node but the root and close every handle: the guest's mount is
 * gone (DESTROY, a second INIT, a device reset). Safe beside running calls:
 * they finish on what they hold.
 */
void fs_reset(struct fs *fs);

/*
 * A request found the disk full (-ENOSPC, -EDQUOT). True when it should be tried once
 * more: what was removed may have come free meanwhile, see room.h. False soon.
 */
bool fs_wait_for_room(struct fs *fs, int err);

/* names (op_lookup.c): `name` may also be ".." or "." for a lookup by NFS export: both -> -EINVAL for now */
int fs_lookup(struct fs *fs, uint64_t parent, const char *name, struct fs_entry *entry);
/* Give back `n` lookups. An unknown node, or more than were counted, does nothing bad. */
void fs_forget(struct fs *fs, uint64_t node, uint64_t n);

/* attributes (op_attr.c); handle may be FS_NO_HANDLE */
int fs_getattr(struct fs *fs, uint64_t node, uint64_t handle, struct fs_attr *attr);
int fs_setattr(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint64_t handle,
	       const struct fs_setattr *set, struct fs_attr *attr);
int fs_statfs(struct fs *fs, uint64_t node, struct statvfs *st);
int fs_access(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint32_t mask);

/* making (op_create.c): owner is the caller, one lookup is counted on the new node */
int fs_mknod(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	     uint32_t mode, uint32_t rdev, struct fs_entry *entry);
int fs_mkdir(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	     uint32_t mode, struct fs_entry *entry);
int fs_symlink(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	       const char *target, struct fs_entry *entry);
int fs_link(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint64_t parent,
	    const char *name, struct fs_entry *entry);
/*
 * Without O_EXCL a file that is there is opened, if the caller certainly may; else,
 * and for what is no regular file, -ESTALE: the guest is to look the name up.
 */
int fs_create(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	      uint32_t flags, uint32_t mode, struct fs_entry *entry, uint64_t *handle);
int fs_tmpfile(struct fs *fs, const struct fs_caller *caller, uint64_t parent,
	       uint32_t flags, uint32_t mode, struct fs_entry *entry, uint64_t *handle);

/*
 * removing and renaming (op_rename.c); -ESTALE where the name is another's in a sticky
 * directory, and came since the guest saw it: it is to look it up
 */
int fs_unlink(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name);
int fs_rmdir(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name);
/* `flags` are renameat2(2)'s; anything but NOREPLACE, EXCHANGE, WHITEOUT is -EINVAL */
int fs_rename(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	      uint64_t new_parent, const char *new_name, uint32_t flags);
/* The target, not NUL-terminated: length, or -errno. */
ssize_t fs_readlink(struct fs *fs, uint64_t node, char *buf, size_t size);

/* files (op_file.c): `flags` are open(2)'s as a Linux guest sends them */
#define FS_OPEN_KILL_SUIDGID (1u << 31)	/* with O_TRUNC, by a caller without CAP_FSETID */
int fs_open(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint32_t flags,
	    uint64_t *handle);
/*
 * False when what the open file holds is not what its size says, as on procfs: a
 * guest that reads as much as that is misled, and has to read from here each time.
 */
bool fs_size_tells(struct fs *fs, uint64_t handle);
/*
 * A file was just opened: true when what the guest keeps of its data is what
 * the file holds, so that it need not be read again; see op_keep.c. False costs
 * that only. The caller tells the guest to empty its cache unless this is true.
 */
bool fs_may_keep(struct fs *fs, uint64_t handle);
int fs_release(struct fs *fs, uint64_t handle);
/* The same without waiting, when no thread is free to wait: a thread closes the file later. */
int fs_release_soon(struct fs *fs, uint64_t handle);
int fs_flush(struct fs *fs, uint64_t handle);
int fs_fsync(struct fs *fs, uint64_t handle, bool datasync);
/* syncfs(2) of the file system that holds `node` */
int fs_syncfs(struct fs *fs, uint64_t node);

/*
 * locks (op_lock.c): shared with the host's programs and other guests. `owner`
 * is the guest's lock owner, `unique` the request's number. Without `wait` a
 * lock that is not free is -EAGAIN; with it -EINTR says that the wait was given
 * up. -ENOLCK: too many owners.
 */
struct fs_lock {
	uint64_t start, end;	/* bytes, both inclusive; end INT64_MAX: to the end, wherever that is */
	uint32_t type;		/* F_RDLCK, F_WRLCK, F_UNLCK */
};
/* A lock that stands in the way of *lock, put into *lock; F_UNLCK if there is none. */
int fs_getlk(struct fs *fs, uint64_t handle, uint64_t owner, struct fs_lock *lock);
int fs_setlk(struct fs *fs, uint64_t handle, uint64_t owner, const struct fs_lock *lock,
	     uint64_t unique, bool wait);
/* flock(2) by F_RDLCK, F_WRLCK or F_UNLCK; directories too. */
int fs_flock(struct fs *fs, uint64_t handle, uint64_t owner, uint32_t type, uint64_t unique, bool wait);
/* The owner closed the file: its POSIX locks on it go, its waits are given up. */
int fs_lock_closed(struct fs *fs, uint64_t handle, uint64_t owner);
/* Locks that may be waited for at once: each wait has a thread. */
#define FS_LOCK_WAITS_MAX 32
/* Before a call with `wait`: false when too many wait. Give back with fs_lock_waited(). */
bool fs_lock_may_wait(struct fs *fs);
void fs_lock_waited(struct fs *fs);
/* Have a request's wait, or those whose thread's stop token fired, end with -EINTR. Any thread. */
void fs_lock_interrupt(struct fs *fs, uint64_t unique);
void fs_lock_interrupt_stopped(struct fs *fs);

/* data (op_data.c) */
/*
 * Read at most `size` bytes at `offset` into `to` (which is moved on): bytes,
 * short only at the end of the file. With FS_READ_NOWAIT -EAGAIN, `to` being anywhere,
 * when they are not all in the page cache, as far as the file system can tell.
 */
#define FS_READ_NOWAIT (1u << 0)
#define FS_READ_DIRECT (1u << 1)	/* O_DIRECT, as fcntl(2) last set it; else by the host's page cache */
ssize_t fs_read(struct fs *fs, uint64_t node, uint64_t handle, uint64_t offset, size_t size,
		struct iov_cursor *to, uint32_t how);
/* Where a write goes: fcntl(2) changes O_APPEND behind an open handle's back. */
enum fs_place {
	FS_PLACE_OPENED,	/* as the handle was opened: at the offset, or at the end with O_APPEND */
	FS_PLACE_OFFSET,
	FS_PLACE_END,
};
struct fs_write {
	const struct fs_caller *caller;	/* NULL: a page cache, on behalf of who opened the file */
	enum fs_place place;
	bool direct;		/* as FS_READ_DIRECT */
	bool kill_suidgid;	/* strip set-id bits */
};
/*
 * Write exactly `size` bytes of `from`: bytes written, or -errno if none was. To a page cache, which has no
 * use for a part and may take it for the whole, -errno unless all were.
 */
ssize_t fs_write(struct fs *fs, uint64_t node, uint64_t handle, uint64_t offset, size_t size,
		 struct iov_cursor *from, const struct fs_write *how);
int fs_fallocate(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint64_t handle,
		 uint32_t mode, uint64_t offset, uint64_t len);
int64_t fs_lseek(struct fs *fs, uint64_t handle, uint64_t offset, uint32_t whence);
ssize_t fs_copy_file_range(struct fs *fs, const struct fs_caller *caller, uint64_t handle_in,
			   uint64_t off_in, uint64_t node_out, uint64_t handle_out,
			   uint64_t off_out, uint64_t len, uint64_t flags);

/* Beside fallocate's `mode`, and the only one of copy's `flags`: by a caller without CAP_FSETID. */
#define FS_FALLOCATE_KILL_SUIDGID (1u << 31)
#define FS_COPY_KILL_SUIDGID (1ULL << 63)

/* directories (op_dir.c) */
int fs_opendir(struct fs *fs, uint64_t node, uint64_t *handle);
int fs_releasedir(struct fs *fs, uint64_t handle);
int fs_fsyncdir(struct fs *fs, uint64_t handle, bool datasync);
struct fs_dirent {
	struct fs_number number;
	uint64_t next;		/* offset that continues after this entry */
	uint8_t type;		/* DT_* */
	bool last;		/* fs_list(): it is the directory's last one */
	uint16_t name_len;
	const char *name;	/* not NUL-terminated; valid during the call */
	/* readdirplus: entry.node is 0 for "." and "..", and for what vanished meanwhile */
	const struct fs_entry *entry;
};
/*
 * Walk a directory from `offset` (0 = the start, else a `next` seen before).
 * emit() returns true when it took the entry, false when its buffer is full:
 * the walk stops there, and with `plus` the lookup counted for the refused
 * entry is given back. `hint` is the bytes the caller can still take, so that
 * no more is read from the host than can be used. 0 or -errno.
 */
typedef bool (*fs_emit_fn)(void *ctx, const struct fs_dirent *dirent);
int fs_readdir(struct fs *fs, uint64_t node, uint64_t handle, uint64_t offset, bool plus,
	       size_t hint, fs_emit_fn emit, void *ctx);
/* The same from the start, without a handle; tells which entry is the last, should it come to that. */
int fs_list(struct fs *fs, uint64_t node, bool plus, size_t hint, fs_emit_fn emit, void *ctx);

/*
 * ioctls (op_ioctl.c), by the host's numbers: FS_IOC_GETFLAGS, SETFLAGS,
 * FSGETXATTR and FSSETXATTR of files and directories (`dir`), ENABLE_VERITY and
 * MEASURE_VERITY of files. -ENOTTY for all others, -EINVAL for a size that is
 * not the number's, -EPERM for who does not own the file or wants another
 * project id. `in` of ENABLE_VERITY goes on with the salt and the signature.
 */
struct fs_ioctl {
	uint32_t cmd;
	const void *in;
	size_t in_size;
	void *out;
	size_t out_size;	/* room; on success what was filled */
};
#define FS_IOCTL_DATA_MAX 4096	/* no in_size is larger */
int fs_ioctl(struct fs *fs, const struct fs_caller *caller, uint64_t handle, bool dir,
	     struct fs_ioctl *io);

/* extended attributes (op_xattr.c); `name` is the guest's, not empty */
#define FS_XATTR_SIZE_MAX 65536	/* what Linux allows a value and a list of names */
#define FS_XATTR_LIST_MAX 65536
/*
 * `flags` are setxattr(2)'s. `acl_kill_sgid`: the caller is not in the file's
 * group, so that a new access ACL clears the set-gid bit. 0, -errno of
 * setxattr(2), or what the map says of the name: -EPERM, -EOPNOTSUPP, -ERANGE.
 */
int fs_setxattr(struct fs *fs, const struct fs_caller *caller, uint64_t node, const char *name,
		const void *value, size_t size, uint32_t flags, bool acl_kill_sgid);
/* The value's length, which with size 0 is all that is asked; -ERANGE when it is longer. */
ssize_t fs_getxattr(struct fs *fs, uint64_t node, const char *name, void *value, size_t size);
/* All names the guest may see, each with its NUL, in FS_XATTR_LIST_MAX bytes; their length. */
ssize_t fs_listxattr(struct fs *fs, uint64_t node, char *names);
int fs_removexattr(struct fs *fs, const struct fs_caller *caller, uint64_t node, const char *name);
/*
 * 0 when fs_caller.umask may be used: the calling thread can have a umask of its
 * own, and so can others. Else -errno: a filter forbids it.
 */
int fs_umask_ready(struct fs *fs);

/* for the window (op_dax.c) */
/* The guest maps whatever it is offered: offer what fits in together. Not from the beginning. */
void fs_offer_what_fits(struct fs *fs, bool so);

/*
 * Until fs_reset(): the client has mounted the share on this host, by this device number
 * (as in struct fs_file_id). A name that leads there is -ELOOP, and its file is not asked.
 */
void fs_set_client_device(struct fs *fs, uint32_t device);
/*
 * A new descriptor, O_RDWR|O_CLOEXEC, of a regular file that may be mapped, and *id; fs_close_dax() it. The limit of
 * open files counts it and a stand-in of the caller's. -errno if there is none; FS_WAITS_OTHERS: a process has
 * a lease on the file, for which fs_await_dax() waits (0 or -errno).
 */
int fs_open_dax(struct fs *fs, uint64_t node, struct fs_file_id *id);
void fs_close_dax(struct fs *fs, int fd);
int fs_await_dax(struct fs *fs, uint64_t node);
/*
 * What the window changes of the node's file on this thread until the next call here is
 * changed in the caller's name: holes that a mapping is given room for. 0 or -EPERM.
 */
int fs_change_as(struct fs *fs, const struct fs_caller *caller, uint64_t node);

#endif
