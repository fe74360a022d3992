/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* The module, its file system type, and mounting: a tag becomes a device, a session, a tree. */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/statfs.h>

#include "compat.h"
#include "fs.h"

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
};

static int fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct cs_session *session = cs_session(sb);
	struct inode *root;
	int err;

	sb->s_flags |= SB_NOSEC;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = FUSE_SUPER_MAGIC;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_time_gran = 1;
	sb->s_op = &super_operations;
	sb->s_d_op = &cs_dentry_operations;
	sb->s_xattr = cs_xattr_handlers;
	err = super_setup_bdi(sb) ?: cs_session_open(session);
	if (err)
		return err;
	sb->s_bdi->ra_pages = max_t(unsigned long, session->max_readahead >> PAGE_SHIFT, 1);
	sb->s_bdi->io_pages = session->max_bytes >> PAGE_SHIFT;
	root = cs_inode_get_root(sb);
	if (IS_ERR(root)) {
		cs_session_close(session);
		return PTR_ERR(root);
	}
	sb->s_root = d_make_root(root);
	if (!sb->s_root) {
		cs_session_close(session);
		return -ENOMEM;
	}
	return 0;
}

static int is_of_device(struct super_block *sb, struct fs_context *fc)
{
	return cs_session(sb)->device == ((struct cs_session *)fc->s_fs_info)->device;
}

/* A device serves one session: a second mount of it is another view of the first. */
static int get_tree(struct fs_context *fc)
{
	struct cs_device *device;
	struct super_block *sb;
	int err = 0;

	if (!fc->source)
		return invalf(fc, "casement: no tag given");
	device = cs_device_find(fc->source);
	if (!device)
		return invalf(fc, "casement: no device with tag \"%s\" is bound to this driver", fc->source);
	fc->s_fs_info = cs_session_new(device);
	if (!fc->s_fs_info) {
		cs_device_put(device);
		return -ENOMEM;
	}
	sb = sget_fc(fc, is_of_device, set_anon_super_fc);
	if (IS_ERR(sb))
		return PTR_ERR(sb);
	if (!sb->s_root) {
		err = fill_super(sb, fc);
		if (err) {
			deactivate_locked_super(sb);
			return err;
		}
		sb->s_flags |= SB_ACTIVE;
	}
	fc->root = dget(sb->s_root);
	return 0;
}

/* A session that no super block took. */
static void free_context(struct fs_context *fc)
{
	if (fc->s_fs_info)
		cs_session_put(fc->s_fs_info);
}

static const struct fs_context_operations context_operations = {
	.get_tree = get_tree,
	.free = free_context,
};

static int init_fs_context(struct fs_context *fc)
{
	fc->ops = &context_operations;
	return 0;
}

static void kill_super(struct super_block *sb)
{
	struct cs_session *session = cs_session(sb);

	kill_anon_super(sb);
	if (session)
		cs_session_put(session);
}

static struct file_system_type type = {
	.owner = THIS_MODULE,
	.name = "casement",
	.init_fs_context = init_fs_context,
	.kill_sb = kill_super,
};
MODULE_ALIAS_FS("casement");

static int __init start(void)
{
	int err = cs_requests_start();

	if (err)
		return err;
	err = cs_inodes_start();
	if (err)
		goto no_inodes;
	err = cs_devices_start();
	if (err)
		goto no_devices;
	err = register_filesystem(&type);
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
	unregister_filesystem(&type);
	cs_devices_stop();
	cs_inodes_stop();
	cs_requests_stop();
}

module_init(start);
module_exit(stop);
MODULE_DESCRIPTION("Casement: guest driver of virtio file system devices");
MODULE_AUTHOR("Casement");
MODULE_LICENSE("Dual BSD/GPL");
