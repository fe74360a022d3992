/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Open directories. Where the daemon knows FUSE_EXTENSION_WHOLE_DIR most of them never get a
 * handle: one request brings all the names, and says that it did.
 */
#include <linux/mutex.h>
#include <linux/slab.h>

#include "names.h"

struct dir {
	struct mutex lock;
	struct cs_file *open;		/* [L:lock] set once; NULL before it is needed */
	/* All names, until they were read. The rest is of whoever reads: the VFS lets one at a time. */
	struct cs_request *whole;
	loff_t end;			/* where whole ended, and nothing follows; or -1 */
};

bool cs_dir_is_listed(struct inode *dir)
{
	return (cs_session(dir->i_sb)->extensions & FUSE_EXTENSION_WHOLE_DIR) && !READ_ONCE(cs_inode(dir)->names.large);
}

/* The directory's handle, the file's for as long as it is open; or an error pointer. */
static struct cs_file *get_handle(struct file *file)
{
	struct dir *dir = file->private_data;
	struct cs_file *open;

	if (mutex_lock_killable(&dir->lock))
		return ERR_PTR(-EINTR);
	open = dir->open ?: cs_file_open_own(file_inode(file));
	if (!IS_ERR(open))
		dir->open = open;
	mutex_unlock(&dir->lock);
	return open;
}

static void drop_whole(struct dir *dir)
{
	if (dir->whole)
		cs_request_put(dir->whole);
	dir->whole = NULL;
}

/* A reply's names to the reader, until it has no room. False: then. */
static bool give(struct dir_context *context, struct cs_names_at *names)
{
	struct cs_name name;

	while (cs_names_next(names, &name)) {
		const struct fuse_dirent *dirent = name.dirent;

		if (!dir_emit(context, dirent->name, dirent->namelen, dirent->ino, dirent->type & 0xff))
			return false;
		context->pos = dirent->off;
	}
	return true;
}

/* Those of a reply that came with attributes into the cache. True if the directory's last is there. */
static bool cache(struct file *file, struct cs_request *request, u64 snapshot)
{
	struct cs_names_at names = cs_names_start(request);
	bool plus = names.plus, last = false;
	struct cs_name name;
	unsigned int n;

	for (n = 0; cs_names_next(&names, &name); n++) {
		if (plus)
			cs_name_cache(file->f_path.dentry, &name, snapshot, CS_NAMES_PLUS, NULL);
		last = cs_name_is_last(&name);
	}
	cs_foresight_read(file_inode(file), plus ? CS_NAMES_PLUS : CS_NAMES_PLAIN, n);
	/* A directory of no name at all has its last one there. */
	return last || !request->got;
}

/* Ask for names: the reply, or an error pointer. Whether the directory ends there. */
static struct cs_request *ask(struct file *file, u64 fh, loff_t pos, bool *ends)
{
	struct inode *inode = file_inode(file);
	struct cs_session *session = cs_session(inode->i_sb);
	u64 snapshot = cs_attr_snapshot(inode->i_sb);
	struct cs_request *request = cs_names_request(inode, fh, pos, cs_foresight_plus(session));
	int err;

	if (!request)
		return ERR_PTR(-ENOMEM);
	err = cs_device_call(session->device, request);
	WRITE_ONCE(cs_inode(inode)->was_read, true);
	if (err) {
		cs_request_put(request);
		return ERR_PTR(err);
	}
	*ends = cache(file, request, snapshot);
	return request;
}

/* Have all names in one reply, if it has room for them. 0 or -errno. */
static int list(struct file *file)
{
	struct dir *dir = file->private_data;
	struct inode *inode = file_inode(file);
	struct cs_request *request;
	bool ends;

	if (dir->open || !cs_dir_is_listed(inode))
		return 0;
	request = ask(file, FUSE_NO_HANDLE, 0, &ends);
	if (IS_ERR(request))
		return PTR_ERR(request);
	if (ends) {
		dir->whole = request;
		return 0;
	}
	WRITE_ONCE(cs_inode(inode)->names.large, true);
	cs_request_put(request);
	return 0;
}

/* Go on at the reader's place in it. False if it has no such place. */
static bool find_place(struct cs_names_at *names, loff_t pos)
{
	struct cs_name name;

	if (!pos)
		return true;
	while (cs_names_next(names, &name))
		if (name.dirent->off == pos)
			return true;
	return false;
}

/* True if the reader was served, by the one reply. */
static bool give_whole(struct dir *dir, struct dir_context *context, int *err)
{
	struct cs_names_at names;

	if (!dir->whole)
		return false;
	names = cs_names_start(dir->whole);
	if (!find_place(&names, context->pos)) {
		drop_whole(dir);
		return false;
	}
	if (give(context, &names)) {
		dir->end = context->pos;
		*err = names.err;
		drop_whole(dir);
	}
	return true;
}

/* One reply's names. To ask for more at once would ask twice where the names end. */
static int give_some(struct file *file, struct dir_context *context)
{
	struct cs_file *open = get_handle(file);
	struct cs_request *request;
	struct cs_names_at names;
	bool ends;

	if (IS_ERR(open))
		return PTR_ERR(open);
	request = ask(file, open->fh, context->pos, &ends);
	if (IS_ERR(request))
		return PTR_ERR(request);
	/* Where the first reply has room for more, the next walk will not need a handle. */
	if (!context->pos && request->got <= CS_NAMES_SIZE - CS_NAMES_LARGEST)
		WRITE_ONCE(cs_inode(file_inode(file))->names.large, false);
	names = cs_names_start(request);
	give(context, &names);
	cs_request_put(request);
	return names.err;
}

static int iterate(struct file *file, struct dir_context *context)
{
	struct dir *dir = file->private_data;
	int err = 0;

	if (!context->pos) {
		/* From the start is anew. */
		drop_whole(dir);
		dir->end = -1;
		err = list(file);
	}
	if (err || context->pos == dir->end || give_whole(dir, context, &err))
		return err;
	return give_some(file, context);
}

static int open(struct inode *inode, struct file *file)
{
	struct dir *dir = kzalloc(sizeof(*dir), GFP_KERNEL);
	struct cs_file *opened = NULL;

	if (!dir)
		return -ENOMEM;
	mutex_init(&dir->lock);
	dir->end = -1;
	file->private_data = dir;
	if (!cs_dir_is_listed(inode))
		opened = get_handle(file);
	if (!IS_ERR(opened))
		return 0;
	kfree(dir);
	return PTR_ERR(opened);
}

static int release(struct inode *inode, struct file *file)
{
	struct dir *dir = file->private_data;

	drop_whole(dir);
	if (dir->open)
		cs_file_put(dir->open);
	kfree(dir);
	return 0;
}

static int fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct cs_session *session = cs_session(inode->i_sb);
	struct cs_request *request;
	struct fuse_fsync_in *in;
	struct cs_file *open;
	int err;

	if (READ_ONCE(session->no_fsyncdir))
		return 0;
	open = get_handle(file);
	if (IS_ERR(open))
		return PTR_ERR(open);
	request = cs_inode_request(inode, FUSE_FSYNCDIR, sizeof(*in), 0);
	if (!request)
		return -ENOMEM;
	in = cs_request_args(request);
	in->fh = open->fh;
	in->fsync_flags = datasync ? FUSE_FSYNC_FDATASYNC : 0;
	err = cs_inode_run(inode, request);
	if (err == -ENOSYS) {
		WRITE_ONCE(session->no_fsyncdir, true);
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
