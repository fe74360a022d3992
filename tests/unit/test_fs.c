/* SPDX-License-Identifier: BSD-3-Clause */
/* The file system: names, attributes, opening; stale numbers, special files, read-only shares. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/fs/fs_private.h"
#include "tests/unit/plain_fs.h"
#include "tests/skip.h"

static int lookup(uint64_t parent, const char *name)
{
	struct fs_entry entry;

	return fs_lookup(fs, parent, name, &entry);
}

static void lookup_and_forget_count(void **state)
{
	unsigned int fds;
	uint64_t node;

	(void)state;
	host_write(f, "a", "x");
	assert_int_equal(link(host_path(f, "a"), host_path(f, "b")), 0);
	fds = open_fds();
	node = must_lookup(fs, FS_ROOT_NODE, "a");
	assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "a"), node);
	assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "b"), node);
	assert_int_equal(open_fds(), fds + 1);
	fs_forget(fs, node, 2);
	assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "a"), node);
	fs_forget(fs, node, 2);
	assert_int_equal(open_fds(), fds);
	assert_int_equal(lookup(node, "x"), -ESTALE);
	assert_int_not_equal(must_lookup(fs, FS_ROOT_NODE, "a"), node);
}

static void lookup_errors(void **state)
{
	char longest[256];

	(void)state;
	memset(longest, 'n', 255);
	longest[255] = 0;
	assert_int_equal(lookup(FS_ROOT_NODE, "missing"), -ENOENT);
	assert_int_equal(lookup(FS_ROOT_NODE, ".."), -EINVAL);
	assert_int_equal(lookup(FS_ROOT_NODE, "."), -EINVAL);
	assert_int_equal(lookup(0, "a"), -ESTALE);
	assert_int_equal(lookup(77, "a"), -ESTALE);
	assert_int_equal(lookup(UINT64_MAX, "a"), -ESTALE);
	host_write(f, "file", "");
	assert_int_equal(lookup(must_lookup(fs, FS_ROOT_NODE, "file"), "x"), -ENOTDIR);
	host_write(f, longest, "");
	must_lookup(fs, FS_ROOT_NODE, longest);
}

static void lookup_never_follows(void **state)
{
	struct fs_entry entry;
	uint64_t link_node;
	char target[16];

	(void)state;
	assert_int_equal(symlink("/etc", host_path(f, "out")), 0);
	link_node = must_lookup(fs, FS_ROOT_NODE, "out");
	assert_int_equal(fs_lookup(fs, FS_ROOT_NODE, "out", &entry), 0);
	assert_true(S_ISLNK(entry.attr.stx.stx_mode));
	assert_int_equal(lookup(link_node, "passwd"), -ENOTDIR);
	assert_int_equal(fs_readlink(fs, link_node, target, sizeof(target)), 4);
	assert_memory_equal(target, "/etc", 4);
	assert_int_equal(fs_readlink(fs, FS_ROOT_NODE, target, sizeof(target)), -EINVAL);
}

static void works_without_openat2(void **state)
{
	(void)state;
	fs->open.openat2 = false;
	lookup_never_follows(state);
	assert_int_equal(lookup(must_mkdir(fs, FS_ROOT_NODE, "d"), "missing"), -ENOENT);
}

/* A directory that became a link on the host: what we hold stays what it was. */
static void a_swapped_parent_stays_itself(void **state)
{
	uint64_t dir, handle, file;
	struct fs_entry entry;
	char byte;

	(void)state;
	dir = must_mkdir(fs, FS_ROOT_NODE, "d");
	file = must_create(fs, dir, "inside", &handle);
	assert_int_equal(rename(host_path(f, "d"), host_path(f, "moved")), 0);
	assert_int_equal(symlink("/etc", host_path(f, "d")), 0);
	assert_int_equal(lookup(dir, "passwd"), -ENOENT);
	assert_int_equal(fs_mkdir(fs, &root_caller, dir, "casement-test", 0755, &entry), 0);
	assert_true(S_ISDIR(host_stat(f, "moved/casement-test").st_mode));
	assert_int_equal(fs_unlink(fs, &root_caller, dir, "inside"), 0);
	assert_int_equal(write_at(fs, handle, 0, "y", 1), 1);
	assert_int_equal(read_at(fs, must_open(fs, file, O_RDONLY), 0, &byte, 1), 1);
	assert_int_equal(byte, 'y');
}

