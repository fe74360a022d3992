/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every everyday FUSE operation as a well-behaved guest sends it, its answer
 * compared with the host's own view. The client checks each reply's lengths
 * and unique, and that an error is 16 bytes. Relies on the real daemon; never
 * on its choice of node or handle numbers.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "proto/fuse_wire.h"
#include "tests/skip.h"

#define MIB (1u << 20)

static struct stat host_stat(struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(share_path(&f->daemon, name), &st), 0);
	return st;
}

static void same_attr(const struct fuse_attr *attr, const struct stat *st)
{
	assert_int_equal(attr->ino, st->st_ino);
	assert_int_equal(attr->mode, st->st_mode);
	assert_int_equal(attr->size, st->st_size);
	assert_int_equal(attr->blocks, st->st_blocks);
	assert_int_equal(attr->nlink, st->st_nlink);
	assert_int_equal(attr->uid, st->st_uid);
	assert_int_equal(attr->gid, st->st_gid);
	assert_int_equal(attr->mtime, st->st_mtim.tv_sec);
	assert_int_equal(attr->mtimensec, st->st_mtim.tv_nsec);
	assert_int_equal(attr->ctime, st->st_ctim.tv_sec);
}

static void test_init(void **state)
{
	struct fixture *f = fixture_of(state);

	assert_int_equal(f->init.major, 7);
	assert_true(f->init.minor >= 31 && f->init.minor <= 41);
	assert_int_equal(f->init.max_write, MIB);
	assert_true(f->init.flags & FUSE_MAX_PAGES);
	assert_int_equal(f->init.max_pages, 256);
	assert_true(f->init.flags & FUSE_BIG_WRITES);
	/* What nobody offered must not come back. */
	assert_false(f->init.flags & FUSE_POSIX_LOCKS);
	assert_false(f->init.flags & FUSE_FLOCK_LOCKS);
	assert_true(f->init.time_gran == 1);
}

/* A guest newer than us gets our major and tries again with it; an old one sends less. */
static void test_init_versions(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_init_in in = { .major = 8, .minor = 3 };
	struct iovec iov = { &in, sizeof(in) }, body = { &f->init, sizeof(f->init) };
	ssize_t n = ok(casement_call(f->q, FUSE_INIT, 0, &iov, 1, &body, 1));

	assert_true(n >= 8);
	assert_int_equal(f->init.major, 7);
	in = (struct fuse_init_in){ .major = 7, .minor = 31, .flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES };
	iov.iov_len = 16;
	assert_int_equal(ok(casement_call(f->q, FUSE_INIT, 0, &iov, 1, &body, 1)),
			 sizeof(f->init));
	assert_int_equal(f->init.minor, 31);
	assert_false(f->init.flags & FUSE_INIT_EXT);
	assert_int_equal(f->init.flags2, 0);
	ok(casement_destroy(f->q));
	ok(casement_init(f->q, NULL, &f->init));
	in = (struct fuse_init_in){ .major = 7, .minor = 26 };
	assert_true(casement_call(f->q, FUSE_INIT, 0, &iov, 1, &body, 1) < 0);
}

static const struct fixture_config no_init = { .no_init = true };

