/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * The file system between the kernel's VFS and the daemon's FUSE: inodes by
 * nodeid, open files by handle, and which of the VFS's operations is where.
 */
#ifndef CASEMENT_KMOD_FS_H
#define CASEMENT_KMOD_FS_H

#include <linux/fs.h>
#include <linux/fuse.h>

#include "compat.h"
#include "session.h"

struct cs_inode {
	struct inode vfs;
	u64 nodeid;			/* [I] the daemon's name of it */
	u64 generation;			/* [I] with nodeid, of one inode for ever */
	spinlock_t lock;
	u64 nlookup;			/* [L:lock] look-ups we owe a FORGET */
	u64 attr_expires;		/* [A] jiffies64 until which the attributes hold; 0: ask */
	u64 mode_expires;		/* [A] the same of mode, owner and group alone */
	atomic64_t changed;		/* [A] session->changes at our last change of it */
	u64 asked;			/* [L:vfs.i_lock] snapshot of the answer that was taken over last */
	u64 told;			/* [L:vfs.i_lock] session->changes when that was, or when one was not for `resizing` */
	bool resizing;			/* [L:vfs.i_lock] the daemon is being told a size: no reply knows it */
	atomic_t n_direct;		/* [A] direct writes under way, and changes whose caller was killed: change.c */
	bool mtime_is_ours;		/* [A] we wrote: the next new mtime is of that */
	u64 written;			/* [L:vfs.i_lock] number of the last write that went to the page cache only */
	u64 sent;			/* [L:vfs.i_lock] number of the last of them whose folios were all sent */
	bool has_birth, no_birth;	/* [A] birth is known; it is known that there is none */
	struct timespec64 birth;	/* [I] once has_birth */
	struct list_head writers;	/* [L:lock] open files that may write */
	struct cs_dir_foresight names;	/* of a directory */
	bool was_read;			/* [A] a directory, since its access time was asked for */
	unsigned int opens;		/* [L:vfs.i_rwsem] open files, counted where there is a window */
	u64 last_open;			/* [L:vfs.i_rwsem] window->opens at the last one that decided */
	struct cs_dax *dax;		/* [L:vfs.i_rwsem] set once; what it has of the window, or NULL */
	bool dax_offered;		/* [A] the daemon lets it be mapped */
	bool stored;			/* [A] through the window: the daemon has new times */
};

/* An open file or directory. Requests under way hold it: the handle is released after them. */
struct cs_file {
	refcount_t refs;		/* [A] */
	struct cs_session *session;	/* [I] held by `release` */
	u64 fh;				/* [I] */
	u32 flags;			/* [I] FOPEN_* */
	bool flocked;			/* [A] the daemon was asked for a flock(2) lock */
	struct list_head link;		/* [L:inode->lock] in writers, or empty */
	struct cs_request *release;	/* [I] made in advance: the last put may be in an interrupt */
	struct inode *held;		/* [I] once it is closed: held for requests under way, or NULL */
	struct list_head held_link;	/* [L:session->left_lock] in its held, or empty */
	struct work_struct work;
};

#define CS_NAME_MAX 255

static inline struct cs_inode *cs_inode(const struct inode *inode)
{
	return container_of(inode, struct cs_inode, vfs);
}

