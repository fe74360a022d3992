/* SPDX-License-Identifier: BSD-3-Clause */
/* The file system: directories read in small pieces, while they change, and from the middle. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "daemon/fs/fs_private.h"
#include "tests/unit/plain_fs.h"
#include "tests/skip.h"

#define FILES 500
#define SMALL_REPLY 500

/* The same with no memory for listings between two requests. */
static int setup_poor(void **state)
{
	setup(state);
	fs->listings.limit = 0;
	return 0;
}

/* One reply's worth of a walk, and what was seen of files named by a number. */
struct listing {
	size_t room;			/* bytes left in this reply */
	unsigned int entries;		/* in this reply */
	uint64_t next;			/* where the next reply starts */
	unsigned int seen[FILES];
	unsigned int dots, others;
	unsigned int resolved;		/* readdirplus: entries with a node */
	uint64_t last_node;
	bool remove;			/* delete each file as it is seen */
	bool forget;			/* give the lookups back */
	const char *dir;
};

static void note_name(struct listing *l, const struct fs_dirent *d)
{
	char name[256], path[512];
	int n;

	memcpy(name, d->name, d->name_len);
	name[d->name_len] = 0;
	if (!strcmp(name, ".") || !strcmp(name, "..")) {
		l->dots++;
		return;
	}
	if (sscanf(name, "f%d", &n) != 1) {
		l->others++;
		return;
	}
	l->seen[n]++;
	if (!l->remove)
		return;
	snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	assert_int_equal(unlink(path), 0);
}

static bool take(void *ctx, const struct fs_dirent *d)
{
	struct listing *l = ctx;
	size_t need = 24 + (((size_t)d->name_len + 7) & ~7UL) + (d->entry ? 128 : 0);

	if (need > l->room)
		return false;
	l->room -= need;
	l->entries++;
	l->next = d->next;
	if (d->entry && d->entry->node) {
		l->resolved++;
		l->last_node = d->entry->node;
		assert_int_equal(d->entry->attr.stx.stx_ino, d->number.own);
		if (l->forget)
			fs_forget(fs, d->entry->node, 1);
	}
	note_name(l, d);
	return true;
}

static unsigned int reply(uint64_t handle, bool plus, size_t room, struct listing *l)
{
	l->room = room;
	l->entries = 0;
	assert_int_equal(fs_readdir(fs, FS_ROOT_NODE, handle, l->next, plus, room, take, l), 0);
	return l->entries;
}

static void make_files(const char *dir)
{
	char name[64];

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%s/f%d", dir, i);
		host_write(f, name, "");
	}
}

static void all_seen_once(const struct listing *l)
{
	for (int i = 0; i < FILES; i++)
		assert_int_equal(l->seen[i], 1);
	assert_int_equal(l->dots, 2);
}

static void lists_all_in_small_replies(void **state)
{
	struct listing l = { .next = 0 };
	uint64_t handle;

	(void)state;
	make_files(".");
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), 0);
	while (reply(handle, false, SMALL_REPLY, &l))
		;
	all_seen_once(&l);
	/* Once more from the start, now with one file more, with which it must begin anew. */
	host_write(f, "later", "");
	l = (struct listing){ .next = 0 };
	while (reply(handle, false, 32768, &l))
		;
	all_seen_once(&l);
	assert_int_equal(l.others, 1);
}

static void delete_while_listing(void **state)
{
	struct listing l = { .remove = true, .dir = f->dir };
	uint64_t handle;

	(void)state;
	make_files(".");
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), 0);
	while (reply(handle, false, SMALL_REPLY, &l))
		;
	all_seen_once(&l);
	assert_int_equal(fs_releasedir(fs, handle), 0);
}

/* tmpfs keeps its places in a way of its own, which older kernels lose when one seeks. */
static void delete_while_listing_tmpfs(void **state)
{
	struct listing l = { .remove = true };
	uint64_t handle;
	char dir[128];

	(void)state;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	if (mount("none", host_path(f, "mnt"), "tmpfs", 0, "size=4M") < 0)
		SKIP_BECAUSE("only root may mount, and not in every container");
	snprintf(dir, sizeof(dir), "%s", host_path(f, "mnt"));
	l.dir = dir;
	make_files("mnt");
	assert_int_equal(fs_opendir(fs, must_lookup(fs, FS_ROOT_NODE, "mnt"), &handle), 0);
	while (reply(handle, false, SMALL_REPLY, &l))
		;
	all_seen_once(&l);
}

