/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names to nodes, and giving nodes back.
 *
 * System calls: 1 for a known file or a missing name, 2 for a new file, 3 for
 * one that was guessed wrong. The attributes and the descriptor of an entry are
 * always of one inode: either they were read through the descriptor, or they
 * matched an inode that we hold. Mount points below the share are crossed.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "daemon/fs/fs_private.h"

#define STAT_WANTED (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)

static int stat_child(int parent_fd, const char *name, struct statx *stx)
{
	if (statx(parent_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STAT_WANTED, stx) < 0)
		return -errno;
	return 0;
}

int fs_entry_complete(struct fs *fs, struct inode *inode, struct fs_entry *entry)
{
	int err = fs_attr_complete(fs, inode, &entry->attr, false);

	entry->node = inode_id(inode);
	entry->generation = 0;
	if (err)
		fs_forget(fs, entry->node, 1);
	return err;
}

static int enter_fd(struct fs *fs, int *fd, struct fs_entry *entry, struct inode **inode)
{
	int err = fs_stat_fd(*fd, &entry->attr.stx);

	return err ? err : inode_table_add(&fs->inodes, fd, &entry->attr.stx, inode);
}

int fs_enter_fd(struct fs *fs, int *fd, struct fs_entry *entry)
{
	cleanup_inode struct inode *inode = NULL;
	int err = enter_fd(fs, fd, entry, &inode);

	return err ? err : fs_entry_complete(fs, inode, entry);
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
static int complete_child(struct fs *fs, const struct fs_at *dir, struct inode *inode, bool was_new,
			  struct fs_entry *entry)
{
	bool elsewhere = is_elsewhere(dir->inode, inode);
	int err;

	if (elsewhere)
		inode_set(inode, INODE_ELSEWHERE);
	err = fs_entry_complete(fs, inode, entry);
	entry->attr.submount = elsewhere && S_ISDIR(inode->type);
	note_habit(dir->inode, was_new);
	return err;
}

int fs_lookup_child(struct fs *fs, const struct fs_at *dir, const char *name, enum look look,
		    struct fs_entry *entry)
{
	cleanup_inode struct inode *inode = NULL;
	cleanup_close int fd = -1;
	int err;

	if (look == LOOK_BY_HABIT)
		look = expect(dir->inode);
	if (look == LOOK_FIRST) {
		err = stat_child(dir->fd, name, &entry->attr.stx);
		if (err)
			return err;
		inode = inode_table_find(&fs->inodes, &entry->attr.stx);
		if (inode)
			return complete_child(fs, dir, inode, false, entry);
	}
	/* The name may lead elsewhere by now: nothing of the first look is kept. */
	fd = safe_open_child(&fs->open, dir->fd, name);
	if (fd < 0)
		return fd;
	err = enter_fd(fs, &fd, entry, &inode);
	return err ? err : complete_child(fs, dir, inode, fd < 0, entry);
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
	if (!err)
		fs_dax_looked_up(fs, entry);
	return err;
}

void fs_forget(struct fs *fs, uint64_t node, uint64_t n)
{
	inode_table_forget(&fs->inodes, node, n);
}
