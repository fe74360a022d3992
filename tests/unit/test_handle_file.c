/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests about open files: flags by cache mode, data in pieces, hostile ranges. */
#include "daemon/protocol/handle_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "tests/unit/share.h"

static void test_create(void **state)
{
	struct fuse_create_in in = { .flags = 0102, .mode = 0644 };
	struct fuse_open_out open_out;

	(void)state;
	assert_int_equal(ASK_NAMED(FUSE_CREATE, 7, in, "new", NULL), 0);
	assert_int_equal(x.answer_len, 128 + 16);
	memcpy(&open_out, x.answer + 128, 16);
	assert_int_equal(open_out.fh, 77);
	assert_int_equal(fake.flags, 0102);
	assert_int_equal(fake.mode, 0644);
	share_check_caller();
	/* TMPFILE's name is no name */
	assert_int_equal(ASK_NAMED(FUSE_TMPFILE, 7, in, "/", NULL), 0);
	assert_string_equal(fake.last, "fs_tmpfile");
	assert_int_equal(x.answer_len, 128 + 16);
	memcpy(&open_out, x.answer + 128, 16);
	assert_int_equal(open_out.fh, 78);
}

/* The FOPEN flags of OPEN and of OPENDIR, and an entry's life, under each cache mode. */
static const struct {
	struct server_config config;
	uint32_t minor, file, dir;
	uint64_t valid;
} modes[] = {
	{ { .cache = CACHE_AUTO, .timeout_ms = 2000 }, 46, FOPEN_NOFLUSH, 0, 2 },
	{ { .cache = CACHE_AUTO, .timeout_ms = 2000 }, 34, 0, 0, 2 },
	{ { .cache = CACHE_AUTO, .timeout_ms = 0, .writeback = true }, 46, 0, 0, 0 },
	{ { .cache = CACHE_ALWAYS, .timeout_ms = 2000 }, 46, FOPEN_KEEP_CACHE | FOPEN_NOFLUSH,
	  FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR, 86400 },
	{ { .cache = CACHE_NEVER, .timeout_ms = 2000 }, 46,
	  FOPEN_DIRECT_IO | FOPEN_NOFLUSH | FOPEN_PARALLEL_DIRECT_WRITES, 0, 0 },
	{ { .cache = CACHE_NEVER, .timeout_ms = 2000 }, 37, FOPEN_DIRECT_IO | FOPEN_NOFLUSH, 0, 0 },
	{ { .cache = CACHE_METADATA, .timeout_ms = 2000 }, 34, FOPEN_DIRECT_IO,
	  FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR, 86400 },
};

static void test_cache_modes(void **state)
{
	struct fuse_open_in in = { .flags = 2 };
	struct fuse_open_out out;
	struct fuse_entry_out entry;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		share_restart(&modes[i].config, modes[i].minor, FUSE_WRITEBACK_CACHE);
		assert_int_equal(ASK(FUSE_OPEN, 7, in), 0);
		ANSWER(out);
		assert_int_equal(out.fh, 79);
		assert_int_equal(out.open_flags, modes[i].file);
		assert_int_equal(ASK(FUSE_OPENDIR, 7, in), 0);
		ANSWER(out);
		assert_int_equal(out.fh, 80);
		assert_int_equal(out.open_flags, modes[i].dir);
		assert_int_equal(ASK_BARE(FUSE_LOOKUP, 7, "name", NULL), 0);
		ANSWER(entry);
		assert_int_equal(entry.entry_valid, modes[i].valid);
		assert_int_equal(entry.attr_valid, modes[i].valid);
	}
}

