/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file system under several threads at once, as hostile queues drive it.
 * Each test ends by checking that nothing was lost or leaked; ASan and TSan
 * see the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fs_fixture.h"

#define THREADS 4
#define ROUNDS 2000

static struct fixture *f;
static struct fs *fs;
static unsigned int fds;

static int setup(void **state)
{
	(void)state;
	f = fixture_new(NULL);
	fs = f->fs;
	fds = open_fds();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static bool one_of(int err, int a, int b, int c)
{
	return err == 0 || err == a || err == b || err == c;
}

static void lookup_forget(void *arg, unsigned int number)
{
	struct fs_entry entry;
	struct fs_attr attr;

	(void)arg;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		char name[2] = { (char)('a' + (i + number) % 3), 0 };

		if (fs_lookup(fs, FS_ROOT_NODE, name, &entry))
			abort();
		/* We hold a lookup: the node must be valid, and the file that was named. */
		if (fs_getattr(fs, entry.node, FS_NO_HANDLE, &attr) ||
		    attr.stx.stx_size != (unsigned int)(name[0] - 'a'))
			abort();
		fs_forget(fs, entry.node, 1);
	}
}

/* virtiofsd 38ecb62: the count of a node that goes from none to one while it is being forgotten. */
static void virtiofsd_38ecb62_lookup_races_forget(void **state)
{
	(void)state;
	host_write(f, "a", "");
	host_write(f, "b", "1");
	host_write(f, "c", "12");
	run_threads(THREADS, lookup_forget, NULL);
	assert_int_equal(open_fds(), fds);
}

/* virtiofsd 2382a83: what an entry says of a file and the node it gives are of one file. */
static void rename_or_lookup(void *arg, unsigned int number)
{
	struct fs_entry entry;
	struct fs_attr attr;

	(void)arg;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (number < 2) {
			if (fs_rename(fs, &root_caller, FS_ROOT_NODE, "a", FS_ROOT_NODE, "b", 2))
				abort();
			continue;
		}
		if (fs_lookup(fs, FS_ROOT_NODE, "a", &entry) ||
		    fs_getattr(fs, entry.node, FS_NO_HANDLE, &attr))
			abort();
		if (attr.stx.stx_ino != entry.attr.stx.stx_ino ||
		    attr.stx.stx_size != entry.attr.stx.stx_size)
			abort();
		fs_forget(fs, entry.node, 1);
	}
}

static void virtiofsd_2382a83_attributes_and_node_agree(void **state)
{
	(void)state;
	host_write(f, "a", "1");
	host_write(f, "b", "22");
	run_threads(THREADS, rename_or_lookup, NULL);
	assert_int_equal(open_fds(), fds);
}

/* A name that is moved out of its directory while it is looked up was there, or was not. */
static void move_or_lookup(void *arg, unsigned int number)
{
	uint64_t dir = *(const uint64_t *)arg;
	struct fs_entry entry;
	int err;

	for (unsigned int i = 0; i < 10 * ROUNDS; i++) {
		if (number == 0) {
			if (fs_rename(fs, &root_caller, dir, "a", FS_ROOT_NODE, "a", 0) ||
			    fs_rename(fs, &root_caller, FS_ROOT_NODE, "a", dir, "a", 0))
				abort();
			continue;
		}
		err = fs_lookup(fs, dir, "a", &entry);
		if (!one_of(err, -ENOENT, 0, 0))
			abort();
		if (!err)
			fs_forget(fs, entry.node, 1);
	}
}

static void lookup_races_a_move_to_elsewhere(void **state)
{
	uint64_t dir;

	(void)state;
	dir = must_mkdir(fs, FS_ROOT_NODE, "d");
	host_write(f, "d/a", "1");
	run_threads(2, move_or_lookup, &dir);
	fs_forget(fs, dir, 1);
	assert_int_equal(open_fds(), fds);
}

