/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Operations on names: look up, make, remove, rename, link. */
#include <linux/namei.h>
#include <linux/slab.h>

#include "extend.h"
#include "fs.h"

/*
 * A name of a directory was added or removed by a request of after `snapshot`. The snapshot for the name in its reply:
 * 0 if a change whose caller was killed ended meanwhile.
 */
static u64 dir_changed(struct inode *dir, u64 snapshot)
{
	bool overtaken = cs_attr_changed_since(dir, snapshot);

	cs_attr_changed(dir);
	return overtaken ? 0 : cs_attr_snapshot(dir->i_sb);
}

/*
 * Whoever is to make it says whether it is there; only where that cannot be asked, it matters which of
 * two errors it is. Who may is not known where a mount may have other ids.
 */
static bool is_to_be_made(struct inode *dir, unsigned int flags)
{
	unsigned int exclusively = LOOKUP_CREATE | LOOKUP_EXCL;

	return (flags & exclusively) == exclusively && !sb_rdonly(dir->i_sb) &&
	       !READ_ONCE(cs_session(dir->i_sb)->has_other_ids) &&
	       !cs_permission(&nop_mnt_idmap, dir, MAY_WRITE | MAY_EXEC);
}

struct dentry *cs_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	struct cs_wanted wanted = { .name = &dentry->d_name, .snapshot = cs_attr_snapshot(dir->i_sb) };
	struct inode *inode = NULL;
	struct dentry *other;
	bool swept;
	int err;

	if (is_to_be_made(dir, flags))
		return NULL;
	swept = cs_dir_sweep_for(dentry->d_parent, &wanted);
	err = wanted.found ? 0 : cs_dentry_ask(dir, &dentry->d_name, &wanted.entry);
	if (err)
		return ERR_PTR(err);
	if (wanted.entry.nodeid) {
		inode = cs_inode_get(dir->i_sb, &wanted.entry, wanted.snapshot);
		if (IS_ERR(inode))
			return ERR_CAST(inode);
	}
	other = d_splice_alias(inode, dentry);
	if (IS_ERR(other))
		return other;
	cs_dentry_valid(dir, other ?: dentry, &wanted.entry, wanted.snapshot);
	if (wanted.found) {
		cs_foresight_mark(other ?: dentry, CS_NAMES_SWEPT);
		cs_foresight_used(other ?: dentry);
	}
	/* Now that its own name is there: what is being looked up must not be waited for. */
	if (!swept && inode && cs_dentry_is_fresh(other ?: dentry))
		cs_dir_sweep(dentry->d_parent, NULL);
	return other;
}

/* A request about a name in the directory, which has its place between `head` and `tail` bytes of arguments. */
static struct cs_request *name_request(struct inode *dir, struct dentry *dentry, u32 opcode, u32 head,
				       u32 tail, u32 out_len)
{
	struct cs_request *request;

	if (dentry->d_name.len > CS_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	request = cs_inode_request(dir, opcode, head + dentry->d_name.len + 1 + tail, out_len);
	if (!request)
		return ERR_PTR(-ENOMEM);
	cs_request_name(request, head, dentry->d_name.name, dentry->d_name.len);
	return request;
}

/* The same of one that makes something of that type and mode. */
static struct cs_request *make_request(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
				       u32 opcode, u32 head, u32 tail, u32 out_len, umode_t mode)
{
	struct cs_extensions extensions;
	struct cs_request *request;
	int err = cs_extensions_get(&extensions, idmap, dir, dentry, mode);

	if (err)
		return ERR_PTR(err);
	request = name_request(dir, dentry, opcode, head, tail + extensions.len, out_len);
	cs_extensions_put(&extensions, IS_ERR(request) ? NULL : request);
	if (!IS_ERR(request)) {
		cs_request_caller(request, idmap);
		request->undo = cs_entry_undo;
	}
	return request;
}

/* Send a request that makes a name; puts it. */
static int make(struct inode *dir, struct dentry *dentry, struct cs_request *request, umode_t type)
{
	u64 snapshot = cs_attr_snapshot(dir->i_sb), changed;
	struct fuse_entry_out entry;
	struct dentry *other;
	struct inode *inode;
	int err;

	cs_change(request, dir);
	err = cs_device_call(cs_session(dir->i_sb)->device, request);
	if (!err)
		memcpy(&entry, cs_request_result(request), sizeof(entry));
	cs_request_put(request);
	/* That it was missing is known no more, whatever became of it. */
	cs_dentry_expire(dentry);
	if (err)
		return err;
	changed = dir_changed(dir, snapshot);
	inode = cs_inode_get(dir->i_sb, &entry, snapshot);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	if ((inode->i_mode ^ type) & S_IFMT) {
		iput(inode);
		return -EIO;
	}
	d_drop(dentry);
	other = d_splice_alias(inode, dentry);
	if (IS_ERR(other))
		return PTR_ERR(other);
	cs_dentry_valid(dir, other ?: dentry, &entry, changed);
	dput(other);
	return 0;
}

static int mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode,
		 dev_t rdev)
{
	struct fuse_mknod_in *in;
	struct cs_request *request = make_request(idmap, dir, dentry, FUSE_MKNOD, sizeof(*in), 0,
						  sizeof(struct fuse_entry_out), mode);

	if (IS_ERR(request))
		return PTR_ERR(request);
	in = cs_request_args(request);
	in->mode = mode;
	in->rdev = new_encode_dev(rdev);
	in->umask = current_umask();
	return make(dir, dentry, request, mode);
}

