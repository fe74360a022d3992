/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making things: files, directories, nodes, links.
 *
 * What is made belongs to the caller (creds.h), and has the label that came with
 * the request, or is removed again: for a moment it is there without. A file is entered through the
 * descriptor that made it, never by its name again. The calls that return no
 * descriptor (mkdir, mknod, symlink) are followed by a lookup of the name: if
 * somebody on the host swaps it in between, the guest gets an entry of what is
 * there now, or -ENOENT if that is of another type. A label is given only to what
 * can be what was made, and nothing is removed that is not.
 *
 * System calls: create 3, mkdir, mknod and symlink 3, link 2, and those that
 * switch to another caller than the last.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/fs/fs_private.h"
#include "daemon/fs/thread_fs.h"

/* A name may vanish between "exists" and its lookup; not for ever, though. */
#define CREATE_TRIES 8

/*
 * An ordinary user's new file in a directory of a foreign group must not be
 * set-gid for that group: the kernel sees to it when CAP_FSETID is away, and the
 * group is none of the thread's. And only the kernel knows whether the umask or
 * a default ACL counts; so it gets both, on a thread that has its own umask.
 */
static int become_maker(const struct fs *fs, const struct fs_caller *caller,
			const struct fs_at *dir, uint32_t mode, struct creds *as)
{
	struct creds_wanted wanted = {
		.use = CREDS_MAKE, .uid = caller->uid, .gid = caller->gid,
		.n_groups = caller->n_groups, .groups = caller->groups,
		.remote = fs_is_remote(fs, dir->inode),
	};
	int err = caller->umask ? thread_fs_enter() : 0;

	if (err)
		return err;
	thread_fs_umask(caller->umask & 0777);
	if (mode & S_ISGID)
		wanted.setid = caller->uid == 0 ? CREDS_SETID_KEEP : CREDS_SETID_LOSE;
	return creds_take(as, &wanted);
}

/* The name leads to the descriptor's file: nobody on the host has put another in its place. */
static bool is_named(int fd, const struct fs_at *dir, const char *name)
{
	struct statx ours, there;
	struct inode_key a, b;

	if (fs_stat_fd(fd, &ours) || fs_stat_name(dir, name, STATX_INO | STATX_MNT_ID, &there))
		return false;
	a = inode_table_key(&ours);
	b = inode_table_key(&there);
	return a.ino == b.ino && a.device == b.device && a.mount == b.mount;
}

/* A file without the label it was to have must not stay. `fd`: as for fs_set_label(). */
static int label_new(const struct fs *fs, const struct fs_caller *caller, int fd, bool opened,
		     const struct fs_at *dir, const char *name, int remove_flags)
{
	int err = caller->label.name ? fs_set_label(fs, fd, opened, &caller->label) : 0;

	if (err && name && is_named(fd, dir, name))
		unlinkat(dir->fd, name, remove_flags);
	return err;
}

/* Enter the file of a descriptor that was opened for I/O; it stays the caller's. */
static int enter_opened(struct fs *fs, int fd, struct fs_entry *entry)
{
	cleanup_close int path_fd = safe_open_again(&fs->open, fd, O_PATH);

	if (path_fd < 0)
		return path_fd;
	return fs_enter_fd(fs, &path_fd, entry);
}

/* Enter a new file and make its handle; both descriptors are taken on success only. */
static int enter_handle(struct fs *fs, struct handle_parts *parts, struct fs_entry *entry,
			uint64_t *handle)
{
	cleanup_inode struct inode *inode = NULL;
	int err = enter_opened(fs, parts->fd, entry);

	if (err)
		return err;
	err = fs_node_get(fs, entry->node, &inode);
	if (!err) {
		parts->inode = inode;
		err = fs_handle_add(fs, parts, handle);
	}
	if (err)
		fs_forget(fs, entry->node, 1);
	return err;
}

