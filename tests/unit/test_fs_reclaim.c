/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that comes across more files than casementd may have open, and remembers
 * them all: those that it does not use are let go of, and no request fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/fs/fs_private.h"
#include "tests/unit/fs_fixture.h"

#define FILES 1000u
#define DESCRIPTORS 200u	/* that the process may have open; the budget is three quarters */

static struct fixture *f;
static struct fs *fs;
static struct rlimit old;
static uint64_t nodes[FILES];

static const char *name_of(unsigned int i)
{
	static __thread char name[16];

	snprintf(name, sizeof(name), "%u", i);
	return name;
}

static int setup(void **state)
{
	struct rlimit few;

	f = fixture_new(NULL);
	for (unsigned int i = 0; i < FILES; i++)
		host_write(f, name_of(i), name_of(i));
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

static int is_known(uint64_t node)
{
	struct fs_attr attr;

	return fs_getattr(fs, node, FS_NO_HANDLE, &attr);
}

static void learn_all(void)
{
	for (unsigned int i = 0; i < FILES; i++)
		nodes[i] = must_lookup(fs, FS_ROOT_NODE, name_of(i));
}

static unsigned int count_known(void)
{
	unsigned int known = 0;

	for (unsigned int i = 0; i < FILES; i++) {
		int err = is_known(nodes[i]);

		assert_true(err == 0 || err == -ESTALE);
		known += !err;
	}
	return known;
}

static void all_can_be_looked_up(void **state)
{
	unsigned int known;
	uint64_t node;

	(void)state;
	learn_all();
	known = count_known();
	assert_in_range(known, DESCRIPTORS / 2, DESCRIPTORS);
	/* Looked up again it is the same file, by another id. */
	assert_int_equal(is_known(nodes[0]), -ESTALE);
	node = must_lookup(fs, FS_ROOT_NODE, "0");
	assert_int_not_equal(node, nodes[0]);
	assert_int_equal(is_known(node), 0);
	assert_in_range(fs->budget.used, known - DESCRIPTORS / 8, DESCRIPTORS);
}

static void what_is_in_use_stays(void **state)
{
	uint64_t dir, fifo, file, handle, made, made_handle;
	char byte;

	(void)state;
	assert_int_equal(mkfifo(host_path(f, "fifo"), 0600), 0);
	dir = must_mkdir(fs, FS_ROOT_NODE, "dir");
	fifo = must_lookup(fs, FS_ROOT_NODE, "fifo");
	file = must_lookup(fs, FS_ROOT_NODE, "7");
	handle = must_open(fs, file, O_RDONLY);
	made = must_create(fs, dir, "made", &made_handle);
	learn_all();
	learn_all();
	assert_int_equal(is_known(dir), 0);
	assert_int_equal(is_known(fifo), 0);
	assert_int_equal(is_known(file), 0);
	assert_int_equal(is_known(made), 0);
	assert_int_equal(read_at(fs, handle, 0, &byte, 1), 1);
	assert_int_equal(must_lookup(fs, dir, "made"), made);
	/* Closed, it is one of the others. */
	assert_int_equal(fs_release(fs, handle), 0);
	learn_all();
	learn_all();
	assert_int_equal(is_known(file), -ESTALE);
	assert_int_equal(is_known(made), 0);
}

/* As long as the guest looks a file up now and then, its id is the same. */
static void what_was_looked_up_lately_stays(void **state)
{
	uint64_t hot;

	(void)state;
	host_write(f, "hot", "");
	hot = must_lookup(fs, FS_ROOT_NODE, "hot");
	for (unsigned int i = 0; i < 3 * FILES; i++) {
		must_lookup(fs, FS_ROOT_NODE, name_of(i % FILES));
		if (i % 20 == 0)
			assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "hot"), hot);
	}
}

struct part {
	uint64_t next;
	unsigned int room;
};

static bool take(void *ctx, const struct fs_dirent *entry)
{
	struct part *part = ctx;

	if (!part->room)
		return false;
	part->room--;
	part->next = entry->next;
	return true;
}