/* Only in auto does it matter whether the file was changed. */
static void test_keeps_what_nobody_changed(void **state)
{
	static const uint32_t kept[] = {
		[CACHE_AUTO] = FOPEN_KEEP_CACHE, [CACHE_ALWAYS] = FOPEN_KEEP_CACHE,
		[CACHE_NEVER] = 0, [CACHE_METADATA] = 0,
	};
	struct fuse_open_in in = { .flags = 0 };
	struct fuse_create_in create = { .flags = 0102 };
	struct fuse_open_out out;

	(void)state;
	for (int cache = CACHE_AUTO; cache <= CACHE_METADATA; cache++) {
		struct server_config config = { .cache = (enum cache_mode)cache };

		share_restart(&config, 46, 0);
		fake.may_keep = true;
		assert_int_equal(ASK(FUSE_OPEN, 7, in), 0);
		ANSWER(out);
		assert_int_equal(out.open_flags & FOPEN_KEEP_CACHE, kept[cache]);
		fake.may_keep = false;
		assert_int_equal(ASK(FUSE_OPEN, 7, in), 0);
		ANSWER(out);
		assert_int_equal(out.open_flags & FOPEN_KEEP_CACHE,
				 cache == CACHE_ALWAYS ? FOPEN_KEEP_CACHE : 0);
	}
	/* What is created is new to the guest. */
	share_restart(&(struct server_config){ .cache = CACHE_AUTO }, 46, 0);
	fake.may_keep = true;
	assert_int_equal(ASK_NAMED(FUSE_CREATE, 7, create, "new", NULL), 0);
	memcpy(&out, x.answer + 128, sizeof(out));
	assert_int_equal(out.open_flags & FOPEN_KEEP_CACHE, 0);
}

/* Whatever else is agreed, a file whose size says nothing is read from here each time. */
static void test_made_up_files_are_not_cached(void **state)
{
	struct fuse_open_in in = { .flags = 0 };
	struct fuse_create_in create = { .flags = 0102 };
	struct fuse_open_out out;

	(void)state;
	for (unsigned int i = 0; i < 2 * (CACHE_METADATA + 1); i++) {
		struct server_config config = { .cache = (enum cache_mode)(i / 2), .writeback = i % 2 };

		share_restart(&config, 46, 0);
		fake.may_keep = fake.made_up = true;
		assert_int_equal(ASK(FUSE_OPEN, 7, in), 0);
		ANSWER(out);
		assert_int_equal(out.open_flags & (FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE), FOPEN_DIRECT_IO);
		assert_int_equal(ASK_NAMED(FUSE_CREATE, 7, create, "old", NULL), 0);
		memcpy(&out, x.answer + 128, sizeof(out));
		assert_int_equal(out.open_flags & (FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE), FOPEN_DIRECT_IO);
	}
}

static void test_handles(void **state)
{
	struct fuse_release_in release = { .fh = 5 };
	struct fuse_flush_in flush = { .fh = 6 };
	struct fuse_fsync_in fsync_in = { .fh = 7, .fsync_flags = FUSE_FSYNC_FDATASYNC };

	(void)state;
	assert_int_equal(ASK(FUSE_RELEASE, 1, release), 0);
	assert_string_equal(fake.last, "fs_release");
	assert_int_equal(fake.handle, 5);
	assert_int_equal(ASK(FUSE_RELEASEDIR, 1, release), 0);
	assert_string_equal(fake.last, "fs_releasedir");
	assert_int_equal(ASK(FUSE_FLUSH, 1, flush), 0);
	assert_string_equal(fake.last, "fs_flush");
	assert_int_equal(ASK(FUSE_FSYNC, 1, fsync_in), 0);
	assert_string_equal(fake.last, "fs_fsync");
	assert_true(fake.bit);
	fsync_in.fsync_flags = 0;
	assert_int_equal(ASK(FUSE_FSYNCDIR, 1, fsync_in), 0);
	assert_string_equal(fake.last, "fs_fsyncdir");
	assert_false(fake.bit);
}

