/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * File systems mounted inside the share: announced to the guest, and never
 * mixed up. The daemon sees the mounts of this process, which nobody else does.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/checked.h"
#include "proto/fuse_extension.h"
#include "proto/fuse_wire.h"
#include "tests/skip.h"

static bool may_mount;

/* Directory, file and tmpfs that share inode numbers: the root of each tmpfs is number 1. */
static void mount_all(struct fixture *f)
{
	static const char *const names[] = { "one", "two", "bound", "plain" };

	if (!may_mount)
		SKIP_BECAUSE("only root may mount, and not in every container");
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(mkdir(share_path(&f->daemon, names[i]), 0755), 0);
	share_fill(&f->daemon, "file", 10, 1);
	share_fill(&f->daemon, "bound-file", 10, 2);
	assert_int_equal(mount("none", share_path(&f->daemon, "one"), "tmpfs", 0, "size=1M"), 0);
	assert_int_equal(mount("none", share_path(&f->daemon, "two"), "tmpfs", 0, "size=2M"), 0);
	assert_int_equal(mount(share_path(&f->daemon, "plain"), share_path(&f->daemon, "bound"),
			       NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(share_path(&f->daemon, "file"), share_path(&f->daemon, "bound-file"),
			       NULL, MS_BIND, NULL), 0);
	share_fill(&f->daemon, "one/a", 11, 3);
	share_fill(&f->daemon, "two/a", 12, 4);
}

static void unmount_all(struct fixture *f)
{
	static const char *const names[] = { "one", "two", "bound", "bound-file" };

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		umount2(share_path(&f->daemon, names[i]), MNT_DETACH);
}

static struct fuse_entry_out look(struct fixture *f, uint64_t parent, const char *name)
{
	struct fuse_entry_out entry;

	ok(casement_lookup(f->q, parent, name, &entry));
	return entry;
}

static void check_marks(struct fixture *f, uint32_t mark)
{
	/* Once as new files, once as known ones. */
	for (unsigned int round = 0; round < 2; round++) {
		assert_int_equal(look(f, CASEMENT_ROOT, "one").attr.flags, mark);
		assert_int_equal(look(f, CASEMENT_ROOT, "two").attr.flags, mark);
		assert_int_equal(look(f, CASEMENT_ROOT, "bound").attr.flags, mark);
		assert_int_equal(look(f, CASEMENT_ROOT, "plain").attr.flags, 0);
		assert_int_equal(look(f, CASEMENT_ROOT, "file").attr.flags, 0);
		/* A guest mounts directories only. */
		assert_int_equal(look(f, CASEMENT_ROOT, "bound-file").attr.flags, 0);
		assert_int_equal(look(f, look(f, CASEMENT_ROOT, "one").nodeid, "a").attr.flags, 0);
	}
}

static void test_announced(void **state)
{
	struct fixture *f = fixture_of(state);

	mount_all(f);
	assert_true(f->init.flags & FUSE_SUBMOUNTS);
	check_marks(f, FUSE_ATTR_SUBMOUNT);
	unmount_all(f);
}

static void test_not_announced(void **state)
{
	struct fixture *f = fixture_of(state);

	mount_all(f);
	assert_false(f->init.flags & FUSE_SUBMOUNTS);
	check_marks(f, 0);
	unmount_all(f);
}

/* A guest that does not know of submounts is not told. */
static void test_not_offered(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_init_in in = { .major = 7, .minor = 31, .flags = FUSE_ASYNC_READ };

	mount_all(f);
	ok(casement_init(f->q, &in, &f->init));
	assert_false(f->init.flags & FUSE_SUBMOUNTS);
	check_marks(f, 0);
	unmount_all(f);
}

/* A client that tells its mount's device number gets ELOOP there; other clients are let in. */
static void test_the_clients_own_mount(void **state)
{
	const struct fuse_extension said = { FUSE_EXTENSION_MAGIC, FUSE_EXTENSION_ON_HOST };
	struct fixture *f = fixture_of(state);
	struct fuse_init_in in = { .major = 7, .minor = 41, .flags = FUSE_INIT_EXT };
	struct fuse_entry_out entry;
	struct stat st;
	uint32_t device;

	mount_all(f);
	assert_int_equal(stat(share_path(&f->daemon, "one"), &st), 0);
	device = major(st.st_dev) << 20 | minor(st.st_dev);
	memcpy((char *)&in + FUSE_EXTENSION_DEVICE_AT, &device, sizeof(device));
	memcpy((char *)(&in + 1) - sizeof(said), &said, sizeof(said));
	ok(casement_init(f->q, &in, &f->init));
	for (unsigned int i = 0; i < 4; i++)
		refused(casement_lookup(f->q, CASEMENT_ROOT, "one", &entry), ELOOP);
	assert_int_equal(look(f, look(f, CASEMENT_ROOT, "two").nodeid, "a").attr.size, 12);
	assert_int_equal(look(f, CASEMENT_ROOT, "file").attr.size, 10);
	/* The next session begins without it. */
	ok(casement_init(f->q, NULL, &f->init));
	assert_int_equal(look(f, look(f, CASEMENT_ROOT, "one").nodeid, "a").attr.size, 11);
	unmount_all(f);
}

/* Equal inode numbers on two file systems are two files, each on its own. */
static void test_told_apart(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out one, two, a, b;
	struct fuse_statfs_out first, second;

	mount_all(f);
	one = look(f, CASEMENT_ROOT, "one");
	two = look(f, CASEMENT_ROOT, "two");
	a = look(f, one.nodeid, "a");
	b = look(f, two.nodeid, "a");
	assert_int_equal(a.attr.ino, b.attr.ino);
	assert_int_not_equal(a.nodeid, b.nodeid);
	assert_int_equal(a.attr.size, 11);
	assert_int_equal(b.attr.size, 12);
	/* The same file by two mounts is two: a read-only bind mount is not its other name. */
	assert_int_not_equal(look(f, CASEMENT_ROOT, "bound").nodeid,
			     look(f, CASEMENT_ROOT, "plain").nodeid);
	assert_int_equal(look(f, CASEMENT_ROOT, "bound").attr.ino,
			 look(f, CASEMENT_ROOT, "plain").attr.ino);
	ok(casement_statfs(f->q, one.nodeid, &first));
	ok(casement_statfs(f->q, two.nodeid, &second));
	assert_int_equal(2 * first.st.blocks, second.st.blocks);
	ok(casement_syncfs(f->q, one.nodeid));
	ok(casement_syncfs(f->q, two.nodeid));
	refused(casement_link(f->q, a.nodeid, two.nodeid, "link", &b), EXDEV);
	refused(casement_rename(f->q, one.nodeid, "a", two.nodeid, "c", 0), EXDEV);
	unmount_all(f);
}

/* The marks of a listing's entries, found by name. */
static uint32_t listed_flags(const char *buf, size_t size, const char *name)
{
	for (size_t at = 0; at + FUSE_NAME_OFFSET_DIRENTPLUS <= size;) {
		struct fuse_direntplus plus;

		memcpy(&plus, buf + at, sizeof(plus));
		if (plus.dirent.namelen == strlen(name) &&
		    !memcmp(buf + at + FUSE_NAME_OFFSET_DIRENTPLUS, name, strlen(name)))
			return plus.entry_out.attr.flags;
		at += FUSE_DIRENTPLUS_SIZE(&plus);
	}
	fail_msg("%s is not listed", name);
	return 0;
}

/* A listing asks no other file system; what it is known of those that were looked up is told. */
static void test_listed(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_open_out open;
	char buf[8192];
	ssize_t n;

	mount_all(f);
	ok(casement_opendir(f->q, CASEMENT_ROOT, &open));
	n = ok(casement_readdirplus(f->q, CASEMENT_ROOT, open.fh, 0, buf, sizeof(buf)));
	assert_int_equal(listed_flags(buf, (size_t)n, "one"), 0);
	look(f, CASEMENT_ROOT, "one");
	look(f, CASEMENT_ROOT, "bound");
	n = ok(casement_readdirplus(f->q, CASEMENT_ROOT, open.fh, 0, buf, sizeof(buf)));
	assert_int_equal(listed_flags(buf, (size_t)n, "one"), FUSE_ATTR_SUBMOUNT);
	assert_int_equal(listed_flags(buf, (size_t)n, "bound"), FUSE_ATTR_SUBMOUNT);
	assert_int_equal(listed_flags(buf, (size_t)n, "plain"), 0);
	assert_int_equal(listed_flags(buf, (size_t)n, "bound-file"), 0);
	ok(casement_releasedir(f->q, CASEMENT_ROOT, open.fh));
	unmount_all(f);
}

/* ---- inode numbers ---- */

/* The number listed for a name; 0: it is not listed. */
static uint64_t listed_number(struct fixture *f, uint64_t dir, const char *name, bool plus)
{
	size_t head = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	struct fuse_open_out open;
	uint64_t found = 0;
	char buf[8192];
	ssize_t n;

	ok(casement_opendir(f->q, dir, &open));
	n = plus ? casement_readdirplus(f->q, dir, open.fh, 0, buf, sizeof(buf)) :
		   casement_readdir(f->q, dir, open.fh, 0, buf, sizeof(buf));
	ok(n);
	for (size_t at = 0; at + head <= (size_t)n;) {
		struct fuse_dirent entry;

		memcpy(&entry, buf + at + head - FUSE_NAME_OFFSET, FUSE_NAME_OFFSET);
		if (entry.namelen == strlen(name) && !memcmp(buf + at + head, name, entry.namelen))
			found = entry.ino;
		at += FUSE_REC_ALIGN(head + entry.namelen);
	}
	ok(casement_releasedir(f->q, dir, open.fh));
	return found;
}

/* Every request that tells the number of this file tells this one. */
static uint64_t number_of(struct fixture *f, uint64_t parent, const char *name, uint64_t *node)
{
	struct fuse_entry_out entry = look(f, parent, name);
	struct fuse_statx_out statx;
	struct fuse_attr_out attr;

	ok(casement_getattr(f->q, entry.nodeid, CASEMENT_NO_FH, &attr));
	assert_int_equal(attr.attr.ino, entry.attr.ino);
	ok(casement_statx(f->q, entry.nodeid, CASEMENT_NO_FH, STATX_INO, &statx));
	assert_int_equal(statx.stat.ino, entry.attr.ino);
	assert_int_equal(listed_number(f, parent, name, true), entry.attr.ino);
	if (S_ISDIR(entry.attr.mode)) {
		assert_int_equal(listed_number(f, entry.nodeid, ".", false), entry.attr.ino);
		assert_int_equal(listed_number(f, entry.nodeid, ".", true), entry.attr.ino);
	}
	if (node)
		*node = entry.nodeid;
	return entry.attr.ino;
}

/* To a guest that sees one file system no two files are one, and one file is one by each of its names. */
static void check_numbers_of_one(struct fixture *f)
{
	uint64_t one, two, sub, all[9];
	struct fuse_attr_out root;
	unsigned int n = 0;

	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &root));
	assert_int_equal(mkdir(share_path(&f->daemon, "one/sub"), 0755), 0);
	all[n++] = root.attr.ino;
	all[n++] = number_of(f, CASEMENT_ROOT, "one", &one);
	all[n++] = number_of(f, CASEMENT_ROOT, "two", &two);
	all[n++] = number_of(f, CASEMENT_ROOT, "plain", NULL);
	all[n++] = number_of(f, CASEMENT_ROOT, "file", NULL);
	all[n++] = number_of(f, one, "a", NULL);
	all[n++] = number_of(f, two, "a", NULL);
	all[n++] = number_of(f, one, "sub", &sub);
	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(all[i], all[j]);
	}
	assert_int_equal(number_of(f, CASEMENT_ROOT, "bound", NULL),
			 number_of(f, CASEMENT_ROOT, "plain", NULL));
	assert_int_equal(number_of(f, CASEMENT_ROOT, "bound-file", NULL),
			 number_of(f, CASEMENT_ROOT, "file", NULL));
	/* What is on the share's own file system has the host's number. */
	assert_int_equal(listed_number(f, CASEMENT_ROOT, "file", false), number_of(f, CASEMENT_ROOT, "file", NULL));
	assert_int_equal(listed_number(f, one, "a", false), number_of(f, one, "a", NULL));
	assert_int_equal(listed_number(f, one, "..", false), root.attr.ino);
	assert_int_equal(listed_number(f, one, "..", true), root.attr.ino);
	assert_int_equal(listed_number(f, sub, "..", false), number_of(f, CASEMENT_ROOT, "one", NULL));
}