static void special_files_are_never_opened(void **state)
{
	static const struct { const char *name; mode_t mode; dev_t dev; } kinds[] = {
		{ "fifo", S_IFIFO, 0 }, { "sock", S_IFSOCK, 0 }, { "null", S_IFCHR, 0x103 },
	};
	const struct fs_setattr cut = { .valid = FS_SET_SIZE, .size = 0 };
	struct fs_entry entry;
	struct fs_attr attr;
	struct fs_file_id id;
	uint64_t handle;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (mknod(host_path(f, kinds[i].name), kinds[i].mode | 0666, kinds[i].dev) < 0) {
			assert_int_equal(errno, EPERM);
			continue;
		}
		uint64_t node = must_lookup(fs, FS_ROOT_NODE, kinds[i].name);

		/* A FIFO without a reader would block for ever here. */
		assert_int_equal(fs_open(fs, &root_caller, node, O_WRONLY, &handle), -ENXIO);
		assert_int_equal(fs_open(fs, &root_caller, node, O_RDONLY, &handle), -ENXIO);
		assert_int_equal(fs_open(fs, &root_caller, node, O_RDONLY | O_TRUNC, &handle), -ENXIO);
		assert_int_equal(fs_setattr(fs, &root_caller, node, FS_NO_HANDLE, &cut, &attr),
				 -ENXIO);
		assert_int_equal(fs_create(fs, &root_caller, FS_ROOT_NODE, kinds[i].name,
					   O_RDWR, 0644, &entry, &handle), -ESTALE);
		assert_int_equal(fs_opendir(fs, node, &handle), -ENOTDIR);
		assert_int_equal(fs_open_dax(fs, node, &id), -EOPNOTSUPP);
		assert_int_equal(fs_syncfs(fs, node), 0);
	}
	assert_int_equal(symlink("/etc/passwd", host_path(f, "link")), 0);
	assert_int_equal(fs_open(fs, &root_caller, must_lookup(fs, FS_ROOT_NODE, "link"), O_RDONLY, &handle),
			 -ELOOP);
	assert_int_equal(fs_create(fs, &root_caller, FS_ROOT_NODE, "link", O_RDWR, 0644, &entry,
				   &handle), -ESTALE);
	assert_int_equal(fs_open(fs, &root_caller, FS_ROOT_NODE, O_RDONLY, &handle), -EISDIR);
}

static void creates_and_opens(void **state)
{
	struct fs_entry entry, again;
	uint64_t handle, second;
	char buf[8];

	(void)state;
	assert_int_equal(fs_create(fs, &root_caller, FS_ROOT_NODE, "new", O_RDWR | O_EXCL, 0640,
				   &entry, &handle), 0);
	assert_int_equal(entry.attr.stx.stx_mode, S_IFREG | 0640);
	assert_int_equal(fs_create(fs, &root_caller, FS_ROOT_NODE, "new", O_RDWR | O_EXCL, 0640,
				   &again, &second), -EEXIST);
	assert_int_equal(write_at(fs, handle, 0, "hello", 5), 5);
	assert_int_equal(fs_create(fs, &root_caller, FS_ROOT_NODE, "new", O_RDWR, 0600, &again,
				   &second), 0);
	assert_int_equal(again.node, entry.node);
	assert_int_equal(again.attr.stx.stx_size, 5);
	assert_int_equal(read_at(fs, second, 0, buf, sizeof(buf)), 5);
	assert_int_equal(fs_release(fs, second), 0);
	assert_int_equal(fs_create(fs, &root_caller, FS_ROOT_NODE, "new", O_RDWR | O_TRUNC, 0600,
				   &again, &second), 0);
	assert_int_equal(again.attr.stx.stx_size, 0);
	assert_int_equal(fs_create(fs, &root_caller, FS_ROOT_NODE, ".", O_RDWR, 0600, &again,
				   &second) < 0, 1);
	fs_forget(fs, entry.node, 3);
	assert_int_equal(lookup(entry.node, "x"), -ESTALE);
	/* Open files outlive their node. */
	assert_int_equal(write_at(fs, handle, 0, "z", 1), 1);
}