static void test_read(void **state)
{
	struct fuse_read_in in = { .fh = 5, .offset = 1 << 20, .size = 4096 };

	(void)state;
	fake.contents = "some bytes of a file";
	exchange_start(&x, FUSE_READ, 7);
	exchange_add(&x, &in, sizeof(in));
	x.out_first = 17;
	x.out_piece = 3;
	assert_int_equal(exchange_run(&x, sq), 0);
	assert_int_equal(x.used, 16 + 20);
	assert_memory_equal(x.answer, fake.contents, 20);
	assert_int_equal(fake.node, 7);
	assert_int_equal(fake.handle, 5);
	assert_int_equal(fake.offset, 1 << 20);
	assert_int_equal(fake.size, 4096);
	/* no more than there is room for, and no more than was asked for */
	in.size = UINT32_MAX;
	assert_int_equal(ASK(FUSE_READ, 7, in), 0);
	assert_int_equal(fake.size, 4096);
	in.size = 4;
	assert_int_equal(ASK(FUSE_READ, 7, in), 0);
	assert_int_equal(x.answer_len, 4);
	assert_int_equal(fake.how, 0);
	in.flags = O_RDWR | O_DIRECT;
	assert_int_equal(ASK(FUSE_READ, 7, in), 0);
	assert_int_equal(fake.how, FS_READ_DIRECT);
	/* the end of the file, and an error behind bytes that were written already */
	fake.contents = "";
	assert_int_equal(ASK(FUSE_READ, 7, in), 0);
	assert_int_equal(x.answer_len, 0);
	fake.contents = "half";
	fake.result = -EIO;
	assert_int_equal(ASK(FUSE_READ, 7, in), -EIO);
	assert_int_equal(x.used, 16);
}

static long ask_impatiently(uint32_t opcode, const void *args, size_t size)
{
	long result;

	exchange_start(&x, opcode, 7);
	exchange_add(&x, args, size);
	x.impatient = true;
	result = exchange_run(&x, sq);
	x.impatient = false;
	return result;
}

/* What would wait for a disk is left to somebody who may. */
static void test_waits(void **state)
{
	struct fuse_fsync_in fsync_in = { .fh = 7 };
	struct fuse_fallocate_in fallocate_in = { .fh = 7, .length = 1 };
	struct fuse_read_in read_in = { .fh = 5, .size = 10 };

	(void)state;
	fake.calls = 0;
	assert_int_equal(ask_impatiently(FUSE_FSYNC, &fsync_in, sizeof(fsync_in)), EXCHANGE_WAITS);
	assert_int_equal(exchange_resume(&x, sq, PATIENCE_ENOUGH), 0);
	assert_string_equal(fake.last, "fs_fsync");
	assert_int_equal(fake.handle, 7);
	fake.calls = 0;
	assert_int_equal(ask_impatiently(FUSE_FSYNCDIR, &fsync_in, sizeof(fsync_in)), EXCHANGE_WAITS);
	assert_int_equal(fake.calls, 0);
	/* with a window it may have to talk to the VMM, which only the queue's thread can */
	assert_int_equal(ask_impatiently(FUSE_FALLOCATE, &fallocate_in, sizeof(fallocate_in)), 0);
	fake.contents = "cached";
	assert_int_equal(ask_impatiently(FUSE_READ, &read_in, sizeof(read_in)), 0);
	assert_int_equal(fake.how, FS_READ_NOWAIT);
	fake.result = -EAGAIN;
	assert_int_equal(ask_impatiently(FUSE_READ, &read_in, sizeof(read_in)), EXCHANGE_WAITS);
	/* once more from the start, by the request as it was, whatever was filled in by then */
	fake.result = 0;
	assert_int_equal(exchange_resume(&x, sq, PATIENCE_ENOUGH), 0);
	assert_int_equal(fake.handle, 5);
	assert_int_equal(fake.size, 10);
	assert_int_equal(x.answer_len, strlen("cached"));
	fake.result = -EAGAIN;
	assert_int_equal(ASK(FUSE_READ, 7, read_in), -EAGAIN);
	assert_int_equal(fake.how, 0);
	fake.result = 0;
}

static void test_read_offsets(void **state)
{
	struct fuse_read_in in = { .offset = UINT64_MAX, .size = 1 };

	(void)state;
	assert_int_equal(ASK(FUSE_READ, 7, in), -EINVAL);
	in.offset = INT64_MAX;
	assert_int_equal(ASK(FUSE_READ, 7, in), -EINVAL);
	assert_int_equal(fake.calls, 0);
	in.offset = INT64_MAX - 1;
	assert_int_equal(ASK(FUSE_READ, 7, in), 0);
}

