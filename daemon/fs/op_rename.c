/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names removed and moved, links read: one system call each, and one to see whose
 * the name is by now where the caller is not root. An inode that loses its last name stays known until the
 * guest forgets it; one that is held by its file handle, and that nothing has
 * open, is -ESTALE from then on.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/fs/fs_private.h"

static bool is_owner(const struct fs_caller *caller, const struct statx *stx)
{
	return caller->uid == stx->stx_uid && !caller->shares_uid;
}

/*
 * In a sticky directory names are for the owners of what they name to remove. The guest's
 * kernel has asked whose that is, but of what it believed to be there: a file that
 * the guest does not know has come since, and nobody has asked. -ESTALE has Linux look
 * the name up, ask, and come again.
 */
static int check_known(struct fs *fs, const struct fs_caller *caller, const struct fs_at *dir,
		       const char *name)
{
	struct inode_key key;
	struct statx stx;

	if (caller->uid == 0 || fs_stat_name(dir, name, STATX_INO | STATX_UID | STATX_MNT_ID, &stx))
		return 0;
	key = inode_table_key(&stx);
	if (is_owner(caller, &stx) || inode_table_knows(&fs->inodes, &key))
		return 0;
	if (fs_stat_fd(dir->fd, &stx) || !(stx.stx_mode & S_ISVTX) || is_owner(caller, &stx))
		return 0;
	return -ESTALE;
}

static int remove_name(struct fs *fs, const struct fs_caller *caller, uint64_t parent,
		       const char *name, int flags)
{
	cleanup_creds struct creds as = CREDS_NONE;
	cleanup_fs_at struct fs_at dir = FS_AT_NONE;
	int err = fs_check_writable(fs);

	if (!err)
		err = fs_at_get(fs, parent, &dir);
	if (!err)
		err = check_known(fs, caller, &dir, name);
	if (!err)
		err = fs_act_as(fs, dir.inode, caller, CREDS_SETID_ANY, &as);
	if (err)
		return err;
	if (unlinkat(dir.fd, name, flags) < 0)
		return -errno;
	room_expected(&fs->room);
	return 0;
}

int fs_unlink(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name)
{
	return remove_name(fs, caller, parent, name, 0);
}

int fs_rmdir(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name)
{
	return remove_name(fs, caller, parent, name, AT_REMOVEDIR);
}

/* The whiteout that a moved name may leave is a new file. */
static int rename_as(const struct fs *fs, const struct fs_at *dir, const struct fs_caller *caller,
		     uint32_t flags, struct creds *as)
{
	return creds_take(as, &(struct creds_wanted){
		.use = flags & RENAME_WHITEOUT ? CREDS_MAKE : CREDS_CHANGE,
		.uid = caller->uid, .gid = caller->gid, .remote = fs_is_remote(fs, dir->inode) });
}

/* A directory that rests has another name now; the guest's kernel knows, and will not look it up. */
static void note_moved(struct fs *fs, const struct fs_at *dir, const char *name)
{
	cleanup_inode struct inode *moved = NULL;
	struct statx stx;

	if (!reclaim_made_dirs_rest(fs) ||
	    fs_stat_name(dir, name, STATX_TYPE | STATX_INO | STATX_BTIME | STATX_MNT_ID, &stx) || !S_ISDIR(stx.stx_mode))
		return;
	moved = inode_table_peek(&fs->inodes, &stx);
	if (moved)
		inode_name_note(moved, dir->inode, name);
}

int fs_rename(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	      uint64_t new_parent, const char *new_name, uint32_t flags)
{
	cleanup_fs_at struct fs_at dir = FS_AT_NONE;
	cleanup_fs_at struct fs_at new_dir = FS_AT_NONE;
	cleanup_creds struct creds as = CREDS_NONE;
	int err = fs_check_writable(fs);

	if (!err && (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)))
		err = -EINVAL;
	if (!err)
		err = fs_at_get(fs, parent, &dir);
	if (!err)
		err = fs_at_get(fs, new_parent, &new_dir);
	if (!err)
		err = check_known(fs, caller, &dir, name);
	if (!err)
		err = check_known(fs, caller, &new_dir, new_name);
	if (!err)
		err = rename_as(fs, &dir, caller, flags, &as);
	if (err)
		return err;
	if (renameat2(dir.fd, name, new_dir.fd, new_name, flags) < 0)
		return -errno;
	note_moved(fs, &new_dir, new_name);
	if (flags & RENAME_EXCHANGE)
		note_moved(fs, &dir, name);
	/* Of what had the new name. */
	room_expected(&fs->room);
	return 0;
}

ssize_t fs_readlink(struct fs *fs, uint64_t node, char *buf, size_t size)
{
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	ssize_t n;
	int err = fs_at_get(fs, node, &at);

	if (!err && !S_ISLNK(at.inode->type))
		err = -EINVAL;
	if (err)
		return err;
	n = readlinkat(at.fd, "", buf, size);
	return n < 0 ? -errno : n;
}