/* A guest's kernel drops what its program had no room for, and asks for it again. */
static void goes_back_to_any_place(void **state)
{
	struct listing l = { .next = 0 };
	uint64_t handle, places[FILES + 2];
	unsigned int n = 0;

	(void)state;
	make_files(".");
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), 0);
	do {
		places[n++] = l.next;
	} while (n < FILES + 2 && reply(handle, false, 40, &l));
	assert_int_equal(n, FILES + 2);
	for (unsigned int i = 0; i < n; i += 7) {
		unsigned int left = 0;

		l = (struct listing){ .next = places[(i * 97) % n] };
		while (reply(handle, false, 4096, &l))
			left += l.entries;
		left += l.entries;
		assert_int_equal(left, n - (i * 97) % n);
	}
	l = (struct listing){ .room = 1000 };
	assert_int_equal(fs_readdir(fs, 1, handle, UINT64_MAX, false, 1000, take, &l), -EINVAL);
}

static void plus_counts_what_was_taken(void **state)
{
	struct listing l = { .forget = true };
	unsigned int fds;
	uint64_t handle;

	(void)state;
	make_files(".");
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), 0);
	fds = open_fds();
	while (reply(handle, true, SMALL_REPLY, &l))
		;
	all_seen_once(&l);
	assert_int_equal(l.resolved, FILES);
	/* What was refused for want of room was given back; what was taken, we gave back. */
	assert_int_equal(open_fds(), fds);
}

static void plus_knows_what_lookup_knows(void **state)
{
	struct listing l = { .next = 0 };
	uint64_t handle, node;

	(void)state;
	host_write(f, "f1", "abc");
	node = must_lookup(fs, FS_ROOT_NODE, "f1");
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), 0);
	while (reply(handle, true, 4096, &l))
		;
	assert_int_equal(l.resolved, 1);
	assert_int_equal(l.last_node, node);
	fs_forget(fs, node, 1);
	assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "f1"), node);
}

static bool remove_then_take(void *ctx, const struct fs_dirent *d)
{
	struct listing *l = ctx;

	/* After the first file is seen, all others vanish: they stay listed, without attributes. */
	l->entries++;
	if (d->entry->node && !l->resolved++) {
		for (int i = 0; i < FILES; i++) {
			char name[16];

			snprintf(name, sizeof(name), "f%d", i);
			unlink(host_path(f, name));
		}
	}
	return true;
}

static void vanished_entries_do_not_fail_a_walk(void **state)
{
	struct listing l = { .next = 0 };
	uint64_t handle;

	(void)state;
	make_files(".");
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), 0);
	assert_int_equal(fs_readdir(fs, 1, handle, 0, true, 4096, remove_then_take, &l), 0);
	assert_int_equal(l.resolved, 1);
	assert_true(l.entries > 100);
}

static void long_names_and_no_room(void **state)
{
	char longest[256];
	struct listing l = { .next = 0 };
	uint64_t handle;
	unsigned int total = 0;

	(void)state;
	for (int len = 1; len <= 255; len++) {
		memset(longest, 'n', (size_t)len);
		longest[len] = 0;
		host_write(f, longest, "");
	}
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), 0);
	while (reply(handle, false, 300, &l))
		total += l.entries;
	assert_int_equal(total, 257);
	l = (struct listing){ .next = 0 };
	assert_int_equal(reply(handle, true, 10, &l), 0);
	assert_int_equal(reply(handle, true, 0, &l), 0);
}

static bool count_one(void *ctx, const struct fs_dirent *d)
{
	(void)d;
	++*(unsigned int *)ctx;
	return true;
}

#define RECORD_BYTES(name_len) ((19 + (name_len) + 1 + 7) & ~(size_t)7)	/* as getdents64(2) makes it */

