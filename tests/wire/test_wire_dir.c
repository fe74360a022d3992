/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories over the wire: every entry once, whatever the buffer; names of
 * every length; entries that vanish meanwhile; what READDIRPLUS counts.
 */
#include "daemon_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "proto/fuse_extension.h"

#define FILES 1000
#define BUF_MAX (64 * 1024)

static void make_files(struct fixture *f, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		char name[32];
		int fd;

		snprintf(name, sizeof(name), "file-%u", i);
		fd = open(share_path(&f->daemon, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		close(fd);
	}
}

/* What a walk saw. */
struct walk {
	bool plus;
	size_t size;			/* of each READDIR */
	unsigned char seen[FILES];	/* "file-N" */
	unsigned int dots, others, calls;
	struct fuse_forget_one nodes[2 * FILES]; /* lookups that READDIRPLUS counted */
	unsigned int n_nodes;
	uint64_t offset;		/* where to go on */
};

static void saw(struct walk *walk, const struct fuse_dirent *entry)
{
	unsigned int i;
	char name[256];

	assert_true(entry->namelen > 0 && entry->namelen <= 255);
	memcpy(name, entry->name, entry->namelen);
	name[entry->namelen] = '\0';
	assert_int_equal(strlen(name), entry->namelen);
	if (sscanf(name, "file-%u", &i) == 1 && i < FILES) {
		assert_int_equal(entry->type, DT_REG);
		walk->seen[i]++;
	} else if (!strcmp(name, ".") || !strcmp(name, "..")) {
		assert_int_equal(entry->type, DT_DIR);
		walk->dots++;
	} else {
		walk->others++;
	}
	walk->offset = entry->off;
}

/* Take the entries of one answer apart; every record must lie within it, padding and all. */
static void parse(struct walk *walk, const char *buf, size_t left)
{
	while (left) {
		size_t head = walk->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
		const struct fuse_direntplus *plus = (const void *)buf;
		const struct fuse_dirent *entry = walk->plus ? &plus->dirent : (const void *)buf;
		size_t size;

		assert_true(left >= head);
		size = FUSE_DIRENT_ALIGN(head + entry->namelen);
		assert_true(left >= size);
		saw(walk, entry);
		if (walk->plus && plus->entry_out.nodeid) {
			assert_true(walk->n_nodes < ARRAY_SIZE(walk->nodes));
			walk->nodes[walk->n_nodes++] =
				(struct fuse_forget_one){ plus->entry_out.nodeid, 1 };
			assert_int_equal(plus->entry_out.attr.ino, entry->ino);
			assert_int_equal(plus->entry_out.attr.mode >> 12, entry->type);
		}
		buf += size;
		left -= size;
	}
}

static ssize_t read_some(struct fixture *f, struct walk *walk, uint64_t node, uint64_t fh, char *buf)
{
	ssize_t n;

	if (walk->plus)
		n = casement_readdirplus(f->q, node, fh, walk->offset, buf, walk->size);
	else
		n = casement_readdir(f->q, node, fh, walk->offset, buf, walk->size);
	ok(n);
	walk->calls++;
	parse(walk, buf, (size_t)n);
	return n;
}

static void walk_all(struct fixture *f, struct walk *walk)
{
	cleanup_free char *buf = malloc(BUF_MAX);
	struct fuse_open_out dir;

	ok(casement_opendir(f->q, CASEMENT_ROOT, &dir));
	while (read_some(f, walk, CASEMENT_ROOT, dir.fh, buf))
		assert_true(walk->calls < 4 * FILES);
	ok(casement_releasedir(f->q, CASEMENT_ROOT, dir.fh));
}

static void forget_all(struct fixture *f, struct walk *walk)
{
	for (unsigned int i = 0; i < walk->n_nodes; i += 100)
		ok(casement_batch_forget(casement_hiprio_queue(f->client), &walk->nodes[i],
					 MIN(100u, walk->n_nodes - i)));
}

static void test_thousand(void **state)
{
	static const size_t sizes[] = { BUF_MAX, 4096, 500, 300 };
	struct fixture *f = fixture_of(state);

	make_files(f, FILES);
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		cleanup_free struct walk *walk = calloc(1, sizeof(*walk));

		walk->plus = i & 1;
		walk->size = sizes[i / 2];
		walk_all(f, walk);
		for (unsigned int k = 0; k < FILES; k++)
			if (walk->seen[k] != 1)
				fail_msg("file-%u was seen %u times (size %zu, plus %d)", k,
					 walk->seen[k], walk->size, walk->plus);
		assert_int_equal(walk->dots, 2);
		assert_int_equal(walk->others, 0);
		if (walk->plus)
			assert_int_equal(walk->n_nodes, FILES);
		forget_all(f, walk);
	}
}

