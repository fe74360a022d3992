/* SPDX-License-Identifier: BSD-3-Clause */
/* When a guest may keep its pages over an open: only of files that nobody can have changed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "daemon/fs/fs_kind.h"
#include "daemon/fs/kept_table.h"
#include "tests/unit/fs_fixture.h"
#include "tests/skip.h"

#define SETTLED_NS 130000000L	/* op_keep.c's grain and three ticks of 10 ms */

static struct fixture *f;
static struct fs *fs;
static uint64_t node;

/* Until the last change of a file is so old that another one cannot have its time. */
static void settle_file(const char *name)
{
	struct timespec at = host_stat(f, name).st_ctim;

	at.tv_nsec += SETTLED_NS;
	at.tv_sec += at.tv_nsec / 1000000000L;
	at.tv_nsec %= 1000000000L;
	while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

static void settle(void)
{
	settle_file("a");
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

/* Whether anything is ever kept of files in /tmp. */
static bool can_keep(void)
{
	cleanup_close int fd = open(host_path(f, "a"), O_RDONLY);

	if (!(fs_kind(fd) & FS_KIND_TELLS_CHANGES))
		return false;
	return fcntl(fd, F_SETLEASE, F_RDLCK) == 0 && fcntl(fd, F_SETLEASE, F_UNLCK) == 0;
}

#define WHY_NOT "the file system of /tmp has no leases, or is not known to tell each change"

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
	if (!can_keep())
		SKIP_BECAUSE(WHY_NOT);
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
	if (!can_keep())
		SKIP_BECAUSE(WHY_NOT);
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
	settle();
	for (int i = 0; i < 3; i++)
		assert_false(opened(O_RDONLY, true));
	close_fd(&fd);
	if (!can_keep())
		SKIP_BECAUSE(WHY_NOT);
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

/*
 * Each change that a mapping can make of a file: stored before or after the page was
 * read, by a mapping that is gone when the guest opens the file. Where such a change
 * may have no time of its own (tmpfs, ramfs) nothing is ever kept.
 */
static void stores_through_a_mapping_are_seen(void **state)
{
	static const char *const types[] = { NULL, "tmpfs", "ramfs" };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		uint64_t dir = must_mkdir(fs, FS_ROOT_NODE, i ? types[i] : "plain");
		const char *name = i ? types[i] : "plain";
		char file[32], byte, *map;

		if (i && mount("none", host_path(f, name), types[i], 0, NULL))
			SKIP_BECAUSE("only root may mount, and not in every container");
		dir = must_lookup(fs, FS_ROOT_NODE, name);
		snprintf(file, sizeof(file), "%s/a", name);
		host_write(f, file, "old");
		node = must_lookup(fs, dir, "a");
		settle_file(file);
		opened(O_RDONLY, true);
		opened(O_RDONLY, true);
		for (char c = '1'; c < '4'; c++) {
			cleanup_close int fd = open(host_path(f, file), O_RDWR);

			map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
			assert_ptr_not_equal(map, MAP_FAILED);
			byte = map[0];	/* a load first: the store then is no fault on tmpfs */
			map[0] = c;
			munmap(map, 4096);
			close_fd(&fd);
			assert_int_not_equal(byte, c);
			assert_false(opened(O_RDONLY, true));
			settle_file(file);
		}
		umount2(host_path(f, name), MNT_DETACH);
	}
}

static uint64_t look_along(uint64_t from, const char *path)
{
	char name[64];

	while (*path) {
		size_t len = strcspn(path, "/");

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		from = must_lookup(fs, from, name);
		path += len + (path[len] == '/');
	}
	return from;
}

/* Files that have content, of all file systems that make them up, and of some that do not. */
static const struct made_up {
	const char *type, *path;
	bool tells;
} made_up[] = {
	{ "proc", "mnt/version", false },
	{ "sysfs", "mnt/kernel/mm/transparent_hugepage/enabled", false },
	{ "sysfs", "mnt/kernel/uevent_seqnum", false },
	{ "cgroup2", "mnt/cgroup.controllers", false },
	{ "debugfs", "mnt/sleep_time", false },
	{ "tracefs", "mnt/README", false },
	{ "securityfs", "mnt/lsm", false },
	{ "binfmt_misc", "mnt/status", false },
	{ "tmpfs", "mnt/made-for-this", true },
	{ "ramfs", "mnt/made-for-this", true },
};

static bool mount_made_up(const struct made_up *row)
{
	if (mount("none", host_path(f, "mnt"), row->type, 0, NULL))
		return false;
	if (row->tells)
		host_write(f, row->path, "");
	if (access(host_path(f, row->path), F_OK) == 0)
		return true;
	umount2(host_path(f, "mnt"), MNT_DETACH);
	return false;
}

static void sizes_tell_but_of_made_up_files(void **state)
{
	unsigned int tried = 0;

	(void)state;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(made_up); i++) {
		uint64_t handle;

		if (!mount_made_up(&made_up[i]))
			continue;
		handle = must_open(fs, look_along(FS_ROOT_NODE, made_up[i].path), O_RDONLY);
		if (fs_size_tells(fs, handle) != made_up[i].tells)
			fail_msg("%s of %s", made_up[i].path, made_up[i].type);
		assert_int_equal(fs_release(fs, handle), 0);
		umount2(host_path(f, "mnt"), MNT_DETACH);
		tried++;
	}
	assert_true(fs_size_tells(fs, must_open(fs, node, O_RDONLY)));
	assert_true(fs_size_tells(fs, 12345));
	if (!tried)
		SKIP_BECAUSE("only root may mount, and not in every container");
	print_message("%u file systems tried\n", tried);
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
		TEST(stores_through_a_mapping_are_seen),
		TEST(sizes_tell_but_of_made_up_files),
		TEST(a_table_of_few_places),
	};

	fixture_private_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