/* The same of one that the guest opened with `flags`; `fd` is taken on success only. */
static int enter_created(struct fs *fs, const struct fs_caller *caller, int *fd, uint32_t flags,
			 bool append, struct fs_entry *entry, uint64_t *handle)
{
	int direct_fd, err = fs_open_direct(fs, *fd, flags, &direct_fd);
	struct handle_parts parts = {
		.fd = *fd, .direct_fd = &direct_fd, .append = append,
		.uid = caller->uid, .gid = caller->gid,
	};

	if (err)
		return err;
	err = enter_handle(fs, &parts, entry, handle);
	if (err)
		fs_close_direct(fs, &direct_fd);
	else
		take_fd(fd);
	return err;
}

static int create_new(struct fs *fs, const struct fs_caller *caller, const struct fs_at *dir,
		      const char *name, uint32_t flags, uint32_t mode, struct fs_entry *entry,
		      uint64_t *handle)
{
	cleanup_creds struct creds as = CREDS_NONE;
	cleanup_close int fd = -1;
	bool append = false;
	int err, host_flags = fs_open_flags(fs, flags, &append);

	if (host_flags < 0)
		return host_flags;
	err = become_maker(fs, caller, dir, mode, &as);
	if (err)
		return err;
	fd = safe_open_new(dir->fd, name, host_flags & ~O_TRUNC, mode & 07777);
	creds_give(&as);
	if (fd < 0)
		return fd;
	err = label_new(fs, caller, fd, true, dir, name, 0);
	return err ? err : enter_created(fs, caller, &fd, flags, append, entry, handle);
}

/* What open(2) wants of a file that is there. */
static uint32_t wanted_bits(uint32_t flags)
{
	static const uint32_t bits[] = { R_OK, W_OK, R_OK | W_OK, R_OK | W_OK };

	return bits[flags & O_ACCMODE] | (flags & O_TRUNC ? W_OK : 0);
}

/*
 * Would the guest's kernel certainly let the caller open this file? The owner's
 * bits say it of the owner; where all three kinds of bits and no ACL stand in
 * the way, of anybody, but for a cut: in a sticky directory that is not all it
 * asks. Root of the guest need not have all of root's rights there; only where
 * owners say nothing, because all that is made belongs to one user, it is believed.
 */
static bool surely_may(const struct fs_caller *caller, int fd, const struct statx *stx,
		       uint32_t flags)
{
	uint32_t owner = stx->stx_mode >> 6, all = owner & stx->stx_mode >> 3 & stx->stx_mode;
	uint32_t wanted = wanted_bits(flags);

	if (caller->uid == stx->stx_uid && !caller->shares_uid)
		return !(wanted & ~owner);
	if (caller->uid == 0 && !creds_follow_callers())
		return true;
	return !(flags & O_TRUNC) && !(wanted & ~all) && !fs_has_acl(fd);
}

/* Open the file of an entry, which is the caller's to forget when that fails. */
static int open_existing(struct fs *fs, const struct fs_caller *caller, uint32_t flags,
			 struct fs_entry *entry, uint64_t *handle)
{
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	int err = fs_at_get(fs, entry->node, &at);

	if (err)
		return err;
	if (!S_ISREG(at.inode->type) || !surely_may(caller, at.fd, &entry->attr.stx, flags))
		return -ESTALE;
	err = fs_open_inode(fs, caller, at.inode, flags, handle);
	if (!err && (flags & O_TRUNC)) {
		err = fs_getattr(fs, entry->node, *handle, &entry->attr);
		if (err)
			fs_release(fs, *handle);
	}
	return err;
}

/*
 * CREATE of a name that is taken, without O_EXCL: the guest's kernel believed it
 * missing, so nobody has asked what it is, and whether this caller may have it.
 * Where the answer is not certain it is -ESTALE, at which Linux looks the name up
 * and asks by itself. It does so once: a program that makes and removes its own
 * file in a race with others would hear of it, were it the answer to each.
 */
static int create_existing(struct fs *fs, const struct fs_caller *caller, const struct fs_at *dir,
			   const char *name, uint32_t flags, struct fs_entry *entry, uint64_t *handle)
{
	int err = fs_lookup_child(fs, dir, name, LOOK_FIRST, entry);

	if (err)
		return err;
	err = open_existing(fs, caller, flags, entry, handle);
	if (err)
		fs_forget(fs, entry->node, 1);
	return err;
}