static void test_numbers_not_announced(void **state)
{
	struct fixture *f = fixture_of(state);
	struct stat st;

	mount_all(f);
	check_numbers_of_one(f);
	assert_int_equal(stat(share_path(&f->daemon, "file"), &st), 0);
	assert_int_equal(number_of(f, CASEMENT_ROOT, "file", NULL), st.st_ino);
	unmount_all(f);
}

static void test_numbers_not_offered(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_init_in in = { .major = 7, .minor = 39, .flags = FUSE_ASYNC_READ | FUSE_DO_READDIRPLUS };

	mount_all(f);
	ok(casement_init(f->q, &in, &f->init));
	check_numbers_of_one(f);
	unmount_all(f);
}

/*
 * A guest that mounts what is mounted has the host's numbers, but for a file of
 * another file system that is bound into a directory: it mounts directories only.
 */
static void test_numbers_announced(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t foreign;
	struct stat st;

	mount_all(f);
	share_fill(&f->daemon, "foreign", 10, 5);
	assert_int_equal(mount(share_path(&f->daemon, "two/a"), share_path(&f->daemon, "foreign"),
			       NULL, MS_BIND, NULL), 0);
	assert_int_equal(stat(share_path(&f->daemon, "two/a"), &st), 0);
	assert_int_equal(number_of(f, look(f, CASEMENT_ROOT, "two").nodeid, "a", NULL), st.st_ino);
	assert_int_equal(number_of(f, CASEMENT_ROOT, "bound-file", NULL),
			 number_of(f, CASEMENT_ROOT, "file", NULL));
	foreign = number_of(f, CASEMENT_ROOT, "foreign", NULL);
	assert_int_not_equal(foreign, st.st_ino);
	umount2(share_path(&f->daemon, "foreign"), MNT_DETACH);
	unmount_all(f);
}

