/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Reading directories. With READDIRPLUS each name comes with what LOOKUP would
 * have said, and goes into the dentry cache: the stat() that follows asks nobody.
 */
#include <linux/namei.h>

#include "fs.h"

/* Of names in one reply; with its headers the request stays within 32 KiB. */
#define NAMES_SIZE (28U << 10)
/* Of a directory that is read because of a few look-ups in it. */
#define SWEEP_REPLIES 4
/* An entry of the longest name. */
#define ENTRY_MOST (sizeof(struct fuse_entry_out) + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + CS_NAME_MAX))

/* An entry of either reply. plus is NULL in a plain one. */
struct entry {
	const struct fuse_entry_out *plus;
	const struct fuse_dirent *dirent;
	u32 size;		/* with padding, as far as there is any */
};

/* The entry at `at` of `len` bytes: false when none is whole. -EIO into *err for a wrong one. */
static bool next_entry(const u8 *at, u32 len, bool plus, struct entry *entry, int *err)
{
	u32 head = plus ? sizeof(*entry->plus) : 0;
	u32 size;

	if (len < head + FUSE_NAME_OFFSET)
		return false;
	entry->plus = plus ? (const void *)at : NULL;
	entry->dirent = (const void *)(at + head);
	if (!entry->dirent->namelen || entry->dirent->namelen > CS_NAME_MAX ||
	    memchr(entry->dirent->name, '/', min(entry->dirent->namelen, len - head - FUSE_NAME_OFFSET)) ||
	    memchr(entry->dirent->name, 0, min(entry->dirent->namelen, len - head - FUSE_NAME_OFFSET))) {
		*err = -EIO;
		return false;
	}
	size = head + FUSE_NAME_OFFSET + entry->dirent->namelen;
	if (size > len)
		return false;
	entry->size = min(head + (u32)FUSE_DIRENT_SIZE(entry->dirent), len);
	return true;
}

static bool is_dot_name(const struct fuse_dirent *dirent)
{
	return dirent->name[0] == '.' &&
	       (dirent->namelen == 1 || (dirent->namelen == 2 && dirent->name[1] == '.'));
}

/* A dentry of that name is there. True when it is the entry's, which then counts. */
static bool refresh(struct dentry *dentry, const struct fuse_entry_out *plus, u64 snapshot, enum cs_names how)
{
	struct inode *inode = d_inode(dentry);

	if (!inode || !cs_inode_count(inode, plus)) {
		d_invalidate(dentry);
		return false;
	}
	cs_attr_apply(inode, &plus->attr, cs_attr_expiry(inode->i_sb, plus->attr_valid, plus->attr_valid_nsec), snapshot);
	cs_foresight_mark(dentry, how);
	cs_dentry_valid(dentry, plus);
	return true;
}

/* The dentry is ours to fill. The look-up is taken over or given back in any case. */
static void fill(struct dentry *dentry, const struct fuse_entry_out *plus, u64 snapshot, enum cs_names how)
{
	struct inode *inode = cs_inode_get(dentry->d_sb, plus, snapshot);
	struct dentry *other;

	/* Takes an error pointer, too. */
	other = d_splice_alias(inode, dentry);
	d_lookup_done(dentry);
	if (IS_ERR(other))
		return;
	cs_foresight_mark(other ?: dentry, how);
	cs_dentry_valid(other ?: dentry, plus);
	dput(other);
}

/* Cache an entry that came with attributes. */
static void cache_entry(struct dentry *parent, const struct entry *entry, u64 snapshot, enum cs_names how)
{
	struct qstr name = QSTR_INIT(entry->dirent->name, entry->dirent->namelen);
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(wait);
	struct dentry *dentry;

	/* Without a time to live it would be asked for again anyhow. */
	if (!entry->plus->nodeid)
		return;
	if (is_dot_name(entry->dirent) || !cs_session_trust(cs_session(parent->d_sb), entry->plus->entry_valid, entry->plus->entry_valid_nsec)) {
		cs_entry_forget(parent->d_sb, entry->plus);
		return;
	}
	name.hash = full_name_hash(parent, name.name, name.len);
	dentry = d_lookup(parent, &name);
	if (!dentry) {
		dentry = d_alloc_parallel(parent, &name, &wait);
		if (IS_ERR(dentry)) {
			cs_entry_forget(parent->d_sb, entry->plus);
			return;
		}
		if (d_in_lookup(dentry)) {
			fill(dentry, entry->plus, snapshot, how);
			dput(dentry);
			return;
		}
	}
	if (!refresh(dentry, entry->plus, snapshot, how))
		cs_entry_forget(parent->d_sb, entry->plus);
	dput(dentry);
}

/* Names to the reader until it has no room; all of them to the cache. */
static int take_names(struct file *file, struct dir_context *context, const u8 *at, u32 len, bool plus,
		      u64 snapshot)
{
	unsigned int n = 0;
	struct entry entry;
	bool full = false;
	int err = 0;

	while (next_entry(at, len, plus, &entry, &err)) {
		const struct fuse_dirent *dirent = entry.dirent;

		if (!full && !dir_emit(context, dirent->name, dirent->namelen, dirent->ino, dirent->type))
			full = true;
		if (!full)
			context->pos = dirent->off;
		if (plus)
			cache_entry(file->f_path.dentry, &entry, snapshot, CS_NAMES_PLUS);
		n++;
		at += entry.size;
		len -= entry.size;
	}
	cs_foresight_read(file_inode(file), plus ? CS_NAMES_PLUS : CS_NAMES_PLAIN, n);
	return err;
}