static inline struct cs_session *cs_session(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline u64 cs_nodeid(const struct inode *inode)
{
	return cs_inode(inode)->nodeid;
}

/* A request about an inode. */
static inline struct cs_request *cs_inode_request(struct inode *inode, u32 opcode, u32 in_len, u32 out_len)
{
	return cs_session_request(cs_session(inode->i_sb), opcode, cs_nodeid(inode), in_len, out_len);
}

static inline int cs_inode_run(struct inode *inode, struct cs_request *request)
{
	return cs_session_run(cs_session(inode->i_sb), request);
}

/* ---- inode.c ---- */

int cs_inodes_start(void);
void cs_inodes_stop(void);
struct inode *cs_inode_alloc(struct super_block *sb);
void cs_inode_free(struct inode *inode);
void cs_inode_evict(struct inode *inode);

/*
 * The inode of an entry that the daemon gave us, one look-up more on it; an error pointer
 * after giving the look-up back. `snapshot`: cs_attr_snapshot() before the request.
 */
struct inode *cs_inode_get(struct super_block *sb, const struct fuse_entry_out *entry, u64 snapshot);

/* The inode by its two numbers, held, if it is in the cache; or NULL. */
struct inode *cs_inode_find(struct super_block *sb, u64 nodeid, u64 generation);

/* The root, whose attributes are asked for. */
struct inode *cs_inode_get_root(struct super_block *sb);

/* An entry that names `inode`: count it. False, nothing done, when it names another. */
bool cs_inode_count(struct inode *inode, const struct fuse_entry_out *entry);

/* ---- attr.c ---- */

/* Taken before each request whose reply has attributes; by it the reply is known to be older than a change of ours, or than a later request. */
u64 cs_attr_snapshot(struct super_block *sb);

/*
 * Take over attributes. What is cached of the file's contents goes when others changed it.
 * No folio lock held. `valid`: jiffies64 until which they hold.
 */
void cs_attr_apply(struct inode *inode, const struct fuse_attr *attr, u64 expires, u64 snapshot);

/* The same for a new inode, without a look at what was. */
void cs_attr_first(struct inode *inode, const struct fuse_attr *attr, u64 expires, u64 snapshot);

/* It leaves the cache: what was asked for before its last change is not believed of it when it comes back. */
void cs_attr_evicted(struct inode *inode);

/* jiffies64 when the daemon's time, in seconds and nanoseconds from now, is over; 0 for none. */
u64 cs_attr_expiry(struct super_block *sb, u64 seconds, u32 nanoseconds);

/* Attributes have to be asked for. */
void cs_attr_expire(struct inode *inode);

/* We changed it: attributes asked for before are of no use. */
void cs_attr_changed(struct inode *inode);

/* We changed it after that snapshot. */
static inline bool cs_attr_changed_since(const struct inode *inode, u64 snapshot)
{
	return atomic64_read(&cs_inode(inode)->changed) > snapshot;
}

/* We wrote up to `end`: the file is that long at least, and the next new mtime is ours. */
void cs_attr_wrote(struct inode *inode, loff_t end);

/*
 * The reply to a change of ours came, for which `snapshot` was taken before. i_lock held. The snapshot for the
 * attributes in it; 0 if others were told, or were changed by us, since: theirs may be the newer ones.
 */
u64 cs_attr_answered(struct inode *inode, u64 snapshot);

/* The reply to a WRITE came, whoever waits for it. Any context. */
void cs_attr_written(struct inode *inode);

/* We wrote up to `end`, but into the page cache only: the file is that long, whatever the daemon says. */
void cs_attr_unsent(struct inode *inode, loff_t end);

/* All was sent of those writes up to that number. */
void cs_attr_sent(struct inode *inode, u64 written);

/* The daemon lacks some of them, as far as is known. */
static inline bool cs_attr_is_unsent(const struct inode *inode)
{
	return READ_ONCE(cs_inode(inode)->written) != READ_ONCE(cs_inode(inode)->sent);
}

/*
 * The daemon says that the file ends there, earlier than we think: so it does, unless we changed it
 * since that snapshot.
 */
void cs_attr_ends(struct inode *inode, loff_t end, u64 snapshot);

/* They have not expired; mode, owner and group have not. */
bool cs_attr_is_fresh(const struct inode *inode);
bool cs_attr_mode_is_fresh(const struct inode *inode);

/* Ask for them if they have expired, or if `always`. */
int cs_attr_refresh(struct inode *inode, bool always);

/* Send a GETATTR or SETATTR and put it: 0 with attributes that may be those of the inode, or -errno. */
int cs_attr_run(struct inode *inode, struct cs_request *request, struct fuse_attr_out *out);

/* Take them over; see cs_attr_apply(). */
void cs_attr_apply_reply(struct inode *inode, const struct fuse_attr_out *out, u64 snapshot);

int cs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask);
int cs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask,
	       unsigned int flags);

/* ---- setattr.c: the inode operation ---- */

int cs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr);

/* ---- dentry.c ---- */

extern const struct dentry_operations cs_dentry_operations;

/*
 * Set until when the dentry may be believed. `snapshot`: of before the request. A reply that was under way while we
 * changed the directory may be older than that, and is not believed at all.
 */
void cs_dentry_valid(struct inode *dir, struct dentry *dentry, const struct fuse_entry_out *entry, u64 snapshot);
bool cs_dentry_is_fresh(const struct dentry *dentry);

/* It is to be asked for when it is next used. */
void cs_dentry_expire(struct dentry *dentry);

/* LOOKUP: 0 with *entry (nodeid 0: there is none), or -errno. */
int cs_dentry_ask(struct inode *dir, const struct qstr *name, struct fuse_entry_out *entry);

/* Give back one look-up of an entry that is not kept. */
void cs_entry_forget(struct super_block *sb, const struct fuse_entry_out *entry);

/* undo() of requests whose result begins with an entry. */
void cs_entry_undo(struct cs_request *request);

/* ---- super.c, submount.c ---- */

/* Of a super block with a session in s_fs_info. */
int cs_super_fill(struct super_block *sb);
void cs_super_kill(struct super_block *sb);

/* The dentry operation. */
struct vfsmount *cs_automount(struct path *path);

