/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* The module, its file system type, and mounting: a tag becomes a device, a session, a tree. */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "compat.h"
#include "dax.h"
#include "fs.h"

static int parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	return cs_options_parse(fc, fc->fs_private, param);
}

static int show_options(struct seq_file *file, struct dentry *root)
{
	cs_options_show(file, &cs_session(root->d_sb)->options);
	return 0;
}

static int statfs(struct dentry *dentry, struct kstatfs *stat)
{
	struct inode *inode = d_inode(dentry);
	const struct fuse_kstatfs *from;
	struct cs_request *request = cs_inode_request(inode, FUSE_STATFS, 0, sizeof(struct fuse_statfs_out));
	int err;

	if (!request)
		return -ENOMEM;
	err = cs_device_call(cs_session(inode->i_sb)->device, request);
	if (!err) {
		from = &((struct fuse_statfs_out *)cs_request_result(request))->st;
		stat->f_type = FUSE_SUPER_MAGIC;
		stat->f_bsize = from->bsize;
		stat->f_frsize = from->frsize;
		stat->f_blocks = from->blocks;
		stat->f_bfree = from->bfree;
		stat->f_bavail = from->bavail;
		stat->f_files = from->files;
		stat->f_ffree = from->ffree;
		stat->f_namelen = from->namelen;
	}
	cs_request_put(request);
	return err;
}

static int sync_fs(struct super_block *sb, int wait)
{
	struct cs_session *session = cs_session(sb);
	struct cs_request *request;
	int err;

	/* Before the root is there, or at the end: nothing of ours is at the daemon. */
	if (!wait || !sb->s_root || READ_ONCE(session->no_syncfs))
		return 0;
	request = cs_inode_request(d_inode(sb->s_root), FUSE_SYNCFS, sizeof(struct fuse_syncfs_in), 0);
	if (!request)
		return -ENOMEM;
	err = cs_session_run(session, request);
	if (err == -ENOSYS) {
		WRITE_ONCE(session->no_syncfs, true);
		err = 0;
	}
	return err;
}

/* No inode is left: their FORGETs are in the batch. */
static void put_super(struct super_block *sb)
{
	cs_session_close(cs_session(sb));
}

static const struct super_operations super_operations = {
	.alloc_inode = cs_inode_alloc,
	.free_inode = cs_inode_free,
	.evict_inode = cs_inode_evict,
	.put_super = put_super,
	.sync_fs = sync_fs,
	.statfs = statfs,
	.show_options = show_options,
};

int cs_super_fill(struct super_block *sb)
{
	struct cs_session *session = cs_session(sb);
	int err = super_setup_bdi(sb);

	if (err)
		return err;
	sb->s_flags |= SB_NOSEC;
	/* Others change files without a word to this guest, so what was measured of one may be another. */
	sb->s_iflags |= SB_I_IMA_UNVERIFIABLE_SIGNATURE;
	if (cs_session_has(session, FUSE_POSIX_ACL))
		sb->s_flags |= SB_POSIXACL;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = FUSE_SUPER_MAGIC;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_time_gran = 1;
	sb->s_op = &super_operations;
	cs_set_dentry_operations(sb, &cs_dentry_operations);
	sb->s_xattr = cs_xattr_handlers;
	sb->s_export_op = &cs_export_operations;
	sb->s_bdi->ra_pages = max_t(unsigned long, session->max_readahead >> PAGE_SHIFT, 1);
	sb->s_bdi->io_pages = session->max_bytes >> PAGE_SHIFT;
	return 0;
}

/* INIT, and the root. */
static int fill(struct super_block *sb)
{
	struct cs_session *session = cs_session(sb);
	struct inode *root;
	int err = cs_session_open(session);

	if (err)
		return err;
	err = cs_super_fill(sb);
	if (!err) {
		root = cs_inode_get_root(sb);
		err = PTR_ERR_OR_ZERO(root);
	}
	if (!err) {
		sb->s_root = d_make_root(root);
		err = sb->s_root ? 0 : -ENOMEM;
	}
	if (err)
		cs_session_close(session);
	return err;
}

/* It is found from now on: who mounts the same device meanwhile waits for INIT. */
static int set_super(struct super_block *sb, struct fs_context *fc)
{
	cs_session(sb)->sb = sb;
	return set_anon_super_fc(sb, fc);
}

/* Not one of those below it. */
static int is_of_device(struct super_block *sb, struct fs_context *fc)
{
	const struct cs_session *session = cs_session(sb);

	return session->sb == sb && session->device == ((struct cs_session *)fc->s_fs_info)->device;
}

