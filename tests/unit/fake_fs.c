/* SPDX-License-Identifier: BSD-3-Clause */
/* A file system that only remembers; see fake_fs.h. */
#include "tests/unit/fake_fs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/checked.h"

struct fake_fs fake;

void fake_clear(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.entry.node = 42;
	fake.entry.attr.stx.stx_mask = STATX_BASIC_STATS;
	fake.entry.attr.stx.stx_mode = S_IFREG | 0644;
	fake.target = "target";
	fake.contents = "";
	fake.dirent_name_len = 5;
	memset(&fake_window, 0, sizeof(fake_window));
	fake_window.present = true;
}

static int called(const char *function, uint64_t node)
{
	int waits = fake_waits();

	if (waits)
		return waits;
	fake.calls++;
	fake.last = function;
	fake.node = node;
	return fake.result < 0 ? (int)fake.result : 0;
}

static int entered(const char *function, uint64_t node, const char *name, struct fs_entry *entry)
{
	int rc = called(function, node);

	snprintf(fake.name, sizeof(fake.name), "%s", name);
	if (!rc) {
		*entry = fake.entry;
		fake.lookups++;
	}
	return rc;
}

/* What the caller points to is gone when the handler returns. */
static void called_by(const struct fs_caller *caller)
{
	fake.caller = *caller;
	if (caller->n_groups)
		memcpy(fake.groups, caller->groups, caller->n_groups * sizeof(uint32_t));
	fake.caller.groups = fake.groups;
	if (!caller->label.name)
		return;
	snprintf(fake.label_name, sizeof(fake.label_name), "%s", caller->label.name);
	memcpy(fake.label, caller->label.value, MIN(caller->label.size, sizeof(fake.label)));
}

void fs_reset(struct fs *fs)
{
	(void)fs;
	fake.resets++;
}

int fs_lookup(struct fs *fs, uint64_t parent, const char *name, struct fs_entry *entry)
{
	(void)fs;
	return entered(__func__, parent, name, entry);
}

void fs_forget(struct fs *fs, uint64_t node, uint64_t n)
{
	(void)fs;
	called(__func__, node);
	fake.forgotten += n;
}

int fs_getattr(struct fs *fs, uint64_t node, uint64_t handle, struct fs_attr *attr)
{
	(void)fs;
	fake.handle = handle;
	*attr = fake.entry.attr;
	return called(__func__, node);
}

int fs_setattr(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint64_t handle,
	       const struct fs_setattr *set, struct fs_attr *attr)
{
	called_by(caller);
	fake.set = *set;
	fs_getattr(fs, node, handle, attr);
	fake.calls--;
	return called(__func__, node);
}

int fs_statfs(struct fs *fs, uint64_t node, struct statvfs *st)
{
	(void)fs;
	*st = fake.statvfs;
	return called(__func__, node);
}

int fs_access(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint32_t mask)
{
	(void)fs;
	called_by(caller);
	fake.mode = mask;
	return called(__func__, node);
}

int fs_mknod(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	     uint32_t mode, uint32_t rdev, struct fs_entry *entry)
{
	(void)fs;
	called_by(caller);
	fake.mode = mode;
	fake.rdev = rdev;
	return entered(__func__, parent, name, entry);
}

int fs_mkdir(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	     uint32_t mode, struct fs_entry *entry)
{
	(void)fs;
	called_by(caller);
	fake.mode = mode;
	return entered(__func__, parent, name, entry);
}

int fs_symlink(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	       const char *target, struct fs_entry *entry)
{
	(void)fs;
	called_by(caller);
	snprintf(fake.name2, sizeof(fake.name2), "%s", target);
	return entered(__func__, parent, name, entry);
}

int fs_link(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint64_t parent,
	    const char *name, struct fs_entry *entry)
{
	(void)fs;
	called_by(caller);
	fake.node2 = node;
	return entered(__func__, parent, name, entry);
}