static void test_names(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out dir, entry, again;
	struct stat st;
	char target[64];

	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &dir));
	st = host_stat(f, "dir");
	same_attr(&dir.attr, &st);
	ok(casement_symlink(f->q, dir.nodeid, "link", "some/target", &entry));
	assert_int_equal(ok(casement_readlink(f->q, entry.nodeid, target, sizeof(target))), 11);
	assert_memory_equal(target, "some/target", 11);
	assert_true(casement_readlink(f->q, dir.nodeid, target, sizeof(target)) < 0);
	ok(casement_mknod(f->q, dir.nodeid, "fifo", S_IFIFO | 0600, 0, &entry));
	assert_true(S_ISFIFO(host_stat(f, "dir/fifo").st_mode));
	ok(casement_mknod(f->q, dir.nodeid, "file", S_IFREG | 0640, 0, &entry));
	assert_int_equal(host_stat(f, "dir/file").st_mode, S_IFREG | 0640);
	ok(casement_link(f->q, entry.nodeid, CASEMENT_ROOT, "hard", &again));
	assert_int_equal(again.nodeid, entry.nodeid);
	assert_int_equal(again.attr.nlink, 2);
	ok(casement_lookup(f->q, CASEMENT_ROOT, "hard", &again));
	assert_int_equal(again.nodeid, entry.nodeid);
	refused(casement_lookup(f->q, CASEMENT_ROOT, "nothing", &again), ENOENT);
	refused(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &again), EEXIST);
	refused(casement_rmdir(f->q, CASEMENT_ROOT, "dir"), ENOTEMPTY);
	refused(casement_rmdir(f->q, dir.nodeid, "file"), ENOTDIR);
	refused(casement_unlink(f->q, CASEMENT_ROOT, "dir"), EISDIR);
	refused(casement_lookup(f->q, entry.nodeid, "x", &again), ENOTDIR);
	ok(casement_unlink(f->q, dir.nodeid, "file"));
	ok(casement_unlink(f->q, dir.nodeid, "fifo"));
	ok(casement_unlink(f->q, dir.nodeid, "link"));
	ok(casement_rmdir(f->q, CASEMENT_ROOT, "dir"));
	refused(casement_unlink(f->q, CASEMENT_ROOT, "dir"), ENOENT);
}

static void test_attributes(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in set = { .valid = FATTR_SIZE | FATTR_MODE, .size = 12345,
				       .mode = S_IFREG | 0600 };
	struct fuse_attr_out attr;
	uint64_t node, fh = create_file(f->q, "file", &node);
	struct stat st;

	ok(casement_setattr(f->q, node, &set, &attr));
	st = host_stat(f, "file");
	same_attr(&attr.attr, &st);
	assert_int_equal(attr.attr.size, 12345);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	set = (struct fuse_setattr_in){ .valid = FATTR_ATIME | FATTR_MTIME | FATTR_FH, .fh = fh,
		.atime = 1000, .atimensec = 1, .mtime = 2000, .mtimensec = 999999999 };
	ok(casement_setattr(f->q, node, &set, &attr));
	st = host_stat(f, "file");
	assert_int_equal(st.st_atim.tv_sec, 1000);
	assert_int_equal(st.st_mtim.tv_nsec, 999999999);
	set = (struct fuse_setattr_in){ .valid = FATTR_MTIME | FATTR_MTIME_NOW };
	ok(casement_setattr(f->q, node, &set, &attr));
	assert_true(host_stat(f, "file").st_mtim.tv_sec > 2000);
	assert_int_equal(host_stat(f, "file").st_atim.tv_sec, 1000);
	set = (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = 5 };
	ok(casement_setattr(f->q, node, &set, &attr));
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr));
	assert_int_equal(attr.attr.size, 5);
	ok(casement_getattr(f->q, node, fh, &attr));
	assert_int_equal(attr.attr.size, 5);
	ok(casement_access(f->q, node, R_OK | W_OK));
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	st = host_stat(f, ".");
	same_attr(&attr.attr, &st);
	ok(casement_release(f->q, node, fh));
}

