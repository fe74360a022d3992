/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* SETATTR: what chmod(2), chown(2), utimes(2) and truncate(2) change, and what is cached of a file that is cut. */
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "dax.h"
#include "fs.h"

static void fill_times(struct fuse_setattr_in *in, const struct iattr *attr)
{
	if (attr->ia_valid & ATTR_ATIME) {
		in->valid |= FATTR_ATIME | (attr->ia_valid & ATTR_ATIME_SET ? 0 : FATTR_ATIME_NOW);
		in->atime = attr->ia_atime.tv_sec;
		in->atimensec = attr->ia_atime.tv_nsec;
	}
	if (attr->ia_valid & ATTR_MTIME) {
		in->valid |= FATTR_MTIME | (attr->ia_valid & ATTR_MTIME_SET ? 0 : FATTR_MTIME_NOW);
		in->mtime = attr->ia_mtime.tv_sec;
		in->mtimensec = attr->ia_mtime.tv_nsec;
	}
}

static void fill_setattr(struct fuse_setattr_in *in, struct mnt_idmap *idmap, const struct iattr *attr)
{
	if (attr->ia_valid & ATTR_MODE) {
		in->valid |= FATTR_MODE;
		in->mode = attr->ia_mode;
	}
	if (attr->ia_valid & ATTR_UID) {
		in->valid |= FATTR_UID;
		in->uid = from_kuid(&init_user_ns, from_vfsuid(idmap, &init_user_ns, attr->ia_vfsuid));
	}
	if (attr->ia_valid & ATTR_GID) {
		in->valid |= FATTR_GID;
		in->gid = from_kgid(&init_user_ns, from_vfsgid(idmap, &init_user_ns, attr->ia_vfsgid));
	}
	if (attr->ia_valid & ATTR_SIZE) {
		in->valid |= FATTR_SIZE;
		in->size = attr->ia_size;
	}
	/* A directory may have no handle. */
	if ((attr->ia_valid & ATTR_FILE) && S_ISREG(file_inode(attr->ia_file)->i_mode)) {
		in->valid |= FATTR_FH;
		in->fh = ((struct cs_file *)attr->ia_file->private_data)->fh;
	}
	fill_times(in, attr);
}

#define ASKED (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_SIZE | ATTR_ATIME | ATTR_MTIME)

/*
 * Set-id bits that go with a change: the VFS makes a mode of the one that is cached, and others may have
 * set another. The host's chown(2) takes them away itself; else it is the mode of now without them.
 */
static int drop_set_id(struct mnt_idmap *idmap, struct inode *inode, struct iattr *attr)
{
	unsigned int which = attr->ia_valid & (ATTR_KILL_SUID | ATTR_KILL_SGID);
	umode_t mode;
	int err;

	if (!which)
		return 0;
	attr->ia_valid &= ~ATTR_MODE;
	/* But for the bit of a group that cannot execute it, which the host lets its root keep. */
	if (attr->ia_valid & (ATTR_UID | ATTR_GID) && (!(which & ATTR_KILL_SGID) || inode->i_mode & S_IXGRP))
		return 0;
	err = cs_attr_refresh(inode, true);
	which |= setattr_should_drop_suidgid(idmap, inode);
	mode = inode->i_mode & ~((which & ATTR_KILL_SUID ? S_ISUID : 0) | (which & ATTR_KILL_SGID ? S_ISGID : 0));
	if (mode != inode->i_mode) {
		attr->ia_valid |= ATTR_MODE;
		attr->ia_mode = mode;
	}
	return err;
}

/* What the daemon says then, and a snapshot for it. */
struct answer {
	struct fuse_attr_out out;
	u64 snapshot;
};

static int ask_setattr(struct mnt_idmap *idmap, struct inode *inode, struct iattr *attr, struct answer *answer)
{
	loff_t first = round_down(attr->ia_size, PAGE_SIZE);
	struct cs_request *request;
	int err;

	request = cs_inode_request(inode, FUSE_SETATTR, sizeof(struct fuse_setattr_in),
				   sizeof(struct fuse_attr_out));
	if (!request)
		return -ENOMEM;
	fill_setattr(cs_request_args(request), idmap, attr);
	if (attr->ia_valid & ATTR_SIZE)
		cs_change_range(request, inode, first, LLONG_MAX - first);
	else
		cs_change(request, inode);
	answer->snapshot = cs_attr_snapshot(inode->i_sb);
	err = cs_attr_run(inode, request, &answer->out);
	/* Until a reply is taken over: this one may be too late for that, or its sender killed. */
	cs_attr_expire(inode);
	return err;
}

