/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * O_DIRECT of a request, not of a descriptor: fcntl(2) sets and clears it, and a
 * guest's page cache writes back what is of no block's size. What a request says
 * without it may be anywhere; what it says with it the host's file system judges.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/skip.h"
#include "tests/unit/fs_fixture.h"

#define BLOCK 4096

static const struct fs_config with_direct = { .allow_direct_io = true };
static const struct fs_write direct_write = {
	.caller = &root_caller, .place = FS_PLACE_OFFSET, .direct = true,
};
static const struct fs_write direct_append = {
	.caller = &root_caller, .place = FS_PLACE_END, .direct = true,
};

static struct fixture *f;
static struct fs *fs;
static char *block;	/* aligned */

static int setup(void **state)
{
	(void)state;
	block = aligned_alloc(BLOCK, 2 * BLOCK);
	if (!block)
		return -1;
	memset(block, 'b', 2 * BLOCK);
	f = fixture_new(&with_direct);
	fs = f->fs;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	free(block);
	return 0;
}

static ssize_t put(uint64_t handle, uint64_t offset, size_t size, const struct fs_write *how)
{
	struct iovec iov = { block, size };
	struct iov_cursor from;

	iov_cursor_init(&from, &iov, 1);
	return fs_write(fs, 1, handle, offset, size, &from, how);
}

static ssize_t get(uint64_t handle, uint64_t offset, size_t size, uint32_t how)
{
	struct iovec iov = { block, size };
	struct iov_cursor to;

	iov_cursor_init(&to, &iov, 1);
	return fs_read(fs, 1, handle, offset, size, &to, how);
}

