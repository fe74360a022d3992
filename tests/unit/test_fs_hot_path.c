/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the requests that come by the million do beside their system call: no
 * heap, no lock but the one said here, and no raw system call, such as those
 * that change a thread's ids and capabilities. The linker leads the file system's
 * calls of these kinds through the counters below (--wrap, see meson.build).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "daemon/fs/creds.h"
#include "tests/unit/fs_fixture.h"

#define TIMES 100

static unsigned int allocations, locks, raw_calls;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
long __real_syscall(long number, long a, long b, long c, long d, long e);
long __wrap_syscall(long number, long a, long b, long c, long d, long e);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	allocations++;
	return __real_aligned_alloc(alignment, size);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	locks++;
	return __real_pthread_mutex_lock(mutex);
}

/* None has more than five arguments; what it did not get is passed on and not looked at. */
long __wrap_syscall(long number, long a, long b, long c, long d, long e)
{
	raw_calls++;
	return __real_syscall(number, a, b, c, d, e);
}

static struct fixture *f;
static struct fs *fs;
static uint64_t node, handle;

static int start(enum fs_handles handles)
{
	const struct fs_config config = { .handles = handles };

	f = fixture_new(&config);
	fs = f->fs;
	host_write(f, "a", "some text");
	/* Expected to be known from here on. */
	node = must_lookup(fs, FS_ROOT_NODE, "a");
	must_lookup(fs, FS_ROOT_NODE, "a");
	handle = must_open(fs, node, O_RDWR);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return start(FS_HANDLES_NEVER);
}

static int setup_handles(void **state)
{
	(void)state;
	return start(FS_HANDLES_PREFER);
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static void lookup_known(void)
{
	struct fs_entry entry;

	assert_int_equal(fs_lookup(fs, FS_ROOT_NODE, "a", &entry), 0);
}

static void lookup_missing(void)
{
	struct fs_entry entry;

	assert_int_equal(fs_lookup(fs, FS_ROOT_NODE, "none", &entry), -ENOENT);
}

static void getattr_by_node(void)
{
	struct fs_attr attr;

	assert_int_equal(fs_getattr(fs, node, FS_NO_HANDLE, &attr), 0);
}

static void getattr_by_handle(void)
{
	struct fs_attr attr;

	assert_int_equal(fs_getattr(fs, node, handle, &attr), 0);
}

static void read_some(void)
{
	char data[9];

	assert_int_equal(read_at(fs, handle, 0, data, sizeof(data)), sizeof(data));
}

static void write_some(void)
{
	assert_int_equal(write_at(fs, handle, 0, "some text", 9), 9);
}

/* Another caller than the last costs; the same one again does not. */
static void change_as_user(void)
{
	static const struct fs_write how = { .caller = &user_caller };
	struct fs_setattr times = { .valid = FS_SET_MTIME_NOW };
	struct iovec iov = { (char[]){ "some text" }, 9 };
	struct iov_cursor from;
	struct fs_attr attr;

	iov_cursor_init(&from, &iov, 1);
	assert_int_equal(fs_write(fs, node, handle, 0, 9, &from, &how), 9);
	assert_int_equal(fs_setattr(fs, &user_caller, node, handle, &times, &attr), 0);
}

static void check(void (*run)(void), unsigned int locks_each)
{
	run();			/* what a thread learns at its first */
	allocations = locks = raw_calls = 0;
	for (unsigned int i = 0; i < TIMES; i++)
		run();
	assert_int_equal(allocations, 0);
	assert_int_equal(raw_calls, 0);
	assert_int_equal(locks, TIMES * locks_each);
}

/* The shard of the file's identity, 1 of 64, where the lookup is counted; the others none. */
static void no_heap_and_one_lock(void **state)
{
	(void)state;
	check(lookup_known, 1);
	check(lookup_missing, 0);
	check(getattr_by_node, 0);
	check(getattr_by_handle, 0);
	check(read_some, 0);
	check(write_some, 0);
	check(change_as_user, 0);
}

/* By handle, the shard of the kept descriptor, 1 of 16, as it is taken and given back. */
static void no_heap_and_two_locks_by_handle(void **state)
{
	(void)state;
	check(lookup_known, 1);
	check(getattr_by_node, 2);
	check(getattr_by_handle, 0);
	check(read_some, 0);
	check(write_some, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_heap_and_one_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(no_heap_and_two_locks_by_handle, setup_handles,
						teardown),
	};
	struct fs_config probe = { .root_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC),
				   .handles = FS_HANDLES_MANDATORY };
	size_t n = sizeof(tests) / sizeof(*tests);

	if (creds_setup(UINT64_MAX))
		return 1;
	/* Where there are no handles only the first says something. */
	if (fs_new(&probe, &fs))
		n = 1;
	else
		fs_free(fs);
	return _cmocka_run_group_tests("hot path", tests, n, NULL, NULL);
}