/*
 * The cached size is the smaller one until the daemon has said yes, and pages beyond either end
 * are gone: what is stored to them, or was, does not follow the request and make the file long
 * again. The daemon may say no: so nothing goes that it does not have. That is why the page with the new end is
 * dropped, where else its end would become zeros; and private copies of pages stay. *old: the size that there was.
 */
static int begin_resize(struct inode *inode, loff_t size, loff_t *old)
{
	*old = i_size_read(inode);
	spin_lock(&inode->i_lock);
	cs_inode(inode)->resizing = true;
	i_size_write(inode, min(*old, size));
	spin_unlock(&inode->i_lock);
	if (IS_DAX(inode)) {
		unmap_mapping_range(inode->i_mapping, round_up(i_size_read(inode), PAGE_SIZE), 0, 0);
		truncate_inode_pages(inode->i_mapping, i_size_read(inode));
		return 0;
	}
	return (size < *old ? cs_pages_drop(inode, size, size) : 0) ?: cs_pages_cut(inode);
}

static void end_resize(struct inode *inode, loff_t size, struct answer *answer)
{
	spin_lock(&inode->i_lock);
	answer->snapshot = cs_attr_answered(inode, answer->snapshot);
	cs_inode(inode)->resizing = false;
	i_size_write(inode, size);
	spin_unlock(&inode->i_lock);
}

/* With all sent that is dirty: where the daemon says no, nothing is lost. Invalidate lock held. */
static int resize(struct mnt_idmap *idmap, struct inode *inode, struct iattr *attr, struct answer *answer)
{
	int err = IS_DAX(inode) ? cs_dax_wait_unpinned(inode) : 0;
	loff_t old;

	err = err ?: cs_direct_wait(inode);
	if (err)
		return err;
	/* A failed WRITE is reported by close() or fsync(). A killed process does not wait for the pages. */
	if (cs_write_out(inode) == -EINTR)
		return -EINTR;
	err = begin_resize(inode, attr->ia_size, &old) ?: ask_setattr(idmap, inode, attr, answer);
	/* Copies of what was cut off go with it. */
	if (!err)
		unmap_mapping_range(inode->i_mapping, round_up(attr->ia_size, PAGE_SIZE), 0, 1);
	/* Where it ends is not known now, and a load past that from the window would be the machine's end. */
	if (err == -EINTR && IS_DAX(inode))
		cs_dax_leave_locked(inode);
	end_resize(inode, err ? old : attr->ia_size, answer);
	return err;
}

/* All but the size. */
static int set(struct mnt_idmap *idmap, struct inode *inode, struct iattr *attr, struct answer *answer)
{
	int err;

	/* What is written after that has new times. */
	if (cs_attr_is_unsent(inode))
		cs_write_out(inode);
	err = ask_setattr(idmap, inode, attr, answer);
	if (err)
		return err;
	spin_lock(&inode->i_lock);
	answer->snapshot = cs_attr_answered(inode, answer->snapshot);
	spin_unlock(&inode->i_lock);
	return 0;
}

int cs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	int err = cs_attr_mode_is_fresh(inode) ? 0 : cs_attr_refresh(inode, false);
	struct answer answer = {};

	err = err ?: setattr_prepare(idmap, dentry, attr) ?: drop_set_id(idmap, inode, attr);
	if (err || !(attr->ia_valid & ASKED))
		return err;
	if (attr->ia_valid & ATTR_SIZE) {
		filemap_invalidate_lock(inode->i_mapping);
		err = resize(idmap, inode, attr, &answer);
		filemap_invalidate_unlock(inode->i_mapping);
	} else {
		err = set(idmap, inode, attr, &answer);
	}
	if (!err)
		cs_attr_apply_reply(inode, &answer.out, answer.snapshot);
	return err;
}