static void test_write(void **state)
{
	struct fuse_write_in in = { .fh = 5, .offset = 3, .size = 9,
		.write_flags = FUSE_WRITE_CACHE };
	struct fuse_write_out out;

	(void)state;
	exchange_start(&x, FUSE_WRITE, 7);
	exchange_add(&x, &in, sizeof(in));
	exchange_add(&x, "some data and more", 18);
	x.in_first = 41;
	x.in_piece = 2;
	assert_int_equal(exchange_run(&x, sq), 0);
	ANSWER(out);
	assert_int_equal(out.size, 9);
	assert_memory_equal(fake.data, "some data", 10);
	assert_int_equal(fake.write.place, FS_PLACE_OFFSET);
	assert_false(fake.write.kill_suidgid);
	in.write_flags = FUSE_WRITE_KILL_SUIDGID;
	in.size = 0;
	assert_int_equal(ASK(FUSE_WRITE, 7, in), 0);
	assert_int_equal(fake.write.place, FS_PLACE_OPENED);
	assert_true(fake.write.kill_suidgid);
}

/*
 * fcntl(2) sets and clears O_APPEND and O_DIRECT between two writes; what is cached has
 * its place anyway, and any size.
 */
static void test_write_places(void **state)
{
	static const struct {
		uint32_t flags, write_flags;
		enum fs_place place;
		bool direct;
	} rows[] = {
		{ 0, 0, FS_PLACE_OPENED },
		{ O_WRONLY, 0, FS_PLACE_OFFSET },
		{ O_RDWR, 0, FS_PLACE_OFFSET },
		{ O_WRONLY | O_APPEND, 0, FS_PLACE_END },
		{ O_RDWR | O_APPEND, 0, FS_PLACE_END },
		{ O_RDWR | O_APPEND, FUSE_WRITE_CACHE, FS_PLACE_OFFSET },
		{ O_WRONLY | O_DIRECT, 0, FS_PLACE_OFFSET, true },
		{ O_RDWR | O_DIRECT | O_APPEND, 0, FS_PLACE_END, true },
		{ O_RDWR | O_DIRECT, FUSE_WRITE_CACHE, FS_PLACE_OFFSET },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fuse_write_in in = { .flags = rows[i].flags,
			.write_flags = rows[i].write_flags };

		assert_int_equal(ASK(FUSE_WRITE, 7, in), 0);
		assert_int_equal(fake.write.place, rows[i].place);
		assert_int_equal(fake.write.direct, rows[i].direct);
	}
}

