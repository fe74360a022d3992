/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --persist: one VMM after the other, each of which meets a daemon as if it
 * were the first, and a second one at a time is refused. Relies on the real
 * daemon and on /proc to see what it keeps.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/raw.h"
#include "common/cleanup.h"

#define VMMS 64
/*
 * Pages that an allocator may grow by; 60 sessions of 100 files would take more.
 * An address sanitizer keeps freed memory for a while, on purpose.
 */
#ifdef __SANITIZE_ADDRESS__
#define RSS_SLACK (1 << 20)
#else
#define RSS_SLACK 64
#endif

static const struct fixture_config persist = {
	.args = { "--persist", NULL }, .needs = "persist", .no_client = true,
};
static const struct fixture_config persist_window = {
	.args = { "--persist", "--window-size", "16M", NULL }, .needs = "persist", .no_client = true,
};

/* Resident pages of the daemon. */
static long resident(const struct daemon *daemon)
{
	cleanup_fclose FILE *f = NULL;
	char path[64];
	long size, pages;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)daemon_serving_pid(daemon));
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &size, &pages), 2);
	return pages;
}

/* A VMM that leaves in the middle: files open, names looked up, a lock held. Its node and handle. */
static uint64_t live(struct fixture *f, unsigned int round, uint64_t *handle)
{
	struct casement *client = daemon_connect(&f->daemon, NULL);
	struct casement_queue *q = casement_request_queue(client, 0);
	struct fuse_init_out init;
	struct fuse_attr_out attr;
	char name[32], byte = (char)round;
	uint64_t node = 0;

	/* It is met without a session. */
	refused(casement_getattr(q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr), EIO);
	ok(casement_init(q, NULL, &init));
	for (unsigned int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%u-%u", round, i);
		*handle = create_file(q, name, &node);
		assert_int_equal(ok(casement_write(q, node, *handle, 0, &byte, 1)), 1);
		ok(casement_unlink(q, CASEMENT_ROOT, name));
	}
	casement_close(client);
	return node;
}

/*
 * The end of a session is seen when the next VMM is answered, so that is when
 * to look. (A daemon that is slow to close would otherwise be called leaky.)
 */
static void visit(struct fixture *f, uint64_t node, uint64_t handle, unsigned int *fds, long *pages)
{
	struct casement *client = daemon_connect(&f->daemon, NULL);
	struct casement_queue *q = casement_request_queue(client, 0);
	struct fuse_init_out init;
	struct fuse_attr_out attr;
	char byte;

	ok(casement_init(q, NULL, &init));
	refused(casement_getattr(q, node, CASEMENT_NO_FH, &attr), ESTALE);
	refused(casement_read(q, node, handle, 0, &byte, 1), EBADF);
	*fds = daemon_count_fds(&f->daemon);
	*pages = resident(&f->daemon);
	casement_close(client);
}

static void check_many(struct fixture *f)
{
	unsigned int fds, first_fds = 0;
	uint64_t node, handle;
	long pages, first = 0;

	for (unsigned int i = 0; i < VMMS / 2; i++) {
		node = live(f, i, &handle);
		visit(f, node, handle, &fds, &pages);
		if (i == 3) {
			first_fds = fds;
			first = pages;
		}
	}
	assert_int_equal(fds, first_fds);
	if (pages > first + RSS_SLACK)
		fail_msg("%ld pages after 4 VMMs, %ld after %d", first, pages, VMMS / 2);
	daemon_check(&f->daemon);
	assert_int_equal(kill(f->daemon.pid, SIGTERM), 0);
	assert_int_equal(daemon_wait(&f->daemon), 0);
}

static void test_many_vmms(void **state)
{
	check_many(fixture_of(state));
}

static void test_many_vmms_with_a_window(void **state)
{
	check_many(fixture_of(state));
}

#define DIRS_OPEN 1200
#define LONG_NAMES 1000u
#define DIR_PAGES (32768 / 4096)	/* kept of each, at most */