static bool is_taken(const struct fs_at *dir, const char *name)
{
	struct statx stx;

	return !fs_stat_name(dir, name, 0, &stx);
}

int fs_create(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	      uint32_t flags, uint32_t mode, struct fs_entry *entry, uint64_t *handle)
{
	cleanup_fs_at struct fs_at dir = FS_AT_NONE;
	int err = fs_at_get(fs, parent, &dir);

	if (!err)
		err = fs_check_makes(fs);
	/* A file that is there is not made: on a read-only mount, too, it can be opened. */
	if (err == -EROFS && is_taken(&dir, name))
		return flags & O_EXCL ? -EEXIST : -ESTALE;
	if (err)
		return err;
	for (int i = 0; i < CREATE_TRIES; i++) {
		err = create_new(fs, caller, &dir, name, flags, mode, entry, handle);
		if (err != -EEXIST || (flags & O_EXCL))
			return err;
		err = create_existing(fs, caller, &dir, name, flags, entry, handle);
		if (err != -ENOENT)
			return err;
	}
	return err;
}

int fs_tmpfile(struct fs *fs, const struct fs_caller *caller, uint64_t parent,
	       uint32_t flags, uint32_t mode, struct fs_entry *entry, uint64_t *handle)
{
	cleanup_creds struct creds as = CREDS_NONE;
	cleanup_fs_at struct fs_at dir = FS_AT_NONE;
	cleanup_close int fd = -1;
	bool append = false;
	int host_flags, err = fs_check_makes(fs);

	if (!err)
		err = fs_at_get(fs, parent, &dir);
	if (err)
		return err;
	if (!S_ISDIR(dir.inode->type))
		return -ENOTDIR;
	host_flags = fs_open_flags(fs, flags, &append);
	if (host_flags < 0)
		return host_flags;
	host_flags = (host_flags & ~O_TRUNC) | (int)(flags & O_EXCL);
	err = become_maker(fs, caller, &dir, mode, &as);
	if (err)
		return err;
	fd = safe_open_unnamed(dir.fd, host_flags, mode & 07777);
	creds_give(&as);
	if (fd < 0)
		return fd;
	err = label_new(fs, caller, fd, true, &dir, NULL, 0);
	return err ? err : enter_created(fs, caller, &fd, flags, append, entry, handle);
}

/* No birth of what is made from here on is before this; another machine has its own clock. */
static int64_t birth_from(const struct fs *fs, const struct fs_at *dir)
{
	return fs_is_remote(fs, dir->inode) ? INT64_MIN : time(NULL) - 1;
}

/* Can what is found under a name be what was made there at `since` or later? */
static bool may_be_made(const struct fs_caller *caller, const struct statx *stx, mode_t type,
			int64_t since)
{
	if ((stx->stx_mode & S_IFMT) != type)
		return false;
	/* A label is for what the guest made, not for what somebody has put in its place. */
	if (!caller->label.name)
		return true;
	if (creds_follow_callers() && stx->stx_uid != caller->uid)
		return false;
	return !(stx->stx_mask & STATX_BTIME) || stx->stx_btime.tv_sec >= since;
}

/*
 * The entry of a name that we just made, labelled. Somebody else's new file under it,
 * as far as that can be told, means that ours was removed since.
 */
static int enter_made(struct fs *fs, const struct fs_caller *caller, const struct fs_at *dir,
		      const char *name, mode_t type, int64_t since, struct fs_entry *entry)
{
	cleanup_fs_at struct fs_at made = FS_AT_NONE;
	int err = fs_lookup_child(fs, dir, name, LOOK_LATER, entry);

	if (err)
		return err;
	if (!may_be_made(caller, &entry->attr.stx, type, since))
		err = -ENOENT;
	else if (caller->label.name)
		err = fs_at_get(fs, entry->node, &made);
	if (!err && caller->label.name)
		err = label_new(fs, caller, made.fd, false, dir, name,
				type == S_IFDIR ? AT_REMOVEDIR : 0);
	if (err)
		fs_forget(fs, entry->node, 1);
	return err;
}

