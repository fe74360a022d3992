/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Escapes from shared folders that others had, by the number of each: devices
 * opened on the host, names that lead out, paths that were trusted twice. See
 * docs/cves.md.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/call.h"
#include "client/raw.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "tests/skip.h"

#define MIB ((uint64_t)1 << 20)

static const struct fixture_config with_window = {
	.args = { "--window-size", "16M", NULL }, .needs = "window-size",
};
static const struct fixture_config read_only = {
	.args = { "--readonly", "--window-size", "16M", NULL }, .needs = "readonly",
};

/* ---- what is not a file is never opened ---- */

static void make_socket(const struct daemon *daemon, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", share_path(daemon, name));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* Every way to open, cut or map; each must be refused. */
static void check_never_opened(struct fixture *f, const char *name)
{
	static const uint32_t flags[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_TRUNC, O_RDONLY | O_NONBLOCK,
					  O_WRONLY | O_APPEND, 3 };
	struct fuse_setattr_in cut = { .valid = FATTR_SIZE };
	uint64_t node = lookup_node(f->q, name);
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;

	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++)
		assert_true(casement_open(f->q, node, flags[i], &open) < 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(flags) - 1; i++)
		assert_true(casement_create(f->q, CASEMENT_ROOT, name, flags[i] | O_CREAT, S_IFREG | 0644,
					    &entry, &open) < 0);
	assert_true(casement_opendir(f->q, node, &open) < 0);
	assert_true(casement_setattr(f->q, node, &cut, &attr) < 0);
	assert_true(casement_setupmapping(f->q, node, UINT64_MAX, 0, 4096, 0, 0) < 0);
	assert_true(casement_setupmapping(f->q, node, UINT64_MAX, 0, 4096, 1, 0) < 0);
}

static void test_cve_2020_35517_devices_are_not_opened(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	unsigned int fds;

	/* Kernel memory's number: open, it would be a find. Needs root; a null device's number does not help. */
	if (casement_mknod(f->q, CASEMENT_ROOT, "memory", S_IFCHR | 0666, 1 << 8 | 1, &entry) == -EPERM)
		SKIP_BECAUSE("only root can make a device");
	ok(casement_mknod(f->q, CASEMENT_ROOT, "disk", S_IFBLK | 0666, 8 << 8, &entry));
	ok(casement_mknod(f->q, CASEMENT_ROOT, "zero", S_IFCHR | 0666, 1 << 8 | 5, &entry));
	fds = daemon_count_fds(&f->daemon);
	check_never_opened(f, "memory");
	check_never_opened(f, "disk");
	check_never_opened(f, "zero");
	assert_int_equal(daemon_count_fds(&f->daemon), fds);
}

/* A FIFO's reader sees whether a writer was ever there. */
static void test_cve_2023_2861_fifos_and_sockets_are_not_opened(void **state)
{
	struct fixture *f = fixture_of(state);
	struct pollfd pfd = { .events = POLLIN };

	assert_int_equal(mkfifo(share_path(&f->daemon, "fifo"), 0666), 0);
	make_socket(&f->daemon, "socket");
	pfd.fd = open(share_path(&f->daemon, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(pfd.fd >= 0);
	check_never_opened(f, "fifo");
	check_never_opened(f, "socket");
	assert_int_equal(poll(&pfd, 1, 0), 0);
	close(pfd.fd);
}

/* ---- names that lead out ---- */

/* Nothing beside the share but what the fixture made: the share and the socket. */
static void check_outside(const struct daemon *daemon)
{
	struct stat st;

	assert_int_equal(access(share_path(daemon, "../new"), F_OK), -1);
	assert_int_equal(lstat(share_path(daemon, "../secret"), &st), 0);
	assert_int_equal(st.st_size, 7);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_nlink, 1);
}

static void make_outside(const struct daemon *daemon)
{
	share_fill(daemon, "../secret", 7, 3);
	assert_int_equal(chmod(share_path(daemon, "../secret"), 0644), 0);
}

static void test_cve_2026_47243_a_new_links_name_stays_inside(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	char absolute[128];

	make_outside(&f->daemon);
	snprintf(absolute, sizeof(absolute), "%s/new", f->daemon.dir);
	refused(casement_symlink(f->q, CASEMENT_ROOT, absolute, "x", &entry), EINVAL);
	refused(casement_symlink(f->q, CASEMENT_ROOT, "../new", "x", &entry), EINVAL);
	refused(casement_symlink(f->q, CASEMENT_ROOT, "a/../../new", "x", &entry), EINVAL);
	refused(casement_symlink(f->q, CASEMENT_ROOT, "", "x", &entry), EINVAL);
	check_outside(&f->daemon);
}

/* 9pfs: "..", at the root and anywhere. */
static void test_cve_2016_7116_the_parent_of_the_root_is_not_reached(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry, dir;

	make_outside(&f->daemon);
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &dir));
	assert_true(casement_lookup(f->q, CASEMENT_ROOT, "..", &entry) < 0);
	assert_true(casement_lookup(f->q, dir.nodeid, "../..", &entry) < 0);
	assert_true(casement_unlink(f->q, dir.nodeid, "../../secret") < 0);
	assert_true(casement_rename(f->q, CASEMENT_ROOT, "../secret", CASEMENT_ROOT, "mine", 0) < 0);
	assert_true(casement_link(f->q, dir.nodeid, CASEMENT_ROOT, "..", &entry) < 0);
	assert_true(casement_rmdir(f->q, dir.nodeid, "..") < 0);
	check_outside(&f->daemon);
}

