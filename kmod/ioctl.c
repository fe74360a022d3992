/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * File flags: lsattr(1), chattr(1) and XFS's form of them. The VFS does the ioctls and asks
 * for permission; the daemon does them once more on a handle of our own. And fs-verity, which
 * is the host's: its two ioctls go to the daemon as they are.
 */
#include "fs.h"

#include <linux/fileattr.h>
#include <linux/fsverity.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* What goes with a command, and room for what comes back. */
struct payload {
	const void *in;
	u32 in_size;
	void *out;
	u32 out_size;
};

/* Bytes of `out` that were filled, or -errno; -ENOTTY where the daemon knows no ioctls. */
static int ask(struct mnt_idmap *idmap, struct inode *inode, struct cs_file *open, u32 command,
	       const struct payload *payload)
{
	u32 in_size = payload->in_size, out_size = payload->out_size;
	struct fuse_ioctl_out *out;
	struct fuse_ioctl_in *in;
	struct cs_request *request;
	int err;

	request = cs_inode_request(inode, FUSE_IOCTL, sizeof(*in) + in_size, sizeof(*out) + out_size);
	if (!request)
		return -ENOMEM;
	cs_request_caller(request, idmap);
	in = cs_request_args(request);
	in->fh = open->fh;
	in->flags = S_ISDIR(inode->i_mode) ? FUSE_IOCTL_DIR : 0;
	in->cmd = command;
	in->in_size = in_size;
	in->out_size = out_size;
	memcpy(in + 1, payload->in, in_size);
	request->out_var = true;
	cs_change(request, inode);
	err = cs_device_call(open->session->device, request);
	out = cs_request_result(request);
	if (!err)
		err = request->got < sizeof(*out) ? -EIO : out->result;
	/* What is no error and no success is no reply to one of those. */
	if (err > 0 || err <= -512)
		err = -EIO;
	if (!err) {
		err = request->got - sizeof(*out);
		memcpy(payload->out, out + 1, err);
	}
	cs_request_put(request);
	return err == -ENOSYS ? -ENOTTY : err;
}

/* ---- flags ---- */

/* One of those four, with `data` of `size` bytes that the command's direction reads or writes. */
static int run(struct mnt_idmap *idmap, struct inode *inode, struct cs_file *open, u32 command, void *data,
	       u32 size)
{
	struct payload payload = {
		.in = data,
		.in_size = _IOC_DIR(command) & _IOC_WRITE ? size : 0,
		.out = data,
		.out_size = _IOC_DIR(command) & _IOC_READ ? size : 0,
	};
	int done = ask(idmap, inode, open, command, &payload);

	if (done < 0)
		return done;
	return done == payload.out_size ? 0 : -EIO;
}

/* The same on a handle for it alone. Only files and directories have flags. */
static int run_on(struct mnt_idmap *idmap, struct inode *inode, u32 command, void *data, u32 size)
{
	struct cs_file *open;
	int err;

	if (!S_ISREG(inode->i_mode) && !S_ISDIR(inode->i_mode))
		return -ENOIOCTLCMD;
	open = cs_file_open_own(inode);
	if (IS_ERR(open))
		return PTR_ERR(open);
	err = run(idmap, inode, open, command, data, size);
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
		err = run_on(&nop_mnt_idmap, inode, FS_IOC_GETFLAGS, &flags, sizeof(flags));
		if (!err)
			fileattr_fill_flags(attr, flags);
		return err;
	}
	err = run_on(&nop_mnt_idmap, inode, FS_IOC_FSGETXATTR, &xattr, sizeof(xattr));
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
		err = run_on(idmap, inode, FS_IOC_SETFLAGS, &flags, sizeof(flags));
	else
		err = run_on(idmap, inode, FS_IOC_FSSETXATTR, &xattr, sizeof(xattr));
	cs_attr_changed(inode);
	return err;
}

/* ---- fs-verity ---- */

/* No digest is longer, and the daemon takes no more salt and signature than that. */
#define DIGEST_MOST 64
#define ENABLE_MOST 4096

static long measure(struct file *file, struct fsverity_digest __user *arg)
{
	struct {
		struct fsverity_digest head;
		u8 digest[DIGEST_MOST];
	} buffer;
	struct payload payload = { &buffer.head, sizeof(buffer.head), &buffer, sizeof(buffer) };
	int done;

	if (copy_from_user(&buffer.head, arg, sizeof(buffer.head)))
		return -EFAULT;
	buffer.head.digest_size = min(buffer.head.digest_size, DIGEST_MOST);
	payload.out_size = sizeof(buffer.head) + buffer.head.digest_size;
	done = ask(file_mnt_idmap(file), file_inode(file), file->private_data, FS_IOC_MEASURE_VERITY, &payload);
	if (done < 0)
		return done;
	if (done < sizeof(buffer.head) || done != sizeof(buffer.head) + buffer.head.digest_size)
		return -EIO;
	return copy_to_user(arg, &buffer, done) ? -EFAULT : 0;
}

/* What its pointers point to follows the struct. 0 with a payload to be freed, or -errno. */
static int gather(const struct fsverity_enable_arg __user *arg, struct payload *payload)
{
	struct fsverity_enable_arg head;
	u8 *bytes;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.salt_size > ENABLE_MOST || head.sig_size > ENABLE_MOST - sizeof(head) ||
	    head.salt_size > ENABLE_MOST - sizeof(head) - head.sig_size)
		return -EMSGSIZE;
	payload->in_size = sizeof(head) + head.salt_size + head.sig_size;
	bytes = kmalloc(payload->in_size, GFP_KERNEL);
	if (!bytes)
		return -ENOMEM;
	payload->in = bytes;
	if (copy_from_user(bytes + sizeof(head), u64_to_user_ptr(head.salt_ptr), head.salt_size) ||
	    copy_from_user(bytes + sizeof(head) + head.salt_size, u64_to_user_ptr(head.sig_ptr), head.sig_size)) {
		kfree(bytes);
		payload->in = NULL;
		return -EFAULT;
	}
	/* Addresses are not for the daemon to see. */
	head.salt_ptr = 0;
	head.sig_ptr = 0;
	memcpy(bytes, &head, sizeof(head));
	return 0;
}

static long enable(struct file *file, const struct fsverity_enable_arg __user *arg)
{
	struct inode *inode = file_inode(file);
	struct payload payload = {};
	int err = file_permission(file, MAY_WRITE) ?: mnt_want_write_file(file);

	if (err)
		return err;
	err = gather(arg, &payload);
	if (!err) {
		/* What is measured is what the daemon has. */
		err = cs_write_out(inode) ?:
		      ask(file_mnt_idmap(file), inode, file->private_data, FS_IOC_ENABLE_VERITY, &payload);
		cs_attr_changed(inode);
	}
	kfree(payload.in);
	mnt_drop_write_file(file);
	return err;
}

long cs_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	switch (command) {
	case FS_IOC_ENABLE_VERITY:
		return enable(file, (const void __user *)arg);
	case FS_IOC_MEASURE_VERITY:
		return measure(file, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}