/* A device serves one session: a second mount of it is another view of the first. */
static int get_tree(struct fs_context *fc)
{
	const struct cs_options *options = fc->fs_private;
	struct cs_session *session;
	struct cs_device *device;
	struct super_block *sb;
	int err = 0;

	if (!fc->source)
		return invalf(fc, "casement: no tag given");
	device = cs_device_find(fc->source);
	if (!device)
		return invalf(fc, "casement: no device with tag \"%s\" is bound to this driver", fc->source);
	session = cs_session_new(device, options);
	if (!session) {
		cs_device_put(device);
		return -ENOMEM;
	}
	fc->s_fs_info = session;
	if (options->dax == CS_DAX_ALWAYS && !cs_dax_wanted(session))
		return invalf(fc, "casement: dax=always: device \"%s\" has no window", fc->source);
	sb = sget_fc(fc, is_of_device, set_super);
	if (IS_ERR(sb))
		return PTR_ERR(sb);
	if (sb->s_root)
		err = cs_options_agree(fc, &cs_session(sb)->options, options);
	else
		err = fill(sb);
	if (err == -EBUSY && !sb->s_root)
		errorf(fc, "casement: \"%s\" is mounted by another type's name, or has mounts below it left", fc->source);
	if (err) {
		deactivate_locked_super(sb);
		return err;
	}
	sb->s_flags |= SB_ACTIVE;
	fc->root = dget(sb->s_root);
	return 0;
}

/* Read-only or not is the VFS's; nothing else can be changed. */
static int reconfigure(struct fs_context *fc)
{
	struct super_block *sb = fc->root->d_sb;

	return cs_options_agree(fc, &cs_session(sb)->options, fc->fs_private) ?: sync_filesystem(sb);
}

/* A session that no super block took. */
static void free_context(struct fs_context *fc)
{
	if (fc->s_fs_info)
		cs_session_put(fc->s_fs_info);
	kfree(fc->fs_private);
}

static const struct fs_context_operations context_operations = {
	.parse_param = parse_param,
	.get_tree = get_tree,
	.reconfigure = reconfigure,
	.free = free_context,
};

static int init_fs_context(struct fs_context *fc)
{
	fc->fs_private = kzalloc(sizeof(struct cs_options), GFP_KERNEL);
	if (!fc->fs_private)
		return -ENOMEM;
	fc->ops = &context_operations;
	return 0;
}

void cs_super_kill(struct super_block *sb)
{
	struct cs_session *session = cs_session(sb);

	if (session)
		cs_change_unmount(sb);
	kill_anon_super(sb);
	if (session)
		cs_session_leave(session);
}

/* The second name is the kernel's own driver's. It is ours where that one is not there. */
static struct file_system_type types[] = {
	{ .name = "casement" },
	{ .name = "virtiofs" },
};
MODULE_ALIAS_FS("casement");
MODULE_ALIAS_FS("virtiofs");

static void unregister_types(void)
{
	for (int i = 0; i < ARRAY_SIZE(types); i++)
		unregister_filesystem(&types[i]);
}

static int __init register_types(void)
{
	int err = 0;

	for (int i = 0; i < ARRAY_SIZE(types) && !err; i++) {
		types[i].owner = THIS_MODULE;
		types[i].init_fs_context = init_fs_context;
		types[i].parameters = cs_parameters;
		types[i].kill_sb = cs_super_kill;
		types[i].fs_flags = FS_ALLOW_IDMAP;
		err = register_filesystem(&types[i]);
		if (err == -EBUSY && i)
			err = 0;
	}
	if (err)
		unregister_types();
	return err;
}

static int __init start(void)
{
	int err = cs_requests_start();

	if (err)
		return err;
	err = cs_inodes_start();
	if (err)
		goto no_inodes;
	cs_dax_start();
	err = cs_devices_start();
	if (err)
		goto no_devices;
	err = register_types();
	if (err)
		goto no_type;
	return 0;
no_type:
	cs_devices_stop();
no_devices:
	cs_inodes_stop();
no_inodes:
	cs_requests_stop();
	return err;
}

static void __exit stop(void)
{
	unregister_types();
	cs_devices_stop();
	cs_inodes_stop();
	cs_requests_stop();
}

module_init(start);
module_exit(stop);
MODULE_DESCRIPTION("Casement: guest driver of virtio file system devices");
MODULE_AUTHOR("Casement");
MODULE_VERSION("0.1.0");
MODULE_LICENSE("Dual BSD/GPL");