/* A guest that opens a directory again and again, and reads a part of it. */
static void open_many_dirs(struct casement_queue *q)
{
	static char bytes[32768];
	struct fuse_open_out open;

	for (unsigned int i = 0; i < DIRS_OPEN; i++) {
		ok(casement_opendir(q, CASEMENT_ROOT, &open));
		ok(casement_readdir(q, CASEMENT_ROOT, open.fh, 0, bytes, sizeof(bytes)));
	}
}

/* What a guest made the daemon hold is the system's again when that guest has gone. */
static void test_memory_is_given_back(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, handle;
	struct casement *client;
	struct casement_queue *q;
	struct fuse_init_out init;
	long first, most, last;
	unsigned int fds;
	char name[64];

	for (unsigned int i = 0; i < LONG_NAMES; i++) {
		snprintf(name, sizeof(name), "a-rather-long-name-of-a-file-%u", i);
		share_fill(&f->daemon, name, 0, 0);
	}
	node = live(f, 0, &handle);
	visit(f, node, handle, &fds, &first);
	client = daemon_connect(&f->daemon, NULL);
	q = casement_request_queue(client, 0);
	ok(casement_init(q, NULL, &init));
	open_many_dirs(q);
	most = resident(&f->daemon);
	casement_close(client);
	visit(f, node, handle, &fds, &last);
	assert_in_range(most - first, DIRS_OPEN * DIR_PAGES / 2, DIRS_OPEN * DIR_PAGES * 2);
	if (last > first + (most - first) / 4 + RSS_SLACK)
		fail_msg("%ld pages at first, %ld with directories open, %ld afterwards", first, most, last);
}

static void test_second_vmm(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement *client = daemon_connect(&f->daemon, NULL);
	struct casement_queue *q = casement_request_queue(client, 0);
	struct fuse_init_out init;

	ok(casement_init(q, NULL, &init));
	for (unsigned int i = 0; i < 3; i++) {
		cleanup_close int second = daemon_socket(&f->daemon);
		struct pollfd pfd = { .fd = second, .events = POLLIN };
		char byte;

		assert_int_equal(poll(&pfd, 1, TEST_WAIT_MS), 1);
		assert_int_equal(recv(second, &byte, 1, 0), 0);
	}
	share_fill(&f->daemon, "file", 1, 0);
	lookup_node(q, "file");
	casement_close(client);
	client = daemon_connect(&f->daemon, NULL);
	ok(casement_init(casement_request_queue(client, 0), NULL, &init));
	casement_close(client);
}

/* Whoever breaks the protocol, or just leaves, ends nothing but his own session. */
static void test_bad_vmms(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, handle;
	unsigned int fds;
	long pages;

	for (unsigned int i = 0; i < 8; i++) {
		struct casement *client;
		char junk[64];

		close(daemon_socket(&f->daemon));
		client = daemon_connect(&f->daemon, NULL);
		memset(junk, 0xa5, sizeof(junk));
		assert_int_equal(send(client->channel.sock, junk, sizeof(junk), MSG_NOSIGNAL), sizeof(junk));
		assert_true(raw_hung_up(client, TEST_WAIT_MS));
		casement_close(client);
		node = live(f, i, &handle);
		visit(f, node, handle, &fds, &pages);
	}
	assert_int_equal(kill(f->daemon.pid, SIGHUP), 0);
	assert_int_equal(daemon_wait(&f->daemon), 0);
}

/* A signal in the middle of a session ends it, and the daemon. */
static void test_signal_while_serving(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement *client = daemon_connect(&f->daemon, NULL);
	struct fuse_init_out init;

	ok(casement_init(casement_request_queue(client, 0), NULL, &init));
	assert_int_equal(kill(f->daemon.pid, SIGTERM), 0);
	assert_int_equal(daemon_wait(&f->daemon), 0);
	casement_close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_many_vmms, &persist),
		FIXTURE_TEST(test_many_vmms_with_a_window, &persist_window),
		FIXTURE_TEST(test_memory_is_given_back, &persist),
		FIXTURE_TEST(test_second_vmm, &persist),
		FIXTURE_TEST(test_bad_vmms, &persist),
		FIXTURE_TEST(test_signal_while_serving, &persist),
	};

	return cmocka_run_group_tests_name("wire_persist", tests, NULL, NULL);
}