/* Every request on a link that the guest made, as a folder and as a file. */
static void test_cve_2016_9602_links_are_never_followed(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in all = { .valid = FATTR_MODE | FATTR_SIZE, .mode = 0777 };
	struct fuse_entry_out up, file, entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;

	make_outside(&f->daemon);
	ok(casement_symlink(f->q, CASEMENT_ROOT, "up", "..", &up));
	ok(casement_symlink(f->q, CASEMENT_ROOT, "file", "../secret", &file));
	assert_true(casement_lookup(f->q, up.nodeid, "secret", &entry) < 0);
	assert_true(casement_mkdir(f->q, up.nodeid, "new", 0755, &entry) < 0);
	assert_true(casement_mknod(f->q, up.nodeid, "new", S_IFREG | 0644, 0, &entry) < 0);
	assert_true(casement_create(f->q, up.nodeid, "new", O_RDWR | O_CREAT, S_IFREG | 0644, &entry,
				    &open) < 0);
	assert_true(casement_tmpfile(f->q, up.nodeid, O_RDWR, S_IFREG | 0644, &entry, &open) < 0);
	assert_true(casement_symlink(f->q, up.nodeid, "new", "x", &entry) < 0);
	assert_true(casement_link(f->q, file.nodeid, up.nodeid, "new", &entry) < 0);
	assert_true(casement_rename(f->q, CASEMENT_ROOT, "file", up.nodeid, "new", 0) < 0);
	assert_true(casement_unlink(f->q, up.nodeid, "secret") < 0);
	assert_true(casement_opendir(f->q, up.nodeid, &open) < 0);
	assert_true(casement_open(f->q, file.nodeid, O_RDWR | O_TRUNC, &open) < 0);
	assert_true(casement_create(f->q, CASEMENT_ROOT, "file", O_RDWR | O_CREAT | O_TRUNC,
				    S_IFREG | 0644, &entry, &open) < 0);
	(void)casement_setattr(f->q, file.nodeid, &all, &attr);
	all.valid = FATTR_MODE;
	(void)casement_setattr(f->q, file.nodeid, &all, &attr);
	ok(casement_getattr(f->q, file.nodeid, CASEMENT_NO_FH, &attr));
	assert_true(S_ISLNK(attr.attr.mode));
	check_outside(&f->daemon);
}

/* ---- what was opened once is not found again by its name ---- */

