/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A directory read in any order: whatever places were read before, at whatever
 * place a new handle began, and whatever changed meanwhile, a walk from the start
 * lists what is there. On the file system of /tmp, on tmpfs, and on those that
 * can be made in a file here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/fs/fs_private.h"
#include "tests/unit/fs_fixture.h"
#include "tests/skip.h"

#define FILES 300		/* several blocks of names, so that ext4 has an index */
#define STEPS 4

static struct fixture *f;
static struct fs *fs;

struct seen {
	unsigned int entries, most;
	uint64_t next;
	uint64_t middle;	/* the place after half of FILES */
};

static bool take(void *ctx, const struct fs_dirent *d)
{
	struct seen *seen = ctx;

	if (seen->entries == seen->most)
		return false;
	seen->next = d->next;
	if (++seen->entries == FILES / 2)
		seen->middle = d->next;
	return true;
}

/* A directory of the share, what is in it, and an open handle. */
struct scene {
	uint64_t node, handle;
	char path[256];
	unsigned int count;	/* files in it now */
	unsigned int made;	/* names used up */
	uint64_t middle, end;	/* places seen in a walk */
};

static void make_file(struct scene *s)
{
	char name[512];

	snprintf(name, sizeof(name), "%s/file-with-quite-a-long-name-%u", s->path, s->made++);
	assert_int_equal(mknod(name, S_IFREG | 0600, 0), 0);
	s->count++;
}

/* The oldest that is left. */
static void remove_file(struct scene *s)
{
	char name[512];

	snprintf(name, sizeof(name), "%s/file-with-quite-a-long-name-%u", s->path, s->made - s->count);
	assert_int_equal(unlink(name), 0);
	s->count--;
}

static unsigned int read_from(struct scene *s, uint64_t offset, unsigned int most)
{
	struct seen seen = { .most = most };

	assert_int_equal(fs_readdir(fs, s->node, s->handle, offset, false, 4096, take, &seen), 0);
	return seen.entries;
}

/* From the start to the end; true when it is all there. */
static bool walk(struct scene *s)
{
	struct seen seen = { .most = UINT32_MAX };
	unsigned int before;

	do {
		before = seen.entries;
		assert_int_equal(fs_readdir(fs, s->node, s->handle, seen.next, false, 4096, take, &seen), 0);
	} while (seen.entries > before);
	if (seen.middle)
		s->middle = seen.middle;
	s->end = seen.next;
	return seen.entries == s->count + 2;
}

enum step { OPEN_ANEW, READ_START, READ_MIDDLE, READ_END, MAKE, REMOVE, WALK, N_STEPS };

static void do_step(struct scene *s, enum step step)
{
	switch (step) {
	case OPEN_ANEW:
		assert_int_equal(fs_releasedir(fs, s->handle), 0);
		assert_int_equal(fs_opendir(fs, s->node, &s->handle), 0);
		break;
	case READ_START:
		assert_int_equal(read_from(s, 0, 10), 10);
		break;
	case READ_MIDDLE:
		read_from(s, s->middle, 10);
		break;
	case READ_END:
		read_from(s, s->end, 10);
		break;
	case MAKE:
		make_file(s);
		break;
	case REMOVE:
		remove_file(s);
		break;
	default:
		assert_true(walk(s));
	}
}

/* Every sequence of so many steps, each begun with a new handle. */
static void check_all_orders(void)
{
	unsigned int sequences = 1;
	struct scene s = { 0 };

	s.node = must_mkdir(fs, must_lookup(fs, FS_ROOT_NODE, "mnt"), "dir");
	snprintf(s.path, sizeof(s.path), "%s", host_path(f, "mnt/dir"));
	for (unsigned int i = 0; i < FILES; i++)
		make_file(&s);
	assert_int_equal(fs_opendir(fs, s.node, &s.handle), 0);
	assert_true(walk(&s));
	for (unsigned int i = 0; i < STEPS; i++)
		sequences *= N_STEPS;
	for (unsigned int n = 0; n < sequences; n++) {
		do_step(&s, OPEN_ANEW);
		for (unsigned int i = 0, left = n; i < STEPS; i++, left /= N_STEPS)
			do_step(&s, left % N_STEPS);
		if (!walk(&s))
			fail_msg("after steps %u (base %u) something is not listed", n, N_STEPS);
	}
	assert_int_equal(fs_releasedir(fs, s.handle), 0);
}

static int setup(void **state)
{
	(void)state;
	f = fixture_new(NULL);
	fs = f->fs;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static void on_the_file_system_of_tmp(void **state)
{
	(void)state;
	check_all_orders();
}

/* With no memory between two requests. */
static void on_it_without_memory(void **state)
{
	(void)state;
	fs->listings.limit = 0;
	check_all_orders();
}

static void on_tmpfs(void **state)
{
	(void)state;
	if (mount("none", host_path(f, "mnt"), "tmpfs", 0, "size=16M") < 0)
		SKIP_BECAUSE("only root may mount, and not in every container");
	check_all_orders();
}

/* One made in a file, by its own program. */
static void on_one_in_a_file(const char *make)
{
	char command[1024];

	snprintf(command, sizeof(command), "truncate -s 512M %s && %s %s >/dev/null 2>&1 && mount -o loop %s %s",
		 host_path(f, "image"), make, host_path(f, "image"), host_path(f, "image"), host_path(f, "mnt"));
	if (system(command))
		SKIP_BECAUSE("no program that makes it, or no loop device");
	check_all_orders();
}

static void on_ext4(void **state)
{
	(void)state;
	on_one_in_a_file("mkfs.ext4 -q -O dir_index");
}

static void on_xfs(void **state)
{
	(void)state;
	on_one_in_a_file("mkfs.xfs -q");
}

static void on_btrfs(void **state)
{
	(void)state;
	on_one_in_a_file("mkfs.btrfs -q");
}

#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(on_the_file_system_of_tmp),
		FS_TEST(on_it_without_memory),
		FS_TEST(on_tmpfs),
		FS_TEST(on_ext4),
		FS_TEST(on_xfs),
		FS_TEST(on_btrfs),
	};

	fixture_private_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