/* Each counted lookup is real, and the refused last entry of a buffer counts none. */
static void test_plus_counts(void **state)
{
	cleanup_free struct walk *walk = calloc(1, sizeof(*walk));
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;

	make_files(f, 50);
	walk->plus = true;
	walk->size = 700;
	walk_all(f, walk);
	assert_int_equal(walk->n_nodes, 50);
	for (unsigned int i = 0; i < walk->n_nodes; i++)
		ok(casement_getattr(f->q, walk->nodes[i].nodeid, CASEMENT_NO_FH, &attr));
	forget_all(f, walk);
	for (unsigned int i = 0; i < walk->n_nodes; i++)
		assert_true(casement_getattr(f->q, walk->nodes[i].nodeid, CASEMENT_NO_FH, &attr) < 0);
}

/* `rm -r`: what was listed is removed before the walk goes on. */
static void test_delete_while_walking(void **state)
{
	cleanup_free struct walk *walk = calloc(1, sizeof(*walk));
	struct fixture *f = fixture_of(state);
	struct fuse_open_out dir;
	char buf[500], name[32];
	unsigned int removed = 0;

	make_files(f, 500);
	walk->size = sizeof(buf);
	ok(casement_opendir(f->q, CASEMENT_ROOT, &dir));
	while (read_some(f, walk, CASEMENT_ROOT, dir.fh, buf)) {
		for (unsigned int i = 0; i < 500; i++) {
			if (!walk->seen[i])
				continue;
			walk->seen[i] = 0;
			snprintf(name, sizeof(name), "file-%u", i);
			ok(casement_unlink(f->q, CASEMENT_ROOT, name));
			removed++;
		}
	}
	assert_int_equal(removed, 500);
	ok(casement_releasedir(f->q, CASEMENT_ROOT, dir.fh));
}

static void test_name_lengths(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	char name[256];

	for (unsigned int i = 1; i <= 255; i++) {
		memset(name, 'n', i);
		name[i] = '\0';
		ok(casement_mknod(f->q, CASEMENT_ROOT, name, S_IFREG | 0600, 0, &entry));
	}
	for (unsigned int plus = 0; plus < 2; plus++) {
		cleanup_free struct walk *walk = calloc(1, sizeof(*walk));

		walk->plus = plus;
		walk->size = 600;
		walk_all(f, walk);
		assert_int_equal(walk->others, 255);
		forget_all(f, walk);
	}
}

/* An offset seen before is where a walk can go on, also backwards and in a new handle. */
static void test_seek(void **state)
{
	cleanup_free struct walk *walk = calloc(1, sizeof(*walk));
	cleanup_free char *buf = malloc(BUF_MAX);
	struct fixture *f = fixture_of(state);
	struct fuse_open_out dir;
	uint64_t middle;
	unsigned int before = 0, after = 0;

	make_files(f, 100);
	walk->size = 1000;
	ok(casement_opendir(f->q, CASEMENT_ROOT, &dir));
	read_some(f, walk, CASEMENT_ROOT, dir.fh, buf);
	for (unsigned int i = 0; i < 100; i++)
		before += walk->seen[i];
	middle = walk->offset;
	while (read_some(f, walk, CASEMENT_ROOT, dir.fh, buf))
		continue;
	memset(walk->seen, 0, sizeof(walk->seen));
	walk->offset = middle;
	while (read_some(f, walk, CASEMENT_ROOT, dir.fh, buf))
		continue;
	for (unsigned int i = 0; i < 100; i++)
		after += walk->seen[i];
	assert_true(before + after == 100 || before + after == 98);
	ok(casement_releasedir(f->q, CASEMENT_ROOT, dir.fh));
	refused(casement_readdir(f->q, CASEMENT_ROOT, dir.fh, 0, buf, 1000), EBADF);
}

