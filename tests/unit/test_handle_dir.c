/* SPDX-License-Identifier: BSD-3-Clause */
/* Listings: layout of entries, ends of buffers, lookups that are counted once. */
#include "daemon/protocol/handle_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"
#include "tests/unit/share.h"

/* List from `offset` with a buffer of `size` bytes. */
static long list(uint32_t opcode, uint64_t offset, uint32_t size)
{
	struct fuse_read_in in = { .fh = 5, .offset = offset, .size = size };

	return ASK(opcode, 7, in);
}

/* Walk an answer as a guest does. Returns the number of entries; *next is where to go on. */
static unsigned int parse(bool plus, uint64_t *next, unsigned int *nodes)
{
	size_t head = plus ? sizeof(struct fuse_entry_out) : 0, at = 0;
	unsigned int n = 0;

	for (*nodes = 0; at < x.answer_len; n++) {
		struct fuse_dirent dirent;
		struct fuse_entry_out entry;
		size_t end;

		assert_true(x.answer_len - at >= head + FUSE_NAME_OFFSET);
		memcpy(&dirent, x.answer + at + head, FUSE_NAME_OFFSET);
		end = head + FUSE_NAME_OFFSET + dirent.namelen;
		assert_true(FUSE_REC_ALIGN(end) <= x.answer_len - at);
		assert_int_equal(dirent.off, *next + 1);
		assert_int_equal(dirent.ino, 1000 + *next);
		assert_int_equal(dirent.type, 8);
		assert_int_equal(x.answer[at + head + FUSE_NAME_OFFSET], 'a' + *next % 26);
		for (size_t pad = end; pad < FUSE_REC_ALIGN(end); pad++)
			assert_int_equal(x.answer[at + pad], 0);
		if (plus) {
			memcpy(&entry, x.answer + at, sizeof(entry));
			assert_int_equal(entry.nodeid, *next < 2 ? 0 : 100 + *next);
			assert_int_equal(entry.entry_valid, *next < 2 ? 0 : 1);
			*nodes += entry.nodeid != 0;
		}
		*next = dirent.off;
		at += FUSE_REC_ALIGN(end);
	}
	return n;
}

/* A whole directory in buffers of `size`: each entry once, each lookup once. */
static void check_listing(bool plus, uint32_t size)
{
	uint64_t next = 0;
	unsigned int total = 0, nodes = 0, n, some;

	fake.lookups = 0;
	do {
		uint32_t opcode = plus ? FUSE_READDIRPLUS : FUSE_READDIR;

		assert_int_equal(list(opcode, next, size), 0);
		assert_true(x.answer_len <= size);
		n = parse(plus, &next, &some);
		total += n;
		nodes += some;
	} while (n);
	assert_int_equal(total, fake.dirents);
	assert_int_equal(nodes, plus ? fake.dirents - 2 : 0);
	assert_int_equal(fake.lookups, nodes);
}

static void test_listing(void **state)
{
	static const uint32_t sizes[] = { 160, 200, 431, 4096 };

	(void)state;
	fake.dirents = 40;
	for (fake.dirent_name_len = 1; fake.dirent_name_len < 9; fake.dirent_name_len++) {
		for (size_t i = 0; i < 4; i++) {
			check_listing(false, sizes[i]);
			check_listing(true, sizes[i]);
		}
	}
	assert_int_equal(fake.node, 7);
	assert_int_equal(fake.handle, 5);
}

static void test_empty(void **state)
{
	(void)state;
	assert_int_equal(list(FUSE_READDIR, 0, 4096), 0);
	assert_int_equal(x.used, 16);
	assert_int_equal(list(FUSE_READDIRPLUS, 0, 4096), 0);
	assert_int_equal(x.used, 16);
}

/* The smaller of what was asked for and what there is room for. */
static void test_hint(void **state)
{
	(void)state;
	list(FUSE_READDIR, 0, 100);
	assert_int_equal(fake.size, 100);
	list(FUSE_READDIR, 0, UINT32_MAX);
	assert_int_equal(fake.size, 4096);
}

/* An entry that never fits is an error: nothing at all would be the directory's end. */
static void test_too_small(void **state)
{
	(void)state;
	fake.dirents = 5;
	assert_int_equal(list(FUSE_READDIR, 0, 31), -EINVAL);
	assert_int_equal(list(FUSE_READDIR, 0, 32), 0);
	assert_int_equal(x.answer_len, 32);
	assert_int_equal(list(FUSE_READDIRPLUS, 2, 159), -EINVAL);
	assert_int_equal(list(FUSE_READDIRPLUS, 2, 0), -EINVAL);
	assert_int_equal(fake.lookups, 0);
}

/* What was listed before an error has its lookups counted, so the guest must hear of it. */
static void test_error_midway(void **state)
{
	uint64_t next = 0;
	unsigned int nodes;

	(void)state;
	fake.dirents = 10;
	fake.dirent_fail_at = 4;
	assert_int_equal(list(FUSE_READDIRPLUS, 0, 4096), 0);
	assert_int_equal(parse(true, &next, &nodes), 4);
	assert_int_equal(nodes, fake.lookups);
	assert_int_equal(list(FUSE_READDIRPLUS, next, 4096), -EIO);
	assert_int_equal(x.used, 16);
}

static void test_longest_names(void **state)
{
	uint64_t next = 0;
	unsigned int nodes;

	(void)state;
	fake.dirents = 5;
	fake.dirent_name_len = 255;
	assert_int_equal(list(FUSE_READDIRPLUS, 0, 4096), 0);
	assert_int_equal(parse(true, &next, &nodes), 5);
	/* no request could ever name these */
	fake.dirent_name_len = 256;
	fake.lookups = 0;
	assert_int_equal(list(FUSE_READDIRPLUS, 0, 4096), 0);
	assert_int_equal(x.answer_len, 0);
	assert_int_equal(fake.lookups, fake.forgotten);
}

/* A buffer in pieces of any size gets the very same bytes. */
static void test_pieces(void **state)
{
	struct fuse_read_in in = { .fh = 5, .size = 4096 };
	static struct exchange whole;

	(void)state;
	fake.dirents = 20;
	assert_int_equal(ASK(FUSE_READDIRPLUS, 7, in), 0);
	whole = x;
	for (size_t piece = 1; piece < 64; piece += 3) {
		exchange_start(&x, FUSE_READDIRPLUS, 7);
		exchange_add(&x, &in, sizeof(in));
		x.out_piece = piece;
		assert_int_equal(exchange_run(&x, sq), 0);
		assert_int_equal(x.answer_len, whole.answer_len);
		assert_memory_equal(x.answer, whole.answer, x.answer_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_listing, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_empty, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_hint, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_too_small, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_error_midway, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_longest_names, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_pieces, share_setup, share_teardown),
	};

	log_setup("test_handle_dir", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("handle_dir", tests, NULL, NULL);
}