/* Records that fill the buffer to its last byte: nothing past a name is read. (ASan looks.) */
static void records_fill_the_buffer_exactly(void **state)
{
	static const size_t lens[] = { 4, 5, 8, 12, 20, 60, 125, 252, 255 };
	char name[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		size_t len = lens[i], record = RECORD_BYTES(len), files = 8192 / record + 8;
		size_t hint = 2 * RECORD_BYTES(2) + (8192 / record + 1) * record;
		unsigned int n = 0;
		uint64_t dir;

		snprintf(name, sizeof(name), "dir%zu", len);
		dir = must_mkdir(fs, FS_ROOT_NODE, name);
		for (size_t k = 0; k < files; k++) {
			snprintf(name, sizeof(name), "dir%zu/%0*zu", len, (int)len, k);
			host_write(f, name, "");
		}
		assert_int_equal(fs_list(fs, dir, false, hint, count_one, &n), 0);
		assert_int_equal(n, files + 2);
	}
}

static void a_removed_directory_is_empty(void **state)
{
	uint64_t handle, dir = must_mkdir(fs, FS_ROOT_NODE, "d");
	struct listing l = { .next = 0 };

	(void)state;
	assert_int_equal(fs_opendir(fs, dir, &handle), 0);
	assert_int_equal(fs_rmdir(fs, &root_caller, FS_ROOT_NODE, "d"), 0);
	l.room = 1000;
	assert_int_equal(fs_readdir(fs, dir, handle, 0, true, 1000, take, &l), -ENOENT);
	assert_int_equal(l.entries, 0);
}

#define OPEN_DIRS 40
#define LISTINGS_LIMIT (8 * 32768)

/* Many directories open, each read in part: what they hold has a limit, and each goes on where it was. */
static void listings_of_many_directories(void **state)
{
	struct listing l[OPEN_DIRS] = { { .next = 0 } };
	uint64_t handles[OPEN_DIRS];

	(void)state;
	make_files(".");
	fs->listings.limit = LISTINGS_LIMIT;
	for (unsigned int i = 0; i < OPEN_DIRS; i++) {
		assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handles[i]), 0);
		assert_true(reply(handles[i], i % 2, SMALL_REPLY, &l[i]) > 0);
	}
	assert_in_range(fs->listings.used, LISTINGS_LIMIT / 2, LISTINGS_LIMIT);
	/* In turns, so that all are read in part all the time. */
	for (unsigned int left = OPEN_DIRS; left;) {
		left = 0;
		for (unsigned int i = 0; i < OPEN_DIRS; i++)
			left += reply(handles[i], i % 2, SMALL_REPLY, &l[i]) > 0;
		assert_in_range(fs->listings.used, 0, LISTINGS_LIMIT);
	}
	for (unsigned int i = 0; i < OPEN_DIRS; i++)
		all_seen_once(&l[i]);
	assert_int_equal(fs->listings.used, 0);
}

/* Whatever becomes of a directory that was read in part, its memory is given back. */
static void listings_give_their_memory_back(void **state)
{
	struct listing l = { .next = 0 };
	uint64_t handle;

	(void)state;
	make_files(".");
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), 0);
	reply(handle, false, SMALL_REPLY, &l);
	assert_int_not_equal(fs->listings.used, 0);
	assert_int_equal(fs_releasedir(fs, handle), 0);
	assert_int_equal(fs->listings.used, 0);
	l = (struct listing){ .next = 0 };
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &handle), 0);
	reply(handle, false, SMALL_REPLY, &l);
	fs_reset(fs);
	assert_int_equal(fs->listings.used, 0);
}

#define POOR_TEST(name) { #name "_poor", name, setup_poor, teardown, NULL }
#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(lists_all_in_small_replies),
		FS_TEST(delete_while_listing),
		FS_TEST(delete_while_listing_tmpfs),
		FS_TEST(goes_back_to_any_place),
		FS_TEST(plus_counts_what_was_taken),
		FS_TEST(plus_knows_what_lookup_knows),
		FS_TEST(vanished_entries_do_not_fail_a_walk),
		FS_TEST(long_names_and_no_room),
		FS_TEST(records_fill_the_buffer_exactly),
		FS_TEST(a_removed_directory_is_empty),
		FS_TEST(listings_of_many_directories),
		FS_TEST(listings_give_their_memory_back),
		POOR_TEST(lists_all_in_small_replies),
		POOR_TEST(delete_while_listing),
		POOR_TEST(goes_back_to_any_place),
		POOR_TEST(plus_counts_what_was_taken),
		POOR_TEST(vanished_entries_do_not_fail_a_walk),
		POOR_TEST(long_names_and_no_room),
		POOR_TEST(a_removed_directory_is_empty),
	};

	fixture_private_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
