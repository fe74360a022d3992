/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks that fail, folders that vanish, and things as large or as many as they
 * get: the guest hears an error of the host's, or gets what it asked for; the
 * daemon serves on. Relies on faults.c for the disk (FAULTS names it) and on a
 * /dev/shm that takes sparse files of any size.
 *
 * CASEMENT_MANY=1000000 makes the large folder that large.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fsverity.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/raw.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "tests/skip.h"

#define MANY_DEFAULT 20000u
#define LINKS 41u

/* A daemon with a bad disk; the fixture's own has none. `which`: the variable that says how it is bad. */
static void fault_open_with(struct daemon *daemon, struct casement **client, const char *which,
			    const char *fault, const char *const *args)
{
	struct fuse_init_out init;
	const char *faults = getenv("FAULTS");

	if (!faults)
		SKIP_BECAUSE("the module that fails calls is not there");
	setenv("LD_PRELOAD", faults, 1);
	setenv(which, fault, 1);
	/* It would insist on being the first, and lists threads to look for leaks. */
	setenv("ASAN_OPTIONS", strcmp(which, "CASEMENT_FAULT") ?
	       "verify_asan_link_order=0:detect_leaks=0" : "verify_asan_link_order=0", 1);
	daemon_start(daemon, args);
	unsetenv("LD_PRELOAD");
	unsetenv(which);
	*client = daemon_connect(daemon, NULL);
	ok(casement_init(casement_request_queue(*client, 0), NULL, &init));
}

static void fault_open(struct daemon *daemon, struct casement **client, const char *fault)
{
	fault_open_with(daemon, client, "CASEMENT_FAULT", fault, NULL);
}

static void fault_close(struct daemon *daemon, struct casement *client)
{
	casement_close(client);
	assert_int_equal(daemon_stop(daemon), 0);
}

/* What the disk says is what the guest hears, and attributes are not touched by it. */
static void check_disk_error(const char *name, int error)
{
	struct casement *client;
	struct casement_queue *q;
	struct daemon daemon;
	struct fuse_attr_out attr;
	uint64_t node, fh;
	char byte = 'x';

	fault_open(&daemon, &client, name);
	q = casement_request_queue(client, 0);
	fh = create_file(q, "file", &node);
	refused(casement_write(q, node, fh, 0, &byte, 1), error);
	refused(casement_read(q, node, fh, 0, &byte, 1), error);
	refused(casement_fsync(q, node, fh, 0), error);
	refused(casement_fsync(q, node, fh, 1), error);
	ok(casement_getattr(q, node, fh, &attr));
	assert_int_equal(attr.attr.size, 0);
	ok(casement_release(q, node, fh));
	ok(casement_unlink(q, CASEMENT_ROOT, "file"));
	fault_close(&daemon, client);
}

static void test_disk_errors(void **state)
{
	(void)state;
	check_disk_error("EIO", EIO);
	check_disk_error("ENOSPC", ENOSPC);
	check_disk_error("EDQUOT", EDQUOT);
	check_disk_error("EFBIG", EFBIG);
}