/* The node that READDIRPLUS gives for a name; 0: none. */
static uint64_t find_listed(const char *buf, size_t size, const char *name)
{
	size_t bytes;

	for (; size; buf += bytes, size -= bytes) {
		const struct fuse_direntplus *plus = (const void *)buf;

		bytes = FUSE_DIRENTPLUS_SIZE(plus);
		if (plus->dirent.namelen == strlen(name) && !memcmp(plus->dirent.name, name, strlen(name)))
			return plus->entry_out.nodeid;
	}
	fail_msg("%s is not listed", name);
	return 0;
}

/*
 * A directory that the host's kernel mounts on when it is entered, as autofs does; here by debugfs, whose
 * "tracing" is one. A guest that lists its parent enters nothing; one that looks it up finds what is mounted.
 */
static void test_mounted_when_entered(void **state)
{
	struct fixture *f = fixture_of(state);
	const char *path = share_path(&f->daemon, "debug");
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	_Alignas(8) char buf[32768];
	uint64_t debug;
	ssize_t n;
	struct statx stx;

	if (!may_mount)
		SKIP_BECAUSE("only root may mount, and not in every container");
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(mount("none", path, "debugfs", 0, NULL), 0);
	path = share_path(&f->daemon, "debug/tracing");
	if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, 0, &stx) || !(stx.stx_attributes & STATX_ATTR_AUTOMOUNT)) {
		umount2(share_path(&f->daemon, "debug"), MNT_DETACH);
		SKIP_BECAUSE("this kernel's debugfs has no directory that is mounted when it is entered");
	}
	debug = look(f, CASEMENT_ROOT, "debug").nodeid;
	ok(casement_opendir(f->q, debug, &open));
	n = ok(casement_readdirplus(f->q, debug, open.fh, 0, buf, sizeof(buf)));
	assert_int_equal(find_listed(buf, (size_t)n, "tracing"), 0);
	assert_int_not_equal(find_listed(buf, (size_t)n, "bdi"), 0);
	ok(casement_releasedir(f->q, debug, open.fh));
	for (unsigned int i = 0; i < 2; i++) {
		entry = look(f, debug, "tracing");
		assert_int_equal(entry.attr.flags, FUSE_ATTR_SUBMOUNT);
		assert_true(S_ISREG(look(f, entry.nodeid, "README").attr.mode));
	}
	umount2(share_path(&f->daemon, "debug"), MNT_DETACH);
}