/* A walk through a large tree by listings lets go of what it found itself, and not soon of what was named. */
static void listings_let_go_of_their_own(void **state)
{
	uint64_t named[10], listing;
	struct part part = { 0 };

	(void)state;
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &listing), 0);
	for (unsigned int i = 0; i < 10; i++)
		named[i] = must_lookup(fs, FS_ROOT_NODE, name_of(i));
	for (unsigned int round = 0; round < FILES / DESCRIPTORS; round++) {
		part.room = DESCRIPTORS;
		assert_int_equal(fs_readdir(fs, FS_ROOT_NODE, listing, part.next, true, 1 << 20, take, &part), 0);
		assert_int_equal(part.room, 0);
		for (unsigned int i = 0; i < 10; i++) {
			assert_int_equal(is_known(named[i]), 0);
			must_lookup(fs, FS_ROOT_NODE, name_of(i));
		}
	}
	assert_int_equal(fs_releasedir(fs, listing), 0);
}

/* By its other name the guest would go on to see what the old id had: these go when there is nothing else. */
static void files_with_several_names_go_last(void **state)
{
	struct fs_config believed = { .links_stay = true };
	struct fs_entry entry;
	uint64_t linked;
	struct fs *believing;
	int err = 0;

	(void)state;
	assert_int_equal(link(host_path(f, "0"), host_path(f, "other name")), 0);
	linked = must_lookup(fs, FS_ROOT_NODE, "0");
	learn_all();
	learn_all();
	assert_int_equal(is_known(linked), 0);
	for (unsigned int i = 0; i < FILES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "too-%u", i);
		if (i)
			assert_int_equal(link(host_path(f, name_of(i)), host_path(f, name)), 0);
	}
	learn_all();
	/* Where the guest believes attributes without end, they do not go. */
	believing = fixture_serve(f, &believed);
	for (unsigned int i = 0; i < FILES && !err; i++)
		err = fs_lookup(believing, FS_ROOT_NODE, name_of(i), &entry);
	assert_int_equal(err, -ENFILE);
	fs_free(believing);
}

static unsigned int asked;	/* calls of statx(2) */

int statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	__atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED);
	return (int)syscall(SYS_statx, fd, path, flags, mask, stx);
}

/* A tree of hard links, as backups are: it is not asked of all, each time, how many names they have. */
static void several_names_are_asked_for_once(void **state)
{
	char name[16];

	(void)state;
	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "too-%u", i);
		assert_int_equal(link(host_path(f, name_of(i)), host_path(f, name)), 0);
	}
	asked = 0;
	learn_all();
	assert_in_range(asked, FILES, 6 * FILES);
}

/* New files, links and handles find room as look-ups do. */
static void all_that_costs_a_descriptor_finds_room(void **state)
{
	struct fs_entry entry;
	uint64_t handle;

	(void)state;
	learn_all();
	for (unsigned int i = 0; i < DESCRIPTORS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "new-%u", i);
		must_create(fs, FS_ROOT_NODE, name, &handle);
		assert_int_equal(fs_release(fs, handle), 0);
		snprintf(name, sizeof(name), "link-%u", i);
		assert_int_equal(fs_symlink(fs, &root_caller, FS_ROOT_NODE, name, "target", &entry), 0);
	}
	handle = must_open(fs, must_lookup(fs, FS_ROOT_NODE, "3"), O_RDONLY);
	for (unsigned int i = 0; i < DESCRIPTORS / 2; i++)
		must_open(fs, must_lookup(fs, FS_ROOT_NODE, "3"), O_RDONLY);
	assert_int_equal(fs_release(fs, handle), 0);
}