static void create_or_unlink(void *arg, unsigned int number)
{
	struct fs_entry entry;
	uint64_t handle;
	int err;

	(void)arg;
	for (unsigned int i = 0; i < ROUNDS / 4; i++) {
		if (number == 0) {
			err = fs_unlink(fs, &root_caller, FS_ROOT_NODE, "a");
			if (!one_of(err, -ENOENT, 0, 0))
				abort();
			continue;
		}
		if (number == 1) {
			err = fs_rename(fs, &root_caller, FS_ROOT_NODE, "a", FS_ROOT_NODE, "b", 0);
			if (!one_of(err, -ENOENT, 0, 0))
				abort();
			continue;
		}
		err = fs_create(fs, &root_caller, FS_ROOT_NODE, "a", O_RDWR, 0600, &entry, &handle);
		if (!one_of(err, -ENOENT, 0, 0))
			abort();
		if (err)
			continue;
		if (write_at(fs, handle, 0, "x", 1) != 1 || fs_release(fs, handle))
			abort();
		fs_forget(fs, entry.node, 1);
	}
}

static void create_races_unlink_and_rename(void **state)
{
	(void)state;
	run_threads(THREADS, create_or_unlink, NULL);
	assert_int_equal(open_fds(), fds);
}

static uint64_t shared_handle;

/* A READ that is told EBADF is fine; one that reads another file's bytes is not. */
static void release_or_read(void *arg, unsigned int number)
{
	const uint64_t *nodes = arg;
	uint64_t handle;
	ssize_t n;
	char byte;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		handle = __atomic_load_n(&shared_handle, __ATOMIC_RELAXED);
		if (number == 0) {
			if (fs_release(fs, handle) == -EINVAL ||
			    fs_open(fs, &root_caller, nodes[0], O_RDONLY, &handle))
				abort();
			__atomic_store_n(&shared_handle, handle, __ATOMIC_RELAXED);
		} else if (number == 1) {
			if (fs_open(fs, &root_caller, nodes[1], O_RDONLY, &handle) || fs_release(fs, handle))
				abort();
		} else {
			n = read_at(fs, handle, 0, &byte, 1);
			if (n != -EBADF && (n != 1 || byte != '0'))
				abort();
		}
	}
}

static void release_races_read(void **state)
{
	uint64_t nodes[2];

	(void)state;
	host_write(f, "a", "0");
	host_write(f, "b", "1");
	nodes[0] = must_lookup(fs, FS_ROOT_NODE, "a");
	nodes[1] = must_lookup(fs, FS_ROOT_NODE, "b");
	shared_handle = must_open(fs, nodes[0], O_RDONLY);
	run_threads(THREADS, release_or_read, nodes);
	fs_reset(fs);
	assert_int_equal(open_fds(), fds);
}

/* CVE-2026-77179: a parent that turns into a link to elsewhere, again and again. */
static void swap_or_create(void *arg, unsigned int number)
{
	uint64_t dir = *(const uint64_t *)arg;
	struct fs_entry entry;
	uint64_t handle;
	char name[32];
	int err;

	for (unsigned int i = 0; i < ROUNDS / 2; i++) {
		if (number == 0) {
			if (renameat2(AT_FDCWD, host_path(f, "d"), AT_FDCWD, host_path(f, "l"), 2))
				abort();
			continue;
		}
		snprintf(name, sizeof(name), "n%u-%u", number, i);
		err = fs_create(fs, &root_caller, dir, name, O_RDWR, 0600, &entry, &handle);
		if (err || fs_release(fs, handle) || fs_unlink(fs, &root_caller, dir, name))
			abort();
		fs_forget(fs, entry.node, 1);
		/* By name, it is the directory or the link, but never what the link leads to. */
		if (fs_lookup(fs, FS_ROOT_NODE, "d", &entry))
			abort();
		if (entry.node != dir && !S_ISLNK(entry.attr.stx.stx_mode))
			abort();
		fs_forget(fs, entry.node, 1);
	}
}

static void cve_2026_77179_nothing_escapes_through_a_swapped_parent(void **state)
{
	uint64_t dir;

	(void)state;
	dir = must_mkdir(fs, FS_ROOT_NODE, "d");
	assert_int_equal(mkdir(host_path(f, "outside"), 0777), 0);
	assert_int_equal(symlink(host_path(f, "outside"), host_path(f, "l")), 0);
	run_threads(3, swap_or_create, &dir);
	/* Whatever was made was made in the directory: the other one is still empty. */
	assert_int_equal(rmdir(host_path(f, "outside")), 0);
}