static int create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode
		  CS_CREATE_MORE)
{
	return mknod(idmap, dir, dentry, mode, 0);
}

static cs_mkdir_result mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	struct fuse_mkdir_in *in;
	struct cs_request *request = make_request(idmap, dir, dentry, FUSE_MKDIR, sizeof(*in), 0,
						  sizeof(struct fuse_entry_out), mode | S_IFDIR);

	if (IS_ERR(request))
		return CS_MKDIR_RESULT(PTR_ERR(request));
	in = cs_request_args(request);
	in->mode = mode;
	in->umask = current_umask();
	return CS_MKDIR_RESULT(make(dir, dentry, request, S_IFDIR));
}

static int symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, const char *target)
{
	u32 len = strlen(target);
	struct cs_request *request = make_request(idmap, dir, dentry, FUSE_SYMLINK, 0, len + 1,
						  sizeof(struct fuse_entry_out), S_IFLNK | S_IRWXUGO);

	if (IS_ERR(request))
		return PTR_ERR(request);
	cs_request_name(request, dentry->d_name.len + 1, target, len);
	return make(dir, dentry, request, S_IFLNK);
}

static int link(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(old);
	struct fuse_link_in *in;
	struct cs_request *request = name_request(dir, dentry, FUSE_LINK, sizeof(*in), 0,
						  sizeof(struct fuse_entry_out));

	if (IS_ERR(request))
		return PTR_ERR(request);
	request->undo = cs_entry_undo;
	in = cs_request_args(request);
	in->oldnodeid = cs_nodeid(inode);
	cs_change(request, inode);
	cs_attr_changed(inode);
	return make(dir, dentry, request, inode->i_mode);
}

/* CREATE: the result is an entry and an open file. */
static void release_created(struct cs_request *request)
{
	const struct fuse_entry_out *entry = cs_request_result(request);
	const struct fuse_open_out *out = (const void *)(entry + 1);
	struct cs_session *session = request->private;
	struct cs_request *release = cs_session_request(session, FUSE_RELEASE, entry->nodeid,
							sizeof(struct fuse_release_in), 0);

	if (!release)
		return;
	((struct fuse_release_in *)cs_request_args(release))->fh = out->fh;
	cs_device_send(session->device, release);
	cs_request_put(release);
}

static void create_undo(struct cs_request *request)
{
	release_created(request);
	cs_entry_undo(request);
}

static struct cs_request *create_request(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
					 u32 opcode, u32 flags, umode_t mode)
{
	struct fuse_create_in *in;
	struct cs_request *request = make_request(idmap, dir, dentry, opcode, sizeof(*in), 0,
						  sizeof(struct fuse_entry_out) +
						  sizeof(struct fuse_open_out), mode | S_IFREG);

	if (IS_ERR(request))
		return request;
	request->undo = create_undo;
	in = cs_request_args(request);
	/* The VFS truncates the file after the open, by SETATTR: pages are dropped before that. */
	in->flags = (flags & ~(O_NOCTTY | O_TRUNC)) | (opcode == FUSE_CREATE ? O_CREAT : 0);
	in->mode = mode;
	in->umask = current_umask();
	return request;
}

/* It has contents, so the host or another guest made it meanwhile: the VFS is to truncate it. */
static bool is_to_be_cut(const struct inode *inode, u32 flags)
{
	return (flags & (O_TRUNC | O_EXCL)) == O_TRUNC && i_size_read(inode);
}

/* The reply of a CREATE becomes an inode, its dentry and an open file. */
static int finish_create(struct inode *dir, struct dentry *dentry, struct file *file, u32 flags,
			 struct cs_request *request, u64 snapshot)
{
	const struct fuse_entry_out *entry = cs_request_result(request);
	const struct fuse_open_out *opened = (const void *)(entry + 1);
	struct cs_file *open = NULL;
	u64 changed = dir_changed(dir, snapshot);
	struct inode *inode = cs_inode_get(dir->i_sb, entry, snapshot);
	int err;