static void test_cve_2026_77179_an_unlinked_file_is_not_found_by_path(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = 0600 };
	struct fuse_entry_out dir, file;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	char text[8] = "";

	assert_int_equal(mkdir(share_path(&f->daemon, "../elsewhere"), 0755), 0);
	share_fill(&f->daemon, "../elsewhere/file", 7, 3);
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &dir));
	ok(casement_create(f->q, dir.nodeid, "file", O_RDWR | O_CREAT, S_IFREG | 0644, &file, &open));
	ok(casement_unlink(f->q, dir.nodeid, "file"));
	/* Now dir/file on the host is somebody else's. */
	assert_int_equal(rmdir(share_path(&f->daemon, "dir")), 0);
	assert_int_equal(symlink("../elsewhere", share_path(&f->daemon, "dir")), 0);
	ok(casement_write(f->q, file.nodeid, open.fh, 0, "mine", 4));
	ok(casement_setattr(f->q, file.nodeid, &set, &attr));
	assert_int_equal(attr.attr.nlink, 0);
	assert_int_equal(attr.attr.size, 4);
	ok(casement_release(f->q, file.nodeid, open.fh));
	/* Opened anew by its node it is still the one that has no name. */
	if (!casement_open(f->q, file.nodeid, O_RDONLY, &open))
		assert_int_equal(ok(casement_read(f->q, file.nodeid, open.fh, 0, text, 8)), 4);
	assert_true(casement_lookup(f->q, dir.nodeid, "file", &file) < 0);
	assert_int_equal(access(share_path(&f->daemon, "../elsewhere/file"), F_OK), 0);
}

/* A thread of the host that puts links where the guest makes files. */
struct swapper {
	char path[128], other[128];
	bool stop;	/* [A] relaxed */
};

static void *swap(void *arg)
{
	struct swapper *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		unlink(s->path);
		if (symlink(s->other, s->path))
			unlink(s->path);
	}
	return NULL;
}

static void test_crosvm_541377094_create_does_not_open_twice(void **state)
{
	struct fixture *f = fixture_of(state);
	struct swapper s = { .stop = false };
	pthread_t thread;

	make_outside(&f->daemon);
	snprintf(s.path, sizeof(s.path), "%s", share_path(&f->daemon, "new"));
	snprintf(s.other, sizeof(s.other), "%s", share_path(&f->daemon, "../secret"));
	assert_int_equal(pthread_create(&thread, NULL, swap, &s), 0);
	for (unsigned int i = 0; i < 3000; i++) {
		struct fuse_entry_out entry;
		struct fuse_open_out open;

		if (casement_create(f->q, CASEMENT_ROOT, "new", O_RDWR | O_CREAT | O_TRUNC, S_IFREG | 0600,
				    &entry, &open))
			continue;
		(void)casement_write(f->q, entry.nodeid, open.fh, 0, "overwritten", 11);
		ok(casement_release(f->q, entry.nodeid, open.fh));
		ok(casement_forget(casement_hiprio_queue(f->client), entry.nodeid, 1));
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	unlink(s.path);
	check_outside(&f->daemon);
}

/* ---- a read-only share ---- */

static void test_cve_2020_2025_read_only_is_enforced_here(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = 0777 };
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	struct stat st;
	uint64_t node;

	share_fill(&f->daemon, "image", 2 * MIB, 1);
	node = lookup_node(f->q, "image");
	refused(casement_open(f->q, node, O_RDWR, &open), EROFS);
	refused(casement_open(f->q, node, O_WRONLY | O_APPEND, &open), EROFS);
	refused(casement_open(f->q, node, O_RDONLY | O_TRUNC, &open), EROFS);
	ok(casement_open(f->q, node, O_RDONLY, &open));
	refused(casement_write(f->q, node, open.fh, 0, "x", 1), EROFS);
	refused(casement_fallocate(f->q, node, open.fh, 0, 0, 4 * MIB), EROFS);
	refused(casement_setattr(f->q, node, &set, &attr), EROFS);
	refused(casement_create(f->q, CASEMENT_ROOT, "new", O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &open),
		EROFS);
	refused(casement_mkdir(f->q, CASEMENT_ROOT, "new", 0755, &entry), EROFS);
	refused(casement_link(f->q, node, CASEMENT_ROOT, "new", &entry), EROFS);
	refused(casement_rename(f->q, CASEMENT_ROOT, "image", CASEMENT_ROOT, "new", 0), EROFS);
	refused(casement_unlink(f->q, CASEMENT_ROOT, "image"), EROFS);
	/* Stock QEMU maps everything writable: through the window nothing may go. */
	assert_true(casement_setupmapping(f->q, node, UINT64_MAX, 0, 2 * MIB,
					  FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE, 0) < 0);
	assert_true(casement_setupmapping(f->q, node, UINT64_MAX, 0, 2 * MIB, FUSE_SETUPMAPPING_FLAG_READ,
					  0) < 0);
	assert_int_equal(stat(share_path(&f->daemon, "image"), &st), 0);
	assert_int_equal(st.st_size, 2 * MIB);
}

/* ---- numbers of requests that are not ours ---- */