static void test_statx(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_statx_out out;
	uint64_t node, fh = create_file(f->q, "file", &node);
	struct statx stx;

	assert_int_equal(ok(casement_write(f->q, node, fh, 0, "hello", 5)), 5);
	ok(casement_statx(f->q, node, CASEMENT_NO_FH, STATX_BASIC_STATS | STATX_BTIME, &out));
	assert_int_equal(statx(AT_FDCWD, share_path(&f->daemon, "file"), 0,
			       STATX_BASIC_STATS | STATX_BTIME, &stx), 0);
	assert_int_equal(out.stat.ino, stx.stx_ino);
	assert_int_equal(out.stat.size, 5);
	assert_int_equal(out.stat.mode, stx.stx_mode);
	assert_int_equal(out.stat.btime.tv_sec, stx.stx_btime.tv_sec);
	assert_int_equal(out.stat.btime.tv_nsec, stx.stx_btime.tv_nsec);
	assert_int_equal(out.stat.mask & (STATX_BASIC_STATS | STATX_BTIME),
			 stx.stx_mask & (STATX_BASIC_STATS | STATX_BTIME));
	ok(casement_statx(f->q, node, fh, STATX_SIZE, &out));
	assert_int_equal(out.stat.size, 5);
}

static void test_read_write(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_open_out open;
	uint64_t node, fh;
	char buf[64];

	share_fill(&f->daemon, "file", 10000, 7);
	fh = open_file(f->q, "file", O_RDWR, &node);
	assert_int_equal(ok(casement_read(f->q, node, fh, 100, buf, 64)), 64);
	check_pattern(buf, 64, 7, 100);
	assert_int_equal(ok(casement_read(f->q, node, fh, 9990, buf, 64)), 10);
	check_pattern(buf, 10, 7, 9990);
	assert_int_equal(ok(casement_read(f->q, node, fh, 10000, buf, 64)), 0);
	assert_int_equal(ok(casement_read(f->q, node, fh, 1ull << 40, buf, 64)), 0);
	assert_int_equal(ok(casement_read(f->q, node, fh, 0, buf, 0)), 0);
	assert_int_equal(ok(casement_write(f->q, node, fh, 0, buf, 0)), 0);
	assert_int_equal(ok(casement_write(f->q, node, fh, 20000, "tail", 4)), 4);
	assert_int_equal(host_stat(f, "file").st_size, 20004);
	ok(casement_flush(f->q, node, fh));
	ok(casement_fsync(f->q, node, fh, 0));
	ok(casement_fsync(f->q, node, fh, 1));
	ok(casement_release(f->q, node, fh));
	refused(casement_release(f->q, node, fh), EBADF);
	refused(casement_read(f->q, node, fh, 0, buf, 64), EBADF);
	ok(casement_open(f->q, node, O_RDONLY, &open));
	refused(casement_write(f->q, node, open.fh, 0, "x", 1), EBADF);
	ok(casement_release(f->q, node, open.fh));
	ok(casement_open(f->q, node, O_WRONLY | O_TRUNC, &open));
	assert_int_equal(host_stat(f, "file").st_size, 0);
	refused(casement_read(f->q, node, open.fh, 0, buf, 64), EBADF);
	ok(casement_release(f->q, node, open.fh));
}

/* 1 MiB in one request, and in as many pieces as a guest makes of it. */
static void test_big(void **state)
{
	struct fixture *f = fixture_of(state);
	cleanup_free unsigned char *data = malloc(MIB), *back = malloc(MIB);
	struct iovec pieces[50];
	struct fuse_read_in in;
	uint64_t node, fh = create_file(f->q, "big", &node);
	size_t at = 0;

	for (size_t i = 0; i < MIB; i++)
		data[i] = pattern(3, i);
	assert_int_equal(ok(casement_write(f->q, node, fh, 0, data, MIB)), MIB);
	assert_int_equal(ok(casement_write(f->q, node, fh, MIB, data, MIB)), MIB);
	assert_int_equal(ok(casement_read(f->q, node, fh, MIB / 2, back, MIB)), MIB);
	check_pattern(back, MIB / 2, 3, MIB / 2);
	check_pattern(back + MIB / 2, MIB / 2, 3, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(pieces); i++) {
		size_t len = i == ARRAY_SIZE(pieces) - 1 ? MIB - at : 1 + (i * 1237) % 20000;

		pieces[i] = (struct iovec){ back + at, len };
		at += len;
	}
	in = (struct fuse_read_in){ .fh = fh, .offset = 1, .size = MIB };
	assert_int_equal(ok(casement_call(f->q, FUSE_READ, node, &(struct iovec){ &in, sizeof(in) },
					  1, pieces, ARRAY_SIZE(pieces))), MIB);
	check_pattern(back, MIB - 1, 3, 1);
	ok(casement_release(f->q, node, fh));
}

