/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names to nodes, and giving nodes back.
 *
 * System calls: 1 for a known file or a missing name, 2 for a new file, 3 for
 * one that was guessed wrong. The attributes and the descriptor of an entry are
 * always of one inode: either they were read through the descriptor, or they
 * matched an inode that we hold. Mount points below the share are crossed, and
 * what is mounted when it is entered is mounted then: by who may wait, since
 * another machine may have to say what is there (patience.h).
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/fs/fs_kind.h"
#include "daemon/fs/fs_private.h"

#define STAT_WANTED (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)

/* A name may lead to a mount whose server is not to be asked. A local file system has all at hand. */
static bool takes_cached(const struct inode *dir)
{
	return !patience_is_endless() && !inode_has(dir, INODE_WAITS);
}

int fs_stat_name(const struct fs_at *dir, const char *name, unsigned int mask, struct statx *stx)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;

	if (takes_cached(dir->inode))
		flags |= AT_STATX_DONT_SYNC;
	return statx(dir->fd, name, flags, mask, stx) < 0 ? -errno : 0;
}

static bool crosses(const struct inode *dir, const struct statx *stx)
{
	if (stx->stx_mask & STATX_MNT_ID)
		return (uint32_t)stx->stx_mnt_id != dir->key.mount;
	return stx->stx_dev_major << 20 != (dir->key.device & ~0xfffffu) ||
	       (stx->stx_dev_minor & 0xfffff) != (dir->key.device & 0xfffff);
}

void fs_set_client_device(struct fs *fs, uint32_t device)
{
	__atomic_store_n(&fs->client_device, device, __ATOMIC_RELAXED);
}

/* -ELOOP for what the client has mounted: to answer we would have to ask ourselves. */
static int check_loop(const struct fs *fs, const struct statx *stx)
{
	uint32_t device = __atomic_load_n(&fs->client_device, __ATOMIC_RELAXED);

	if (!device || inode_device(stx) != device)
		return 0;
	log_guest(LOG_LEVEL_WARN, "the share is mounted inside itself: its mount is not entered there");
	return -ELOOP;
}

/* The same of a name, or of the descriptor `at`, by a thread that would ask: without asking. */
static int check_loop_ahead(const struct fs *fs, int at, const char *name)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC | AT_EMPTY_PATH;
	struct statx stx;

	if (!patience_is_endless() || !__atomic_load_n(&fs->client_device, __ATOMIC_RELAXED))
		return 0;
	return statx(at, name, flags, 0, &stx) < 0 ? -errno : check_loop(fs, &stx);
}

/* 0; -ELOOP; or FS_WAITS_OTHERS: what this name leads to is not known to answer. */
static int may_enter(struct fs *fs, const struct inode *dir, const struct statx *stx)
{
	bool trigger = stx->stx_attributes & STATX_ATTR_AUTOMOUNT;
	int err;

	if (!trigger && !crosses(dir, stx))
		return 0;
	err = check_loop(fs, stx);
	if (err)
		return err;
	if (!trigger && inode_table_knows_local(&fs->inodes, stx))
		return 0;
	return patience_ask_mount((uint32_t)stx->stx_mnt_id ^ (uint32_t)(trigger ? stx->stx_ino : 0),
				  stx->stx_dev_major << 20 | (stx->stx_dev_minor & 0xfffff));
}

int fs_entry_complete(struct fs *fs, struct inode *inode, struct fs_entry *entry)
{
	int err = fs_attr_complete(fs, inode, &entry->attr, false);

	entry->node = inode_id(inode);
	entry->generation = 0;
	if (!err && patience_outlived(&fs->session))
		err = -ESTALE;
	if (err)
		fs_forget(fs, entry->node, 1);
	return err;
}

int fs_enter_fd(struct fs *fs, int *fd, struct fs_entry *entry)
{
	cleanup_inode struct inode *inode = NULL;
	int err = fs_stat_fd(*fd, &entry->attr.stx);

	if (!err)
		err = inode_table_add(&fs->inodes, fd, &entry->attr.stx, &inode);
	if (err)
		return err;
	inode_note_use(inode);
	return fs_entry_complete(fs, inode, entry);
}

/*
 * A directory's names tend to be all new or all known, so the last look-ups
 * there say which to expect. A known file that was not expected costs more than
 * a new one that was not, so it takes HABIT_KNOWN new ones in a row to change.
 */
#define HABIT_KNOWN 3

static enum look expect(const struct inode *dir)
{
	return __atomic_load_n(&dir->habit, __ATOMIC_RELAXED) ? LOOK_FIRST : LOOK_LATER;
}

static void note_habit(struct inode *dir, bool was_new)
{
	uint8_t habit = __atomic_load_n(&dir->habit, __ATOMIC_RELAXED), next = HABIT_KNOWN;

	if (was_new)
		next = habit ? habit - 1 : 0;
	if (next != habit)
		__atomic_store_n(&dir->habit, next, __ATOMIC_RELAXED);
}