int fs_create(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	      uint32_t flags, uint32_t mode, struct fs_entry *entry, uint64_t *handle)
{
	(void)fs;
	called_by(caller);
	fake.flags = flags;
	fake.mode = mode;
	*handle = 77;
	return entered(__func__, parent, name, entry);
}

int fs_tmpfile(struct fs *fs, const struct fs_caller *caller, uint64_t parent, uint32_t flags,
	       uint32_t mode, struct fs_entry *entry, uint64_t *handle)
{
	(void)fs;
	called_by(caller);
	fake.flags = flags;
	fake.mode = mode;
	*handle = 78;
	return entered(__func__, parent, "", entry);
}

int fs_unlink(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name)
{
	(void)fs;
	called_by(caller);
	snprintf(fake.name, sizeof(fake.name), "%s", name);
	return called(__func__, parent);
}

int fs_rmdir(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name)
{
	(void)fs;
	called_by(caller);
	snprintf(fake.name, sizeof(fake.name), "%s", name);
	return called(__func__, parent);
}

int fs_rename(struct fs *fs, const struct fs_caller *caller, uint64_t parent, const char *name,
	      uint64_t new_parent, const char *new_name, uint32_t flags)
{
	(void)fs;
	called_by(caller);
	snprintf(fake.name, sizeof(fake.name), "%s", name);
	snprintf(fake.name2, sizeof(fake.name2), "%s", new_name);
	fake.node2 = new_parent;
	fake.flags = flags;
	return called(__func__, parent);
}

ssize_t fs_readlink(struct fs *fs, uint64_t node, char *buf, size_t size)
{
	size_t len = MIN(strlen(fake.target), size);
	int rc = called(__func__, node);

	(void)fs;
	memcpy(buf, fake.target, len);
	return rc ? rc : (ssize_t)len;
}

int fs_open(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint32_t flags,
	    uint64_t *handle)
{
	(void)fs;
	called_by(caller);
	fake.flags = flags;
	*handle = 79;
	return called(__func__, node);
}

bool fs_wait_for_room(struct fs *fs, int err)
{
	(void)fs;
	return (err == -ENOSPC || err == -EDQUOT) && fake.full && fake.full--;
}

bool fs_size_tells(struct fs *fs, uint64_t handle)
{
	(void)fs;
	fake.handle = handle;
	return !fake.made_up;
}

bool fs_may_keep(struct fs *fs, uint64_t handle)
{
	(void)fs;
	fake.handle = handle;
	return fake.may_keep;
}

static int with_handle(const char *function, uint64_t handle)
{
	fake.handle = handle;
	return called(function, 0);
}

int fs_release(struct fs *fs, uint64_t handle)
{
	(void)fs;
	return with_handle(__func__, handle);
}

int fs_release_soon(struct fs *fs, uint64_t handle)
{
	(void)fs;
	fake.calls++;
	fake.last = __func__;
	fake.handle = handle;
	return 0;
}

int fs_flush(struct fs *fs, uint64_t handle)
{
	(void)fs;
	return with_handle(__func__, handle);
}

int fs_fsync(struct fs *fs, uint64_t handle, bool datasync)
{
	(void)fs;
	fake.bit = datasync;
	return with_handle(__func__, handle);
}

int fs_syncfs(struct fs *fs, uint64_t node)
{
	(void)fs;
	return called(__func__, node);
}

ssize_t fs_read(struct fs *fs, uint64_t node, uint64_t handle, uint64_t offset, size_t size,
		struct iov_cursor *to, uint32_t how)
{
	size_t n = MIN(strlen(fake.contents), size);
	int rc = called(__func__, node);

	(void)fs;
	fake.how = how;
	fake.handle = handle;
	fake.offset = offset;
	fake.size = size;
	iov_cursor_write(to, fake.contents, n);
	return rc ? rc : (ssize_t)n;
}

ssize_t fs_write(struct fs *fs, uint64_t node, uint64_t handle, uint64_t offset, size_t size,
		 struct iov_cursor *from, const struct fs_write *how)
{
	int rc = called(__func__, node);

