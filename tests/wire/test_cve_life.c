/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FUSE servers that forgot, doubled, cut short or hung, by the number of each
 * bug: see docs/cves.md.
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

#include "client/raw.h"
#include "common/checked.h"
#include "proto/fuse_wire.h"

/* A guest that was reset by force says INIT again, with no DESTROY before. */
static void test_virtiofsd_9330142_init_without_destroy(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int fds = 0;

	for (unsigned int i = 0; i < 20; i++) {
		struct fuse_entry_out entry;
		struct fuse_open_out open;

		ok(casement_init(f->q, NULL, &f->init));
		if (i == 1)
			fds = daemon_count_fds(&f->daemon);
		if (i > 1)
			assert_int_equal(daemon_count_fds(&f->daemon), fds);
		ok(casement_create(f->q, CASEMENT_ROOT, "file", O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &open));
		ok(casement_write(f->q, entry.nodeid, open.fh, 0, "x", 1));
	}
}

static void test_openvmm_73001f804_destroy_is_answered(void **state)
{
	struct fixture *f = fixture_of(state);

	ok(casement_destroy(f->q));
	ok(casement_destroy(f->q));
	ok(casement_init(f->q, NULL, &f->init));
}

/* Names of every length: the length is the name's, without its padding. */
static void test_libkrun_73d104c8_names_without_padding(void **state)
{
	struct fixture *f = fixture_of(state);
	static char bytes[65536] __attribute__((aligned(8)));
	bool seen[256] = { false };
	struct fuse_open_out open;
	uint64_t offset = 0;
	ssize_t n;

	for (size_t len = 1; len <= 255; len++) {
		char name[256] = "";

		memset(name, 'n', len);
		share_fill(&f->daemon, name, 0, 1);
	}
	ok(casement_opendir(f->q, CASEMENT_ROOT, &open));
	while ((n = ok(casement_readdirplus(f->q, CASEMENT_ROOT, open.fh, offset, bytes, sizeof(bytes))))) {
		for (ssize_t at = 0; at < n;) {
			const struct fuse_direntplus *entry = (const void *)(bytes + at);
			size_t len = entry->dirent.namelen;

			assert_true(len >= 1 && len <= 255);
			if (entry->dirent.name[0] == 'n') {
				assert_false(seen[len]);
				assert_int_equal(strnlen(entry->dirent.name, len), len);
				seen[len] = true;
			}
			offset = entry->dirent.off;
			at += (ssize_t)FUSE_DIRENTPLUS_SIZE(entry);
		}
	}
	for (size_t len = 1; len <= 255; len++)
		assert_true(seen[len]);
}

/* Removing while listing, in buffers of a few entries: none is passed over. */
static void test_openvmm_021d02d00_removing_while_listing(void **state)
{
	struct fixture *f = fixture_of(state);
	char bytes[500] __attribute__((aligned(8)));
	unsigned int removed = 0;
	struct fuse_open_out open;
	uint64_t offset = 0;
	ssize_t n;

	for (unsigned int i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "file-number-%u", i);
		share_fill(&f->daemon, name, 0, 1);
	}
	ok(casement_opendir(f->q, CASEMENT_ROOT, &open));
	while ((n = ok(casement_readdir(f->q, CASEMENT_ROOT, open.fh, offset, bytes, sizeof(bytes) & ~7u)))) {
		for (ssize_t at = 0; at < n;) {
			const struct fuse_dirent *entry = (const void *)(bytes + at);
			char name[256] = "";

			memcpy(name, entry->name, entry->namelen);
			if (entry->type == DT_REG) {
				ok(casement_unlink(f->q, CASEMENT_ROOT, name));
				removed++;
			}
			offset = entry->off;
			at += (ssize_t)FUSE_DIRENT_SIZE(entry);
		}
	}
	assert_int_equal(removed, 500);
}