static void test_unlink_open(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = 3 };
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	uint64_t node, fh = create_file(f->q, "file", &node);
	char buf[8];

	assert_int_equal(ok(casement_write(f->q, node, fh, 0, "hello", 5)), 5);
	ok(casement_unlink(f->q, CASEMENT_ROOT, "file"));
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr));
	assert_int_equal(attr.attr.nlink, 0);
	ok(casement_getattr(f->q, node, fh, &attr));
	assert_int_equal(ok(casement_read(f->q, node, fh, 0, buf, 8)), 5);
	ok(casement_setattr(f->q, node, &set, &attr));
	assert_int_equal(attr.attr.size, 3);
	ok(casement_open(f->q, node, O_RDWR, &open));
	assert_int_equal(ok(casement_read(f->q, node, open.fh, 0, buf, 8)), 3);
	ok(casement_release(f->q, node, fh));
	ok(casement_release(f->q, node, open.fh));
}

static void test_rename(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	struct fuse_entry_out dir;
	uint64_t a, b, fa, fb;
	long result;

	fa = create_file(f->q, "a", &a);
	fb = create_file(f->q, "b", &b);
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &dir));
	refused(casement_rename(f->q, CASEMENT_ROOT, "a", CASEMENT_ROOT, "b", RENAME_NOREPLACE), EEXIST);
	ok(casement_rename(f->q, CASEMENT_ROOT, "a", CASEMENT_ROOT, "b", RENAME_EXCHANGE));
	assert_int_equal(lookup_node(f->q, "b"), a);
	assert_int_equal(lookup_node(f->q, "a"), b);
	refused(casement_rename(f->q, CASEMENT_ROOT, "a", CASEMENT_ROOT, "b", 0x80), EINVAL);
	/* Over an open file: that one lives on without a name. */
	ok(casement_rename(f->q, CASEMENT_ROOT, "a", CASEMENT_ROOT, "b", 0));
	ok(casement_getattr(f->q, a, fa, &attr));
	assert_int_equal(attr.attr.nlink, 0);
	assert_int_equal(lookup_node(f->q, "b"), b);
	ok(casement_rename(f->q, CASEMENT_ROOT, "b", dir.nodeid, "c", RENAME_NOREPLACE));
	assert_int_equal(host_stat(f, "dir/c").st_nlink, 1);
	refused(casement_rename(f->q, CASEMENT_ROOT, "dir", dir.nodeid, "in-itself", 0), EINVAL);
	result = casement_rename(f->q, dir.nodeid, "c", dir.nodeid, "d", RENAME_WHITEOUT);
	if (result != -EINVAL && result != -EPERM) {
		ok(result);
		assert_int_equal(host_stat(f, "dir/c").st_rdev, makedev(0, 0));
	}
	ok(casement_release(f->q, a, fa));
	ok(casement_release(f->q, b, fb));
}

static void test_tmpfile(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry, linked;
	struct fuse_open_out open;
	long result = casement_tmpfile(f->q, CASEMENT_ROOT, O_RDWR, S_IFREG | 0640, &entry, &open);
	char buf[8];

	if (result == -EOPNOTSUPP)
		SKIP_BECAUSE("this file system cannot do that");
	ok(result);
	assert_int_equal(entry.attr.nlink, 0);
	assert_int_equal(entry.attr.mode, S_IFREG | 0640);
	assert_int_equal(ok(casement_write(f->q, entry.nodeid, open.fh, 0, "hello", 5)), 5);
	ok(casement_link(f->q, entry.nodeid, CASEMENT_ROOT, "named", &linked));
	assert_int_equal(linked.nodeid, entry.nodeid);
	assert_int_equal(host_stat(f, "named").st_size, 5);
	assert_int_equal(ok(casement_read(f->q, entry.nodeid, open.fh, 0, buf, 8)), 5);
	ok(casement_release(f->q, entry.nodeid, open.fh));
}