/* ---- namei.c, dir.c, file.c, mapped.c, read.c, write.c, write_back.c, direct.c, range.c, lock.c, xattr.c ---- */

extern const struct inode_operations cs_dir_inode_operations;
extern const struct inode_operations cs_symlink_inode_operations;
extern const struct inode_operations cs_file_inode_operations;
extern const struct file_operations cs_dir_operations;
extern const struct file_operations cs_file_operations;
extern const struct address_space_operations cs_file_aops;
extern const struct xattr_handler *const cs_xattr_handlers[];
extern const struct export_operations cs_export_operations;

/* The directory's names can be had by one request without a handle, as far as is known. */
bool cs_dir_is_listed(struct inode *dir);

/* A name that is being looked up, and what is said of it in a sweep. */
struct cs_wanted {
	const struct qstr *name;
	bool found;			/* the rest is known, and a look-up is the caller's */
	struct fuse_entry_out entry;
	u64 snapshot;
};

/*
 * A name is, or was just, asked for in the directory, which is locked. When more will probably be
 * asked for, the directory, or as much of a large one as a few replies hold, is read into the dentry
 * cache; but the one that is `wanted`, if not NULL, goes there.
 */
void cs_dir_sweep(struct dentry *dentry, struct cs_wanted *wanted);

/* The same for who has a name of it in look-up, before asking for that. False: not now. */
bool cs_dir_sweep_for(struct dentry *dentry, struct cs_wanted *wanted);

struct dentry *cs_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags);
ssize_t cs_listxattr(struct dentry *dentry, char *buffer, size_t size);

/* GETXATTR and (without a name) LISTXATTR: the size, alone when `size` is 0; or -errno. */
ssize_t cs_xattr_ask(struct inode *inode, u32 opcode, const char *name, void *buffer, size_t size);

/* SETXATTR, or REMOVEXATTR without a value. `flags` of setxattr(2), `more_flags` FUSE_SETXATTR_*. */
int cs_xattr_put(struct mnt_idmap *idmap, struct inode *inode, const char *name, const void *value, size_t size,
		 int flags, u32 more_flags);

/* The inode operations of file flags. */
int cs_fileattr_get(struct dentry *dentry, struct fileattr *attr);
int cs_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct fileattr *attr);

/* The file operation. */
long cs_ioctl(struct file *file, unsigned int command, unsigned long arg);

/* The inode operations; the caller of cs_get_acl() owns the ACL. */
struct posix_acl *cs_get_acl(struct inode *inode, int type, bool rcu);
int cs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type);

/* An open file without a handle yet; NULL without memory. `release`: FUSE_RELEASE or RELEASEDIR. */
struct cs_file *cs_file_new(struct inode *inode, u32 release, u32 open_flags);
void cs_file_get(struct cs_file *file);
void cs_file_put(struct cs_file *file);	/* any context; the last one sends RELEASE */
void cs_file_drop(struct cs_file *file);	/* it never got a handle */

/* It has its handle: private_data of `file` from now on. */
void cs_file_attach(struct cs_file *open, struct inode *inode, struct file *file,
		    const struct fuse_open_out *out);

/* The undoing of that, for a `file` whose release() will not be called. */
void cs_file_detach(struct inode *inode, struct file *file);

/* OPEN or OPENDIR for reading, without a file, for ourselves; or an error pointer. */
struct cs_file *cs_file_open_own(struct inode *inode);

/* OPEN. */
int cs_file_open(struct inode *inode, struct file *file);

/* One that may write, held, or NULL. */
struct cs_file *cs_file_writer(struct inode *inode);

/* The flags of open(2) that the daemon is told. */
static inline u32 cs_open_flags(const struct file *file)
{
	return file->f_flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC);
}

int cs_read_folio(struct file *file, struct folio *folio);
void cs_readahead(struct readahead_control *control);
int cs_writepages(struct address_space *mapping, struct writeback_control *wbc);
/* Through the page cache, or into it. */
ssize_t cs_write_cached(struct kiocb *iocb, struct iov_iter *from);
/* The folio at `pos`, or a new one that is as long as `len` if it can be: locked and held; or an error pointer. */
struct folio *cs_folio_to_write(struct address_space *mapping, loff_t pos, size_t len);
int cs_write_begin(cs_writer *writer, struct address_space *mapping, loff_t pos, unsigned int len,
		   struct folio **found, void **unused);
int cs_write_end(cs_writer *writer, struct address_space *mapping, loff_t pos, unsigned int len,
		 unsigned int copied, struct folio *folio, void *unused);

/*
 * Send the dirty folios of the range, from `start` to `end` itself, and wait until the daemon has answered:
 * 0; -errno of the sending; or -EINTR when the caller was killed, or has ended its files for too long. Errors
 * of those that were sent are the mapping's.
 */
