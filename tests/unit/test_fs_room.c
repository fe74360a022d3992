/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A full disk, after files were removed: their room is there again although a guest
 * says late, or never, that it let go of them. Waits are counted, not waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/checked.h"
#include "daemon/fs/fs_private.h"
#include "tests/unit/fs_fixture.h"
#include "tests/skip.h"

#define DISK_BYTES (4u << 20)
#define FILE_BYTES (3u << 20)	/* two do not fit */
#define WAITS_MOST 20

static struct fixture *f;
static struct fs *fs;
static uint64_t dir;
static char bytes[FILE_BYTES];
static unsigned int waits;

/* What the guest says while somebody waits, before the so-manieth wait. */
static void (*guest_says)(void);
static unsigned int guest_says_at;

/* In place of the C library's. */
int nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)time;
	(void)left;
	if (__atomic_add_fetch(&waits, 1, __ATOMIC_RELAXED) == guest_says_at && guest_says)
		guest_says();
	return 0;
}

static int setup(void **state)
{
	(void)state;
	f = fixture_new(NULL);
	fs = f->fs;
	waits = 0;
	guest_says = NULL;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	if (mount("none", host_path(f, "mnt"), "tmpfs", 0, "size=4M,nr_inodes=64"))
		return 0;
	dir = must_lookup(fs, FS_ROOT_NODE, "mnt");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static bool is_mounted(void)
{
	return host_stat(f, "mnt").st_dev != host_stat(f, ".").st_dev;
}

#define NEED_DISK() \
	do { if (!is_mounted()) SKIP_BECAUSE("only root may mount, and not in every container"); } while (0)

/* Make and fill a file, and close it: its node, and what the last write said. */
static uint64_t fill(const char *name, ssize_t *written)
{
	uint64_t handle, node = must_create(fs, dir, name, &handle);

	*written = write_at(fs, handle, 0, bytes, FILE_BYTES);
	assert_int_equal(fs_release(fs, handle), 0);
	return node;
}

static uint64_t told_node, told_handle;

static void forget_it(void)
{
	fs_forget(fs, told_node, 1);
}

static void release_it(void)
{
	assert_int_equal(fs_release(fs, told_handle), 0);
	fs_forget(fs, told_node, 1);
}

/* FORGET comes after the request that needs the room. */
static void a_forget_is_waited_for(void **state)
{
	ssize_t n;

	(void)state;
	NEED_DISK();
	told_node = fill("a", &n);
	assert_int_equal(n, FILE_BYTES);
	assert_int_equal(fs_unlink(fs, &root_caller, dir, "a"), 0);
	guest_says = forget_it;
	guest_says_at = 2;
	fill("b", &n);
	assert_int_equal(n, FILE_BYTES);
	assert_int_equal(waits, 2);
}

/* So does RELEASE, of a file that is open: nothing but that lets go of it. */
static void a_release_is_waited_for(void **state)
{
	ssize_t n;

	(void)state;
	NEED_DISK();
	told_node = fill("a", &n);
	told_handle = must_open(fs, told_node, O_RDONLY);
	assert_int_equal(fs_unlink(fs, &root_caller, dir, "a"), 0);
	guest_says = release_it;
	guest_says_at = 10;
	fill("b", &n);
	assert_int_equal(n, FILE_BYTES);
	assert_int_equal(waits, 10);
}

/* The same for what a rename replaces. */
static void a_replaced_file_gives_its_room(void **state)
{
	uint64_t handle;
	ssize_t n;

	(void)state;
	NEED_DISK();
	told_node = fill("a", &n);
	must_create(fs, dir, "b", &handle);
	assert_int_equal(fs_rename(fs, &root_caller, dir, "b", dir, "a", 0), 0);
	guest_says = forget_it;
	guest_says_at = 1;
	assert_int_equal(write_at(fs, handle, 0, bytes, FILE_BYTES), FILE_BYTES);
}

/* Nobody ever says anything of a file that the host removed: it is let go on a full disk. */
static void what_the_host_removed_is_let_go(void **state)
{
	struct fs_attr attr;
	uint64_t node;
	ssize_t n;

	(void)state;
	NEED_DISK();
	node = fill("a", &n);
	assert_int_equal(unlink(host_path(f, "mnt/a")), 0);
	fill("b", &n);
	assert_int_equal(n, FILE_BYTES);
	assert_int_equal(fs_getattr(fs, node, FS_NO_HANDLE, &attr), -ESTALE);
	/* What the guest says of it later does no harm. */
	fs_forget(fs, node, 1);
}

/* A file that is open, or has another name, or has room on no disk, stays what it is. */
static void what_is_used_stays(void **state)
{
	uint64_t open, linked, elsewhere, handle;
	struct fs_attr attr;
	char byte;
	ssize_t n;

	(void)state;
	NEED_DISK();
	open = fill("open", &n);
	handle = must_open(fs, open, O_RDONLY);
	linked = must_create(fs, dir, "linked", &(uint64_t){ 0 });
	assert_int_equal(link(host_path(f, "mnt/linked"), host_path(f, "mnt/name")), 0);
	host_write(f, "elsewhere", "");
	elsewhere = must_lookup(fs, FS_ROOT_NODE, "elsewhere");
	assert_int_equal(unlink(host_path(f, "mnt/open")), 0);
	assert_int_equal(unlink(host_path(f, "mnt/linked")), 0);
	assert_int_equal(unlink(host_path(f, "elsewhere")), 0);
	fill("b", &n);
	assert_true(n < FILE_BYTES);
	assert_int_equal(read_at(fs, handle, 0, &byte, 1), 1);
	assert_int_equal(fs_getattr(fs, open, FS_NO_HANDLE, &attr), 0);
	assert_int_equal(fs_getattr(fs, linked, FS_NO_HANDLE, &attr), 0);
	if (!fixture_by_handle())
		assert_int_equal(fs_getattr(fs, elsewhere, FS_NO_HANDLE, &attr), 0);
	/* Closed, it is let go in its turn; a sweep takes only a part of the time, and time stands still here. */
	fs->room.sweep_at = 0;
	assert_int_equal(fs_release(fs, handle), 0);
	assert_int_equal(fs_unlink(fs, &root_caller, dir, "b"), 0);
	fs_forget(fs, must_create(fs, dir, "c", &handle), 0);
	assert_int_equal(write_at(fs, handle, 0, bytes, FILE_BYTES), FILE_BYTES);
}

/* A disk that is full and stays so is waited for once after a removal, and not at all after that. */
static void a_full_disk_is_full(void **state)
{
	uint64_t handle, node;
	ssize_t n;

	(void)state;
	NEED_DISK();
	node = fill("a", &n);
	must_create(fs, dir, "b", &handle);
	/* The guest closes files all the time: that alone must not make a full disk slow for ever. */
	assert_true(write_at(fs, handle, 0, bytes, FILE_BYTES) < FILE_BYTES);
	assert_in_range(waits, 0, WAITS_MOST);
	waits = 0;
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(write_at(fs, handle, 2 << 20, bytes, FILE_BYTES), -ENOSPC);
	assert_int_equal(waits, 0);
	assert_int_equal(fs_unlink(fs, &root_caller, dir, "a"), 0);
	fs_forget(fs, node, 1);
	assert_int_equal(write_at(fs, handle, 0, bytes, FILE_BYTES), FILE_BYTES);
	assert_int_equal(waits, 0);
}

/* Threads that need room, beside others that look up and forget what is being let go. */
static void come_and_go(void *arg, unsigned int number)
{
	struct fs_entry entry;
	struct fs_attr attr;
	char name[16];

	(void)arg;
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%u", i % 5);
		if (number < 2) {
			uint64_t handle;
			int err = fs_create(fs, &root_caller, dir, name, O_RDWR, 0600, &entry, &handle);

			if (err)
				continue;
			write_at(fs, handle, 0, bytes, FILE_BYTES / 2);
			if (fs_release(fs, handle))
				abort();
			unlink(host_path(f, number ? "mnt/f0" : "mnt/f3"));
			fs_forget(fs, entry.node, 1);
		} else if (!fs_lookup(fs, dir, name, &entry)) {
			int err = fs_getattr(fs, entry.node, FS_NO_HANDLE, &attr);

			/* We count it, but it may have been removed, and let go. */
			if (err && err != -ESTALE)
				abort();
			fs_forget(fs, entry.node, 1);
		}
	}
}

static void letting_go_races_everything(void **state)
{
	unsigned int fds = open_fds();

	(void)state;
	NEED_DISK();
	run_threads(4, come_and_go, NULL);
	fs_reset(fs);
	/* Less than before: "mnt" is forgotten, too. */
	assert_in_range(open_fds(), 0, fds);
}

#define ROOM_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOM_TEST(a_forget_is_waited_for),
		ROOM_TEST(a_release_is_waited_for),
		ROOM_TEST(a_replaced_file_gives_its_room),
		ROOM_TEST(what_the_host_removed_is_let_go),
		ROOM_TEST(what_is_used_stays),
		ROOM_TEST(a_full_disk_is_full),
		ROOM_TEST(letting_go_races_everything),
	};

	fixture_private_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
