/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Replies with the names of a directory; see names.h. */
#include <linux/namei.h>

#include "names.h"

struct cs_names_at cs_names_start(struct cs_request *request)
{
	return (struct cs_names_at){
		.at = cs_request_result(request),
		.left = request->error ? 0 : request->got,
		.plus = request->in->opcode == FUSE_READDIRPLUS,
	};
}

bool cs_names_next(struct cs_names_at *names, struct cs_name *name)
{
	u32 head = (names->plus ? sizeof(*name->plus) : 0) + FUSE_NAME_OFFSET;
	const struct fuse_dirent *dirent;
	u32 size;

	if (names->left < head)
		return false;
	dirent = (const void *)(names->at + head - FUSE_NAME_OFFSET);
	if (!dirent->namelen || dirent->namelen > CS_NAME_MAX ||
	    memchr(dirent->name, '/', min(dirent->namelen, names->left - head)) ||
	    memchr(dirent->name, 0, min(dirent->namelen, names->left - head))) {
		names->err = -EIO;
		return false;
	}
	size = head + dirent->namelen;
	if (size > names->left)
		return false;
	name->plus = names->plus ? (const void *)names->at : NULL;
	name->dirent = dirent;
	name->size = min(head - FUSE_NAME_OFFSET + (u32)FUSE_DIRENT_SIZE(dirent), names->left);
	names->at += name->size;
	names->left -= name->size;
	return true;
}

static bool is_dot_name(const struct fuse_dirent *dirent)
{
	return dirent->name[0] == '.' &&
	       (dirent->namelen == 1 || (dirent->namelen == 2 && dirent->name[1] == '.'));
}

/* A dentry of that name is there. True when it is the entry's, which then counts. */
static bool refresh(struct inode *dir, struct dentry *dentry, const struct fuse_entry_out *plus, u64 snapshot, enum cs_names how)
{
	struct inode *inode = d_inode(dentry);

	if (!inode || !cs_inode_count(inode, plus)) {
		d_invalidate(dentry);
		return false;
	}
	cs_attr_apply(inode, &plus->attr, cs_attr_expiry(inode->i_sb, plus->attr_valid, plus->attr_valid_nsec), snapshot);
	cs_foresight_mark(dentry, how);
	cs_dentry_valid(dir, dentry, plus, snapshot);
	return true;
}

/* The dentry is ours to fill. The look-up is taken over or given back in any case. */
static void fill(struct inode *dir, struct dentry *dentry, const struct fuse_entry_out *plus, u64 snapshot, enum cs_names how)
{
	struct inode *inode = cs_inode_get(dentry->d_sb, plus, snapshot);
	struct dentry *other;

	/* Takes an error pointer, too. */
	other = d_splice_alias(inode, dentry);
	d_lookup_done(dentry);
	if (IS_ERR(other))
		return;
	cs_foresight_mark(other ?: dentry, how);
	cs_dentry_valid(dir, other ?: dentry, plus, snapshot);
	dput(other);
}

/* The name that is being looked up: its dentry is the caller's to fill. A name is not there twice. */
static void take_wanted(struct super_block *sb, struct cs_wanted *wanted, const struct fuse_entry_out *plus,
			u64 snapshot)
{
	if (wanted->found) {
		cs_entry_forget(sb, plus);
		return;
	}
	wanted->entry = *plus;
	wanted->snapshot = snapshot;
	wanted->found = true;
}

static bool is_name(const struct qstr *one, const struct qstr *other)
{
	return one->len == other->len && !memcmp(one->name, other->name, one->len);
}

void cs_name_cache(struct dentry *parent, const struct cs_name *name, u64 snapshot, enum cs_names how,
		   struct cs_wanted *wanted)
{
	const struct fuse_entry_out *plus = name->plus;
	struct qstr qstr = QSTR_INIT(name->dirent->name, name->dirent->namelen);
	struct dentry *dentry;
	CS_LOOKUP_QUEUE(queue);

	if (!plus->nodeid)
		return;
	if (wanted && is_name(wanted->name, &qstr)) {
		take_wanted(parent->d_sb, wanted, plus, snapshot);
		return;
	}
	/* Without a time to live it would be asked for again anyhow. */
	if (is_dot_name(name->dirent) ||
	    !cs_session_trust(cs_session(parent->d_sb), plus->entry_valid, plus->entry_valid_nsec)) {
		cs_entry_forget(parent->d_sb, plus);
		return;
	}
	qstr.hash = full_name_hash(parent, qstr.name, qstr.len);
	dentry = d_lookup(parent, &qstr);
	if (!dentry) {
		dentry = cs_alloc_parallel(parent, &qstr, &queue);
		if (IS_ERR(dentry)) {
			cs_entry_forget(parent->d_sb, plus);
			return;
		}
		if (d_in_lookup(dentry)) {
			fill(d_inode(parent), dentry, plus, snapshot, how);
			dput(dentry);
			return;
		}
	}
	if (!refresh(d_inode(parent), dentry, plus, snapshot, how))
		cs_entry_forget(parent->d_sb, plus);
	dput(dentry);
}

static void readdir_undo(struct cs_request *request)
{
	struct cs_names_at names = cs_names_start(request);
	struct cs_name name;

	while (cs_names_next(&names, &name))
		if (name.plus->nodeid && !is_dot_name(name.dirent))
			cs_session_forget(request->private, name.plus->nodeid, 1);
}

struct cs_request *cs_names_request(struct inode *dir, u64 fh, loff_t pos, bool plus)
{
	struct cs_request *request;
	struct fuse_read_in *in;

	request = cs_inode_request(dir, plus ? FUSE_READDIRPLUS : FUSE_READDIR, sizeof(*in), CS_NAMES_SIZE);
	if (!request)
		return NULL;
	in = cs_request_args(request);
	in->fh = fh;
	in->offset = pos;
	in->size = CS_NAMES_SIZE;
	request->out_var = true;
	request->undo = plus ? readdir_undo : NULL;
	return request;
}