/* What the host itself says of a write of 10 bytes. */
static void need_alignment(void)
{
	int fd = open(host_path(f, "probe"), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	ssize_t n = fd < 0 ? 0 : pwrite(fd, block, 10, 1);

	close(fd);
	if (n >= 0)
		SKIP_BECAUSE("O_DIRECT takes any size here, or none");
}

static void check_each_request_for_itself(uint64_t handle)
{
	assert_int_equal(truncate(host_path(f, "a"), 0), 0);
	assert_int_equal(put(handle, 1, 10, &at_offset), 10);
	assert_int_equal(put(handle, 0, BLOCK, &direct_write), BLOCK);
	assert_int_equal(put(handle, 1, 10, &direct_write), -EINVAL);
	assert_int_equal(put(handle, BLOCK, 5, &at_end), 5);
	assert_int_equal(get(handle, 1, 10, 0), 10);
	assert_int_equal(get(handle, 1, 10, FS_READ_NOWAIT), 10);
	assert_int_equal(get(handle, 0, 2 * BLOCK, FS_READ_DIRECT), BLOCK + 5);
	assert_int_equal(get(handle, 1, 10, FS_READ_DIRECT), -EINVAL);
	/* That always waits for the disk. */
	assert_int_equal(get(handle, 0, BLOCK, FS_READ_DIRECT | FS_READ_NOWAIT), -EAGAIN);
	assert_int_equal(truncate(host_path(f, "a"), BLOCK), 0);
	assert_int_equal(put(handle, 0, BLOCK, &direct_append), BLOCK);
	assert_int_equal(host_stat(f, "a").st_size, 2 * BLOCK);
}

/* However it was opened: with O_DIRECT by OPEN or CREATE, or without. */
static void each_request_says_it(void **state)
{
	unsigned int before = open_fds();
	struct fs_entry entry;
	uint64_t handle;

	(void)state;
	need_alignment();
	assert_int_equal(fs_create(fs, &root_caller, 1, "a", O_RDWR | O_DIRECT | O_EXCL, 0600, &entry,
				   &handle), 0);
	check_each_request_for_itself(handle);
	assert_int_equal(fs_release(fs, handle), 0);
	handle = must_open(fs, entry.node, O_RDWR | O_DIRECT | O_TRUNC);
	assert_int_equal(host_stat(f, "a").st_size, 0);
	check_each_request_for_itself(handle);
	assert_int_equal(fs_release(fs, handle), 0);
	handle = must_open(fs, entry.node, O_RDWR);
	check_each_request_for_itself(handle);
	assert_int_equal(fs_release(fs, handle), 0);
	fs_forget(fs, entry.node, 1);
	if (!fixture_by_handle())
		assert_int_equal(open_fds(), before);
}

static void where_it_is_not_allowed_it_is_not_said(void **state)
{
	struct fs *allowed = fs;
	uint64_t handle;

	(void)state;
	host_write(f, "a", "text");
	fs = fixture_serve(f, NULL);
	handle = must_open(fs, must_lookup(fs, 1, "a"), O_RDWR | O_DIRECT);
	assert_int_equal(put(handle, 1, 10, &direct_write), 10);
	assert_int_equal(get(handle, 1, 10, FS_READ_DIRECT | FS_READ_NOWAIT), 10);
	fs_free(fs);
	fs = allowed;
}

/* open(2) says so of a file system that does not have it, and cuts nothing. */
static void a_file_system_without(void **state)
{
	struct fs_entry entry;
	uint64_t handle, dir;

	(void)state;
	dir = must_mkdir(fs, 1, "mnt");
	fs_forget(fs, dir, 1);
	if (mount("none", host_path(f, "mnt"), "ramfs", 0, NULL))
		SKIP_BECAUSE("no ramfs can be mounted");
	host_write(f, "mnt/a", "text");
	if (open(host_path(f, "mnt/a"), O_RDWR | O_DIRECT) >= 0)
		SKIP_BECAUSE("ramfs has O_DIRECT");
	dir = must_lookup(fs, 1, "mnt");
	assert_int_equal(fs_open(fs, &root_caller, must_lookup(fs, dir, "a"), O_RDWR | O_DIRECT | O_TRUNC, &handle),
			 -EINVAL);
	assert_int_equal(host_stat(f, "mnt/a").st_size, 4);
	assert_int_equal(fs_create(fs, &root_caller, dir, "b", O_RDWR | O_DIRECT, 0600, &entry, &handle),
			 -EINVAL);
	/* A request says it of a file that was opened without: there, it is a wish. */
	handle = must_open(fs, must_lookup(fs, dir, "a"), O_RDWR);
	assert_int_equal(put(handle, 1, 10, &direct_write), 10);
	assert_int_equal(get(handle, 1, 10, FS_READ_DIRECT), 10);
}

/* An ordinary user opens what he has just made of mode 0444 once: his data is right all the same. */
static int write_to_read_only_file(void)
{
	struct fs_entry entry;
	uint64_t handle;

	fs = fixture_serve(f, &with_direct);
	if (fs_create(fs, &user_caller, 1, "a", O_WRONLY | O_DIRECT, 0444, &entry, &handle))
		return 1;
	if (put(handle, 0, BLOCK, &direct_write) != BLOCK || put(handle, BLOCK, 10, &at_offset) != 10)
		return 2;
	return host_stat(f, "a").st_size == BLOCK + 10 ? 0 : 3;
}

static void a_file_that_opens_once(void **state)
{
	int status = -1;
	pid_t child;

	(void)state;
	if (geteuid())
		SKIP_BECAUSE("only root can become another user");
	assert_int_equal(chown(f->dir, 1000, 1000), 0);
	child = fork();
	if (child == 0)
		_exit(setgid(1000) || setuid(1000) ? 5 : write_to_read_only_file());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#define THREADS 6
static uint64_t shared;

static void write_blocks(void *arg, unsigned int number)
{
	char *mine = aligned_alloc(BLOCK, BLOCK);
	struct iovec iov = { mine, BLOCK };
	struct iov_cursor from;

	(void)arg;
	memset(mine, (int)number, BLOCK);
	iov_cursor_init(&from, &iov, 1);
	if (fs_write(fs, 1, shared, number * BLOCK, BLOCK, &from, &direct_write) != BLOCK)
		abort();
	free(mine);
}

/* Requests of many queues find at once that a file is O_DIRECT now: one opens it. */
static void many_at_once(void **state)
{
	unsigned int before;

	(void)state;
	must_create(fs, 1, "a", &shared);
	for (int round = 0; round < 50; round++) {
		uint64_t node = must_lookup(fs, 1, "a");

		before = open_fds();
		shared = must_open(fs, node, O_RDWR);
		run_threads(THREADS, write_blocks, NULL);
		assert_true(open_fds() <= before + 2);
		assert_int_equal(fs_release(fs, shared), 0);
		assert_true(open_fds() <= before);
		fs_forget(fs, node, 1);
	}
	assert_int_equal(host_stat(f, "a").st_size, THREADS * BLOCK);
}

#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(each_request_says_it),
		FS_TEST(where_it_is_not_allowed_it_is_not_said),
		FS_TEST(a_file_system_without),
		FS_TEST(a_file_that_opens_once),
		FS_TEST(many_at_once),
	};

	fixture_private_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