/* What is not let go of has an end, and it is told soon each time. */
static void fifos_have_an_end(void **state)
{
	uint64_t fifos[DESCRIPTORS];
	struct fs_entry entry;
	unsigned int n = 0;
	char name[16];
	int err = 0;

	(void)state;
	while (n < DESCRIPTORS && !err) {
		snprintf(name, sizeof(name), "fifo-%u", n);
		assert_int_equal(mkfifo(host_path(f, name), 0600), 0);
		err = fs_lookup(fs, FS_ROOT_NODE, name, &entry);
		if (!err)
			fifos[n++] = entry.node;
	}
	assert_int_equal(err, -ENFILE);
	assert_int_equal(fs_lookup(fs, FS_ROOT_NODE, "1", &entry), -ENFILE);
	assert_int_equal(fs_mkdir(fs, &root_caller, FS_ROOT_NODE, "new", 0755, &entry), -ENFILE);
	assert_int_equal(access(host_path(f, "new"), F_OK), -1);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(is_known(fifos[i]), 0);
	fs_forget(fs, fifos[0], 1);
	must_lookup(fs, FS_ROOT_NODE, "1");
}

static bool maps(void *ctx, const struct fs_file_id *file)
{
	return file->node == *(const uint64_t *)ctx;
}

static int never_resized(void *ctx, const struct fs_file_id *file, uint64_t size)
{
	(void)ctx;
	(void)file;
	(void)size;
	return 0;
}

/* The guest has no handle of it any more, and its pages are in the window still. */
static void what_is_mapped_stays(void **state)
{
	uint64_t mapped = must_lookup(fs, FS_ROOT_NODE, "5");
	const struct fs_watch watch = { .ctx = &mapped, .maps = maps, .size_seen = never_resized };

	(void)state;
	fs_set_watch(fs, &watch);
	learn_all();
	learn_all();
	assert_int_equal(is_known(mapped), 0);
}

/* As an overlayfs needs it, which does not look a name up again whose file turned stale. */
static const struct fs_config staying = { .ids_stay = true };

static void ids_stay_where_they_are_asked_to(void **state)
{
	struct fs_entry entry;
	unsigned int n = 0;

	(void)state;
	while (n < FILES && fs_lookup(fs, FS_ROOT_NODE, name_of(n), &entry) == 0)
		nodes[n++] = entry.node;
	assert_in_range(n, DESCRIPTORS / 2, DESCRIPTORS * 3 / 4);
	assert_int_equal(fs_lookup(fs, FS_ROOT_NODE, name_of(n), &entry), -ENFILE);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(is_known(nodes[i]), 0);
	/* What is known can be opened all the same. */
	for (unsigned int i = 0; i < DESCRIPTORS / 8; i++)
		must_open(fs, nodes[i], O_RDONLY);
}

/* By several queues at once: each finds room, and what each looked up a moment ago is there. */
static void look_and_open(void *arg, unsigned int number)
{
	unsigned int *stale = arg;

	for (unsigned int i = 0; i < 4 * FILES; i++) {
		uint64_t handle;
		int err = fs_open(fs, &root_caller,
				  must_lookup(fs, FS_ROOT_NODE, name_of((i * 7 + number * 250) % FILES)), O_RDONLY,
				  &handle);

		if (err == -ESTALE) {
			__atomic_fetch_add(stale, 1, __ATOMIC_RELAXED);
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(fs_release(fs, handle), 0);
	}
}

static void several_threads_find_room(void **state)
{
	unsigned int stale = 0;

	(void)state;
	run_threads(4, look_and_open, &stale);
	/* It takes two looks of the hand between a look-up and its open: next to never. */
	assert_in_range(stale, 0, FILES / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_can_be_looked_up, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_in_use_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_looked_up_lately_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(listings_let_go_of_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(files_with_several_names_go_last, setup, teardown),
		cmocka_unit_test_setup_teardown(several_names_are_asked_for_once, setup, teardown),
		cmocka_unit_test_setup_teardown(all_that_costs_a_descriptor_finds_room, setup, teardown),
		cmocka_unit_test_setup_teardown(fifos_have_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_mapped_stays, setup, teardown),
		cmocka_unit_test_prestate_setup_teardown(ids_stay_where_they_are_asked_to, setup, teardown,
							 (void *)&staying),
		cmocka_unit_test_setup_teardown(several_threads_find_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