	if (!IS_ERR(inode) && S_ISREG(inode->i_mode))
		open = cs_file_new(inode, FUSE_RELEASE, flags);
	if (!open) {
		release_created(request);
		if (IS_ERR(inode))
			return PTR_ERR(inode);
		iput(inode);
		return -EIO;
	}
	/* Nobody has looked for what is made exclusively. */
	if (d_in_lookup(dentry))
		d_add(dentry, inode);
	else
		d_instantiate(dentry, inode);
	cs_dentry_valid(dir, dentry, entry, changed);
	cs_file_attach(open, inode, file, opened);
	if (!is_to_be_cut(inode, flags))
		file->f_mode |= FMODE_CREATED;
	/* By open() of the file operations: what release() takes back was done by that. */
	err = finish_open(file, dentry, NULL);
	/* A security module, a watcher or a lease may have refused it. */
	if (err && !(file->f_mode & FMODE_OPENED))
		cs_file_detach(inode, file);
	return err;
}

static int create_and_open(struct inode *dir, struct dentry *dentry, struct file *file, u32 opcode,
			   u32 flags, umode_t mode)
{
	u64 snapshot = cs_attr_snapshot(dir->i_sb);
	struct cs_request *request = create_request(file_mnt_idmap(file), dir, dentry, opcode, flags, mode);
	int err;

	if (IS_ERR(request))
		return PTR_ERR(request);
	cs_change(request, dir);
	err = cs_device_call(cs_session(dir->i_sb)->device, request);
	cs_dentry_expire(dentry);
	if (!err)
		err = finish_create(dir, dentry, file, flags, request, snapshot);
	cs_request_put(request);
	return err;
}

static int atomic_open(struct inode *dir, struct dentry *dentry, struct file *file, unsigned int flags,
		       umode_t mode)
{
	bool exclusively = flags & O_CREAT && flags & O_EXCL;
	struct dentry *other = NULL;
	int err;

	if (d_in_lookup(dentry) && !exclusively) {
		other = cs_lookup(dir, dentry, 0);
		if (IS_ERR(other))
			return PTR_ERR(other);
		if (other)
			dentry = other;
	}
	/* The caller puts what finish_no_open() is given. */
	if (!(flags & O_CREAT) || d_really_is_positive(dentry))
		return finish_no_open(file, other);
	err = create_and_open(dir, dentry, file, FUSE_CREATE, flags, mode);
	dput(other);
	return err;
}

/* A file without a name; its dentry's placeholder goes with the request. */
static int tmpfile(struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	int err = create_and_open(dir, file->f_path.dentry, file, FUSE_TMPFILE, file->f_flags, mode);

	return err == -ENOSYS ? -EOPNOTSUPP : err;
}

/*
 * The inode behind a name that is gone has one name less; `snapshot`: of before. An answer that came meanwhile
 * may have counted that, or not, so it is asked for.
 */
static void name_gone(struct inode *inode, u64 snapshot)
{
	bool counted;

	spin_lock(&inode->i_lock);
	counted = !S_ISDIR(inode->i_mode) && cs_inode(inode)->told > snapshot;
	if (S_ISDIR(inode->i_mode))
		clear_nlink(inode);
	else if (inode->i_nlink && !counted)
		drop_nlink(inode);
	cs_attr_changed(inode);
	spin_unlock(&inode->i_lock);
	if (counted)
		cs_attr_refresh(inode, true);
}

static int take_away(struct inode *dir, struct dentry *dentry, u32 opcode)
{
	struct cs_request *request = name_request(dir, dentry, opcode, 0, 0, 0);
	u64 snapshot = cs_attr_snapshot(dir->i_sb);
	int err;

	if (IS_ERR(request))
		return PTR_ERR(request);
	cs_change(request, dir);
	cs_change(request, d_inode(dentry));
	err = cs_inode_run(dir, request);
	/* Others may make it again, or have made it already: that it is missing is not believed for long. */
	cs_dentry_expire(dentry);
	if (!err) {
		dir_changed(dir, snapshot);
		name_gone(d_inode(dentry), snapshot);
	}
	return err;
}

static int unlink(struct inode *dir, struct dentry *dentry)
{
	return take_away(dir, dentry, FUSE_UNLINK);
}

static int rmdir(struct inode *dir, struct dentry *dentry)
{
	return take_away(dir, dentry, FUSE_RMDIR);
}

/* RENAME knows no flags, RENAME2 does; the names follow the head of either. */
static struct cs_request *rename_request(struct inode *dir, struct dentry *old, struct inode *new_dir,
					 struct dentry *new, u32 flags)
{
	u32 head = flags ? sizeof(struct fuse_rename2_in) : sizeof(struct fuse_rename_in);
	struct cs_request *request;