/* Everything that makes something: refused with the host's word, and nothing is left of it. */
static void check_names_refused(struct casement_queue *q, struct daemon *daemon, uint64_t file, int error)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	refused(casement_mkdir(q, CASEMENT_ROOT, "new", 0755, &entry), error);
	refused(casement_mknod(q, CASEMENT_ROOT, "new", S_IFREG | 0644, 0, &entry), error);
	refused(casement_mknod(q, CASEMENT_ROOT, "new", S_IFIFO | 0644, 0, &entry), error);
	refused(casement_symlink(q, CASEMENT_ROOT, "new", "target", &entry), error);
	refused(casement_create(q, CASEMENT_ROOT, "new", O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &open), error);
	refused(casement_link(q, file, CASEMENT_ROOT, "new", &entry), error);
	refused(casement_rename(q, CASEMENT_ROOT, "file", CASEMENT_ROOT, "new", 0), error);
	refused(casement_rename(q, CASEMENT_ROOT, "file", CASEMENT_ROOT, "new", 1), error);
	refused(casement_lookup(q, CASEMENT_ROOT, "new", &entry), ENOENT);
	assert_int_equal(faccessat(AT_FDCWD, share_path(daemon, "new"), F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

static void check_sizes_refused(struct casement_queue *q, uint64_t node, uint64_t fh, int error)
{
	struct fuse_copy_file_range_in copy = { fh, 0, node, fh, 8192, 4096, 0 };
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = 1 };
	struct fuse_attr_out attr;

	refused(casement_setattr(q, node, &set, &attr), error);
	set = (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_FH, .size = 1, .fh = fh };
	refused(casement_setattr(q, node, &set, &attr), error);
	refused(casement_fallocate(q, node, fh, 0, 0, 8192), error);
	refused(casement_copy_file_range(q, &copy, node), error);
	refused(casement_setxattr(q, node, "user.a", "b", 1, 0), error);
	ok(casement_getattr(q, node, fh, &attr));
	assert_int_equal(attr.attr.size, 5000);
}

static void check_call_errors(const char *name, int error)
{
	static const char *const args[] = { "--xattr", NULL };
	struct casement *client;
	struct casement_queue *q;
	struct daemon daemon;
	struct fuse_open_out open;
	uint64_t node, fh;
	unsigned int fds;
	char bytes[4096];

	fault_open_with(&daemon, &client, "CASEMENT_FAULT_CALLS", name, args);
	q = casement_request_queue(client, 0);
	share_fill(&daemon, "file", 5000, 1);
	fh = open_file(q, "file", O_RDWR, &node);
	ok(casement_opendir(q, CASEMENT_ROOT, &open));
	fds = daemon_count_fds(&daemon);
	check_names_refused(q, &daemon, node, error);
	check_sizes_refused(q, node, fh, error);
	refused(casement_readdir(q, CASEMENT_ROOT, open.fh, 0, bytes, sizeof(bytes)), error);
	refused(casement_readdirplus(q, CASEMENT_ROOT, open.fh, 0, bytes, sizeof(bytes)), error);
	assert_int_equal(daemon_count_fds(&daemon), fds);
	/* What is there is served. */
	assert_int_equal(ok(casement_read(q, node, fh, 0, bytes, sizeof(bytes))), sizeof(bytes));
	check_pattern(bytes, sizeof(bytes), 1, 0);
	ok(casement_releasedir(q, CASEMENT_ROOT, open.fh));
	ok(casement_release(q, node, fh));
	ok(casement_unlink(q, CASEMENT_ROOT, "file"));
	fault_close(&daemon, client);
}

static void test_names_errors(void **state)
{
	(void)state;
	check_call_errors("EIO", EIO);
	check_call_errors("ENOSPC", ENOSPC);
	check_call_errors("EDQUOT", EDQUOT);
}

/* A host that does less than asked, or is interrupted: the guest must not see it. */
static void check_all_arrives(const char *fault)
{
	static unsigned char bytes[100000];
	struct casement *client;
	struct casement_queue *q;
	struct daemon daemon;
	uint64_t node, fh;

	fault_open(&daemon, &client, fault);
	q = casement_request_queue(client, 0);
	fh = create_file(q, "file", &node);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = pattern(9, i);
	assert_int_equal(ok(casement_write(q, node, fh, 0, bytes, sizeof(bytes))), sizeof(bytes));
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(ok(casement_read(q, node, fh, 0, bytes, sizeof(bytes))), sizeof(bytes));
	check_pattern(bytes, sizeof(bytes), 9, 0);
	assert_int_equal(ok(casement_read(q, node, fh, 4097, bytes, 50000)), 50000);
	check_pattern(bytes, 50000, 9, 4097);
	fault_close(&daemon, client);
}

static void test_short_reads_and_writes(void **state)
{
	(void)state;
	check_all_arrives("short");
	check_all_arrives("again");
}

/* A time of day that jumps by years: nothing waits by it, nothing believes it. */
static void test_a_clock_that_jumps(void **state)
{
	static const char *const args[] = { "--posix-lock", "--inode-file-handles", "prefer", NULL };
	struct casement *client;
	struct casement_queue *q;
	struct casement_request *done[1], request;
	struct fuse_attr_out attr;
	struct fuse_lk_in in;
	struct iovec iov = { &in, sizeof(in) };
	struct daemon daemon;
	uint64_t node, fh, other;
	char byte = 'x';
	unsigned int n;

	(void)state;
	fault_open_with(&daemon, &client, "CASEMENT_FAULT", "clock", args);
	q = casement_request_queue(client, 0);
	fh = create_file(q, "file", &node);
	ok(casement_write(q, node, fh, 0, &byte, 1));
	ok(casement_getattr(q, node, fh, &attr));
	assert_true(llabs((long long)attr.attr.mtime - time(NULL)) < 3600);
	in = (struct fuse_lk_in){ .fh = fh, .owner = 1, .lk = { .end = 9, .type = F_WRLCK } };
	ok(casement_call(q, FUSE_SETLK, node, &iov, 1, NULL, 0));
	in.owner = 2;
	request = (struct casement_request){ .opcode = FUSE_SETLKW, .nodeid = node, .in = &iov, .n_in = 1 };
	assert_int_equal(ok(casement_submit(q, &request, 1)), 1);
	/* A wait for a lock, and its end by a close that may come before it has begun. */
	do {
		struct fuse_flush_in flush = { .fh = fh, .lock_owner = 2 };

		ok(casement_call(q, FUSE_FLUSH, node, &(struct iovec){ &flush, sizeof(flush) }, 1, NULL, 0));
		n = (unsigned int)ok(casement_complete(q, done, 1, 1));
	} while (!n);
	assert_int_equal(request.result, -EINTR);
	/* A stop of the ring waits for its thread. */
	for (unsigned int i = 0; i < 20; i++) {
		ok(casement_queue_stop(q));
		ok(casement_queue_start(q));
		open_file(q, "file", O_RDONLY, &other);
		assert_int_equal(other, node);
		assert_int_equal(ok(casement_read(q, node, fh, 0, &byte, 1)), 1);
	}
	fault_close(&daemon, client);
}

/* ---- what goes away ---- */

static void test_a_directory_vanishes(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out dir, entry;
	struct fuse_open_out open, file;
	struct fuse_attr_out attr;
	char bytes[4096];

	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &dir));
	ok(casement_create(f->q, dir.nodeid, "file", O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &file));
	ok(casement_opendir(f->q, dir.nodeid, &open));
	assert_int_equal(unlink(share_path(&f->daemon, "dir/file")), 0);
	assert_int_equal(rmdir(share_path(&f->daemon, "dir")), 0);
	/* As Linux has it for a folder that was removed while it was open. */
	refused(casement_readdir(f->q, dir.nodeid, open.fh, 0, bytes, sizeof(bytes)), ENOENT);
	refused(casement_readdirplus(f->q, dir.nodeid, open.fh, 0, bytes, sizeof(bytes)), ENOENT);
	refused(casement_lookup(f->q, dir.nodeid, "file", &entry), ENOENT);
	refused(casement_mkdir(f->q, dir.nodeid, "new", 0755, &entry), ENOENT);
	refused(casement_unlink(f->q, dir.nodeid, "file"), ENOENT);
	ok(casement_getattr(f->q, dir.nodeid, CASEMENT_NO_FH, &attr));
	/* The file in it lives on by its handle. */
	ok(casement_write(f->q, CASEMENT_ROOT, file.fh, 0, "x", 1));
	ok(casement_releasedir(f->q, dir.nodeid, open.fh));
	refused(casement_lookup(f->q, CASEMENT_ROOT, "dir", &entry), ENOENT);
}

