/* SPDX-License-Identifier: BSD-3-Clause */
/* When a guest may keep its pages over an open: only of files that nobody can have changed. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/fs/kept_table.h"
#include "tests/unit/fs_fixture.h"
#include "tests/skip.h"

#define SETTLED_NS 130000000L	/* op_keep.c's grain and three ticks of 10 ms */

static struct fixture *f;
static struct fs *fs;
static uint64_t node;

/* Until the last change of "a" is so old that another one cannot have its time. */
static void settle(void)
{
	struct timespec at = host_stat(f, "a").st_ctim;

	at.tv_nsec += SETTLED_NS;
	at.tv_sec += at.tv_nsec / 1000000000L;
	at.tv_nsec %= 1000000000L;
	while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* Open as a guest does: whether it may keep what it has; then read, or not, and close. */
static bool opened(uint32_t flags, bool reads)
{
	uint64_t handle = must_open(fs, node, flags);
	bool kept = fs_may_keep(fs, handle);
	char byte;

	if (reads)
		assert_int_equal(read_at(fs, handle, 0, &byte, 1), 1);
	assert_int_equal(fs_release(fs, handle), 0);
	return kept;
}

static bool leases_work(void)
{
	cleanup_close int fd = open(host_path(f, "a"), O_RDONLY);

	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
		return fcntl(fd, F_SETLEASE, F_UNLCK) == 0;
	print_message("skipped: no leases on the file system of /tmp\n");
	return false;
}

static int setup(void **state)
{
	(void)state;
	f = fixture_new(NULL);
	fs = f->fs;
	host_write(f, "a", "content");
	node = must_lookup(fs, FS_ROOT_NODE, "a");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static void keeps_what_was_read(void **state)
{
	(void)state;
	if (!leases_work())
		SKIP_BECAUSE("this file system has no leases");
	settle();
	assert_false(opened(O_RDONLY, true));
	assert_true(opened(O_RDONLY, true));
	assert_true(opened(O_RDONLY, false));
	assert_true(opened(O_RDWR, false));
	/* Opened for writing, it was not written. */
	assert_true(opened(O_RDONLY, true));
}

/* Until a READ comes, nothing shows that the guest has emptied its cache. */
static void an_open_alone_is_no_record(void **state)
{
	(void)state;
	settle();
	for (int i = 0; i < 3; i++)
		assert_false(opened(O_RDONLY, false));
}

static void any_change_is_seen(void **state)
{
	(void)state;
	if (!leases_work())
		SKIP_BECAUSE("this file system has no leases");
	for (int i = 0; i < 3; i++) {
		uint64_t handle;

		settle();
		assert_false(opened(O_RDONLY, true));
		assert_true(opened(O_RDONLY, true));
		switch (i) {
		case 0:
			host_write(f, "a", "CONTENT");
			break;
		case 1:
			assert_int_equal(truncate(host_path(f, "a"), 5), 0);
			break;
		case 2:	/* the guest's own, too: it has written through one handle of perhaps several */
			handle = must_open(fs, node, O_WRONLY);
			assert_int_equal(write_at(fs, handle, 0, "x", 1), 1);
			assert_int_equal(fs_release(fs, handle), 0);
			break;
		}
		assert_false(opened(O_RDONLY, true));
	}
}

/* Two changes within one tick of the clock have one time. */
static void a_fresh_change_is_no_record(void **state)
{
	struct stat st;

	(void)state;
	do {
		host_write(f, "a", "one");
		assert_false(opened(O_RDONLY, true));
		st = host_stat(f, "a");
		host_write(f, "a", "two");
		assert_false(opened(O_RDONLY, true));
	} while (st.st_ctim.tv_nsec > 900000000L);
}

/* The change came after the OPEN and before the READ: the record is older, and does no harm. */
static void a_change_before_the_read(void **state)
{
	uint64_t handle;
	char byte;

	(void)state;
	settle();
	handle = must_open(fs, node, O_RDONLY);
	assert_false(fs_may_keep(fs, handle));
	host_write(f, "a", "CONTENT");
	assert_int_equal(read_at(fs, handle, 0, &byte, 1), 1);
	assert_int_equal(fs_release(fs, handle), 0);
	settle();
	assert_false(opened(O_RDONLY, true));
}

static void not_beside_a_writer(void **state)
{
	cleanup_close int fd = open(host_path(f, "a"), O_RDWR);

	(void)state;
	if (!leases_work())
		assert_int_equal(errno, EAGAIN);
	settle();
	for (int i = 0; i < 3; i++)
		assert_false(opened(O_RDONLY, true));
	close_fd(&fd);
	if (!leases_work())
		SKIP_BECAUSE("this file system has no leases");
	assert_false(opened(O_RDONLY, true));
	assert_true(opened(O_RDONLY, true));
}

/* A page that is stored into twice changes the file's time once. */
static void not_beside_a_mapping(void **state)
{
	int fd = open(host_path(f, "a"), O_RDWR);
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t handle;
	char byte = 0;

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	close(fd);
	map[0] = '1';
	settle();
	assert_false(opened(O_RDONLY, true));
	map[0] = '2';
	munmap(map, 4096);
	handle = must_open(fs, node, O_RDONLY);
	assert_false(fs_may_keep(fs, handle));
	assert_int_equal(read_at(fs, handle, 0, &byte, 1), 1);
	assert_int_equal(byte, '2');
}

/* The lease that was asked for is gone: nobody has to wait for it. */
static void stands_in_nobodys_way(void **state)
{
	cleanup_close int fd = -1;
	uint64_t handle;

	(void)state;
	settle();
	handle = must_open(fs, node, O_RDONLY);
	fs_may_keep(fs, handle);
	fd = open(host_path(f, "a"), O_WRONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	assert_false(fs_may_keep(fs, 12345));
}

static void a_table_of_few_places(void **state)
{
	struct kept_table table;

	(void)state;
	assert_int_equal(kept_table_init(&table), 0);
	assert_int_equal(kept_table_get(&table, 7), 0);
	for (uint64_t id = 1; id < 1000; id++)
		kept_table_put(&table, id << 32 | 5, id);
	for (uint64_t id = 1; id < 1000; id++)
		assert_int_equal(kept_table_get(&table, id << 32 | 5), id);
	/* The same place: the later one has it. */
	kept_table_put(&table, 3 << 16 | 1, 10);
	kept_table_put(&table, 2, 20);
	assert_int_equal(kept_table_get(&table, 3 << 16 | 1), 0);
	assert_int_equal(kept_table_get(&table, 2), 20);
	kept_table_fini(&table);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_what_was_read),
		TEST(an_open_alone_is_no_record),
		TEST(any_change_is_seen),
		TEST(a_fresh_change_is_no_record),
		TEST(a_change_before_the_read),
		TEST(not_beside_a_writer),
		TEST(not_beside_a_mapping),
		TEST(stands_in_nobodys_way),
		TEST(a_table_of_few_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