static void test_copy_file_range(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_copy_file_range_in in = { .off_in = 100, .off_out = 50, .len = 5000 };
	struct fuse_copy_file_range_out out;
	struct iovec iov = { &in, sizeof(in) }, reply = { &out, sizeof(out) };
	uint64_t node;
	char buf[5000];

	share_fill(&f->daemon, "from", 10000, 9);
	in.fh_in = open_file(f->q, "from", O_RDONLY, &node);
	in.fh_out = create_file(f->q, "to", &in.nodeid_out);
	assert_int_equal(ok(casement_copy_file_range(f->q, &in, node)), 5000);
	assert_int_equal(ok(casement_read(f->q, in.nodeid_out, in.fh_out, 50, buf, 5000)), 5000);
	check_pattern(buf, 5000, 9, 100);
	in.off_in = 9000;
	assert_int_equal(ok(casement_call(f->q, FUSE_COPY_FILE_RANGE_64, node, &iov, 1, &reply, 1)),
			 sizeof(out));
	assert_int_equal(out.bytes_copied, 1000);
	in.flags = 1;
	refused(casement_copy_file_range(f->q, &in, node), EINVAL);
}

static void test_holes(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	long result;

	assert_int_equal(ok(casement_write(f->q, node, fh, 4 * MIB, "x", 1)), 1);
	result = casement_lseek(f->q, node, fh, 0, SEEK_DATA);
	assert_true(result == 4 * MIB || result == 0);	/* 0: a file system without holes */
	assert_int_equal(ok(casement_lseek(f->q, node, fh, 4 * MIB, SEEK_HOLE)), 4 * MIB + 1);
	refused(casement_lseek(f->q, node, fh, 8 * MIB, SEEK_DATA), ENXIO);
	refused(casement_lseek(f->q, node, fh, 0, 99), EINVAL);
	result = casement_fallocate(f->q, node, fh, 0, 0, 8 * MIB);
	if (result == -EOPNOTSUPP)
		SKIP_BECAUSE("this file system cannot do that");
	ok(result);
	assert_int_equal(host_stat(f, "file").st_size, 8 * MIB);
	ok(casement_fallocate(f->q, node, fh, FALLOC_FL_KEEP_SIZE, 8 * MIB, MIB));
	assert_int_equal(host_stat(f, "file").st_size, 8 * MIB);
	ok(casement_fallocate(f->q, node, fh, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, MIB));
	refused(casement_fallocate(f->q, node, fh, 0, 0, 0), EINVAL);
	refused(casement_fallocate(f->q, node, fh, 0x8000, 0, MIB), EOPNOTSUPP);
	ok(casement_release(f->q, node, fh));
}

static void test_mount_wide(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_statfs_out out;
	struct fuse_open_out dir;
	struct statvfs st;

	ok(casement_statfs(f->q, CASEMENT_ROOT, &out));
	assert_int_equal(statvfs(f->daemon.share, &st), 0);
	assert_int_equal(out.st.blocks, st.f_blocks);
	assert_int_equal(out.st.bsize, st.f_bsize);
	assert_int_equal(out.st.namelen, 255);
	ok(casement_syncfs(f->q, CASEMENT_ROOT));
	ok(casement_opendir(f->q, CASEMENT_ROOT, &dir));
	ok(casement_fsyncdir(f->q, CASEMENT_ROOT, dir.fh, 0));
	ok(casement_releasedir(f->q, CASEMENT_ROOT, dir.fh));
	refused(casement_releasedir(f->q, CASEMENT_ROOT, dir.fh), EBADF);
	ok(casement_destroy(f->q));
}