/*
 * The name of a new file leads elsewhere before CREATE is over (crosvm's bug
 * 541377094): node, attributes and handle are of the file that was made.
 */
static void replace_or_create(void *arg, unsigned int number)
{
	struct fs_entry entry;
	struct fs_attr attr;
	uint64_t handle;
	int err;

	(void)arg;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (number == 0) {
			/* A link to what the guest may not reach takes the place of what it makes. */
			if (symlink(host_path(f, "secret"), host_path(f, "l")) && errno != EEXIST)
				abort();
			if (rename(host_path(f, "l"), host_path(f, "n")))
				abort();
			continue;
		}
		if (number == 1) {
			if (unlink(host_path(f, "n")) && errno != ENOENT)
				abort();
			continue;
		}
		err = fs_create(fs, &root_caller, FS_ROOT_NODE, "n", O_RDWR | O_EXCL, 0600, &entry,
				&handle);
		if (err == -EEXIST)
			continue;
		if (err || !S_ISREG(entry.attr.stx.stx_mode) || entry.attr.stx.stx_size)
			abort();
		if (write_at(fs, handle, 0, "x", 1) != 1 ||
		    fs_getattr(fs, entry.node, handle, &attr) || attr.stx.stx_size != 1 ||
		    attr.stx.stx_ino != entry.attr.stx.stx_ino)
			abort();
		/* The node by itself, too; nothing else has the file open. */
		if (fs_getattr(fs, entry.node, FS_NO_HANDLE, &attr) ||
		    attr.stx.stx_ino != entry.attr.stx.stx_ino)
			abort();
		if (fs_release(fs, handle))
			abort();
		fs_forget(fs, entry.node, 1);
	}
}

static void crosvm_541377094_create_is_never_by_name_again(void **state)
{
	struct stat before, after;

	(void)state;
	host_write(f, "secret", "secret");
	before = host_stat(f, "secret");
	run_threads(THREADS, replace_or_create, NULL);
	after = host_stat(f, "secret");
	assert_int_equal(after.st_size, 6);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
	assert_int_equal(open_fds(), fds);
}

/*
 * 9pfs' family (CVE-2016-7116 to CVE-2021-20181): a node is forgotten, its
 * handle released and its name moved, all while it is used.
 */
static void forget_release_or_rename(void *arg, unsigned int number)
{
	uint64_t *node = arg;
	struct fs_entry entry;
	struct fs_attr attr;
	uint64_t handle;
	int err;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t used = __atomic_load_n(node, __ATOMIC_RELAXED);

		switch (number) {
		case 0:
			fs_forget(fs, used, 1 + i % 3);
			err = fs_lookup(fs, FS_ROOT_NODE, i % 2 ? "a" : "b", &entry);
			if (!one_of(err, -ENOENT, 0, 0))
				abort();
			if (!err)
				__atomic_store_n(node, entry.node, __ATOMIC_RELAXED);
			break;
		case 1:
			err = fs_rename(fs, &root_caller, FS_ROOT_NODE, "a", FS_ROOT_NODE, "b", 0);
			if (one_of(err, -ENOENT, 0, 0))
				err = fs_rename(fs, &root_caller, FS_ROOT_NODE, "b", FS_ROOT_NODE, "a", 0);
			if (!one_of(err, -ENOENT, 0, 0))
				abort();
			break;
		default:
			err = fs_open(fs, &root_caller, used, O_RDWR, &handle);
			if (!one_of(err, -ESTALE, 0, 0))
				abort();
			if (!err && (fs_getattr(fs, used, handle, &attr) || fs_release(fs, handle)))
				abort();
			if (!err && fs_release(fs, handle) != -EBADF)
				abort();
		}
	}
}

static void cve_2016_7116_forget_races_release_and_rename(void **state)
{
	uint64_t node;

	(void)state;
	host_write(f, "a", "1");
	node = must_lookup(fs, FS_ROOT_NODE, "a");
	run_threads(THREADS, forget_release_or_rename, &node);
	fs_reset(fs);
	assert_int_equal(open_fds(), fds);
}

