/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that knows more directories than casementd may have open: those that it does not use rest, known by
 * their names alone. Each keeps its id, and is found again or is stale; none is taken for another.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/fs/fs_private.h"
#include "tests/skip.h"
#include "tests/unit/fs_fixture.h"

#define DIRS 260u
#define DESCRIPTORS 200u	/* that the process may have open; the budget is three quarters */
#define LONG_NAME 150		/* more than an inode has room for */

static struct fixture *f;
static struct fs *fs;
static struct rlimit old;
static uint64_t nodes[DIRS], inner[DIRS];

static const char *name_of(unsigned int i)
{
	static __thread char name[LONG_NAME + 1];

	snprintf(name, sizeof(name), "%u", i);
	if (i % 3 == 0)
		snprintf(name, sizeof(name), "%0*u", LONG_NAME, i);
	return name;
}

static uint64_t born(const char *path)
{
	struct statx stx;

	assert_int_equal(statx(AT_FDCWD, path, 0, STATX_BTIME, &stx), 0);
	return stx.stx_mask & STATX_BTIME ? (uint64_t)stx.stx_btime.tv_sec * 1000000000 + stx.stx_btime.tv_nsec : 0;
}

/* The clock that births are taken from moves on: what was made before is told from what comes. */
static void let_clock_tick(void)
{
	uint64_t begin = born(host_path(f, name_of(DIRS - 1))), now;

	if (!begin)
		SKIP_BECAUSE("the file system tells no births");
	do {
		assert_int_equal(mkdir(host_path(f, "probe"), 0755), 0);
		now = born(host_path(f, "probe"));
		assert_int_equal(rmdir(host_path(f, "probe")), 0);
	} while (now < begin + 50000000);
}

static void make_dirs(void)
{
	for (unsigned int i = 0; i < DIRS; i++) {
		char path[PATH_MAX];

		assert_int_equal(mkdir(host_path(f, name_of(i)), 0755), 0);
		snprintf(path, sizeof(path), "%s/inner", host_path(f, name_of(i)));
		assert_int_equal(mkdir(path, 0755), 0);
	}
}

static int setup(void **state)
{
	struct rlimit few;

	f = fixture_new(NULL);
	make_dirs();
	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit){ .rlim_cur = DESCRIPTORS, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	fs = fixture_serve(f, *state);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fs_free(fs);
	setrlimit(RLIMIT_NOFILE, &old);
	fixture_free(f);
	return 0;
}

static int ask(uint64_t node)
{
	struct fs_attr attr;

	return fs_getattr(fs, node, FS_NO_HANDLE, &attr);
}

static bool at_rest(uint64_t node)
{
	struct inode *inode = inode_table_get(&fs->inodes, node);
	bool rests = inode && !inode_fd_held(inode);

	inode_put(inode);
	return rests;
}

static void learn_all(void)
{
	let_clock_tick();
	for (unsigned int i = 0; i < DIRS; i++) {
		nodes[i] = must_lookup(fs, FS_ROOT_NODE, name_of(i));
		inner[i] = must_lookup(fs, nodes[i], "inner");
	}
}

/* One that rests and whose parent does, too. */
static unsigned int find_resting(void)
{
	for (unsigned int i = 0; i < DIRS; i++)
		if (at_rest(nodes[i]) && at_rest(inner[i]))
			return i;
	fail_msg("no directory rests");
	return 0;
}

static void all_are_known_and_keep_their_ids(void **state)
{
	uint64_t handle;

	(void)state;
	learn_all();
	find_resting();
	for (unsigned int i = 0; i < DIRS; i++) {
		assert_int_equal(ask(inner[i]), 0);
		assert_int_equal(fs_opendir(fs, inner[i], &handle), 0);
		assert_int_equal(fs_releasedir(fs, handle), 0);
		assert_int_equal(must_lookup(fs, FS_ROOT_NODE, name_of(i)), nodes[i]);
		assert_int_equal(must_lookup(fs, nodes[i], "inner"), inner[i]);
	}
	assert_in_range(fs->budget.used, 1, fs->budget.limit);
}

/* All that was taken is given back. */
static void forgotten_they_leave_nothing(void **state)
{
	unsigned int before = open_fds();

	(void)state;
	learn_all();
	find_resting();
	for (unsigned int i = 0; i < DIRS; i++) {
		fs_forget(fs, inner[i], 1);
		fs_forget(fs, nodes[i], 1);
	}
	assert_int_equal(fs->budget.used, 0);
	assert_int_equal(open_fds(), before);
	learn_all();
	fs_reset(fs);
	assert_int_equal(fs->budget.used, 0);
	assert_int_equal(open_fds(), before);
}

