/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Names: asked for by LOOKUP, believed as long as the daemon said, then asked for again. */
#include <linux/jiffies.h>
#include <linux/namei.h>

#include "fs.h"

/* d_time is 0 for a name that may not be believed at all; jiffies are never told as 0. */
void cs_dentry_valid(struct inode *dir, struct dentry *dentry, const struct fuse_entry_out *entry, u64 snapshot)
{
	u64 trust = cs_session_trust(cs_session(dentry->d_sb), entry->entry_valid, entry->entry_valid_nsec);

	/* A change that is not due any more was counted before that. */
	if (cs_change_is_due(dir))
		trust = 0;
	smp_rmb();
	if (cs_attr_changed_since(dir, snapshot))
		trust = 0;
	WRITE_ONCE(dentry->d_time, trust ? (jiffies + (unsigned long)trust) | 1 : 0);
}

void cs_dentry_expire(struct dentry *dentry)
{
	WRITE_ONCE(dentry->d_time, 0);
}

void cs_entry_forget(struct super_block *sb, const struct fuse_entry_out *entry)
{
	if (entry->nodeid && entry->nodeid != FUSE_ROOT_ID)
		cs_session_forget(cs_session(sb), entry->nodeid, 1);
}

void cs_entry_undo(struct cs_request *request)
{
	const struct fuse_entry_out *entry = cs_request_result(request);

	if (entry->nodeid && entry->nodeid != FUSE_ROOT_ID)
		cs_session_forget(request->private, entry->nodeid, 1);
}

int cs_dentry_ask(struct inode *dir, const struct qstr *name, struct fuse_entry_out *entry)
{
	struct cs_request *request;
	int err;

	if (name->len > CS_NAME_MAX)
		return -ENAMETOOLONG;
	request = cs_inode_request(dir, FUSE_LOOKUP, name->len + 1, sizeof(*entry));
	if (!request)
		return -ENOMEM;
	cs_request_name(request, 0, name->name, name->len);
	request->undo = cs_entry_undo;
	err = cs_device_call(cs_session(dir->i_sb)->device, request);
	if (!err)
		memcpy(entry, cs_request_result(request), sizeof(*entry));
	cs_request_put(request);
	if (err == -ENOENT) {
		memset(entry, 0, sizeof(*entry));
		return 0;
	}
	return err;
}

/* 1: it is as the daemon has it; 0: it is not; or -errno. */
static int ask_again(struct inode *dir, struct dentry *dentry, struct inode *inode)
{
	u64 snapshot = cs_attr_snapshot(dir->i_sb);
	struct fuse_entry_out entry;
	struct name_snapshot name;
	int err;

	take_dentry_name_snapshot(&name, dentry);
	err = cs_dentry_ask(dir, &name.name, &entry);
	release_dentry_name_snapshot(&name);
	if (err)
		return err == -ENOMEM || err == -EINTR ? err : 0;
	if (!entry.nodeid)
		return 0;
	if (!cs_inode_count(inode, &entry)) {
		cs_entry_forget(dir->i_sb, &entry);
		return 0;
	}
	cs_attr_apply(inode, &entry.attr, cs_attr_expiry(dir->i_sb, entry.attr_valid, entry.attr_valid_nsec), snapshot);
	/* Else what was believed of it is. */
	if (!cs_attr_changed_since(dir, snapshot))
		cs_dentry_valid(dir, dentry, &entry, snapshot);
	return 1;
}

bool cs_dentry_is_fresh(const struct dentry *dentry)
{
	unsigned long expires = READ_ONCE(dentry->d_time);

	return expires && time_before(jiffies, expires);
}

/* More of the directory may be about to be asked for again. */
static void foresee(struct dentry *parent)
{
	/* Another changes it; or we do, under whose lock names are no mere look-ups. */
	if (!inode_trylock_shared(d_inode(parent)))
		return;
	cs_dir_sweep(parent, NULL);
	inode_unlock_shared(d_inode(parent));
}

static int revalidate(CS_REVALIDATE_MORE struct dentry *dentry, unsigned int flags)
{
	struct dentry *parent;
	struct inode *inode;
	bool first;
	int valid;

	if (cs_dentry_is_fresh(dentry) && !(flags & (LOOKUP_EXCL | LOOKUP_REVAL))) {
		cs_foresight_used(dentry);
		return 1;
	}
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	inode = d_inode(dentry);
	if (!inode)
		return 0;
	parent = dget_parent(dentry);
	first = !(flags & (LOOKUP_EXCL | LOOKUP_REVAL)) && cs_foresight_sweeps_first(cs_session(dentry->d_sb));
	if (first)
		foresee(parent);
	if (first && cs_dentry_is_fresh(dentry)) {
		cs_foresight_used(dentry);
		valid = 1;
	} else {
		valid = ask_again(d_inode(parent), dentry, inode);
	}
	if (!first && valid == 1 && cs_dentry_is_fresh(dentry))
		foresee(parent);
	dput(parent);
	return valid;
}

/* One that may never be believed is not kept: it would hold its inode for nothing. */
static int is_unwanted(const struct dentry *dentry)
{
	return !READ_ONCE(dentry->d_time);
}

static int init(struct dentry *dentry)
{
	dentry->d_time = 0;
	return 0;
}

const struct dentry_operations cs_dentry_operations = {
	.d_init = init,
	.d_revalidate = revalidate,
	.d_delete = is_unwanted,
	.d_automount = cs_automount,
};