/* Opens that must not reach the host's devices, nor hang on a FIFO. */
static void test_special_files(void **state)
{
	static const char *const names[] = { "fifo", "sock", "null", "link" };
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in set = { .valid = FATTR_SIZE };
	struct fuse_attr_out attr;
	struct fuse_open_out open;

	assert_int_equal(mkfifo(share_path(&f->daemon, "fifo"), 0600), 0);
	assert_int_equal(mknod(share_path(&f->daemon, "sock"), S_IFSOCK | 0600, 0), 0);
	if (mknod(share_path(&f->daemon, "null"), S_IFCHR | 0600, makedev(1, 3)))
		assert_int_equal(mkfifo(share_path(&f->daemon, "null"), 0600), 0);
	assert_int_equal(symlink("fifo", share_path(&f->daemon, "link")), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t node = lookup_node(f->q, names[i]);

		assert_true(casement_open(f->q, node, O_RDONLY, &open) < 0);
		assert_true(casement_open(f->q, node, O_RDWR, &open) < 0);
		assert_true(casement_setattr(f->q, node, &set, &attr) < 0);
		assert_true(casement_opendir(f->q, node, &open) < 0);
		ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr));
	}
	refused(casement_open(f->q, CASEMENT_ROOT, O_RDWR, &open), EISDIR);
}

static void test_forget(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_queue *hiprio = casement_hiprio_queue(f->client);
	struct fuse_forget_one many[32];
	struct fuse_attr_out attr;
	uint64_t node;

	share_fill(&f->daemon, "file", 10, 1);
	for (unsigned int i = 0; i < 5; i++)
		node = lookup_node(f->q, "file");
	ok(casement_forget(hiprio, node, 4));
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr));
	ok(casement_forget(hiprio, node, 1));
	assert_true(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr) < 0);
	node = lookup_node(f->q, "file");
	ok(casement_forget(hiprio, node, 1000000));
	ok(casement_forget(hiprio, node, UINT64_MAX));
	ok(casement_forget(hiprio, 0, 1));
	ok(casement_forget(hiprio, UINT64_MAX, 1));
	ok(casement_forget(hiprio, CASEMENT_ROOT, 10));
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct fuse_forget_one){ lookup_node(f->q, "file"), 1 };
	ok(casement_batch_forget(hiprio, many, ARRAY_SIZE(many)));
	assert_true(casement_getattr(f->q, many[0].nodeid, CASEMENT_NO_FH, &attr) < 0);
}

/* A handle outlives the node's last lookup, as an unlinked open file does. */
static void test_forget_open(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	char buf[4];

	ok(casement_forget(casement_hiprio_queue(f->client), node, 1));
	(void)casement_read(f->q, node, fh, 0, buf, 4);
	(void)casement_write(f->q, node, fh, 0, "abcd", 4);
	(void)casement_release(f->q, node, fh);
	daemon_check(&f->daemon);
}

static const struct fixture_config cache_never = { .args = { "--cache", "never", NULL } };
static const struct fixture_config cache_auto = { .args = { "--cache", "auto", NULL } };
static const struct fixture_config cache_always = { .args = { "--cache", "always", NULL } };
static const struct fixture_config cache_metadata = { .args = { "--cache", "metadata", NULL } };

/* What a mode says of names, attributes and open files. */
static void check_cache(struct fixture *f, uint64_t valid, uint32_t file, uint32_t dir)
{
	const uint32_t known = FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;

	share_fill(&f->daemon, "file", 10, 1);
	ok(casement_lookup(f->q, CASEMENT_ROOT, "file", &entry));
	assert_int_equal(entry.entry_valid, valid);
	assert_int_equal(entry.attr_valid, valid);
	ok(casement_getattr(f->q, entry.nodeid, CASEMENT_NO_FH, &attr));
	assert_int_equal(attr.attr_valid, valid);
	ok(casement_open(f->q, entry.nodeid, O_RDONLY, &open));
	assert_int_equal(open.open_flags & known, file);
	ok(casement_opendir(f->q, CASEMENT_ROOT, &open));
	assert_int_equal(open.open_flags & known, dir);
}