static void test_the_share_vanishes(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;

	assert_int_equal(rmdir(f->daemon.share), 0);
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	refused(casement_lookup(f->q, CASEMENT_ROOT, "file", &entry), ENOENT);
	refused(casement_create(f->q, CASEMENT_ROOT, "file", O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &open),
		ENOENT);
	daemon_check(&f->daemon);
}

/* ---- what is large ---- */

/*
 * As the host has it. tmpfs rounds the last hole up to the end of the number
 * line and past it, to a negative place that is no error: that is no answer.
 */
static void check_seek(struct fixture *f, uint64_t node, uint64_t fh, uint64_t offset, int whence)
{
	cleanup_close int fd = open(share_path(&f->daemon, "file"), O_RDONLY | O_CLOEXEC);
	off_t at = lseek(fd, (off_t)offset, whence);

	if (at < 0)
		at = at == -1 ? -errno : -EOVERFLOW;
	assert_true(casement_lseek(f->q, node, fh, offset, (uint32_t)whence) == at);
}

/* The last bytes that there can be, and those behind them, for each request that has an offset. */
static void check_the_end(struct fixture *f, uint64_t node, uint64_t fh)
{
	const uint64_t end = INT64_MAX;
	struct fuse_copy_file_range_in copy = { fh, 1ull << 62, node, fh, end - 4, 4, 0 };
	char bytes[16] = "";

	assert_int_equal(ok(casement_write(f->q, node, fh, end - 4, "last", 4)), 4);
	assert_int_equal(ok(casement_read(f->q, node, fh, end - 4, bytes, 4)), 4);
	assert_memory_equal(bytes, "last", 4);
	assert_int_equal(ok(casement_copy_file_range(f->q, &copy, node)), 4);
	assert_int_equal(ok(casement_read(f->q, node, fh, end - 4, bytes, 4)), 4);
	assert_memory_equal(bytes, "data", 4);
	ok(casement_fallocate(f->q, node, fh, 0, end - 4096, 4096));
	check_seek(f, node, fh, end - 4, SEEK_DATA);
	check_seek(f, node, fh, end - 4, SEEK_HOLE);
	check_seek(f, node, fh, end, SEEK_DATA);
	ok(casement_fallocate(f->q, node, fh, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end - 8192, 8192));
	/* One byte too many, or wrapped altogether. */
	refused(casement_write(f->q, node, fh, end - 4, bytes, 5), EINVAL);
	refused(casement_write(f->q, node, fh, end, bytes, 1), EINVAL);
	refused(casement_fallocate(f->q, node, fh, 0, end - 4096, 4097), EFBIG);
	refused(casement_fallocate(f->q, node, fh, 0, UINT64_MAX - 4095, 8192), EFBIG);
	refused(casement_lseek(f->q, node, fh, end + 1, SEEK_DATA), ENXIO);
	copy.len = 5;
	refused(casement_copy_file_range(f->q, &copy, node), EINVAL);
	copy = (struct fuse_copy_file_range_in){ fh, UINT64_MAX - 3, node, fh, 0, 8, 0 };
	refused(casement_copy_file_range(f->q, &copy, node), EINVAL);
}

