/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * File systems that the share is on, or that are mounted in it: they fill up,
 * and they are unmounted while a guest has their files open. What the guest has
 * open goes on working, what it asks for is answered, and what it gave back no
 * longer holds a mount. The daemon sees the mounts of this process, which
 * nobody else does.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "proto/fuse_wire.h"
#include "tests/skip.h"

#define INODES 16u	/* of the small disk, its root included */

/* A share of its own, on a file system of its own. */
struct scene {
	char dir[64];
	struct daemon daemon;
	struct casement *client;
	struct casement_queue *q, *hiprio;
};

static bool may_mount;

static const char *at(const struct scene *s, const char *name)
{
	static char paths[4][128];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", s->dir, name);
	return path;
}

static void scene_begin(struct scene *s, const char *disk, const char *handles)
{
	const char *const args[] = { "--shared-dir", s->dir, "--inode-file-handles", handles, NULL };
	struct fuse_init_out init;

	if (!may_mount)
		SKIP_BECAUSE("only root may mount, and not in every container");
	strcpy(s->dir, "/tmp/casement-mounted-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	assert_int_equal(mount("none", s->dir, "tmpfs", 0, disk), 0);
	assert_int_equal(chmod(s->dir, 0755), 0);
	daemon_start(&s->daemon, args);
	s->client = daemon_connect(&s->daemon, NULL);
	s->q = casement_request_queue(s->client, 0);
	s->hiprio = casement_hiprio_queue(s->client);
	ok(casement_init(s->q, NULL, &init));
}

static void scene_end(struct scene *s)
{
	daemon_check(&s->daemon);
	casement_close(s->client);
	assert_int_equal(daemon_wait(&s->daemon), 0);
	assert_int_equal(daemon_stop(&s->daemon), 0);
	umount2(s->dir, MNT_DETACH);
	assert_int_equal(rmdir(s->dir), 0);
}

static struct fuse_entry_out look(struct scene *s, uint64_t parent, const char *name)
{
	struct fuse_entry_out entry;

	ok(casement_lookup(s->q, parent, name, &entry));
	return entry;
}

/* ---- a disk that is full ---- */

/* Everything that makes something, with nothing left to make it of: ENOSPC, and nothing half-made. */
static void check_nothing_is_made(struct scene *s, uint64_t file, uint64_t fh)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	struct fuse_attr_out attr;
	char byte;

	refused(casement_mkdir(s->q, CASEMENT_ROOT, "new", 0755, &entry), ENOSPC);
	refused(casement_mknod(s->q, CASEMENT_ROOT, "new", S_IFREG | 0644, 0, &entry), ENOSPC);
	refused(casement_mknod(s->q, CASEMENT_ROOT, "new", S_IFIFO | 0644, 0, &entry), ENOSPC);
	refused(casement_symlink(s->q, CASEMENT_ROOT, "new", "target", &entry), ENOSPC);
	refused(casement_create(s->q, CASEMENT_ROOT, "new", O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &open),
		ENOSPC);
	assert_int_equal(faccessat(AT_FDCWD, at(s, "new"), F_OK, AT_SYMLINK_NOFOLLOW), -1);
	/* What is there is served. */
	assert_int_equal(ok(casement_read(s->q, file, fh, 0, &byte, 1)), 1);
	ok(casement_write(s->q, file, fh, 0, "x", 1));
	ok(casement_getattr(s->q, file, fh, &attr));
	ok(casement_create(s->q, CASEMENT_ROOT, "file", O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &open));
	ok(casement_release(s->q, file, open.fh));
	ok(casement_forget(s->hiprio, file, 1));
}

static void test_no_inodes_left(void **state)
{
	struct scene s;
	struct fuse_entry_out file, entry;
	struct fuse_open_out open;
	unsigned int fds, n = 0;
	char name[16];
	int err = 0;

	(void)state;
	scene_begin(&s, "size=1M,nr_inodes=16", "never");
	ok(casement_create(s.q, CASEMENT_ROOT, "file", O_RDWR | O_CREAT, S_IFREG | 0644, &file, &open));
	ok(casement_write(s.q, file.nodeid, open.fh, 0, "x", 1));
	while (!err && n < INODES) {
		snprintf(name, sizeof(name), "%u", n++);
		err = casement_mkdir(s.q, CASEMENT_ROOT, name, 0755, &entry);
	}
	assert_int_equal(err, -ENOSPC);
	fds = daemon_count_fds(&s.daemon);
	check_nothing_is_made(&s, file.nodeid, open.fh);
	assert_int_equal(daemon_count_fds(&s.daemon), fds);
	ok(casement_rmdir(s.q, CASEMENT_ROOT, "0"));
	ok(casement_forget(s.hiprio, look(&s, CASEMENT_ROOT, "1").nodeid, 2));
	ok(casement_rmdir(s.q, CASEMENT_ROOT, "1"));
	ok(casement_mkdir(s.q, CASEMENT_ROOT, "new", 0755, &entry));
	scene_end(&s);
}