/* Room for no entry at all: an error or nothing, never a piece of one. */
static void test_tiny_buffer(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_open_out dir;
	char buf[160];

	make_files(f, 3);
	ok(casement_opendir(f->q, CASEMENT_ROOT, &dir));
	for (size_t size = 0; size < 32; size++) {
		assert_true(casement_readdir(f->q, CASEMENT_ROOT, dir.fh, 0, buf, size) <= 0);
		assert_true(casement_readdirplus(f->q, CASEMENT_ROOT, dir.fh, 0, buf, size) <= 0);
	}
	/* An offset nobody gave: whatever the host's directory makes of it. */
	(void)casement_readdir(f->q, CASEMENT_ROOT, dir.fh, 1ull << 62, buf, 160);
	daemon_check(&f->daemon);
	ok(casement_releasedir(f->q, CASEMENT_ROOT, dir.fh));
}

/* INIT as by a guest that says it knows of these extensions; what the daemon says of them. */
static struct fuse_extension mount_with(struct fixture *f, struct fuse_extension said)
{
	struct fuse_init_in in = { .major = 7, .minor = 41, .flags = FUSE_DO_READDIRPLUS };
	struct fuse_init_out out;

	memcpy((char *)(&in + 1) - sizeof(said), &said, sizeof(said));
	ok(casement_init(f->q, &in, &out));
	memcpy(&said, (char *)(&out + 1) - sizeof(said), sizeof(said));
	return said;
}

/* The types of a reply's entries lose FUSE_DIRENT_LAST; how many had it, and -1 if not only the last. */
static int take_marks(char *buf, size_t left, bool plus)
{
	int marks = 0;

	while (left) {
		struct fuse_dirent *entry = (void *)(buf + (plus ? FUSE_NAME_OFFSET_DIRENTPLUS - FUSE_NAME_OFFSET : 0));
		size_t size = FUSE_DIRENT_ALIGN((size_t)(entry->name - buf) + entry->namelen);

		if (marks)
			return -1;
		marks += !!(entry->type & FUSE_DIRENT_LAST);
		entry->type &= ~FUSE_DIRENT_LAST;
		buf += size;
		left -= size;
	}
	return marks;
}

