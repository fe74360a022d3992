/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * File flags: lsattr(1), chattr(1) and XFS's form of them. The VFS does the ioctls and asks
 * for permission; the daemon does them once more on a handle of our own.
 */
#include "fs.h"

#include <linux/fileattr.h>

/* One of those four, with `data` of `size` bytes that the command's direction reads or writes. */
static int run(struct inode *inode, struct cs_file *open, u32 command, void *data, u32 size)
{
	u32 in_size = _IOC_DIR(command) & _IOC_WRITE ? size : 0;
	u32 out_size = _IOC_DIR(command) & _IOC_READ ? size : 0;
	struct fuse_ioctl_out *out;
	struct fuse_ioctl_in *in;
	struct cs_request *request;
	int err;

	request = cs_inode_request(inode, FUSE_IOCTL, sizeof(*in) + in_size, sizeof(*out) + out_size);
	if (!request)
		return -ENOMEM;
	in = cs_request_args(request);
	in->fh = open->fh;
	in->flags = S_ISDIR(inode->i_mode) ? FUSE_IOCTL_DIR : 0;
	in->cmd = command;
	in->in_size = in_size;
	in->out_size = out_size;
	memcpy(in + 1, data, in_size);
	request->out_var = true;
	err = cs_device_call(open->session->device, request);
	out = cs_request_result(request);
	if (!err)
		err = request->got < sizeof(*out) ? -EIO : out->result;
	/* What is no error and no success is no reply to one of those. */
	if (err > 0 || err <= -512)
		err = -EIO;
	if (!err && out_size && request->got != sizeof(*out) + out_size)
		err = -EIO;
	if (!err)
		memcpy(data, out + 1, out_size);
	cs_request_put(request);
	return err == -ENOSYS ? -ENOTTY : err;
}

/* The same on a handle for it alone. Only files and directories have flags. */
static int run_on(struct inode *inode, u32 command, void *data, u32 size)
{
	struct cs_file *open;
	int err;

	if (!S_ISREG(inode->i_mode) && !S_ISDIR(inode->i_mode))
		return -ENOIOCTLCMD;
	open = cs_file_open_own(inode);
	if (IS_ERR(open))
		return PTR_ERR(open);
	err = run(inode, open, command, data, size);
	cs_file_put(open);
	/* "No such ioctl" to the VFS. */
	return err == -ENOTTY ? -ENOIOCTLCMD : err;
}

int cs_fileattr_get(struct dentry *dentry, struct fileattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct fsxattr xattr;
	unsigned int flags;
	int err;

	if (attr->flags_valid) {
		err = run_on(inode, FS_IOC_GETFLAGS, &flags, sizeof(flags));
		if (!err)
			fileattr_fill_flags(attr, flags);
		return err;
	}
	err = run_on(inode, FS_IOC_FSGETXATTR, &xattr, sizeof(xattr));
	if (err)
		return err;
	fileattr_fill_xflags(attr, xattr.fsx_xflags);
	attr->fsx_extsize = xattr.fsx_extsize;
	attr->fsx_nextents = xattr.fsx_nextents;
	attr->fsx_projid = xattr.fsx_projid;
	attr->fsx_cowextsize = xattr.fsx_cowextsize;
	return 0;
}

int cs_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct fileattr *attr)
{
	struct inode *inode = d_inode(dentry);
	unsigned int flags = attr->flags;
	struct fsxattr xattr = {
		.fsx_xflags = attr->fsx_xflags,
		.fsx_extsize = attr->fsx_extsize,
		.fsx_nextents = attr->fsx_nextents,
		.fsx_projid = attr->fsx_projid,
		.fsx_cowextsize = attr->fsx_cowextsize,
	};
	int err;

	if (attr->flags_valid)
		err = run_on(inode, FS_IOC_SETFLAGS, &flags, sizeof(flags));
	else
		err = run_on(inode, FS_IOC_FSSETXATTR, &xattr, sizeof(xattr));
	cs_attr_changed(inode);
	return err;
}
