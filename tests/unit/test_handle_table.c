/* SPDX-License-Identifier: BSD-3-Clause */
/* The handle table: stale and forged numbers, reuse, RELEASE against use on several threads. */
#include "daemon/fs/handle_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/fs/dir_stream.h"
#include "daemon/fs/inode_table.h"
#include "daemon/fs/mem_budget.h"
#include "tests/unit/fs_fixture.h"

#define THREADS 4
#define ROUNDS 20000

static struct fd_budget budget;
static struct mem_budget listings = { .limit = 1 << 20 };
static struct handle_table *table;
static struct inode root_inode = { .slot = INODE_ROOT_ID };

static int setup(void **state)
{
	(void)state;
	budget = (struct fd_budget){ .limit = 100000 };
	table = aligned_alloc(64, sizeof(*table));
	if (!table)
		return -1;
	handle_table_init(table, &budget);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	handle_table_fini(table);
	free(table);
	return 0;
}

static uint64_t add(bool dir)
{
	struct handle_parts parts = {
		.fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
		.inode = &root_inode,
		.dir = dir ? dir_stream_new(&listings, false) : NULL,
	};
	uint64_t fh = 0;

	assert_true(parts.fd >= 0);
	assert_int_equal(handle_table_add(table, &parts, &fh), 0);
	assert_int_not_equal(fh, 0);
	return fh;
}

static bool is_open(uint64_t fh, enum handle_kind kind)
{
	struct handle *handle = handle_table_get(table, fh, kind);

	handle_put(handle);
	return handle;
}

static void released_numbers_are_stale(void **state)
{
	uint64_t fh = add(false), next;

	(void)state;
	assert_true(is_open(fh, HANDLE_FILE));
	assert_int_equal(handle_table_release(table, fh, HANDLE_FILE), 0);
	assert_false(is_open(fh, HANDLE_ANY));
	assert_int_equal(handle_table_release(table, fh, HANDLE_FILE), -EBADF);
	/* The slot is used again, the number is not. */
	next = add(false);
	assert_int_equal((uint32_t)next, (uint32_t)fh);
	assert_int_not_equal(next, fh);
	assert_false(is_open(fh, HANDLE_ANY));
	assert_int_equal(handle_table_release(table, fh, HANDLE_FILE), -EBADF);
	assert_true(is_open(next, HANDLE_ANY));
}

static void forged_numbers_miss(void **state)
{
	uint64_t fh = add(false);

	(void)state;
	assert_false(is_open(0, HANDLE_ANY));
	assert_false(is_open(UINT64_MAX, HANDLE_ANY));
	assert_false(is_open(fh + 1, HANDLE_ANY));
	assert_false(is_open(fh + (1ULL << 32), HANDLE_ANY));
	assert_false(is_open(fh | 0xffffffff, HANDLE_ANY));
	for (uint64_t bit = 0; bit < 64; bit++)
		assert_false(is_open(fh ^ (1ULL << bit), HANDLE_ANY));
}

static void kinds_do_not_mix(void **state)
{
	uint64_t file = add(false), dir = add(true);

	(void)state;
	assert_true(is_open(file, HANDLE_FILE) && is_open(dir, HANDLE_DIR));
	assert_true(is_open(file, HANDLE_ANY) && is_open(dir, HANDLE_ANY));
	assert_false(is_open(file, HANDLE_DIR) || is_open(dir, HANDLE_FILE));
	assert_int_equal(handle_table_release(table, dir, HANDLE_FILE), -EBADF);
	assert_true(is_open(dir, HANDLE_DIR));
}

static void the_last_user_closes(void **state)
{
	uint64_t fh = add(false);
	struct handle *handle = handle_table_get(table, fh, HANDLE_FILE);
	int fd = handle->fd;

	(void)state;
	assert_int_equal(handle_table_release(table, fh, HANDLE_FILE), 0);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_int_equal(budget.used, 1);
	handle_put(handle);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(budget.used, 0);
}

static void many_at_once(void **state)
{
	enum { MANY = 5000 };
	static uint64_t fhs[MANY];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		struct handle_parts parts = { .fd = 1 << 30, .inode = &root_inode };

		assert_int_equal(handle_table_add(table, &parts, &fhs[i]), 0);
	}
	for (int i = 0; i < MANY; i++)
		assert_true(is_open(fhs[i], HANDLE_FILE));
	for (int i = 0; i < MANY; i += 2)
		assert_int_equal(handle_table_release(table, fhs[i], HANDLE_FILE), 0);
	handle_table_clear(table);
	for (int i = 0; i < MANY; i++)
		assert_false(is_open(fhs[i], HANDLE_ANY));
	assert_int_equal(budget.used, 0);
}

static void budget_is_a_clean_error(void **state)
{
	struct handle_parts parts = { .fd = -1, .inode = &root_inode };
	uint64_t fh;

	(void)state;
	budget.limit = 2;
	add(false);
	add(false);
	assert_int_equal(handle_table_add(table, &parts, &fh), -ENFILE);
	assert_int_equal(budget.used, 2);
}

static uint64_t shared_fh;

/* One thread opens and releases, the others use whatever number they last saw. */
static void use_or_release(void *arg, unsigned int number)
{
	struct handle_parts parts = { .inode = &root_inode };
	struct handle *handle;
	uint64_t fh;

	(void)arg;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		fh = __atomic_load_n(&shared_fh, __ATOMIC_RELAXED);
		if (number == 0) {
			handle_table_release(table, fh, HANDLE_FILE);
			parts.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
			if (parts.fd < 0 || handle_table_add(table, &parts, &fh))
				abort();
			__atomic_store_n(&shared_fh, fh, __ATOMIC_RELAXED);
			continue;
		}
		handle = handle_table_get(table, fh, HANDLE_FILE);
		if (handle && (handle->inode != &root_inode || fcntl(handle->fd, F_GETFD) < 0))
			abort();
		if (handle && i % 64 == 0)
			handle_table_release(table, fh, HANDLE_FILE);
		handle_put(handle);
	}
}

static void release_races_use(void **state)
{
	(void)state;
	shared_fh = add(false);
	run_threads(THREADS, use_or_release, NULL);
	handle_table_clear(table);
	assert_int_equal(budget.used, 0);
}

static void open_and_release(void *arg, unsigned int number)
{
	struct handle_parts parts = { .fd = 1 << 30, .inode = &root_inode };
	uint64_t fhs[200];

	(void)arg;
	(void)number;
	for (unsigned int round = 0; round < ROUNDS / 200; round++) {
		for (unsigned int i = 0; i < 200; i++) {
			if (handle_table_add(table, &parts, &fhs[i]))
				abort();
		}
		for (unsigned int i = 0; i < 200; i++) {
			if (handle_table_release(table, fhs[i], HANDLE_FILE))
				abort();
		}
	}
}

static void opens_race_opens(void **state)
{
	(void)state;
	run_threads(THREADS, open_and_release, NULL);
	assert_int_equal(budget.used, 0);
}

#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(released_numbers_are_stale),
		TABLE_TEST(forged_numbers_miss),
		TABLE_TEST(kinds_do_not_mix),
		TABLE_TEST(the_last_user_closes),
		TABLE_TEST(many_at_once),
		TABLE_TEST(budget_is_a_clean_error),
		TABLE_TEST(release_races_use),
		TABLE_TEST(opens_race_opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