/* Open, unlinked, renamed over: still the same file, and whole. */
static void test_libkrun_ddbd2fd4_open_files_outlive_their_names(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, over, fh = create_file(f->q, "file", &node), over_fh = create_file(f->q, "over", &over);
	struct fuse_attr_out attr;
	char text[4];

	ok(casement_write(f->q, node, fh, 0, "file", 4));
	ok(casement_write(f->q, over, over_fh, 0, "over", 4));
	/* Neither shrinks the file. */
	ok(casement_fallocate(f->q, node, fh, 0, 0, 2));
	ok(casement_getattr(f->q, node, fh, &attr));
	assert_int_equal(attr.attr.size, 4);
	ok(casement_rename(f->q, CASEMENT_ROOT, "file", CASEMENT_ROOT, "over", 0));
	ok(casement_getattr(f->q, over, over_fh, &attr));
	assert_int_equal(attr.attr.nlink, 0);
	assert_int_equal(ok(casement_read(f->q, over, over_fh, 0, text, 4)), 4);
	assert_memory_equal(text, "over", 4);
	ok(casement_unlink(f->q, CASEMENT_ROOT, "over"));
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr));
	assert_int_equal(attr.attr.nlink, 0);
	assert_int_equal(ok(casement_read(f->q, node, fh, 0, text, 4)), 4);
	assert_memory_equal(text, "file", 4);
}

/* Nothing to read: an answer of nothing, at once. */
static void test_libkrun_0baaa7f7_reads_of_nothing(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	char byte;

	assert_int_equal(ok(casement_read(f->q, node, fh, 0, &byte, 0)), 0);
	assert_int_equal(ok(casement_read(f->q, node, fh, 0, &byte, 1)), 0);
	assert_int_equal(ok(casement_read(f->q, node, fh, 1ull << 40, &byte, 1)), 0);
	assert_int_equal(ok(casement_write(f->q, node, fh, 0, &byte, 0)), 0);
}

/* The header's length against what was sent. */
static void test_crosvm_451ee23a6_header_lengths(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 39, 57, 1 << 20, UINT32_MAX };
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct { struct fuse_in_header head; struct fuse_getattr_in body; } in = {
			.head = { .len = lengths[i], .opcode = FUSE_GETATTR, .unique = 3, .nodeid = CASEMENT_ROOT },
		};
		struct fuse_out_header out;

		assert_int_equal(raw_fuse(f->q, &in, sizeof(in), &out, sizeof(out), TEST_WAIT_MS), sizeof(out));
		assert_int_equal(out.error, -EINVAL);
		assert_int_equal(out.len, sizeof(out));
	}
}

/* Ids at the ends: overflow ids and "nobody knows" must not stop the daemon or become root's. */
static void test_crosvm_37bd738b7_odd_ids(void **state)
{
	static const uint32_t ids[] = { 65534, 65535, 65536, INT32_MAX, UINT32_MAX - 1, UINT32_MAX };
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++) {
		struct fuse_entry_out entry;
		char name[16];
		int err;

		snprintf(name, sizeof(name), "dir%u", i);
		casement_set_caller(f->q, ids[i], ids[i], 1);
		err = casement_mkdir(f->q, CASEMENT_ROOT, name, 0755, &entry);
		if (!err && geteuid() == 0)
			assert_int_equal(entry.attr.uid, ids[i]);
		casement_set_caller(f->q, 0, 0, 1);
		ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &(struct fuse_attr_out){ 0 }));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_virtiofsd_9330142_init_without_destroy, NULL),
		FIXTURE_TEST(test_openvmm_73001f804_destroy_is_answered, NULL),
		FIXTURE_TEST(test_libkrun_73d104c8_names_without_padding, NULL),
		FIXTURE_TEST(test_openvmm_021d02d00_removing_while_listing, NULL),
		FIXTURE_TEST(test_libkrun_ddbd2fd4_open_files_outlive_their_names, NULL),
		FIXTURE_TEST(test_libkrun_0baaa7f7_reads_of_nothing, NULL),
		FIXTURE_TEST(test_crosvm_451ee23a6_header_lengths, NULL),
		FIXTURE_TEST(test_crosvm_37bd738b7_odd_ids, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
