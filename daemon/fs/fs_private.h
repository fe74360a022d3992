/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the op_*.c files share: the file system object and the few steps that
 * more than one operation takes. Included by daemon/fs/ only.
 *
 * Lock order: dir_stream.lock, then an inode key shard; the locks of handle
 * shards, of the inodes' memory, descriptors and mounts, and of kept_table, are
 * leaves. Only dir_stream.lock is held over system calls, and only walks on one
 * open directory wait for each other.
 */
#ifndef CASEMENT_DAEMON_FS_FS_PRIVATE_H
#define CASEMENT_DAEMON_FS_FS_PRIVATE_H

#include <errno.h>

#include "daemon/fs/creds.h"
#include "daemon/fs/fd_budget.h"
#include "daemon/fs/fs.h"
#include "daemon/fs/handle_table.h"
#include "daemon/fs/inode_fd.h"
#include "daemon/fs/inode_name.h"
#include "daemon/fs/dax_offer.h"
#include "daemon/fs/inode_table.h"
#include "daemon/fs/kept_table.h"
#include "daemon/fs/lock_table.h"
#include "daemon/fs/lock_wait.h"
#include "daemon/fs/mem_budget.h"
#include "daemon/fs/patience.h"
#include "daemon/fs/reclaim.h"
#include "daemon/fs/room.h"
#include "daemon/fs/safe_open.h"
#include "daemon/fs/xattr_map.h"

_Static_assert(FS_ROOT_NODE == INODE_ROOT_ID, "one root");

struct fs {
	struct inode_table inodes;
	struct handle_table handles;
	struct kept_table kept;
	struct lock_table locks;
	struct lock_waits waits;
	struct fd_budget budget;
	struct mem_budget listings;	/* of directories that were read in part */
	struct room room;
	struct reclaim reclaim;
	struct safe_open open;		/* [I] */
	struct fs_config config;	/* root_fd is -1: the root inode owns it; [I] */
	struct fs_watch watch;		/* [I] from the first request on */
	uint64_t number_seed;		/* for file_number.h; [I] */
	struct dax_offers *offers;	/* [I] NULL: no window */
	bool offer_what_fits;		/* [A] relaxed: INIT says so */
	uint32_t client_device;		/* [A] relaxed: the same; 0: none */
	uint32_t session;		/* counts fs_reset(), never 0; [A] changes before what it ends goes */
	bool remote;			/* the root is on a network file system; [I] */
	char capability[XATTR_MAP_NAME_SIZE];	/* where the map moves security.capability; "": nowhere; [I] */
};

/* fs.c */
/*
 * The inode of a node id, for cleanup_inode. 0, -ESTALE or, as from the next two,
 * FS_WAITS_*. Whoever takes an inode, or a handle below, of a file system that another
 * machine serves does so in the daemon's name.
 */
int fs_node_get(struct fs *fs, uint64_t node, struct inode **out);

/* An inode, and a descriptor of it for as long as this is held. */
struct fs_at {
	struct inode *inode;
	int fd;			/* O_PATH */
	struct inode_fd held;
};
#define FS_AT_NONE { .fd = -1, .held = INODE_FD_NONE }
/* Those of a node id, for cleanup_fs_at: mostly without a system call. 0 or -errno. */
int fs_at_get(struct fs *fs, uint64_t node, struct fs_at *at);
void fs_at_put(struct fs_at *at);
#define cleanup_fs_at __attribute__((cleanup(fs_at_put)))

/* The handle of a number, for cleanup_handle. 0 or -EBADF. */
int fs_handle_get(struct fs *fs, uint64_t fh, enum handle_kind kind, struct handle **out);
/* handle_table_add(), for a request that may have outlived its session: then the handle is closed already. */
int fs_handle_add(struct fs *fs, const struct handle_parts *parts, uint64_t *fh);
/* FS_KIND_* bits of the file system that an open file or directory is on. */
uint8_t fs_kind_of(const struct handle *open);
/* The number of a file with the host's number `ino` on `device`. */
struct fs_number fs_number_of(const struct fs *fs, uint32_t device, uint64_t ino);
/* 0, or -EROFS for a read-only share. */
int fs_check_writable(const struct fs *fs);
/* The same, or -ENFILE where what is made could not be handed out: it is not made then. */
int fs_check_makes(const struct fs *fs);

/* The root's or an inode's file system is one that another machine serves. */
bool fs_is_remote(const struct fs *fs, const struct inode *inode);
/* Change something of this inode as the caller; see creds.h. 0 or -EPERM. */
int fs_act_as(const struct fs *fs, const struct inode *inode, const struct fs_caller *caller,
	      enum creds_setid setid, struct creds *as);