/* A file that is cut by OPEN or CREATE loses its set-id bits, unless root does it. */
static void test_cut_takes_set_id_bits(void **state)
{
	static const struct {
		uint32_t uid, flags, open_flags;
		bool kill;
	} rows[] = {
		{ 0, O_RDWR | O_TRUNC, 0, false },
		{ 1000, O_RDWR | O_TRUNC, 0, true },
		{ 0, O_RDWR | O_TRUNC, FUSE_OPEN_KILL_SUIDGID, true },
		{ 1000, O_RDWR, FUSE_OPEN_KILL_SUIDGID, false },
		{ 0, O_RDWR | O_TRUNC | FS_OPEN_KILL_SUIDGID, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fuse_open_in open = { .flags = rows[i].flags, .open_flags = rows[i].open_flags };
		struct fuse_create_in create = { .flags = rows[i].flags,
			.open_flags = rows[i].open_flags };

		exchange_start(&x, FUSE_OPEN, 7);
		x.head.uid = rows[i].uid;
		exchange_add(&x, &open, sizeof(open));
		assert_int_equal(exchange_run(&x, sq), 0);
		assert_int_equal(!!(fake.flags & FS_OPEN_KILL_SUIDGID), rows[i].kill);
		exchange_start(&x, FUSE_CREATE, 7);
		x.head.uid = rows[i].uid;
		exchange_add(&x, &create, sizeof(create));
		exchange_add_name(&x, "name");
		assert_int_equal(exchange_run(&x, sq), 0);
		assert_int_equal(!!(fake.flags & FS_OPEN_KILL_SUIDGID), rows[i].kill);
	}
}

static void test_write_nonsense(void **state)
{
	struct fuse_write_in in = { .size = 6 };

	(void)state;
	assert_int_equal(ASK_NAMED(FUSE_WRITE, 7, in, "five", NULL), -EINVAL);
	in.size = UINT32_MAX;
	assert_int_equal(ASK_NAMED(FUSE_WRITE, 7, in, "five", NULL), -EINVAL);
	in.size = 5;
	in.offset = INT64_MAX - 4;
	assert_int_equal(ASK_NAMED(FUSE_WRITE, 7, in, "five", NULL), -EINVAL);
	assert_int_equal(fake.calls, 0);
}

static void test_ranges(void **state)
{
	struct fuse_lseek_in seek = { .fh = 5, .offset = 6, .whence = 3 };
	struct fuse_fallocate_in fall = { .fh = 5, .offset = 6, .length = 7, .mode = 3 };
	struct fuse_lseek_out out;

	(void)state;
	fake.result = 1LL << 40;
	assert_int_equal(ASK(FUSE_LSEEK, 7, seek), 0);
	ANSWER(out);
	assert_int_equal(out.offset, 1LL << 40);
	assert_int_equal(fake.mode, 3);
	assert_int_equal(ASK(FUSE_FALLOCATE, 7, fall), 0);
	assert_int_equal(fake.offset, 6);
	assert_int_equal(fake.size, 7);
	fall.length = UINT64_MAX;
	assert_int_equal(ASK(FUSE_FALLOCATE, 7, fall), -EFBIG);
}

static void test_copy(void **state)
{
	struct fuse_copy_file_range_in in = { .fh_in = 1, .off_in = 2, .nodeid_out = 3,
		.fh_out = 4, .off_out = 5, .len = 1ULL << 40, .flags = 6 };
	struct fuse_write_out small;
	struct fuse_copy_file_range_out large;

	(void)state;
	assert_int_equal(ASK(FUSE_COPY_FILE_RANGE, 7, in), 0);
	ANSWER(small);
	assert_true(small.size == UINT32_MAX - 4095);
	assert_int_equal(small.padding, 0);
	assert_int_equal(fake.offset2, 5);
	assert_int_equal(fake.handle2, 4);
	assert_int_equal(fake.node2, 3);
	assert_int_equal(ASK(FUSE_COPY_FILE_RANGE_64, 7, in), 0);
	ANSWER(large);
	assert_int_equal(large.bytes_copied, 1ULL << 40);
	in.off_out = UINT64_MAX;
	assert_int_equal(ASK(FUSE_COPY_FILE_RANGE, 7, in), -EINVAL);
}

/* A queue that is to stop waits for the thread that copies, its own or one for disks: not for a terabyte. */
static void test_a_copy_in_parts(void **state)
{
	struct fuse_copy_file_range_in in = { .fh_in = 1, .fh_out = 4, .len = 1ULL << 40 };
	static const uint32_t opcodes[] = { FUSE_COPY_FILE_RANGE, FUSE_COPY_FILE_RANGE_64 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(opcodes); i++) {
		exchange_start(&x, opcodes[i], 7);
		exchange_add(&x, &in, sizeof(in));
		x.impatient = true;
		assert_int_equal(exchange_run(&x, sq), 0);
		assert_int_equal(fake.size, 32 << 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_create, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_cache_modes, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_handles, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_read, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_waits, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_read_offsets, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_write, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_keeps_what_nobody_changed, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_made_up_files_are_not_cached, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_write_places, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_cut_takes_set_id_bits, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_write_nonsense, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_ranges, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_copy, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_a_copy_in_parts, share_setup, share_teardown),
	};

	log_setup("test_handle_file", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("handle_file", tests, NULL, NULL);
}