int cs_write_and_wait(struct address_space *mapping, loff_t start, loff_t end);

/* Send all dirty folios and wait until the daemon has them: 0, or -errno, -EINTR as above. */
int cs_write_out(struct inode *inode);

/*
 * The same before the daemon reads the range: all, or else just the range where nothing is unsent.
 * Without the rest the file would end too early for it.
 */
int cs_write_out_range(struct inode *inode, loff_t start, loff_t end);

/*
 * The same of the range, from `start` to `end` itself, and of direct writes; then nothing of it is
 * cached. The invalidate lock is held: until it is let go of nothing of it is cached or written again.
 */
int cs_pages_away(struct inode *inode, loff_t start, loff_t end);

/* ---- change.c ---- */

/*
 * By the maker of a request of a session, which is waited for: the daemon changes that inode, up to CS_CHANGES, or
 * those bytes of its contents. If the caller is killed, what is known of them is forgotten when the request has ended.
 */
void cs_change(struct cs_request *request, struct inode *inode);
void cs_change_range(struct cs_request *request, struct inode *inode, loff_t start, loff_t len);

/* One of n_direct has ended. Any context; the inode may go with it unless it is held. */
void cs_change_ended(struct inode *inode);

/* The file is being closed with requests under way: they hold its inode until the last put. */
void cs_change_hold(struct cs_file *file, struct inode *inode);

/* That last put, of one with a held inode. Any context. */
void cs_change_closed(struct cs_file *file);

/* A name of the directory may be changed at any time by a request whose caller was killed. */
static inline bool cs_change_is_due(const struct inode *dir)
{
	return atomic_read(&cs_inode(dir)->n_direct);
}

/* No inode of the super block is held for any of those any more. */
void cs_change_unmount(struct super_block *sb);

/* ---- drop.c: each waits for folios that are being read. 0, or -EINTR when the caller was killed ---- */

/*
 * What is cached of the range, from `start` to `end` itself, is read again when it is wanted, but for what
 * is dirty, or a device transfers to. No folio lock held.
 */
int cs_pages_drop(struct inode *inode, loff_t start, loff_t end);

/*
 * After that, of the whole file: pages that stay since another page of their large folio is dirty. It is sent first,
 * as the file's size is now: 0, or -EINTR as by cs_write_and_wait().
 */
int cs_pages_drop_beside(struct inode *inode);

/* Nothing is cached past the file's end: whole folios go, dirty or not, and the rest of one is zeros. */
int cs_pages_cut(struct inode *inode);

/* The file is to be made longer by what begins at `start`: nothing that is cached past its end comes to light. */
int cs_pages_end(struct inode *inode, loff_t start);

/* The file operation, by the page cache. */
int cs_mmap(struct file *file, struct vm_area_struct *vma);
vm_fault_t cs_page_mkwrite(struct vm_fault *vmf);

ssize_t cs_direct_read(struct kiocb *iocb, struct iov_iter *to);
ssize_t cs_direct_write(struct kiocb *iocb, struct iov_iter *from);

/* Until nothing of n_direct is under way: 0, or -EINTR after a kill. */
int cs_direct_wait(struct inode *inode);

/* By requests that are waited for, past what is cached here. */
ssize_t cs_direct_move(struct kiocb *iocb, struct iov_iter *iter, bool write);

loff_t cs_llseek(struct file *file, loff_t offset, int whence);
long cs_fallocate(struct file *file, int mode, loff_t offset, loff_t len);
ssize_t cs_copy_file_range(struct file *from, loff_t from_at, struct file *to, loff_t to_at, size_t len,
			   unsigned int flags);

int cs_lock(struct file *file, int cmd, struct file_lock *lock);
int cs_flock(struct file *file, int cmd, struct file_lock *lock);

/* What the daemon knows an owner of locks by. */
u64 cs_lock_owner(const struct cs_session *session, fl_owner_t owner);

/* Fill in a WRITE request's arguments. Its data is added by the caller. */
void cs_write_args(struct cs_request *request, const struct cs_file *file, loff_t pos, u32 len, u32 flags);

/* A WRITE without arguments and data yet, which puts its data's folios at its end. NULL without memory. */
struct cs_request *cs_write_new(struct inode *inode, u32 max, gfp_t gfp);

/* The same without memory: one from the reserve, of CS_RESERVED_DATA entries, which is waited for. */
struct cs_request *cs_write_reserved(struct inode *inode);

/* What its reply says was written; 0 for more than there was. */
u32 cs_write_done(struct cs_request *request);

/*
 * Tell open(2)'s flags of now with it: fcntl(2) may have changed them, and pwritev2(2) has its own word
 * for O_APPEND.
 */
void cs_write_flags(struct cs_request *request, const struct kiocb *iocb);

#endif
