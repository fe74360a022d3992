/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * POSIX ACLs, where the daemon agreed to FUSE_POSIX_ACL: the kernel checks permissions by
 * them, the daemon keeps them, as extended attributes of the VFS's own form, and applies
 * a directory's default to what is made there. Known ones go when attributes come, as a
 * new ACL is a new ctime.
 */
#include "fs.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/slab.h>

/* What an ACL may take. The host's file systems allow no more. */
#define ACL_MOST PAGE_SIZE

static const char *acl_name(int type)
{
	return type == ACL_TYPE_ACCESS ? XATTR_NAME_POSIX_ACL_ACCESS : XATTR_NAME_POSIX_ACL_DEFAULT;
}

struct posix_acl *cs_get_acl(struct inode *inode, int type, bool rcu)
{
	struct posix_acl *acl = NULL;
	ssize_t size;
	void *value;

	if (rcu)
		return ERR_PTR(-ECHILD);
	value = kmalloc(ACL_MOST, GFP_KERNEL);
	if (!value)
		return ERR_PTR(-ENOMEM);
	size = cs_xattr_ask(inode, FUSE_GETXATTR, acl_name(type), value, ACL_MOST);
	if (size > 0)
		acl = posix_acl_from_xattr(inode->i_sb->s_user_ns, value, size);
	else if (size == -ERANGE)
		acl = ERR_PTR(-E2BIG);
	else if (size && size != -ENODATA && size != -EOPNOTSUPP)
		acl = ERR_PTR(size);
	kfree(value);
	return acl;
}

/* Whether a set-group-id bit must go with the new ACL: chmod(2)'s rule. */
static bool kills_sgid(struct mnt_idmap *idmap, struct inode *inode, int type)
{
	return type == ACL_TYPE_ACCESS && !vfsgid_in_group_p(i_gid_into_vfsgid(idmap, inode)) &&
	       !capable_wrt_inode_uidgid(idmap, inode, CAP_FSETID);
}

int cs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type)
{
	struct inode *inode = d_inode(dentry);
	void *value = NULL;
	size_t size = 0;
	int err;

	if (acl) {
		if (posix_acl_xattr_size(acl->a_count) > ACL_MOST)
			return -E2BIG;
		value = cs_acl_to_xattr(inode->i_sb->s_user_ns, acl, &size);
		if (!value)
			return -ENOMEM;
	}
	err = cs_xattr_put(idmap, inode, acl_name(type), value, size, 0,
			   kills_sgid(idmap, inode, type) ? FUSE_SETXATTR_ACL_KILL_SGID : 0);
	kfree(value);
	/* To take away what is not there is no error. */
	if (!acl && err == -ENODATA)
		err = 0;
	forget_all_cached_acls(inode);
	return err;
}