	if (new->d_name.len > CS_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	request = name_request(dir, old, flags ? FUSE_RENAME2 : FUSE_RENAME, head, new->d_name.len + 1, 0);
	if (IS_ERR(request))
		return request;
	cs_request_name(request, head + old->d_name.len + 1, new->d_name.name, new->d_name.len);
	if (flags) {
		struct fuse_rename2_in *in = cs_request_args(request);

		in->newdir = cs_nodeid(new_dir);
		in->flags = flags;
	} else {
		((struct fuse_rename_in *)cs_request_args(request))->newdir = cs_nodeid(new_dir);
	}
	return request;
}

static int rename(struct mnt_idmap *idmap, struct inode *dir, struct dentry *old, struct inode *new_dir,
		  struct dentry *new, unsigned int flags)
{
	u64 snapshot = cs_attr_snapshot(dir->i_sb);
	struct cs_request *request;
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	request = rename_request(dir, old, new_dir, new, flags);
	if (IS_ERR(request))
		return PTR_ERR(request);
	cs_change(request, dir);
	cs_change(request, new_dir);
	cs_change(request, d_inode(old));
	if (d_really_is_positive(new))
		cs_change(request, d_inode(new));
	err = cs_inode_run(dir, request);
	if (err == -ENOSYS)
		err = -EINVAL;
	if (err) {
		/* Done or not, nobody knows; or the names are others than we thought. */
		cs_dentry_expire(old);
		cs_dentry_expire(new);
		return err;
	}
	dir_changed(dir, snapshot);
	dir_changed(new_dir, snapshot);
	cs_attr_changed(d_inode(old));
	if (d_really_is_positive(new)) {
		if (flags & RENAME_EXCHANGE)
			cs_attr_changed(d_inode(new));
		else
			name_gone(d_inode(new), snapshot);
	}
	return 0;
}

/* READLINK: the target, to be freed; or an error pointer. */
static char *ask_link(struct inode *inode)
{
	struct cs_request *request = cs_inode_request(inode, FUSE_READLINK, 0, PAGE_SIZE - 1);
	char *target = NULL;
	int err;

	if (!request)
		return ERR_PTR(-ENOMEM);
	request->out_var = true;
	err = cs_device_call(cs_session(inode->i_sb)->device, request);
	if (!err)
		target = kmemdup_nul(cs_request_result(request), request->got, GFP_KERNEL);
	cs_request_put(request);
	return target ?: ERR_PTR(err ?: -ENOMEM);
}

/* Of an inode it never changes: a name that leads elsewhere has another inode. */
static bool is_link_kept(const struct inode *inode)
{
	const struct cs_session *session = cs_session(inode->i_sb);

	return cs_session_has(session, FUSE_CACHE_SYMLINKS) && session->options.cache != CS_CACHE_NEVER;
}

/* Called until i_link is set, which the VFS then follows without asking us, also in walks by RCU. */
static const char *get_link(struct dentry *dentry, struct inode *inode, struct delayed_call *done)
{
	char *target, *other;

	if (!dentry)
		return ERR_PTR(-ECHILD);
	target = ask_link(inode);
	if (IS_ERR(target))
		return target;
	if (!is_link_kept(inode)) {
		set_delayed_call(done, kfree_link, target);
		return target;
	}
	other = cmpxchg(&inode->i_link, NULL, target);
	if (other)
		kfree(target);
	return other ?: target;
}

const struct inode_operations cs_dir_inode_operations = {
	.lookup = cs_lookup,
	.create = create,
	.link = link,
	.unlink = unlink,
	.symlink = symlink,
	.mkdir = mkdir,
	.rmdir = rmdir,
	.mknod = mknod,
	.rename = rename,
	.atomic_open = atomic_open,
	.tmpfile = tmpfile,
	.permission = cs_permission,
	.getattr = cs_getattr,
	.setattr = cs_setattr,
	.listxattr = cs_listxattr,
	.get_inode_acl = cs_get_acl,
	.set_acl = cs_set_acl,
	.fileattr_get = cs_fileattr_get,
	.fileattr_set = cs_fileattr_set,
};

const struct inode_operations cs_symlink_inode_operations = {
	.get_link = get_link,
	.getattr = cs_getattr,
	.setattr = cs_setattr,
	.listxattr = cs_listxattr,
};

const struct inode_operations cs_file_inode_operations = {
	.permission = cs_permission,
	.getattr = cs_getattr,
	.setattr = cs_setattr,
	.listxattr = cs_listxattr,
	.get_inode_acl = cs_get_acl,
	.set_acl = cs_set_acl,
	.fileattr_get = cs_fileattr_get,
	.fileattr_set = cs_fileattr_set,
};