static void test_cache_never(void **state)
{
	check_cache(fixture_of(state), 0, FOPEN_DIRECT_IO, 0);
}

static void test_cache_auto(void **state)
{
	check_cache(fixture_of(state), 1, 0, 0);
}

static void test_cache_always(void **state)
{
	check_cache(fixture_of(state), 86400, FOPEN_KEEP_CACHE, FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR);
}

static void test_cache_metadata(void **state)
{
	check_cache(fixture_of(state), 86400, FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR);
}

static const struct fixture_config readonly = { .args = { "--readonly", NULL } };

static void test_readonly(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = 0600 };
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	uint64_t node;
	char buf[10];

	share_fill(&f->daemon, "file", 10, 1);
	node = lookup_node(f->q, "file");
	ok(casement_open(f->q, node, O_RDONLY, &open));
	assert_int_equal(ok(casement_read(f->q, node, open.fh, 0, buf, 10)), 10);
	assert_true(casement_write(f->q, node, open.fh, 0, buf, 10) < 0);
	assert_true(casement_fallocate(f->q, node, open.fh, 0, 0, 100) < 0);
	refused(casement_open(f->q, node, O_RDWR, &open), EROFS);
	refused(casement_open(f->q, node, O_RDONLY | O_TRUNC, &open), EROFS);
	refused(casement_setattr(f->q, node, &set, &attr), EROFS);
	refused(casement_mkdir(f->q, CASEMENT_ROOT, "d", 0755, &entry), EROFS);
	refused(casement_mknod(f->q, CASEMENT_ROOT, "n", S_IFREG | 0600, 0, &entry), EROFS);
	refused(casement_symlink(f->q, CASEMENT_ROOT, "s", "t", &entry), EROFS);
	refused(casement_link(f->q, node, CASEMENT_ROOT, "l", &entry), EROFS);
	refused(casement_create(f->q, CASEMENT_ROOT, "c", O_RDWR | O_CREAT, 0600, &entry, &open), EROFS);
	refused(casement_tmpfile(f->q, CASEMENT_ROOT, O_RDWR, 0600, &entry, &open), EROFS);
	refused(casement_unlink(f->q, CASEMENT_ROOT, "file"), EROFS);
	refused(casement_rmdir(f->q, CASEMENT_ROOT, "file"), EROFS);
	refused(casement_rename(f->q, CASEMENT_ROOT, "file", CASEMENT_ROOT, "g", 0), EROFS);
	assert_int_equal(host_stat(f, "file").st_size, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_init, NULL),
		FIXTURE_TEST(test_init_versions, &no_init),
		FIXTURE_TEST(test_names, NULL),
		FIXTURE_TEST(test_attributes, NULL),
		FIXTURE_TEST(test_statx, NULL),
		FIXTURE_TEST(test_read_write, NULL),
		FIXTURE_TEST(test_big, NULL),
		FIXTURE_TEST(test_unlink_open, NULL),
		FIXTURE_TEST(test_rename, NULL),
		FIXTURE_TEST(test_tmpfile, NULL),
		FIXTURE_TEST(test_copy_file_range, NULL),
		FIXTURE_TEST(test_holes, NULL),
		FIXTURE_TEST(test_mount_wide, NULL),
		FIXTURE_TEST(test_special_files, NULL),
		FIXTURE_TEST(test_forget, NULL),
		FIXTURE_TEST(test_forget_open, NULL),
		FIXTURE_TEST(test_cache_never, &cache_never),
		FIXTURE_TEST(test_cache_auto, &cache_auto),
		FIXTURE_TEST(test_cache_always, &cache_always),
		FIXTURE_TEST(test_cache_metadata, &cache_metadata),
		FIXTURE_TEST(test_readonly, &readonly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
