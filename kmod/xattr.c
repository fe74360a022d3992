/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Extended attributes: the daemon's, whatever their names. */
#include <linux/xattr.h>

#include "fs.h"

/* -EOPNOTSUPP for ever after a daemon said that it has none. */
static int without(struct inode *inode, int err)
{
	if (err != -ENOSYS)
		return err;
	WRITE_ONCE(cs_session(inode->i_sb)->no_xattr, true);
	return -EOPNOTSUPP;
}

ssize_t cs_xattr_ask(struct inode *inode, u32 opcode, const char *name, void *buffer, size_t size)
{
	u32 name_size = name ? strlen(name) + 1 : 0;
	u32 most = min_t(size_t, size, XATTR_SIZE_MAX);
	struct cs_request *request;
	ssize_t done;

	if (READ_ONCE(cs_session(inode->i_sb)->no_xattr))
		return -EOPNOTSUPP;
	request = cs_inode_request(inode, opcode, sizeof(struct fuse_getxattr_in) + name_size,
				   most ?: sizeof(struct fuse_getxattr_out));
	if (!request)
		return -ENOMEM;
	((struct fuse_getxattr_in *)cs_request_args(request))->size = most;
	if (name)
		cs_request_name(request, sizeof(struct fuse_getxattr_in), name, name_size - 1);
	request->out_var = most;
	done = cs_device_call(cs_session(inode->i_sb)->device, request);
	if (!done && most) {
		memcpy(buffer, cs_request_result(request), request->got);
		done = request->got;
	} else if (!done) {
		done = ((struct fuse_getxattr_out *)cs_request_result(request))->size;
		if (done > XATTR_SIZE_MAX)
			done = -EIO;
	}
	cs_request_put(request);
	return without(inode, done);
}

/* Names end in NUL, or whoever reads the list runs off its end. */
ssize_t cs_listxattr(struct dentry *dentry, char *buffer, size_t size)
{
	ssize_t len = cs_xattr_ask(d_inode(dentry), FUSE_LISTXATTR, NULL, buffer, size);

	if (len > 0 && size && buffer[len - 1])
		return -EIO;
	return len;
}

static int get(const struct xattr_handler *handler, struct dentry *dentry, struct inode *inode,
	       const char *name, void *buffer, size_t size)
{
	return cs_xattr_ask(inode, FUSE_GETXATTR, name, buffer, size);
}

static int remove(struct inode *inode, const char *name)
{
	u32 len = strlen(name);
	struct cs_request *request = cs_inode_request(inode, FUSE_REMOVEXATTR, len + 1, 0);

	if (!request)
		return -ENOMEM;
	cs_request_name(request, 0, name, len);
	cs_change(request, inode);
	return cs_inode_run(inode, request);
}

int cs_xattr_put(struct mnt_idmap *idmap, struct inode *inode, const char *name, const void *value, size_t size,
		 int flags, u32 more_flags)
{
	bool more = cs_session_has(cs_session(inode->i_sb), FUSE_SETXATTR_EXT);
	u32 len = strlen(name), head = more ? sizeof(struct fuse_setxattr_in) : FUSE_COMPAT_SETXATTR_IN_SIZE;
	struct fuse_setxattr_in *in;
	struct cs_request *request;
	int err;

	if (READ_ONCE(cs_session(inode->i_sb)->no_xattr))
		return -EOPNOTSUPP;
	if (!value) {
		err = remove(inode, name);
	} else {
		request = cs_inode_request(inode, FUSE_SETXATTR, head + len + 1 + size, 0);
		if (!request)
			return -ENOMEM;
		cs_request_caller(request, idmap);
		in = cs_request_args(request);
		in->size = size;
		in->flags = flags;
		if (more)
			in->setxattr_flags = more_flags;
		cs_request_name(request, head, name, len);
		memcpy((u8 *)in + head + len + 1, value, size);
		cs_change(request, inode);
		err = cs_inode_run(inode, request);
	}
	if (!err) {
		cs_attr_changed(inode);
		/* An ACL is a mode, too. */
		cs_attr_expire(inode);
	}
	return without(inode, err);
}

static int set(const struct xattr_handler *handler, struct mnt_idmap *idmap, struct dentry *dentry,
	       struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
	return cs_xattr_put(idmap, inode, name, value, size, flags, 0);
}

static const struct xattr_handler every_name = {
	.prefix = "",
	.get = get,
	.set = set,
};

const struct xattr_handler *const cs_xattr_handlers[] = { &every_name, NULL };