static void test_no_blocks_left(void **state)
{
	static char bytes[65536];
	struct scene s;
	struct fuse_entry_out file, other;
	struct fuse_open_out open, other_open;
	struct fuse_attr_out attr;
	uint64_t end = 0;
	ssize_t n;

	(void)state;
	scene_begin(&s, "size=1M", "never");
	ok(casement_create(s.q, CASEMENT_ROOT, "file", O_RDWR | O_CREAT, S_IFREG | 0644, &file, &open));
	ok(casement_create(s.q, CASEMENT_ROOT, "other", O_RDWR | O_CREAT, S_IFREG | 0644, &other, &other_open));
	/* Past the end of the disk a write does what fits, and the next says why. */
	while ((n = casement_write(s.q, file.nodeid, open.fh, end, bytes, sizeof(bytes))) > 0)
		end += (uint64_t)n;
	assert_int_equal(n, -ENOSPC);
	ok(casement_getattr(s.q, file.nodeid, open.fh, &attr));
	assert_int_equal(attr.attr.size, end);
	refused(casement_fallocate(s.q, other.nodeid, other_open.fh, 0, 0, 1 << 20), ENOSPC);
	refused(casement_write(s.q, other.nodeid, other_open.fh, 0, bytes, 4096), ENOSPC);
	ok(casement_getattr(s.q, other.nodeid, other_open.fh, &attr));
	assert_int_equal(attr.attr.blocks, 0);
	assert_int_equal(ok(casement_read(s.q, file.nodeid, open.fh, 0, bytes, 4096)), 4096);
	ok(casement_setattr(s.q, file.nodeid, &(struct fuse_setattr_in){ .valid = FATTR_SIZE }, &attr));
	ok(casement_write(s.q, other.nodeid, other_open.fh, 0, bytes, 4096));
	scene_end(&s);
}

/* ---- a file system that is taken away ---- */

/* Entries of a directory, "." and ".." too. */
static unsigned int list(struct scene *s, uint64_t node)
{
	struct fuse_open_out open;
	char bytes[4096];
	unsigned int found = 0;
	ssize_t n;

	ok(casement_opendir(s->q, node, &open));
	n = ok(casement_readdir(s->q, node, open.fh, 0, bytes, sizeof(bytes)));
	for (ssize_t i = 0; i < n; found++) {
		const struct fuse_dirent *entry = (const void *)(bytes + i);

		i += (ssize_t)FUSE_DIRENT_SIZE(entry);
	}
	ok(casement_releasedir(s->q, node, open.fh));
	return found;
}

/* A file made, written, closed, opened again, read, and removed. */
static void check_serves(struct scene *s, uint64_t dir)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char byte = 0;

	ok(casement_create(s->q, dir, "made", O_RDWR | O_CREAT | O_EXCL, S_IFREG | 0644, &entry, &open));
	ok(casement_write(s->q, entry.nodeid, open.fh, 0, "x", 1));
	ok(casement_release(s->q, entry.nodeid, open.fh));
	ok(casement_open(s->q, entry.nodeid, O_RDONLY, &open));
	assert_int_equal(ok(casement_read(s->q, entry.nodeid, open.fh, 0, &byte, 1)), 1);
	assert_int_equal(byte, 'x');
	ok(casement_release(s->q, entry.nodeid, open.fh));
	ok(casement_unlink(s->q, dir, "made"));
	ok(casement_forget(s->hiprio, entry.nodeid, 1));
}

/* The share itself, lazily: nobody else finds it any more, its guest has all of it. */
static void share_is_unmounted(const char *handles)
{
	struct scene s;
	struct fuse_entry_out dir;
	struct fuse_open_out open;
	struct stat st;

	scene_begin(&s, "size=1M", handles);
	ok(casement_mkdir(s.q, CASEMENT_ROOT, "dir", 0755, &dir));
	ok(casement_opendir(s.q, dir.nodeid, &open));
	check_serves(&s, dir.nodeid);
	assert_int_equal(umount2(s.dir, MNT_DETACH), 0);
	assert_int_equal(stat(at(&s, "dir"), &st), -1);
	check_serves(&s, dir.nodeid);
	check_serves(&s, CASEMENT_ROOT);
	assert_int_equal(list(&s, CASEMENT_ROOT), 3);
	assert_int_equal(look(&s, CASEMENT_ROOT, "dir").nodeid, dir.nodeid);
	ok(casement_releasedir(s.q, dir.nodeid, open.fh));
	scene_end(&s);
}