static void test_whole_without_a_handle(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_extension all = { FUSE_EXTENSION_MAGIC, ~0u };
	cleanup_free char *buf = malloc(BUF_MAX);
	struct fuse_entry_out empty;
	ssize_t n;

	make_files(f, 100);
	assert_int_equal(mount_with(f, all).magic, FUSE_EXTENSION_MAGIC);
	assert_int_equal(mount_with(f, all).flags,
			 FUSE_EXTENSION_WHOLE_DIR | FUSE_EXTENSION_SUSPEND | FUSE_EXTENSION_SOME_RANGES |
			 FUSE_EXTENSION_ON_HOST);
	for (unsigned int plus = 0; plus < 2; plus++) {
		cleanup_free struct walk *walk = calloc(1, sizeof(*walk));

		/* With room for all there is a last one; else there is none, and what fits. */
		walk->plus = plus;
		for (walk->size = BUF_MAX; walk->size; walk->size = walk->size > 1000 ? 1000 : 0) {
			n = plus ? casement_readdirplus(f->q, CASEMENT_ROOT, FUSE_NO_HANDLE, 0, buf, walk->size) :
				   casement_readdir(f->q, CASEMENT_ROOT, FUSE_NO_HANDLE, 0, buf, walk->size);
			ok(n);
			assert_int_equal(take_marks(buf, (size_t)n, plus), walk->size == BUF_MAX);
			parse(walk, buf, (size_t)n);
		}
		for (unsigned int i = 0; i < 100; i++)
			assert_true(walk->seen[i] == 1 || walk->seen[i] == 2);
		assert_true(walk->dots >= 2);
		forget_all(f, walk);
	}
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "empty", 0755, &empty));
	n = casement_readdir(f->q, empty.nodeid, FUSE_NO_HANDLE, 0, buf, BUF_MAX);
	ok(n);
	assert_int_equal(take_marks(buf, (size_t)n, false), 1);
	/* From the start only, and of directories only. */
	refused(casement_readdir(f->q, CASEMENT_ROOT, FUSE_NO_HANDLE, 1, buf, BUF_MAX), EBADF);
	ok(casement_mknod(f->q, CASEMENT_ROOT, "file", S_IFREG | 0600, 0, &empty));
	refused(casement_readdir(f->q, empty.nodeid, FUSE_NO_HANDLE, 0, buf, BUF_MAX), ENOTDIR);
	refused(casement_readdir(f->q, 12345, FUSE_NO_HANDLE, 0, buf, BUF_MAX), ESTALE);
}

/* Who does not say it knows of it is not told, and gets none of it. */
static void test_no_extension(void **state)
{
	static const struct fuse_extension none[] = { { 0, 0 }, { 0, ~0u }, { FUSE_EXTENSION_MAGIC + 1, ~0u },
						      { FUSE_EXTENSION_MAGIC, 0 } };
	struct fixture *f = fixture_of(state);
	char buf[512];

	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++) {
		assert_int_equal(mount_with(f, none[i]).magic, 0);
		assert_int_equal(mount_with(f, none[i]).flags, 0);
		refused(casement_readdir(f->q, CASEMENT_ROOT, FUSE_NO_HANDLE, 0, buf, sizeof(buf)), EBADF);
	}
}

/* A handle of the wrong kind, and a directory that went away. */
static void test_wrong_handles(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out gone;
	struct fuse_open_out dir;
	uint64_t node, fh = create_file(f->q, "file", &node);
	char buf[512];

	ok(casement_opendir(f->q, CASEMENT_ROOT, &dir));
	assert_true(casement_read(f->q, CASEMENT_ROOT, dir.fh, 0, buf, 10) < 0);
	assert_true(casement_write(f->q, CASEMENT_ROOT, dir.fh, 0, buf, 10) < 0);
	assert_true(casement_readdir(f->q, node, fh, 0, buf, sizeof(buf)) < 0);
	assert_true(casement_opendir(f->q, node, &dir) < 0);
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "gone", 0755, &gone));
	ok(casement_opendir(f->q, gone.nodeid, &dir));
	ok(casement_rmdir(f->q, CASEMENT_ROOT, "gone"));
	(void)casement_readdir(f->q, gone.nodeid, dir.fh, 0, buf, sizeof(buf));
	assert_true(casement_lookup(f->q, gone.nodeid, "x", &gone) < 0);
	ok(casement_releasedir(f->q, gone.nodeid, dir.fh));
	daemon_check(&f->daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_thousand, NULL),
		FIXTURE_TEST(test_plus_counts, NULL),
		FIXTURE_TEST(test_delete_while_walking, NULL),
		FIXTURE_TEST(test_name_lengths, NULL),
		FIXTURE_TEST(test_seek, NULL),
		FIXTURE_TEST(test_tiny_buffer, NULL),
		FIXTURE_TEST(test_whole_without_a_handle, NULL),
		FIXTURE_TEST(test_no_extension, NULL),
		FIXTURE_TEST(test_wrong_handles, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