static void open_flags_are_filtered(void **state)
{
	uint64_t node, handle;
	char byte;

	(void)state;
	host_write(f, "a", "abc");
	node = must_lookup(fs, FS_ROOT_NODE, "a");
	assert_int_equal(fs_open(fs, &root_caller, node, O_ACCMODE, &handle), -EINVAL);
	/* Everything else a guest can set at once: no O_CREAT, O_PATH, O_TMPFILE, ... gets through. */
	handle = must_open(fs, node, ~(uint32_t)(O_ACCMODE | O_TRUNC) | O_RDWR);
	assert_int_equal(read_at(fs, handle, 0, &byte, 1), 1);
	assert_int_equal(byte, 'a');
	handle = must_open(fs, node, O_WRONLY | O_TRUNC);
	assert_int_equal(host_stat(f, "a").st_size, 0);
	assert_int_equal(read_at(fs, handle, 0, &byte, 1), -EBADF);
}

static void makes_every_kind(void **state)
{
	struct fs_entry entry;
	char target[300];
	uint64_t dir;

	(void)state;
	dir = must_mkdir(fs, FS_ROOT_NODE, "dir");
	assert_int_equal(fs_mkdir(fs, &root_caller, FS_ROOT_NODE, "dir", 0755, &entry), -EEXIST);
	assert_int_equal(fs_mknod(fs, &root_caller, dir, "reg", S_IFREG | 0604, 0, &entry), 0);
	assert_int_equal(host_stat(f, "dir/reg").st_mode, S_IFREG | 0604);
	assert_int_equal(fs_mknod(fs, &root_caller, dir, "fifo", S_IFIFO | 0600, 0, &entry), 0);
	assert_int_equal(entry.attr.stx.stx_mode, S_IFIFO | 0600);
	assert_int_equal(fs_mknod(fs, &root_caller, dir, "bad", S_IFDIR | 0600, 0, &entry), -EINVAL);
	assert_int_equal(fs_mknod(fs, &root_caller, dir, "bad", 0170000 | 0600, 0, &entry), -EINVAL);
	if (geteuid() == 0) {
		assert_int_equal(fs_mknod(fs, &root_caller, dir, "dev", S_IFCHR | 0600,
					  0x12345678 & 0xfffff, &entry), 0);
		assert_int_equal(host_stat(f, "dir/dev").st_rdev, 0x12345678 & 0xfffff);
	}
	assert_int_equal(fs_symlink(fs, &root_caller, dir, "sym", "../nowhere", &entry), 0);
	assert_int_equal(fs_readlink(fs, entry.node, target, sizeof(target)), 10);
	assert_int_equal(fs_link(fs, &root_caller, entry.node, dir, "sym2", &entry), 0);
	assert_true(S_ISLNK(host_stat(f, "dir/sym2").st_mode));
	assert_int_equal(entry.attr.stx.stx_nlink, 2);
	assert_true(fs_link(fs, &root_caller, dir, FS_ROOT_NODE, "dirlink", &entry) < 0);
	assert_int_equal(fs_link(fs, &root_caller, 12345, dir, "x", &entry), -ESTALE);
}

static void tmpfiles_can_be_linked(void **state)
{
	struct fs_entry entry, linked;
	uint64_t handle;
	int err;

	(void)state;
	err = fs_tmpfile(fs, &root_caller, FS_ROOT_NODE, O_RDWR, 0600, &entry, &handle);
	if (err == -EOPNOTSUPP)
		SKIP_BECAUSE("this file system cannot do that");
	assert_int_equal(err, 0);
	assert_int_equal(entry.attr.stx.stx_nlink, 0);
	assert_int_equal(write_at(fs, handle, 0, "t", 1), 1);
	assert_int_equal(fs_link(fs, &root_caller, entry.node, FS_ROOT_NODE, "named", &linked), 0);
	assert_int_equal(linked.node, entry.node);
	assert_int_equal(host_stat(f, "named").st_size, 1);
}