/* op_attr.c */
/* Attributes of an open descriptor, also an O_PATH one. 0 or -errno. */
int fs_stat_fd(int fd, struct statx *stx);
/* The same, `as_cached`: a server is not asked. */
int fs_stat_fd_cached(int fd, bool as_cached, struct statx *stx);
/*
 * attr->stx is filled: add what we know of the inode, and tell the watch. 0, or what that says. `in_use`: the
 * guest has the file open, or changes it.
 */
int fs_attr_complete(struct fs *fs, struct inode *inode, struct fs_attr *attr, bool in_use);

/* op_lookup.c */
/*
 * Attributes of what a name leads to, STATX_* of `mask`. Where the thread may not wait, what is
 * mounted there is not asked. 0 or -errno.
 */
int fs_stat_name(const struct fs_at *dir, const char *name, unsigned int mask, struct statx *stx);
/*
 * The words of an entry for an inode on which a lookup was counted; entry->attr.stx
 * is filled. 0, or -errno of the watch: the lookup is then given back.
 */
int fs_entry_complete(struct fs *fs, struct inode *inode, struct fs_entry *entry);
/*
 * Enter the file of an O_PATH descriptor: one lookup counted. *fd is taken, or
 * left for the caller to close when the file was known. 0 or -errno.
 */
int fs_enter_fd(struct fs *fs, int *fd, struct fs_entry *entry);
/* Whether to ask for a name's attributes before opening it: they will do if its file is known. */
enum look { LOOK_FIRST, LOOK_LATER, LOOK_BY_HABIT };
/* Resolve one name. 0 or -errno. */
int fs_lookup_child(struct fs *fs, const struct fs_at *dir, const char *name, enum look look,
		    struct fs_entry *entry);

/* op_file.c */
/* The open(2) flags we use for a guest's, or -errno. O_APPEND and O_DIRECT are never among them. */
int fs_open_flags(const struct fs *fs, uint32_t flags, bool *append);
/*
 * handle.direct_fd of an open file, if `flags` ask for one: 0, or -EINVAL where the
 * file system does not have O_DIRECT.
 */
int fs_open_direct(struct fs *fs, int fd, uint32_t flags, int *direct_fd);
/* Give it up again: it did not come to a handle. */
void fs_close_direct(struct fs *fs, int *direct_fd);
/* Open a known file for the guest. 0 or -errno; never opens what is no regular file. */
int fs_open_inode(struct fs *fs, const struct fs_caller *caller, struct inode *inode,
		  uint32_t flags, uint64_t *handle);
/*
 * The descriptor that moves data of an open file: with `direct` the one that is
 * O_DIRECT, which is opened now if need be. Borrowed, as long as the handle is.
 */
int fs_data_fd(struct fs *fs, struct handle *open, bool direct);
/* 0 if the inode is a regular file, else what open(2) would say of it. */
int fs_check_regular(const struct inode *inode);

/* op_keep.c */
/* The guest reads through this handle: its cache was emptied when it opened it. */
void fs_keep_from_here(struct fs *fs, struct handle *open);

/* op_xattr.c */
/* Look at the map, once, at fs_new(). */
void fs_xattr_setup(struct fs *fs);
/*
 * The file is about to change: drop the capabilities it has under another name.
 * `fd` is one of its descriptors; `opened`: not an O_PATH one. 0, also where it can have
 * none, or has none; else -errno, and it must not change.
 */
int fs_drop_capability(const struct fs *fs, const struct inode *inode, int fd, bool opened);
/* False when the file of an O_PATH descriptor certainly has no access ACL. */
bool fs_has_acl(int fd);
/* Give a new file its label; `opened` as above. 0, or -errno of setxattr(2) or the map. */
int fs_set_label(const struct fs *fs, int fd, bool opened, const struct fs_label *label);

/* op_dax.c */
/* May this file, with these attributes, go through the window? `begin`: it may be about to be opened. */
bool fs_dax_offered(struct fs *fs, struct inode *inode, const struct statx *stx, bool begin);
/* Of a file's name that was looked up for the guest. */
void fs_dax_looked_up(struct fs *fs, struct fs_entry *entry);
int fs_dax_init(struct fs *fs);
/* Is any of the file mapped, by whichever node? */
bool fs_is_mapped(const struct fs *fs, const struct inode *inode);
/* Tell the watch, if so. 0 or the watch's -errno. */
int fs_watch_cut(struct fs *fs, struct inode *inode, uint64_t size);
int fs_watch_growth(struct fs *fs, struct inode *inode, uint64_t size);
int fs_watch_size(struct fs *fs, struct inode *inode, uint64_t size);
/* Ask the watch: is any of this range mapped writable by the guest? */
bool fs_watch_writable(struct fs *fs, struct inode *inode, uint64_t offset, uint64_t len);

#endif