/*
 * The making half of MKNOD. A regular file is made by open(2), and *fd is left
 * open, so that it can be entered by descriptor. 0 or -errno.
 */
static int make_node(const struct fs_at *dir, const char *name, uint32_t mode, uint32_t rdev,
		     int *fd)
{
	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
		*fd = safe_open_new(dir->fd, name, O_RDONLY, mode & 07777);
		return *fd < 0 ? *fd : 0;
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		/* The wire's device number is the kernel's 32-bit form: dev_t's low half. */
		return mknodat(dir->fd, name, mode & (S_IFMT | 07777), rdev) < 0 ? -errno : 0;
	default:
		return -EINVAL;
	}
}

int fs_mknod(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	     uint32_t mode, uint32_t rdev, struct fs_entry *entry)
{
	cleanup_creds struct creds as = CREDS_NONE;
	cleanup_fs_at struct fs_at dir = FS_AT_NONE;
	cleanup_close int fd = -1;
	int64_t since;
	int err = fs_check_makes(fs);

	if (!err)
		err = fs_at_get(fs, parent, &dir);
	if (!err)
		err = become_maker(fs, caller, &dir, mode, &as);
	if (err)
		return err;
	since = birth_from(fs, &dir);
	err = make_node(&dir, name, mode, rdev, &fd);
	creds_give(&as);
	if (err)
		return err;
	if (fd < 0)
		return enter_made(fs, caller, &dir, name, mode & S_IFMT, since, entry);
	err = label_new(fs, caller, fd, true, &dir, name, 0);
	return err ? err : enter_opened(fs, fd, entry);
}

int fs_mkdir(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	     uint32_t mode, struct fs_entry *entry)
{
	cleanup_creds struct creds as = CREDS_NONE;
	cleanup_fs_at struct fs_at dir = FS_AT_NONE;
	int64_t since;
	int err = fs_check_makes(fs);

	if (!err)
		err = fs_at_get(fs, parent, &dir);
	if (!err)
		err = become_maker(fs, caller, &dir, 0, &as);	/* mkdir(2) takes no set-gid bit from anybody */
	if (err)
		return err;
	since = birth_from(fs, &dir);
	if (mkdirat(dir.fd, name, mode & 07777) < 0)
		err = -errno;
	creds_give(&as);
	return err ? err : enter_made(fs, caller, &dir, name, S_IFDIR, since, entry);
}

int fs_symlink(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	       const char *target, struct fs_entry *entry)
{
	cleanup_creds struct creds as = CREDS_NONE;
	cleanup_fs_at struct fs_at dir = FS_AT_NONE;
	int64_t since;
	int err = fs_check_makes(fs);

	if (!err)
		err = fs_at_get(fs, parent, &dir);
	if (!err)
		err = become_maker(fs, caller, &dir, 0, &as);
	if (err)
		return err;
	since = birth_from(fs, &dir);
	if (symlinkat(target, dir.fd, name) < 0)
		err = -errno;
	creds_give(&as);
	return err ? err : enter_made(fs, caller, &dir, name, S_IFLNK, since, entry);
}

int fs_link(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint64_t parent,
	    const char *name, struct fs_entry *entry)
{
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	cleanup_creds struct creds as = CREDS_NONE;
	cleanup_fs_at struct fs_at dir = FS_AT_NONE;
	struct fd_name from;
	int err = fs_check_writable(fs);

	if (!err)
		err = fs_at_get(fs, node, &at);
	if (!err)
		err = fs_at_get(fs, parent, &dir);
	if (!err)
		err = fs_act_as(fs, dir.inode, caller, CREDS_SETID_ANY, &as);
	if (err)
		return err;
	from = safe_open_name(at.fd);
	/* Through /proc, the link that is followed is ours: no right to link by descriptor is needed. */
	if (linkat(fs->open.proc_fd, from.text, dir.fd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	err = fs_stat_fd(at.fd, &entry->attr.stx);
	if (!err && !inode_table_count(&fs->inodes, at.inode))
		err = -ESTALE;	/* linked, and forgotten beside it: the guest's own race */
	return err ? err : fs_entry_complete(fs, at.inode, entry);
}