static void removes_and_renames(void **state)
{
	uint64_t dir, handle, node;
	struct fs_attr attr;

	(void)state;
	dir = must_mkdir(fs, FS_ROOT_NODE, "dir");
	node = must_create(fs, dir, "a", &handle);
	assert_int_equal(fs_unlink(fs, &root_caller, FS_ROOT_NODE, "dir"), -EISDIR);
	assert_int_equal(fs_rmdir(fs, &root_caller, dir, "a"), -ENOTDIR);
	assert_int_equal(fs_rmdir(fs, &root_caller, FS_ROOT_NODE, "dir"), -ENOTEMPTY);
	assert_int_equal(fs_rename(fs, &root_caller, dir, "a", FS_ROOT_NODE, "b", 0), 0);
	assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "b"), node);
	host_write(f, "c", "other");
	assert_int_equal(fs_rename(fs, &root_caller, FS_ROOT_NODE, "b", FS_ROOT_NODE, "c", 1), -EEXIST);
	assert_int_equal(fs_rename(fs, &root_caller, FS_ROOT_NODE, "b", FS_ROOT_NODE, "c", 2), 0);
	assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "c"), node);
	assert_int_equal(fs_rename(fs, &root_caller, FS_ROOT_NODE, "b", FS_ROOT_NODE, "c", 8), -EINVAL);
	assert_int_equal(fs_rename(fs, &root_caller, FS_ROOT_NODE, "b", FS_ROOT_NODE, "c", 0), 0);
	/* Renamed over: the file is gone by name, and still there by node and handle. */
	assert_int_equal(fs_getattr(fs, node, FS_NO_HANDLE, &attr), 0);
	assert_int_equal(attr.stx.stx_nlink, 0);
	assert_int_equal(fs_getattr(fs, node, handle, &attr), 0);
	assert_int_equal(fs_rmdir(fs, &root_caller, FS_ROOT_NODE, "dir"), 0);
	assert_int_equal(lookup(dir, "x"), -ENOENT);
}