/* A file as long as a file can be, nearly all of it a hole. */
static void test_sparse_to_the_end(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = INT64_MAX };
	uint64_t node, fh = create_file(f->q, "file", &node);
	struct fuse_attr_out attr;
	char bytes[16] = "";
	int err = casement_setattr(f->q, node, &in, &attr);

	if (err == -EFBIG)
		SKIP_BECAUSE("not on a file system of this kind");
	assert_int_equal(err, 0);
	assert_int_equal(attr.attr.size, INT64_MAX);
	assert_int_equal(ok(casement_read(f->q, node, fh, INT64_MAX - 8, bytes, 8)), 8);
	assert_true(casement_read(f->q, node, fh, INT64_MAX - 8, bytes, 16) <= 8);
	assert_true(casement_lseek(f->q, node, fh, 0, SEEK_HOLE) == 0);
	refused(casement_lseek(f->q, node, fh, 0, SEEK_DATA), ENXIO);
	ok(casement_write(f->q, node, fh, 1ull << 62, "data", 4));
	assert_true(casement_lseek(f->q, node, fh, 0, SEEK_DATA) <= 1ll << 62);
	assert_int_equal(ok(casement_read(f->q, node, fh, 1ull << 62, bytes, 4)), 4);
	assert_memory_equal(bytes, "data", 4);
	check_the_end(f, node, fh);
	in.size = 0;
	ok(casement_setattr(f->q, node, &in, &attr));
}

static const struct fixture_config windowed = {
	.args = { "--window-size", "16M", NULL },
	.options = { .flags = CASEMENT_MAP_ALL_WRITABLE },
	.needs = "window-size",
};

/* The last whole range of such a file can be mapped; what would end past INT64_MAX is refused. */
static void test_mapped_at_the_end(void **state)
{
	const uint64_t range = 2 << 20, last = (1ull << 63) - range;
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = INT64_MAX };
	uint64_t node, fh = create_file(f->q, "file", &node), size;
	struct fuse_attr_out attr;
	char *window = casement_window(f->client, &size), byte;
	int err = casement_setattr(f->q, node, &in, &attr);

	if (err == -EFBIG)
		SKIP_BECAUSE("not on a file system of this kind");
	assert_int_equal(err, 0);
	assert_false(attr.attr.flags & FUSE_ATTR_DAX);
	ok(casement_setupmapping(f->q, node, fh, last - range, range, 3, 0));
	assert_int_equal(window[range - 1], 0);
	window[range - 1] = 'x';
	assert_int_equal(ok(casement_read(f->q, node, fh, last - 1, &byte, 1)), 1);
	assert_int_equal(byte, 'x');
	refused(casement_setupmapping(f->q, node, fh, last, range, 3, range), EINVAL);
	refused(casement_setupmapping(f->q, node, fh, 0 - range, range, 3, range), EINVAL);
	refused(casement_setupmapping(f->q, node, fh, 0 - range, 2 * range, 3, range), EINVAL);
	ok(casement_write(f->q, node, fh, INT64_MAX - 1, "y", 1));
	in.size = 0;
	ok(casement_setattr(f->q, node, &in, &attr));
	ok(casement_getattr(f->q, node, fh, &attr));
}