static void test_libkrun_f9c75793_no_ioctl_is_private(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	uint64_t node, fh = create_file(f->q, "file", &node);

	for (uint32_t cmd = 0; cmd < 0x10000; cmd += 7) {
		struct fuse_ioctl_in in = { .fh = fh, .cmd = cmd, .arg = 1, .in_size = 0, .out_size = 16 };
		struct { struct fuse_ioctl_out head; char data[16]; } out;
		struct iovec iov[2] = { PIECE(&in), PIECE(&out) };

		assert_true(casement_call(f->q, FUSE_IOCTL, node, iov, 1, iov + 1, 1) < 0);
	}
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	assert_int_equal(access(share_path(&f->daemon, "file"), F_OK), 0);
}

/* 9pfs told the guest what was in its memory: a reply is as long as it says, and padding is zero. */
static void test_cve_2017_15038_replies_leak_nothing(void **state)
{
	struct fixture *f = fixture_of(state);
	char bytes[2048] __attribute__((aligned(8)));
	struct fuse_open_out open;
	ssize_t n;

	for (size_t len = 1; len <= 9; len++) {
		char name[10] = "";

		memset(name, 'n', len);
		share_fill(&f->daemon, name, 1, 1);
	}
	ok(casement_opendir(f->q, CASEMENT_ROOT, &open));
	memset(bytes, 0xa5, sizeof(bytes));
	n = ok(casement_readdir(f->q, CASEMENT_ROOT, open.fh, 0, bytes, sizeof(bytes)));
	assert_true(n > 9 * 32);
	for (ssize_t at = 0; at < n;) {
		const struct fuse_dirent *dirent = (const void *)(bytes + at);
		size_t whole = FUSE_DIRENT_SIZE(dirent);

		for (size_t i = FUSE_NAME_OFFSET + dirent->namelen; i < whole; i++)
			assert_int_equal(bytes[at + (ssize_t)i], 0);
		at += (ssize_t)whole;
	}
	assert_int_equal((unsigned char)bytes[n], 0xa5);
}

/* The guest runs into its own limit; the daemon serves on, and gives all of it back. */
static void test_cve_2020_10717_a_guest_cannot_use_up_descriptors(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t *handles = calloc(4096, sizeof(*handles));
	uint64_t node, fh = create_file(f->q, "file", &node);
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	unsigned int n = 0, before = daemon_count_fds(&f->daemon);
	int err = 0;

	while (n < 4096 && !(err = casement_open(f->q, node, O_RDONLY, &open)))
		handles[n++] = open.fh;
	assert_int_equal(err, -ENFILE);
	assert_true(n > 10);
	/* What needs no new descriptor of the guest's works; the VMM, too, is served. */
	ok(casement_getattr(f->q, node, fh, &attr));
	ok(casement_write(f->q, node, fh, 0, "x", 1));
	ok(raw_restart(f->q));
	while (n)
		ok(casement_release(f->q, node, handles[--n]));
	free(handles);
	assert_int_equal(daemon_count_fds(&f->daemon), before);
	ok(casement_open(f->q, node, O_RDONLY, &open));
}

static const struct fixture_config few_fds = {
	.args = { "--rlimit-nofile", "700", NULL }, .needs = "rlimit-nofile",
};

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_cve_2020_35517_devices_are_not_opened, &with_window),
		FIXTURE_TEST(test_cve_2023_2861_fifos_and_sockets_are_not_opened, &with_window),
		FIXTURE_TEST(test_cve_2026_47243_a_new_links_name_stays_inside, NULL),
		FIXTURE_TEST(test_cve_2016_7116_the_parent_of_the_root_is_not_reached, NULL),
		FIXTURE_TEST(test_cve_2016_9602_links_are_never_followed, NULL),
		FIXTURE_TEST(test_cve_2026_77179_an_unlinked_file_is_not_found_by_path, NULL),
		FIXTURE_TEST(test_crosvm_541377094_create_does_not_open_twice, NULL),
		FIXTURE_TEST(test_cve_2020_2025_read_only_is_enforced_here, &read_only),
		FIXTURE_TEST(test_libkrun_f9c75793_no_ioctl_is_private, NULL),
		FIXTURE_TEST(test_cve_2017_15038_replies_leak_nothing, NULL),
		FIXTURE_TEST(test_cve_2020_10717_a_guest_cannot_use_up_descriptors, &few_fds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