static void sets_attributes(void **state)
{
	struct fs_setattr set = {
		.valid = FS_SET_MODE | FS_SET_SIZE | FS_SET_ATIME | FS_SET_MTIME,
		.mode = 04711, .size = 7000, .atime = { 1000, 5 }, .mtime = { 2000, 6 },
	};
	struct fs_attr attr;
	uint64_t node, handle, sym;

	(void)state;
	node = must_create(fs, FS_ROOT_NODE, "a", &handle);
	for (int by_handle = 0; by_handle < 2; by_handle++) {
		set.size += 100;
		assert_int_equal(fs_setattr(fs, &root_caller, node,
					    by_handle ? handle : FS_NO_HANDLE, &set, &attr), 0);
		assert_int_equal(attr.stx.stx_mode, S_IFREG | 04711);
		assert_int_equal(attr.stx.stx_size, set.size);
		assert_int_equal(attr.stx.stx_atime.tv_sec, 1000);
		assert_int_equal(attr.stx.stx_mtime.tv_nsec, 6);
	}
	set = (struct fs_setattr){ .valid = FS_SET_MTIME_NOW };
	assert_int_equal(fs_setattr(fs, &root_caller, node, FS_NO_HANDLE, &set, &attr), 0);
	assert_true(attr.stx.stx_mtime.tv_sec > 100000);
	assert_int_equal(attr.stx.stx_atime.tv_sec, 1000);
	set = (struct fs_setattr){ .valid = FS_SET_SIZE, .size = UINT64_MAX };
	assert_int_equal(fs_setattr(fs, &root_caller, node, FS_NO_HANDLE, &set, &attr), -EINVAL);
	assert_int_equal(fs_setattr(fs, &root_caller, FS_ROOT_NODE, FS_NO_HANDLE, &set, &attr),
			 -EISDIR);
	assert_int_equal(fs_setattr(fs, &root_caller, node, 999, &set, &attr), -EBADF);

	/* Of a link, its own times and owner; never its target's anything. */
	assert_int_equal(symlink(host_path(f, "a"), host_path(f, "sym")), 0);
	sym = must_lookup(fs, FS_ROOT_NODE, "sym");
	set = (struct fs_setattr){ .valid = FS_SET_MODE, .mode = 0777 };
	assert_int_equal(fs_setattr(fs, &root_caller, sym, FS_NO_HANDLE, &set, &attr),
			 -EOPNOTSUPP);
	set = (struct fs_setattr){ .valid = FS_SET_MTIME, .mtime = { 33, 0 } };
	assert_int_equal(fs_setattr(fs, &root_caller, sym, FS_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(host_stat(f, "sym").st_mtime, 33);
	assert_true(host_stat(f, "a").st_mtime > 100000);
}

static void access_follows_the_bits(void **state)
{
	const struct fs_caller group = { .uid = 7, .gid = 1000 }, other = { .uid = 7, .gid = 7 };
	uint64_t node;

	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("only root can do that");
	host_write(f, "a", "");
	assert_int_equal(chown(host_path(f, "a"), 1000, 1000), 0);
	assert_int_equal(chmod(host_path(f, "a"), 0640), 0);
	node = must_lookup(fs, FS_ROOT_NODE, "a");
	assert_int_equal(fs_access(fs, &user_caller, node, R_OK | W_OK), 0);
	assert_int_equal(fs_access(fs, &user_caller, node, X_OK), -EACCES);
	assert_int_equal(fs_access(fs, &group, node, R_OK), 0);
	assert_int_equal(fs_access(fs, &group, node, W_OK), -EACCES);
	assert_int_equal(fs_access(fs, &other, node, R_OK), -EACCES);
	assert_int_equal(fs_access(fs, &other, node, F_OK), 0);
	assert_int_equal(fs_access(fs, &root_caller, node, R_OK | W_OK), 0);
	assert_int_equal(fs_access(fs, &root_caller, node, X_OK), -EACCES);
	assert_int_equal(fs_access(fs, &root_caller, node, 8), -EINVAL);
}

/* Every call that changes something, on a read-only share of the same directory. */
static void readonly_refuses_every_change(void **state)
{
	const struct fs_config config = { .readonly = true, .dax_min_size = 1, .dax_max_size = 1 << 20 };
	const struct fs_setattr set = { .valid = FS_SET_MODE, .mode = 0777 };
	const struct fs_caller *c = &root_caller;
	struct fs *ro = fixture_serve(f, &config);
	struct fs_entry e;
	struct fs_attr attr;
	struct fs_file_id id;
	uint64_t node, h;
	char byte;

	(void)state;
	host_write(f, "a", "abc");
	node = must_lookup(ro, FS_ROOT_NODE, "a");
	h = must_open(ro, node, O_RDONLY);
	assert_int_equal(read_at(ro, h, 1, &byte, 1), 1);
	assert_int_equal(fs_setattr(ro, c, node, FS_NO_HANDLE, &set, &attr), -EROFS);
	assert_int_equal(fs_mknod(ro, c, 1, "x", S_IFREG, 0, &e), -EROFS);
	assert_int_equal(fs_mkdir(ro, c, 1, "x", 0755, &e), -EROFS);
	assert_int_equal(fs_symlink(ro, c, 1, "x", "y", &e), -EROFS);
	assert_int_equal(fs_link(ro, &root_caller, node, 1, "x", &e), -EROFS);
	assert_int_equal(fs_create(ro, c, 1, "x", O_RDONLY, 0644, &e, &h), -EROFS);
	assert_int_equal(fs_tmpfile(ro, c, 1, O_RDWR, 0644, &e, &h), -EROFS);
	assert_int_equal(fs_unlink(ro, &root_caller, 1, "a"), -EROFS);
	assert_int_equal(fs_rmdir(ro, &root_caller, 1, "a"), -EROFS);
	assert_int_equal(fs_rename(ro, &root_caller, 1, "a", 1, "b", 0), -EROFS);
	assert_int_equal(fs_open(ro, &root_caller, node, O_WRONLY, &h), -EROFS);
	assert_int_equal(fs_open(ro, &root_caller, node, O_RDWR, &h), -EROFS);
	assert_int_equal(fs_open(ro, &root_caller, node, O_RDONLY | O_TRUNC, &h), -EROFS);
	assert_int_equal(write_at(ro, h, 0, "x", 1), -EROFS);
	assert_int_equal(fs_fallocate(ro, &root_caller, node, h, 0, 0, 10), -EROFS);
	assert_int_equal(fs_copy_file_range(ro, &root_caller, h, 0, node, h, 0, 1, 0), -EROFS);
	assert_int_equal(fs_open_dax(ro, node, &id), -EROFS);
	assert_int_equal(fs_access(ro, c, node, W_OK), -EROFS);
	assert_int_equal(fs_getattr(ro, node, FS_NO_HANDLE, &attr), 0);
	assert_false(attr.dax);
	assert_int_equal(host_stat(f, "a").st_size, 3);
	fs_free(ro);
}

static void stale_handles_are_refused(void **state)
{
	uint64_t dir, file, node, later;
	char byte;

	(void)state;
	node = must_create(fs, FS_ROOT_NODE, "a", &file);
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &dir), 0);
	assert_int_equal(fs_release(fs, dir), -EBADF);
	assert_int_equal(fs_releasedir(fs, file), -EBADF);
	assert_int_equal(read_at(fs, dir, 0, &byte, 1), -EBADF);
	assert_int_equal(fs_fsyncdir(fs, file, false), -EBADF);
	assert_int_equal(fs_fsyncdir(fs, dir, true), 0);
	assert_int_equal(fs_fsync(fs, file, true), 0);
	assert_int_equal(fs_flush(fs, file), 0);
	assert_int_equal(fs_release(fs, file), 0);
	assert_int_equal(fs_release(fs, file), -EBADF);
	assert_int_equal(fs_flush(fs, file), -EBADF);
	later = must_open(fs, node, O_RDONLY);
	assert_int_not_equal(later, file);
	assert_int_equal(read_at(fs, file, 0, &byte, 1), -EBADF);
	assert_int_equal(fs_release(fs, FS_NO_HANDLE), -EBADF);
}

