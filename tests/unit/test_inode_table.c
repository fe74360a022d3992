/* SPDX-License-Identifier: BSD-3-Clause */
/* The inode table: counts, identity, and LOOKUP against FORGET on several threads. */
#include "daemon/fs/inode_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/fs_fixture.h"

#define THREADS 4
#define ROUNDS 20000
#define RACE_FILES 8

static struct fd_budget budget;
static struct inode_table *table;

static struct statx file_stx(uint64_t ino)
{
	return (struct statx){
		.stx_mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID,
		.stx_mode = S_IFREG | 0644, .stx_ino = ino, .stx_dev_major = 8,
		.stx_mnt_id = 20, .stx_btime = { .tv_sec = 1000 + (int64_t)ino },
	};
}

static int any_fd(void)
{
	int fd = open("/dev/null", O_PATH | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int setup(void **state)
{
	struct inode_holding holding = { .handles = FS_HANDLES_NEVER, .budget = &budget };
	struct statx root = file_stx(2);
	int fd = any_fd();

	(void)state;
	budget = (struct fd_budget){ .limit = 100000 };
	table = aligned_alloc(64, sizeof(*table));
	root.stx_mode = S_IFDIR | 0755;
	if (!table || inode_table_init(table, &holding))
		return -1;
	return inode_table_set_root(table, &fd, &root);
}

static int teardown(void **state)
{
	(void)state;
	inode_table_fini(table);
	free(table);
	return 0;
}

/* Add a file as LOOKUP does and let go of it; its node id. */
static uint64_t add(uint64_t ino)
{
	struct statx stx = file_stx(ino);
	struct inode *inode = NULL;
	int fd = any_fd();
	uint64_t id;

	assert_int_equal(inode_table_add(table, &fd, &stx, &inode), 0);
	id = inode_id(inode);
	inode_put(inode);
	if (fd >= 0)
		close(fd);
	return id;
}

static bool known(uint64_t id)
{
	struct inode *inode = inode_table_get(table, id);

	inode_put(inode);
	return inode;
}

static void counts_lookups(void **state)
{
	uint64_t id = add(10);

	(void)state;
	assert_int_equal(add(10), id);
	assert_int_equal(budget.used, 1);
	inode_table_forget(table, id, 1);
	assert_true(known(id));
	inode_table_forget(table, id, 1);
	assert_false(known(id));
	assert_int_equal(budget.used, 0);
}

static void never_reuses_an_id(void **state)
{
	uint64_t id = add(10);

	(void)state;
	inode_table_forget(table, id, 1);
	assert_int_not_equal(add(10), id);
	assert_false(known(id));
}

static void clamps_absurd_forgets(void **state)
{
	uint64_t id = add(10);

	(void)state;
	inode_table_forget(table, id, 0);
	assert_true(known(id));
	inode_table_forget(table, id + 1000, 5);
	inode_table_forget(table, 0, 5);
	inode_table_forget(table, UINT64_MAX, UINT64_MAX);
	inode_table_forget(table, id, UINT64_MAX);
	assert_false(known(id));
	inode_table_forget(table, id, UINT64_MAX);
	assert_int_equal(budget.used, 0);
}

static void root_is_never_forgotten(void **state)
{
	(void)state;
	inode_table_forget(table, INODE_ROOT_ID, UINT64_MAX);
	assert_true(known(INODE_ROOT_ID));
	inode_table_clear(table);
	assert_true(known(INODE_ROOT_ID));
}

static void a_held_inode_outlives_its_forget(void **state)
{
	uint64_t id = add(10);
	struct inode *inode = inode_table_get(table, id);
	struct inode_fd at;

	(void)state;
	inode_table_forget(table, id, 1);
	assert_false(known(id));
	assert_false(inode_table_count(table, inode));
	assert_int_equal(inode_fd_get(inode, &at), 0);
	assert_true(fcntl(at.fd, F_GETFD) >= 0);
	inode_fd_put(&at);
	inode_put(inode);
	assert_int_equal(budget.used, 0);
}

static void another_file_of_one_number_is_another_node(void **state)
{
	struct statx stx = file_stx(10);
	struct inode *inode = NULL;
	uint64_t old = add(10);
	int fd = any_fd();

	(void)state;
	stx.stx_btime.tv_nsec = 1;
	assert_null(inode_table_find(table, &stx));
	assert_int_equal(inode_table_add(table, &fd, &stx, &inode), 0);
	assert_int_equal(fd, -1);
	assert_int_not_equal(inode_id(inode), old);
	assert_true(known(old));
	inode_table_forget(table, old, 1);
	assert_false(known(old));
	assert_ptr_equal(inode_table_find(table, &stx), inode);
	inode_put(inode);
	inode_put(inode);
	inode_table_clear(table);
	assert_int_equal(budget.used, 0);
}

static void grows_and_finds_all(void **state)
{
	/* Numbers that are no descriptors: closing them fails, and that is fine here. */
	const int no_fd = 1 << 30;
	struct inode *inode;

	(void)state;
	for (uint64_t i = 0; i < 50000; i++) {
		struct statx stx = file_stx(100 + i);
		int fd = no_fd;

		assert_int_equal(inode_table_add(table, &fd, &stx, &inode), 0);
		inode_put(inode);
	}
	for (uint64_t i = 0; i < 50000; i++) {
		struct statx stx = file_stx(100 + i);

		inode = inode_table_find(table, &stx);
		assert_non_null(inode);
		assert_true(known(inode_id(inode)));
		inode_put(inode);
	}
	assert_int_equal(budget.used, 50000);
	inode_table_clear(table);
	assert_int_equal(budget.used, 0);
}

static void budget_is_a_clean_error(void **state)
{
	struct statx stx = file_stx(11);
	struct inode *inode = NULL;
	int fd = any_fd();

	(void)state;
	budget.limit = 1;
	add(10);
	assert_int_equal(inode_table_add(table, &fd, &stx, &inode), -ENFILE);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(budget.used, 1);
}

/* What a queue's thread does: LOOKUP, use, FORGET. */
static void lookup_and_forget(void *arg, unsigned int number)
{
	unsigned int seed = number + 1;
	struct inode *again;

	(void)arg;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct statx stx = file_stx(100 + (unsigned int)rand_r(&seed) % RACE_FILES);
		struct inode *inode = inode_table_find(table, &stx);
		int fd = -1;

		if (!inode && inode_table_add(table, &fd, &stx, &inode) != 0)
			abort();
		/* One lookup of ours is counted, so the id must lead here. */
		again = inode_table_get(table, inode_id(inode));
		if (again != inode || inode->key.ino != stx.stx_ino)
			abort();
		inode_put(again);
		inode_table_forget(table, inode_id(inode), 1);
		inode_put(inode);
	}
}

static void lookup_races_forget(void **state)
{
	(void)state;
	run_threads(THREADS, lookup_and_forget, NULL);
	/* Every lookup was given back. */
	assert_int_equal(budget.used, 0);
	for (uint64_t i = 0; i < RACE_FILES; i++) {
		struct statx stx = file_stx(100 + i);

		assert_null(inode_table_find(table, &stx));
	}
}

static void add_or_clear(void *arg, unsigned int number)
{
	struct inode *inode;

	(void)arg;
	for (unsigned int i = 0; i < ROUNDS / 10; i++) {
		struct statx stx = file_stx(100 + i % 200);
		int fd = -1;

		if (number == 0) {
			inode_table_clear(table);
			continue;
		}
		if (inode_table_add(table, &fd, &stx, &inode) != 0)
			abort();
		inode_table_count(table, inode);
		inode_put(inode);
	}
}

static void reset_races_lookup(void **state)
{
	(void)state;
	run_threads(THREADS, add_or_clear, NULL);
	inode_table_clear(table);
	assert_int_equal(budget.used, 0);
}

#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(counts_lookups),
		TABLE_TEST(never_reuses_an_id),
		TABLE_TEST(clamps_absurd_forgets),
		TABLE_TEST(root_is_never_forgotten),
		TABLE_TEST(a_held_inode_outlives_its_forget),
		TABLE_TEST(another_file_of_one_number_is_another_node),
		TABLE_TEST(grows_and_finds_all),
		TABLE_TEST(budget_is_a_clean_error),
		TABLE_TEST(lookup_races_forget),
		TABLE_TEST(reset_races_lookup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