static void test_the_share_is_unmounted(void **state)
{
	(void)state;
	share_is_unmounted("never");
	share_is_unmounted("prefer");
}

/* A file system in the share, lazily: its open files live on, its name leads to what was below. */
static void submount_is_unmounted(const char *handles)
{
	struct scene s;
	struct fuse_entry_out sub, file, now;
	struct fuse_open_out open, again;
	struct fuse_attr_out attr;
	char byte;
	int err;

	scene_begin(&s, "size=1M", handles);
	assert_int_equal(mkdir(at(&s, "sub"), 0700), 0);
	assert_int_equal(mount("none", at(&s, "sub"), "tmpfs", 0, "size=1M,mode=755"), 0);
	sub = look(&s, CASEMENT_ROOT, "sub");
	assert_int_equal(sub.attr.flags, FUSE_ATTR_SUBMOUNT);
	ok(casement_create(s.q, sub.nodeid, "file", O_RDWR | O_CREAT, S_IFREG | 0644, &file, &open));
	assert_int_equal(umount2(at(&s, "sub"), MNT_DETACH), 0);
	now = look(&s, CASEMENT_ROOT, "sub");
	assert_int_not_equal(now.nodeid, sub.nodeid);
	assert_int_equal(now.attr.flags, 0);
	assert_int_equal(now.attr.mode & 07777, 0700);
	ok(casement_write(s.q, file.nodeid, open.fh, 0, "x", 1));
	assert_int_equal(ok(casement_read(s.q, file.nodeid, open.fh, 0, &byte, 1)), 1);
	ok(casement_getattr(s.q, sub.nodeid, CASEMENT_NO_FH, &attr));
	/* Where Landlock is, what is not in the share any more does not open. */
	err = casement_open(s.q, file.nodeid, O_RDONLY, &again);
	if (err)
		assert_int_equal(err, -EACCES);
	else
		check_serves(&s, sub.nodeid);
	assert_int_equal(list(&s, now.nodeid), 2);
	check_serves(&s, now.nodeid);
	ok(casement_release(s.q, file.nodeid, open.fh));
	scene_end(&s);
}

static void test_a_submount_is_unmounted(void **state)
{
	(void)state;
	submount_is_unmounted("never");
	submount_is_unmounted("prefer");
}

/* While a guest knows a file of it a mount is busy; once it forgot them all it is not. */
static void submount_is_given_back(const char *handles)
{
	struct scene s;
	struct fuse_entry_out sub, file;
	struct fuse_open_out open;

	scene_begin(&s, "size=1M", handles);
	assert_int_equal(mkdir(at(&s, "sub"), 0700), 0);
	assert_int_equal(mount("none", at(&s, "sub"), "tmpfs", 0, "size=1M"), 0);
	sub = look(&s, CASEMENT_ROOT, "sub");
	ok(casement_create(s.q, sub.nodeid, "file", O_RDWR | O_CREAT, S_IFREG | 0644, &file, &open));
	ok(casement_release(s.q, file.nodeid, open.fh));
	assert_int_equal(umount2(at(&s, "sub"), 0), -1);
	assert_int_equal(errno, EBUSY);
	ok(casement_forget(s.hiprio, file.nodeid, 1));
	ok(casement_forget(s.hiprio, sub.nodeid, 1));
	assert_int_equal(umount2(at(&s, "sub"), 0), 0);
	scene_end(&s);
}

static void test_a_submount_is_given_back(void **state)
{
	(void)state;
	submount_is_given_back("never");
	submount_is_given_back("prefer");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_inodes_left),
		cmocka_unit_test(test_no_blocks_left),
		cmocka_unit_test(test_the_share_is_unmounted),
		cmocka_unit_test(test_a_submount_is_unmounted),
		cmocka_unit_test(test_a_submount_is_given_back),
	};

	may_mount = unshare(CLONE_NEWNS) == 0 &&
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		    /* What is mounted later reaches the daemon's own namespace, too. */
		    mount("none", "/", NULL, MS_REC | MS_SHARED, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