/* More links behind each other than a kernel follows: we follow none. */
static void test_links_behind_links(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char name[16], target[16], back[16];

	share_fill(&f->daemon, "link0", 5, 1);
	for (unsigned int i = 1; i <= LINKS; i++) {
		snprintf(name, sizeof(name), "link%u", i);
		snprintf(target, sizeof(target), "link%u", i - 1);
		ok(casement_symlink(f->q, CASEMENT_ROOT, name, target, &entry));
		assert_int_equal(ok(casement_readlink(f->q, entry.nodeid, back, sizeof(back))), strlen(target));
		assert_true(casement_open(f->q, entry.nodeid, O_RDONLY, &open) < 0);
	}
	ok(casement_symlink(f->q, CASEMENT_ROOT, "loop", "loop", &entry));
	ok(casement_lookup(f->q, CASEMENT_ROOT, "loop", &entry));
	assert_true(S_ISLNK(entry.attr.mode));
}

/* Names of 255 bytes, one in the other, deeper than any path may be long. */
static void test_deep_and_long(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry = { .nodeid = CASEMENT_ROOT };
	uint64_t nodes[40];
	char name[256] = "";

	memset(name, 'd', 255);
	for (unsigned int i = 0; i < ARRAY_SIZE(nodes); i++) {
		nodes[i] = entry.nodeid;
		ok(casement_mkdir(f->q, nodes[i], name, 0755, &entry));
	}
	ok(casement_symlink(f->q, entry.nodeid, name, name, &entry));
	ok(casement_lookup(f->q, nodes[39], name, &entry));
	ok(casement_unlink(f->q, entry.nodeid, name));
	for (unsigned int i = ARRAY_SIZE(nodes); i-- > 0;)
		ok(casement_rmdir(f->q, nodes[i], name));
}

/* ---- what is many ---- */

static unsigned int how_many(void)
{
	const char *many = getenv("CASEMENT_MANY");

	return many ? (unsigned int)strtoul(many, NULL, 10) : MANY_DEFAULT;
}

/* Give back what a buffer of READDIRPLUS counted; entries in it, without "." and "..". */
static unsigned int take_listed(struct fixture *f, const char *bytes, ssize_t size, uint64_t *offset)
{
	struct fuse_forget_one nodes[512];
	uint32_t n = 0;

	for (ssize_t at = 0; at < size;) {
		const struct fuse_direntplus *entry = (const void *)(bytes + at);

		if (entry->entry_out.nodeid && n < ARRAY_SIZE(nodes))
			nodes[n++] = (struct fuse_forget_one){ entry->entry_out.nodeid, 1 };
		*offset = entry->dirent.off;
		at += (ssize_t)FUSE_DIRENTPLUS_SIZE(entry);
	}
	if (n)
		ok(casement_batch_forget(casement_hiprio_queue(f->client), nodes, n));
	return n;
}

/* Where walks may go on: a place, and what is listed first from there. */
struct place {
	uint64_t offset;
	char name[32];
};
#define PLACES 64u

/* The name that is listed first from this offset; "" at the end. */
static void name_at(struct fixture *f, uint64_t fh, uint64_t offset, char name[32])
{
	char bytes[64] __attribute__((aligned(8)));
	const struct fuse_dirent *entry = (const void *)bytes;
	ssize_t n = ok(casement_readdir(f->q, CASEMENT_ROOT, fh, offset, bytes, sizeof(bytes)));

	name[0] = '\0';
	if (n)
		snprintf(name, 32, "%.*s", (int)entry->namelen, entry->name);
}