static void reset_forgets_all(void **state)
{
	unsigned int fds = open_fds();
	uint64_t dir, node, file, listing;

	(void)state;
	dir = must_mkdir(fs, FS_ROOT_NODE, "dir");
	node = must_create(fs, dir, "a", &file);
	assert_int_equal(fs_opendir(fs, dir, &listing), 0);
	fs_reset(fs);
	assert_int_equal(open_fds(), fds);
	assert_int_equal(lookup(dir, "a"), -ESTALE);
	assert_int_equal(fs_release(fs, file), -EBADF);
	assert_int_equal(fs_releasedir(fs, listing), -EBADF);
	assert_int_not_equal(must_lookup(fs, FS_ROOT_NODE, "dir"), dir);
	assert_int_not_equal(must_lookup(fs, FS_ROOT_NODE, "dir"), node);
}

/* A guest that opens without end gets ENFILE; what it knows goes on working. */
static void descriptors_are_rationed(void **state)
{
	bool by_handle = fixture_by_handle();
	struct rlimit limit, old;
	uint64_t node, handle, first = 0;
	char name[16], byte;
	struct fs *small;
	int err = 0, n;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &old);
	limit = (struct rlimit){ .rlim_cur = 200, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	small = fixture_serve(f, NULL);
	host_write(f, "a", "abc");
	node = must_lookup(small, FS_ROOT_NODE, "a");
	for (n = 0; n < 300 && !err; n++) {
		err = fs_open(small, &root_caller, node, O_RDONLY, &handle);
		if (!first)
			first = handle;
	}
	assert_int_equal(err, -ENFILE);
	assert_in_range(n, 100, 160);
	snprintf(name, sizeof(name), "b%d", n);
	host_write(f, name, "");
	/* A look-up takes a descriptor for good where no handle can take its place. */
	assert_int_equal(fs_lookup(small, FS_ROOT_NODE, name, &(struct fs_entry){ 0 }),
			 by_handle ? 0 : -ENFILE);
	assert_int_equal(must_lookup(small, FS_ROOT_NODE, "a"), node);
	assert_int_equal(read_at(small, first, 0, &byte, 1), 1);
	assert_int_equal(fs_release(small, first), 0);
	must_open(small, node, O_RDONLY);
	fs_free(small);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* The process itself may open no more, whatever the budget says: ENFILE as well, from each that opens. */
static void the_hosts_limit_is_enfile(void **state)
{
	struct fs_entry entry;
	struct rlimit limit, old;
	uint64_t node, handle;
	int lowest;

	(void)state;
	host_write(f, "a", "abc");
	host_write(f, "b", "");
	node = must_lookup(fs, FS_ROOT_NODE, "a");
	lowest = dup(STDERR_FILENO);
	close(lowest);
	getrlimit(RLIMIT_NOFILE, &old);
	limit = (struct rlimit){ .rlim_cur = (rlim_t)lowest, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(fs_lookup(fs, FS_ROOT_NODE, "b", &entry), -ENFILE);
	assert_int_equal(fs_open(fs, &root_caller, node, O_RDONLY, &handle), -ENFILE);
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), -ENFILE);
	assert_int_equal(fs_create(fs, &root_caller, FS_ROOT_NODE, "c", O_RDWR, 0600, &entry, &handle),
			 -ENFILE);
	assert_int_equal(fs_tmpfile(fs, &root_caller, FS_ROOT_NODE, O_RDWR, 0600, &entry, &handle), -ENFILE);
	assert_int_equal(fs_mknod(fs, &root_caller, FS_ROOT_NODE, "c", S_IFREG | 0600, 0, &entry), -ENFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(fs_lookup(fs, FS_ROOT_NODE, "c", &entry), -ENOENT);
	assert_int_equal(fs_open(fs, &root_caller, node, O_RDONLY, &handle), 0);
}

static void statfs_works(void **state)
{
	struct statvfs st;

	(void)state;
	assert_int_equal(fs_statfs(fs, FS_ROOT_NODE, &st), 0);
	assert_true(st.f_blocks > 0);
	assert_int_equal(fs_statfs(fs, 99, &st), -ESTALE);
	assert_int_equal(fs_syncfs(fs, FS_ROOT_NODE), 0);
}

static void a_file_is_no_share(void **state)
{
	struct fs_config config = { 0 };
	unsigned int fds = open_fds();
	struct fs *none = NULL;

	(void)state;
	config.root_fd = open("/etc/passwd", O_PATH | O_CLOEXEC);
	assert_int_equal(fs_new(&config, &none), -ENOTDIR);
	assert_int_equal(close(config.root_fd), 0);
	assert_int_equal(open_fds(), fds);
}

#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(lookup_and_forget_count),
		FS_TEST(lookup_errors),
		FS_TEST(lookup_never_follows),
		FS_TEST(works_without_openat2),
		FS_TEST(a_swapped_parent_stays_itself),
		FS_TEST(special_files_are_never_opened),
		FS_TEST(creates_and_opens),
		FS_TEST(open_flags_are_filtered),
		FS_TEST(makes_every_kind),
		FS_TEST(tmpfiles_can_be_linked),
		FS_TEST(removes_and_renames),
		FS_TEST(sets_attributes),
		FS_TEST(access_follows_the_bits),
		FS_TEST(readonly_refuses_every_change),
		FS_TEST(stale_handles_are_refused),
		FS_TEST(reset_forgets_all),
		FS_TEST(descriptors_are_rationed), FS_TEST(the_hosts_limit_is_enfile),
		FS_TEST(statfs_works),
		FS_TEST(a_file_is_no_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