	(void)fs;
	fake.handle = handle;
	fake.offset = offset;
	fake.size = size;
	fake.write = *how;
	if (how->caller)
		called_by(how->caller);
	if (!rc && !iov_cursor_read(from, fake.data, MIN(size, sizeof(fake.data))))
		return -EIO;
	return rc ? rc : (ssize_t)size;
}

int fs_fallocate(struct fs *fs, const struct fs_caller *caller, uint64_t node, uint64_t handle,
		 uint32_t mode, uint64_t offset, uint64_t len)
{
	(void)fs;
	called_by(caller);
	fake.handle = handle;
	fake.mode = mode;
	fake.offset = offset;
	fake.size = len;
	return called(__func__, node);
}

int64_t fs_lseek(struct fs *fs, uint64_t handle, uint64_t offset, uint32_t whence)
{
	(void)fs;
	fake.offset = offset;
	fake.mode = whence;
	with_handle(__func__, handle);
	return fake.result;
}

ssize_t fs_copy_file_range(struct fs *fs, const struct fs_caller *caller, uint64_t handle_in,
			   uint64_t off_in, uint64_t node_out, uint64_t handle_out,
			   uint64_t off_out, uint64_t len, uint64_t flags)
{
	(void)fs;
	called_by(caller);
	with_handle(__func__, handle_in);
	fake.offset = off_in;
	fake.node2 = node_out;
	fake.handle2 = handle_out;
	fake.offset2 = off_out;
	fake.size = len;
	fake.flags = (uint32_t)flags;
	return fake.result < 0 ? fake.result : (ssize_t)len;
}

int fs_opendir(struct fs *fs, uint64_t node, uint64_t *handle)
{
	(void)fs;
	*handle = 80;
	return called(__func__, node);
}

int fs_await_dax(struct fs *fs, uint64_t node)
{
	(void)fs;
	return called(__func__, node);
}

int fs_releasedir(struct fs *fs, uint64_t handle)
{
	(void)fs;
	return with_handle(__func__, handle);
}

int fs_fsyncdir(struct fs *fs, uint64_t handle, bool datasync)
{
	(void)fs;
	fake.bit = datasync;
	return with_handle(__func__, handle);
}

/* The first two entries are without a node, as "." and ".." are. */
static bool fake_emit(uint64_t index, bool plus, fs_emit_fn emit, void *ctx)
{
	struct fs_entry entry = fake.entry;
	char name[1024];
	struct fs_dirent dirent = {
		.number = { .own = 1000 + index }, .next = index + 1, .type = 8,
		.name = name, .name_len = (uint16_t)fake.dirent_name_len,
		.entry = plus ? &entry : NULL,
	};
	bool taken;

	memset(name, 'a' + (int)(index % 26), sizeof(name));
	entry.node = index < 2 ? 0 : 100 + index;
	taken = emit(ctx, &dirent);
	if (plus && taken && entry.node)
		fake.lookups++;
	return taken;
}

int fs_readdir(struct fs *fs, uint64_t node, uint64_t handle, uint64_t offset, bool plus,
	       size_t hint, fs_emit_fn emit, void *ctx)
{
	int rc = called(__func__, node);

	(void)fs;
	fake.handle = handle;
	fake.offset = offset;
	fake.size = hint;
	fake.bit = plus;
	for (uint64_t i = offset; !rc && i < fake.dirents; i++) {
		if (fake.dirent_fail_at && i >= fake.dirent_fail_at)
			return -EIO;
		if (!fake_emit(i, plus, emit, ctx))
			break;
	}
	return rc;
}

int fs_list(struct fs *fs, uint64_t node, bool plus, size_t hint, fs_emit_fn emit, void *ctx)
{
	(void)called(__func__, node);
	return fs_readdir(fs, node, UINT64_MAX, 0, plus, hint, emit, ctx);
}

void fs_offer_what_fits(struct fs *fs, bool so)
{
	(void)fs;
	(void)so;
}