/* In any order, in a handle that was there and in a new one: each place is where it was. */
static void check_places(struct fixture *f, uint64_t fh, const struct place *places, unsigned int n)
{
	struct fuse_open_out again;
	char name[32];

	ok(casement_opendir(f->q, CASEMENT_ROOT, &again));
	for (unsigned int i = 0; i < n; i++) {
		const struct place *place = &places[i * 37 % n];

		name_at(f, fh, place->offset, name);
		assert_string_equal(name, place->name);
		name_at(f, again.fh, place->offset, name);
		assert_string_equal(name, place->name);
	}
	ok(casement_releasedir(f->q, CASEMENT_ROOT, again.fh));
}

static void test_a_directory_of_many(void **state)
{
	struct fixture *f = fixture_of(state);
	static char bytes[65536] __attribute__((aligned(8)));
	unsigned int many = how_many(), found = 0, n_places = 0, before;
	struct place places[PLACES];
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	uint64_t offset = 0;
	char name[32];
	ssize_t n;

	for (unsigned int i = 0; i < many; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(mknod(share_path(&f->daemon, name), S_IFREG | 0644, 0), 0);
	}
	before = daemon_count_fds(&f->daemon);
	ok(casement_opendir(f->q, CASEMENT_ROOT, &open));
	while ((n = ok(casement_readdirplus(f->q, CASEMENT_ROOT, open.fh, offset, bytes, sizeof(bytes))))) {
		found += take_listed(f, bytes, n, &offset);
		if (n_places < PLACES && found >= n_places * (many / PLACES))
			places[n_places++].offset = offset;
	}
	assert_int_equal(found, many);
	for (unsigned int i = 0; i < n_places; i++)
		name_at(f, open.fh, places[i].offset, places[i].name);
	check_places(f, open.fh, places, n_places);
	ok(casement_releasedir(f->q, CASEMENT_ROOT, open.fh));
	assert_int_equal(daemon_count_fds(&f->daemon), before);
	snprintf(name, sizeof(name), "%u", many - 1);
	ok(casement_lookup(f->q, CASEMENT_ROOT, name, &entry));
	snprintf(name, sizeof(name), "%u", many);
	refused(casement_lookup(f->q, CASEMENT_ROOT, name, &entry), ENOENT);
}

/* A ring stops while an ioctl takes as long as the host reads the file, and has the answer when it goes on. */
static void test_a_long_ioctl(void **state)
{
	struct {
		struct fuse_ioctl_in in;
		struct fsverity_enable_arg arg;
	} body = { { .cmd = FS_IOC_ENABLE_VERITY, .in_size = sizeof(body.arg) }, { .version = 1 } };
	struct fuse_ioctl_out answer;
	struct fuse_attr_out attr;
	struct iovec in = { &body, sizeof(body) }, out = { &answer, sizeof(answer) };
	struct casement_request *done[1], request = { .opcode = FUSE_IOCTL, .in = &in, .n_in = 1, .out = &out, .n_out = 1 };
	struct casement_queue *q;
	struct casement *client;
	struct daemon daemon;

	(void)state;
	fault_open(&daemon, &client, "verity");
	q = casement_request_queue(client, 0);
	body.in.fh = create_file(q, "file", &request.nodeid);
	assert_int_equal(ok(casement_submit(q, &request, 1)), 1);
	/* What comes later is answered: the ioctl is under way. */
	ok(casement_getattr(q, request.nodeid, CASEMENT_NO_FH, &attr));
	ok(casement_queue_stop(q));
	ok(casement_queue_start(q));
	assert_int_equal(casement_complete(q, done, 1, 0), 0);
	assert_int_equal(truncate(share_path(&daemon, "file"), 1), 0);
	assert_int_equal(ok(casement_complete(q, done, 1, -1)), 1);
	assert_int_equal(request.result, sizeof(answer));
	fault_close(&daemon, client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disk_errors),
		cmocka_unit_test(test_names_errors),
		cmocka_unit_test(test_short_reads_and_writes),
		cmocka_unit_test(test_a_clock_that_jumps),
		cmocka_unit_test(test_a_long_ioctl),
		FIXTURE_TEST(test_a_directory_vanishes, NULL),
		FIXTURE_TEST(test_the_share_vanishes, NULL),
		FIXTURE_TEST(test_sparse_to_the_end, NULL),
		FIXTURE_TEST(test_mapped_at_the_end, &windowed),
		FIXTURE_TEST(test_links_behind_links, NULL),
		FIXTURE_TEST(test_deep_and_long, NULL),
		FIXTURE_TEST(test_a_directory_of_many, NULL),
	};

	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
