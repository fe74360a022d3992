/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Mounts within what the daemon shares are mounts in the guest, too: two files of the same inode
 * number there are not one file here. Such a directory is mounted when somebody walks into it, with
 * the session of the mount that it is below, and goes with that, or after it.
 */
#include <linux/fs_context.h>
#include <linux/mount.h>
#include <linux/slab.h>

#include "fs.h"

/* The directory's inode as the root of a tree of its own: it has a look-up of its own. */
static struct inode *get_root(struct super_block *sb, struct dentry *below)
{
	u64 snapshot = cs_attr_snapshot(sb);
	struct dentry *parent = dget_parent(below);
	struct fuse_entry_out entry;
	struct name_snapshot name;
	struct inode *root;
	int err;

	take_dentry_name_snapshot(&name, below);
	err = cs_dentry_ask(d_inode(parent), &name.name, &entry);
	release_dentry_name_snapshot(&name);
	dput(parent);
	if (!err && !entry.nodeid)
		err = -ENOENT;
	if (err)
		return ERR_PTR(err);
	root = cs_inode_get(sb, &entry, snapshot);
	if (!IS_ERR(root))
		root->i_flags &= ~S_AUTOMOUNT;
	return root;
}

static int fill(struct super_block *sb, struct dentry *below)
{
	struct inode *root;
	int err = cs_super_fill(sb);

	if (err)
		return err;
	root = get_root(sb, below);
	if (IS_ERR(root))
		return PTR_ERR(root);
	if (!S_ISDIR(root->i_mode)) {
		iput(root);
		return -ENOTDIR;
	}
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

/* fs_private: the dentry that is mounted upon. */
static int get_tree(struct fs_context *fc)
{
	struct dentry *below = fc->fs_private;
	struct cs_session *session = cs_session(below->d_sb);
	struct super_block *sb;
	int err;

	cs_session_get(session);
	refcount_inc(&session->trees);
	fc->s_fs_info = session;
	sb = sget_fc(fc, NULL, set_anon_super_fc);
	if (IS_ERR(sb)) {
		cs_session_close(session);
		return PTR_ERR(sb);
	}
	err = fill(sb, below);
	if (err) {
		cs_session_close(session);
		deactivate_locked_super(sb);
		return err;
	}
	sb->s_flags |= SB_ACTIVE;
	fc->root = dget(sb->s_root);
	return 0;
}

/* A session that no super block took. */
static void free_context(struct fs_context *fc)
{
	if (fc->s_fs_info)
		cs_session_put(fc->s_fs_info);
}

static const struct fs_context_operations operations = {
	.get_tree = get_tree,
	.free = free_context,
};

struct vfsmount *cs_automount(struct path *path)
{
	struct super_block *sb = path->dentry->d_sb;
	struct fs_context *fc = fs_context_for_submount(sb->s_type, path->dentry);
	struct vfsmount *mount;

	if (IS_ERR(fc))
		return ERR_CAST(fc);
	kfree(fc->fs_private);
	fc->fs_private = path->dentry;
	fc->ops = &operations;
	fc->sb_flags |= sb->s_flags & SB_RDONLY;
	fc->source = kstrdup(cs_session(sb)->device->tag, GFP_KERNEL);
	mount = fc->source ? fc_mount(fc) : ERR_PTR(-ENOMEM);
	if (!IS_ERR(mount))
		cs_automount_hold(mount);
	put_fs_context(fc);
	return mount;
}