int main(void)
{
	static const struct fixture_config plain;
	static const struct fixture_config silent = { .args = { "--no-announce-submounts" } };
	static const struct fixture_config handles = { .args = { "--inode-file-handles=prefer" } };
	static const struct fixture_config no_init = { .no_init = true };
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_announced, &plain),
		FIXTURE_TEST(test_not_announced, &silent),
		FIXTURE_TEST(test_not_offered, &no_init),
		FIXTURE_TEST(test_the_clients_own_mount, &plain),
		FIXTURE_TEST(test_the_clients_own_mount, &handles),
		FIXTURE_TEST(test_told_apart, &plain),
		FIXTURE_TEST(test_told_apart, &handles),
		FIXTURE_TEST(test_listed, &plain),
		FIXTURE_TEST(test_numbers_not_announced, &silent),
		FIXTURE_TEST(test_numbers_not_offered, &no_init),
		FIXTURE_TEST(test_numbers_announced, &plain),
		FIXTURE_TEST(test_mounted_when_entered, &plain),
		FIXTURE_TEST(test_mounted_when_entered, &handles),
	};

	may_mount = unshare(CLONE_NEWNS) == 0 &&
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		    /* What is mounted later reaches the daemon's own namespace, too. */
		    mount("none", "/", NULL, MS_REC | MS_SHARED, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