/* The guest's kernel moved it there, and will not look it up again. */
static void the_guest_moves_one_that_rests(void **state)
{
	unsigned int i, k;

	(void)state;
	learn_all();
	i = find_resting();
	k = (i + 1) % DIRS;
	assert_int_equal(fs_rename(fs, &root_caller, FS_ROOT_NODE, name_of(i), nodes[k], "moved", 0), 0);
	assert_int_equal(ask(inner[i]), 0);
	assert_int_equal(ask(nodes[i]), 0);
	/* Both names change at once. */
	for (k = i + 2; k < DIRS - 1 && !(at_rest(nodes[k]) && at_rest(nodes[k + 1])); k++)
		continue;
	assert_in_range(k, 0, DIRS - 2);
	assert_int_equal(fs_rename(fs, &root_caller, nodes[k], "inner", FS_ROOT_NODE, name_of(k + 1), RENAME_EXCHANGE), 0);
	assert_int_equal(ask(inner[k]), 0);
	assert_int_equal(ask(nodes[k + 1]), 0);
	assert_int_equal(ask(inner[k + 1]), 0);
}

/* It is stale until a look-up finds it; then its id is the same, and what is in it is known again. */
static void the_host_moves_one_that_rests(void **state)
{
	char there[PATH_MAX];
	unsigned int i;

	(void)state;
	learn_all();
	i = find_resting();
	snprintf(there, sizeof(there), "%s", host_path(f, "there"));
	assert_int_equal(rename(host_path(f, name_of(i)), there), 0);
	assert_int_equal(ask(inner[i]), -ESTALE);
	assert_int_equal(ask(nodes[i]), -ESTALE);
	assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "there"), nodes[i]);
	assert_int_equal(ask(nodes[i]), 0);
	assert_int_equal(ask(inner[i]), 0);
}

/* Another directory of its name is not it; nor is a link that leads to it. */
static void another_of_its_name_is_not_it(void **state)
{
	char there[PATH_MAX];
	struct fs_entry entry;
	unsigned int i;

	(void)state;
	learn_all();
	i = find_resting();
	snprintf(there, sizeof(there), "%s", host_path(f, "there"));
	assert_int_equal(rename(host_path(f, name_of(i)), there), 0);
	assert_int_equal(mkdir(host_path(f, name_of(i)), 0755), 0);
	assert_int_equal(ask(nodes[i]), -ESTALE);
	assert_int_equal(rmdir(host_path(f, name_of(i))), 0);
	assert_int_equal(symlink(there, host_path(f, name_of(i))), 0);
	assert_int_equal(ask(nodes[i]), -ESTALE);
	assert_int_equal(unlink(host_path(f, name_of(i))), 0);
	/* Gone, and perhaps with its number given to another. */
	snprintf(there, sizeof(there), "%s/inner", host_path(f, "there"));
	assert_int_equal(rmdir(there), 0);
	assert_int_equal(rmdir(host_path(f, "there")), 0);
	assert_int_equal(mkdir(host_path(f, name_of(i)), 0755), 0);
	assert_int_equal(ask(nodes[i]), -ESTALE);
	assert_int_equal(fs_lookup(fs, FS_ROOT_NODE, name_of(i), &entry), 0);
	assert_int_not_equal(entry.node, nodes[i]);
}

/* What the host has moved may go round in a circle; that ends. */
static void a_circle_is_stale(void **state)
{
	char from[PATH_MAX], to[PATH_MAX];
	unsigned int i;

	(void)state;
	learn_all();
	i = find_resting();
	/* The one is known by its name in the other, and the other in the one. */
	snprintf(from, sizeof(from), "%s/inner", host_path(f, name_of(i)));
	snprintf(to, sizeof(to), "%s", host_path(f, "top"));
	assert_int_equal(rename(from, to), 0);
	snprintf(to, sizeof(to), "%s/below", host_path(f, "top"));
	assert_int_equal(rename(host_path(f, name_of(i)), to), 0);
	inode_name_note(inode_at(&fs->inodes.slab, (uint32_t)nodes[i]), inode_at(&fs->inodes.slab, (uint32_t)inner[i]),
			"below");
	assert_int_equal(ask(inner[i]), -ESTALE);
	assert_int_equal(ask(nodes[i]), -ESTALE);
	assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "top"), inner[i]);
	assert_int_equal(ask(nodes[i]), 0);
}

static void look_around(void *arg, unsigned int number)
{
	struct fs_attr attr;
	uint64_t handle;

	(void)arg;
	for (unsigned int i = 0; i < 2 * DIRS; i++) {
		unsigned int k = (i * 7 + number * 131) % DIRS;

		if (number == 0)
			assert_int_equal(must_lookup(fs, FS_ROOT_NODE, name_of(k)), nodes[k]);
		assert_int_equal(fs_getattr(fs, inner[k], FS_NO_HANDLE, &attr), 0);
		assert_int_equal(fs_opendir(fs, nodes[k], &handle), 0);
		assert_int_equal(must_lookup(fs, nodes[k], "inner"), inner[k]);
		assert_int_equal(fs_releasedir(fs, handle), 0);
		/* Others are woken, so that somebody is laid to rest all the time. */
		while (fs->budget.limit - __atomic_load_n(&fs->budget.used, __ATOMIC_RELAXED) > 4 && number == 1)
			ask(nodes[k++ % DIRS]);
	}
}

static void several_threads_wake_and_lay_to_rest(void **state)
{
	(void)state;
	learn_all();
	run_threads(4, look_around, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_are_known_and_keep_their_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(forgotten_they_leave_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_guest_moves_one_that_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(the_host_moves_one_that_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(another_of_its_name_is_not_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_circle_is_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(several_threads_wake_and_lay_to_rest, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