static bool take_all(void *ctx, const struct fs_dirent *d)
{
	unsigned int *left = ctx;

	if (!(*left)--)
		return false;
	if (d->entry && d->entry->node)
		fs_forget(fs, d->entry->node, 1);
	return true;
}

#define SEEN 64

/* Node ids that were given out, to whichever thread; most are stale. */
static uint64_t seen[SEEN] = { FS_ROOT_NODE };

static void see(unsigned int *seed, int err, const struct fs_entry *entry)
{
	if (!err)
		__atomic_store_n(&seen[1 + (unsigned int)rand_r(seed) % (SEEN - 1)], entry->node,
				 __ATOMIC_RELAXED);
}

/* Every other time the root, so that there is always something to be seen. */
static uint64_t one_seen(unsigned int *seed)
{
	unsigned int n = (unsigned int)rand_r(seed) % (2 * SEEN);

	return n < SEEN ? __atomic_load_n(&seen[n], __ATOMIC_RELAXED) : FS_ROOT_NODE;
}

static void anything(void *arg, unsigned int number)
{
	unsigned int seed = number + 1, left;
	struct fs_entry entry;
	struct fs_attr attr;
	uint64_t handle;

	(void)arg;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t guess = one_seen(&seed);
		char name[2] = { (char)('a' + rand_r(&seed) % 6), 0 };

		switch (rand_r(&seed) % 10) {
		case 0: see(&seed, fs_lookup(fs, guess, name, &entry), &entry); break;
		case 1: fs_forget(fs, guess, (uint64_t)(rand_r(&seed) % 3)); break;
		case 2:
			see(&seed, fs_mkdir(fs, &root_caller, guess, name, 0700, &entry), &entry);
			break;
		case 3:
			see(&seed, fs_create(fs, &root_caller, guess, name, O_RDWR, 0600, &entry,
					     &handle), &entry);
			break;
		case 4: fs_rename(fs, &root_caller, guess, name, 1, "b", 0); break;
		case 5: fs_unlink(fs, &root_caller, guess, name); break;
		case 6: fs_getattr(fs, guess, FS_NO_HANDLE, &attr); break;
		case 7: see(&seed, fs_link(fs, &root_caller, guess, 1, name, &entry), &entry); break;
		case 8:
			if (rand_r(&seed) % 100 == 0)
				fs_reset(fs);
			break;
		default:
			left = 3;
			if (fs_opendir(fs, guess, &handle))
				break;
			fs_readdir(fs, guess, handle, 0, true, 4096, take_all, &left);
			fs_releasedir(fs, handle);
		}
	}
}

static void anything_races_anything(void **state)
{
	(void)state;
	run_threads(THREADS, anything, NULL);
	fs_reset(fs);
	assert_int_equal(open_fds(), fds);
}

static void walk_one_handle(void *arg, unsigned int number)
{
	uint64_t handle = *(const uint64_t *)arg;

	for (unsigned int i = 0; i < ROUNDS / 10; i++) {
		unsigned int left = 5 + number;

		if (fs_readdir(fs, 1, handle, 0, number % 2, 4096, take_all, &left))
			abort();
	}
}

static void one_directory_handle_for_all(void **state)
{
	uint64_t handle;

	(void)state;
	for (char c = 'a'; c < 'm'; c++)
		host_write(f, (char[]){ c, 0 }, "");
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), 0);
	run_threads(THREADS, walk_one_handle, &handle);
	assert_int_equal(fs_releasedir(fs, handle), 0);
	assert_int_equal(open_fds(), fds);
}

#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(virtiofsd_38ecb62_lookup_races_forget),
		FS_TEST(virtiofsd_2382a83_attributes_and_node_agree),
		FS_TEST(lookup_races_a_move_to_elsewhere),
		FS_TEST(create_races_unlink_and_rename),
		FS_TEST(release_races_read),
		FS_TEST(cve_2026_77179_nothing_escapes_through_a_swapped_parent),
		FS_TEST(crosvm_541377094_create_is_never_by_name_again),
		FS_TEST(cve_2016_7116_forget_races_release_and_rename),
		FS_TEST(anything_races_anything),
		FS_TEST(one_directory_handle_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
