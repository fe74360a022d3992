/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the daemon lets a guest keep beyond an open and a look-up, over its real
 * socket: pages of a file that nobody changed, and names that are not there.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "proto/fuse_wire.h"
#include "tests/skip.h"

#define SETTLED_NS 130000000L	/* after so long another change of a file has another time */

static void settle(struct fixture *f, const char *name)
{
	struct timespec at;
	struct stat st;

	assert_int_equal(stat(share_path(&f->daemon, name), &st), 0);
	at = st.st_ctim;
	at.tv_nsec += SETTLED_NS;
	at.tv_sec += at.tv_nsec / 1000000000L;
	at.tv_nsec %= 1000000000L;
	while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* Open, read and close as a guest does: was it told to keep its pages? */
static bool opened_keeping(struct fixture *f, uint64_t node)
{
	struct fuse_open_out open;
	char byte;

	ok(casement_open(f->q, node, O_RDONLY, &open));
	assert_int_equal(ok(casement_read(f->q, node, open.fh, 0, &byte, 1)), 1);
	ok(casement_release(f->q, node, open.fh));
	return open.open_flags & FOPEN_KEEP_CACHE;
}

/* Whether anything is ever kept of files that the share has. */
static bool can_keep(struct fixture *f)
{
	static const unsigned long known[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
	};
	cleanup_close int fd = open(share_path(&f->daemon, "file"), O_RDONLY);
	struct statfs st;
	bool tells = false;

	assert_int_equal(fstatfs(fd, &st), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(known); i++)
		tells |= (unsigned long)st.f_type == known[i];
	return tells && !fcntl(fd, F_SETLEASE, F_RDLCK) && !fcntl(fd, F_SETLEASE, F_UNLCK);
}

static void test_keeps_what_nobody_changed(void **state)
{
	struct fixture *f = fixture_of(state);
	cleanup_close int writer = -1;
	uint64_t node;

	share_fill(&f->daemon, "file", 10000, 1);
	node = lookup_node(f->q, "file");
	if (!can_keep(f))
		SKIP_BECAUSE("this file system has no leases, or is not known to tell each change");
	settle(f, "file");
	assert_false(opened_keeping(f, node));
	assert_true(opened_keeping(f, node));
	assert_true(opened_keeping(f, node));
	share_fill(&f->daemon, "file", 10000, 2);
	assert_false(opened_keeping(f, node));
	settle(f, "file");
	assert_false(opened_keeping(f, node));
	assert_true(opened_keeping(f, node));
	/* Who has written nothing yet has changed nothing. Who has is seen for as long as he stays. */
	writer = open(share_path(&f->daemon, "file"), O_WRONLY);
	assert_true(opened_keeping(f, node));
	assert_int_equal(pwrite(writer, "x", 1, 0), 1);
	settle(f, "file");
	assert_false(opened_keeping(f, node));
	assert_false(opened_keeping(f, node));
	close_fd(&writer);
	assert_false(opened_keeping(f, node));
	assert_true(opened_keeping(f, node));
}

/* A guest that comes back after a reboot has no pages: nothing is said of the old ones. */
static void test_a_new_session_starts_with_nothing(void **state)
{
	struct fixture *f = fixture_of(state);

	share_fill(&f->daemon, "file", 10, 1);
	if (!can_keep(f))
		SKIP_BECAUSE("this file system has no leases, or is not known to tell each change");
	settle(f, "file");
	opened_keeping(f, lookup_node(f->q, "file"));
	assert_true(opened_keeping(f, lookup_node(f->q, "file")));
	ok(casement_destroy(f->q));
	ok(casement_init(f->q, NULL, &f->init));
	assert_false(opened_keeping(f, lookup_node(f->q, "file")));
}

static const struct fixture_config never = { .args = { "--cache", "never", NULL } };

static void test_never_keeps_nothing(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	uint64_t node;

	share_fill(&f->daemon, "file", 10, 1);
	node = lookup_node(f->q, "file");
	settle(f, "file");
	for (int i = 0; i < 3; i++)
		assert_false(opened_keeping(f, node));
	refused(casement_lookup(f->q, CASEMENT_ROOT, "none", &entry), ENOENT);
}

static const struct fixture_config negative = {
	.args = { "--cache", "auto", "--negative-timeout", "2.5", NULL },
	.needs = "negative-timeout",
};

static void test_negative_timeout(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;

	ok(casement_lookup(f->q, CASEMENT_ROOT, "none", &entry));
	assert_int_equal(entry.nodeid, 0);
	assert_int_equal(entry.entry_valid, 2);
	assert_int_equal(entry.entry_valid_nsec, 500000000);
	/* What is made later is there for whoever asks. */
	share_fill(&f->daemon, "none", 10, 1);
	ok(casement_lookup(f->q, CASEMENT_ROOT, "none", &entry));
	assert_int_not_equal(entry.nodeid, 0);
}

static void test_missing_is_not_remembered(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;

	refused(casement_lookup(f->q, CASEMENT_ROOT, "none", &entry), ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_keeps_what_nobody_changed, NULL),
		FIXTURE_TEST(test_a_new_session_starts_with_nothing, NULL),
		FIXTURE_TEST(test_never_keeps_nothing, &never),
		FIXTURE_TEST(test_negative_timeout, &negative),
		FIXTURE_TEST(test_missing_is_not_remembered, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