/*
 * A mount starts at this directory, or what has a device number of its own, as a
 * subvolume does. Or this file is of another file system than its directory: bound
 * there, or seen through a union of several. It stays so as long as it is known.
 */
static bool is_elsewhere(const struct inode *dir, const struct inode *inode)
{
	return inode->key.device != dir->key.device ||
	       (S_ISDIR(inode->type) && inode->key.mount != dir->key.mount);
}

/* One lookup is counted on the inode: what else the entry of a name has. */
static int complete_child(struct fs *fs, const struct fs_at *dir, const char *name, struct inode *inode,
			  bool was_new, struct fs_entry *entry)
{
	bool elsewhere = is_elsewhere(dir->inode, inode);
	int err;

	if (elsewhere)
		inode_set(inode, INODE_ELSEWHERE);
	inode_name_note(inode, dir->inode, name);
	err = fs_entry_complete(fs, inode, entry);
	entry->attr.submount = elsewhere && S_ISDIR(inode->type);
	note_habit(dir->inode, was_new);
	return err;
}

/* An O_PATH descriptor of the child, and its attributes; or -errno. */
static int open_child(struct fs *fs, const struct fs_at *dir, const char *name, struct statx *stx)
{
	cleanup_close int fd = safe_open_child(&fs->open, dir->fd, name);
	int err = fd < 0 ? fd : check_loop_ahead(fs, fd, "");

	if (!err)
		err = fs_stat_fd_cached(fd, takes_cached(dir->inode), stx);
	return err < 0 ? err : take_fd(&fd);
}

/* Is it a directory on which something is mounted when it is entered? Asked by who may wait. */
static bool is_trigger(const struct inode *dir, int fd, const struct statx *stx)
{
	if (!S_ISDIR(stx->stx_mode))
		return false;
	if (stx->stx_attributes & STATX_ATTR_AUTOMOUNT)
		return true;
	if (!crosses(dir, stx) && !(inode_fs_kind(dir) & FS_KIND_AUTOMOUNTS))
		return false;
	return fs_kind(fd) & FS_KIND_AUTOMOUNTS;
}

/* Enter a trigger once. Where nothing can be mounted it stays the directory that it is. */
static int pull_trigger(struct fs *fs, const struct fs_at *dir, const char *name, int *fd,
			struct statx *stx)
{
	int again = safe_open_directory(&fs->open, dir->fd, name);

	close_fd(&again);
	again = open_child(fs, dir, name, stx);
	if (again < 0)
		return again;
	close_fd(fd);
	*fd = again;
	return 0;
}

int fs_lookup_child(struct fs *fs, const struct fs_at *dir, const char *name, enum look look,
		    struct fs_entry *entry)
{
	struct statx *stx = &entry->attr.stx;
	cleanup_inode struct inode *inode = NULL;
	cleanup_close int fd = -1;
	int err;

	if (look == LOOK_BY_HABIT)
		look = expect(dir->inode);
	if (look == LOOK_FIRST) {
		err = check_loop_ahead(fs, dir->fd, name);
		if (!err)
			err = fs_stat_name(dir, name, STAT_WANTED, stx);
		if (!err)
			err = may_enter(fs, dir->inode, stx);
		if (err)
			return err;
		if (!(stx->stx_attributes & STATX_ATTR_AUTOMOUNT))
			inode = inode_table_find(&fs->inodes, stx);
		if (inode)
			return complete_child(fs, dir, name, inode, false, entry);
	}
	/* The name may lead elsewhere by now: nothing of the first look is kept. */
	fd = open_child(fs, dir, name, stx);
	if (fd < 0)
		return fd;
	err = may_enter(fs, dir->inode, stx);
	if (!err && patience_is_endless() && is_trigger(dir->inode, fd, stx))
		err = pull_trigger(fs, dir, name, &fd, stx);
	if (!err)
		err = inode_table_add(&fs->inodes, &fd, stx, &inode);
	return err ? err : complete_child(fs, dir, name, inode, fd < 0, entry);
}

/* Listings do not come by here: a walk through a tree must not let go of what other threads are about to open. */
static void note_use(struct fs *fs, uint64_t node)
{
	cleanup_inode struct inode *inode = inode_table_get(&fs->inodes, node);

	if (inode)
		inode_note_use(inode);
}

int fs_lookup(struct fs *fs, uint64_t parent, const char *name, struct fs_entry *entry)
{
	cleanup_fs_at struct fs_at dir = FS_AT_NONE;
	int err;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	err = fs_at_get(fs, parent, &dir);
	if (!err)
		err = fs_lookup_child(fs, &dir, name, LOOK_BY_HABIT, entry);
	if (!err) {
		note_use(fs, entry->node);
		fs_dax_looked_up(fs, entry);
	}
	return err;
}

void fs_forget(struct fs *fs, uint64_t node, uint64_t n)
{
	inode_table_forget(&fs->inodes, node, n);
}