uint32_t fs_session(const struct fs *fs)
{
	(void)fs;
	return 1;
}

void fs_set_client_device(struct fs *fs, uint32_t device)
{
	(void)fs;
	(void)device;
}

int fs_getlk(struct fs *fs, uint64_t handle, uint64_t owner, struct fs_lock *lock)
{
	int rc = called(__func__, 0);

	(void)fs;
	fake.handle = handle;
	fake.owner = owner;
	fake.lock = *lock;
	*lock = (struct fs_lock){ .type = 2 };
	return rc;
}

int fs_setlk(struct fs *fs, uint64_t handle, uint64_t owner, const struct fs_lock *lock,
	     uint64_t unique, bool wait)
{
	int rc = called(__func__, 0);

	(void)fs;
	fake.handle = handle;
	fake.owner = owner;
	fake.lock = *lock;
	fake.unique = unique;
	fake.bit = wait;
	return rc;
}

int fs_flock(struct fs *fs, uint64_t handle, uint64_t owner, uint32_t type, uint64_t unique, bool wait)
{
	struct fs_lock lock = { .type = type };
	int rc = fs_setlk(fs, handle, owner, &lock, unique, wait);

	fake.last = __func__;
	return rc;
}

int fs_lock_closed(struct fs *fs, uint64_t handle, uint64_t owner)
{
	(void)fs;
	fake.handle2 = handle;
	fake.owner = owner;
	return 0;
}

/* Remembers what came in; answers "out" bytes of 0x5a. */
int fs_ioctl(struct fs *fs, const struct fs_caller *caller, uint64_t handle, bool dir,
	     struct fs_ioctl *io)
{
	(void)fs;
	called_by(caller);
	fake.flags = io->cmd;
	fake.bit = dir;
	fake.size = io->in_size;
	fake.offset = io->out_size;
	memcpy(fake.data, io->in, MIN(io->in_size, sizeof(fake.data)));
	memset(io->out, 0x5a, io->out_size);
	return with_handle(__func__, handle);
}

int fs_setxattr(struct fs *fs, const struct fs_caller *caller, uint64_t node, const char *name,
		const void *value, size_t size, uint32_t flags, bool acl_kill_sgid)
{
	(void)fs;
	called_by(caller);
	snprintf(fake.xattr, sizeof(fake.xattr), "%s", name);
	memcpy(fake.data, value, MIN(size, sizeof(fake.data)));
	fake.size = size;
	fake.flags = flags;
	fake.kill = acl_kill_sgid;
	return called(__func__, node);
}

/* The value, or as much of the error as the kernel would give for too little room. */
static ssize_t give_value(void *to, size_t size)
{
	if (size && size < fake.value_len)
		return -ERANGE;
	if (size && fake.value_len)
		memcpy(to, fake.value, fake.value_len);
	return (ssize_t)fake.value_len;
}

ssize_t fs_getxattr(struct fs *fs, uint64_t node, const char *name, void *value, size_t size)
{
	int rc = called(__func__, node);

	(void)fs;
	snprintf(fake.xattr, sizeof(fake.xattr), "%s", name);
	fake.size = size;
	return rc ? rc : give_value(value, size);
}

ssize_t fs_listxattr(struct fs *fs, uint64_t node, char *names)
{
	(void)fs;
	return called(__func__, node) < 0 ? fake.result : give_value(names, FS_XATTR_LIST_MAX);
}

int fs_removexattr(struct fs *fs, const struct fs_caller *caller, uint64_t node, const char *name)
{
	(void)fs;
	called_by(caller);
	snprintf(fake.xattr, sizeof(fake.xattr), "%s", name);
	return called(__func__, node);
}

int fs_umask_ready(struct fs *fs)
{
	(void)fs;
	return fake.no_umask ? -EPERM : 0;
}

int fs_change_as(struct fs *fs, const struct fs_caller *caller, uint64_t node)
{
	(void)fs;
	called_by(caller);
	return called(__func__, node);
}