static void readdir_undo(struct cs_request *request)
{
	const u8 *at = cs_request_result(request);
	u32 len = request->got;
	struct entry entry;
	int err = 0;

	while (next_entry(at, len, true, &entry, &err)) {
		if (entry.plus->nodeid && !is_dot_name(entry.dirent))
			cs_session_forget(request->private, entry.plus->nodeid, 1);
		at += entry.size;
		len -= entry.size;
	}
}

static struct cs_request *names_request(struct inode *dir, const struct cs_file *open, loff_t pos, bool plus)
{
	struct cs_request *request;
	struct fuse_read_in *in;

	request = cs_inode_request(dir, plus ? FUSE_READDIRPLUS : FUSE_READDIR, sizeof(*in), NAMES_SIZE);
	if (!request)
		return NULL;
	in = cs_request_args(request);
	in->fh = open->fh;
	in->offset = pos;
	in->size = NAMES_SIZE;
	request->out_var = true;
	request->undo = plus ? readdir_undo : NULL;
	return request;
}

/* One reply into the dentry cache. Where it ended; -1 at the directory's end, or if it cannot be read. */
static loff_t sweep_some(struct dentry *dentry, const struct cs_file *open, loff_t pos)
{
	struct inode *dir = d_inode(dentry);
	u64 snapshot = cs_attr_snapshot(dir->i_sb);
	struct cs_request *request = names_request(dir, open, pos, true);
	struct entry entry;
	unsigned int n = 0;
	const u8 *at;
	int err;
	u32 len;

	if (!request)
		return -1;
	err = cs_device_call(open->session->device, request);
	at = cs_request_result(request);
	len = err ? 0 : request->got;
	while (next_entry(at, len, true, &entry, &err)) {
		cache_entry(dentry, &entry, snapshot, CS_NAMES_SWEPT);
		pos = entry.dirent->off;
		n++;
		at += entry.size;
		len -= entry.size;
	}
	/* With room for one more, of any name, it was the last. */
	if (err || request->got < NAMES_SIZE - ENTRY_MOST)
		pos = -1;
	cs_request_put(request);
	cs_foresight_read(dir, CS_NAMES_SWEPT, n);
	return pos;
}

void cs_dir_missed(struct dentry *dentry)
{
	struct inode *dir = d_inode(dentry);
	loff_t pos = cs_foresight_missed(dir);
	struct cs_file *open;

	if (pos < 0)
		return;
	open = cs_file_open_own(dir);
	if (!IS_ERR(open)) {
		for (int i = 0; i < SWEEP_REPLIES && pos >= 0; i++)
			pos = sweep_some(dentry, open, pos);
		cs_file_put(open);
	} else {
		pos = -1;
	}
	cs_foresight_swept(dir, pos);
}

/*
 * One reply's names. A reader that has room for more comes back; to ask for it at once
 * would ask twice where the names end.
 */
static int iterate(struct file *file, struct dir_context *context)
{
	struct inode *dir = file_inode(file);
	bool plus = cs_foresight_plus(cs_session(dir->i_sb));
	struct cs_file *open = file->private_data;
	u64 snapshot = cs_attr_snapshot(dir->i_sb);
	struct cs_request *request = names_request(dir, open, context->pos, plus);
	int err;

	if (!request)
		return -ENOMEM;
	err = cs_device_call(open->session->device, request);
	/* Its access time is the daemon's to know. */
	cs_attr_expire(dir);
	if (!err)
		err = take_names(file, context, cs_request_result(request), request->got, plus, snapshot);
	cs_request_put(request);
	return err;
}

static int open(struct inode *inode, struct file *file)
{
	return cs_file_open(inode, file, FUSE_OPENDIR, FUSE_RELEASEDIR);
}

static int release(struct inode *inode, struct file *file)
{
	cs_file_put(file->private_data);
	return 0;
}

static int fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct cs_file *open = file->private_data;
	struct cs_request *request;
	struct fuse_fsync_in *in;
	int err;

	if (READ_ONCE(open->session->no_fsyncdir))
		return 0;
	request = cs_inode_request(inode, FUSE_FSYNCDIR, sizeof(*in), 0);
	if (!request)
		return -ENOMEM;
	in = cs_request_args(request);
	in->fh = open->fh;
	in->fsync_flags = datasync ? FUSE_FSYNC_FDATASYNC : 0;
	err = cs_inode_run(inode, request);
	if (err == -ENOSYS) {
		WRITE_ONCE(open->session->no_fsyncdir, true);
		err = 0;
	}
	return err;
}

const struct file_operations cs_dir_operations = {
	.owner = THIS_MODULE,
	.llseek = generic_file_llseek,
	.read = generic_read_dir,
	.iterate_shared = iterate,
	.open = open,
	.release = release,
	.fsync = fsync,
};
