/* SPDX-License-Identifier: BSD-3-Clause */
/* SIGTERM ends the daemon, whatever it waits for: half a message, a VMM that does not read, a file system. */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/queue.h"
#include "client/raw.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "hung_server.h"
#include "proto/vhost_user.h"
#include "tests/skip.h"

#define PROMISED_MS 2000
#define SLACK_MS 1000	/* of a machine that does other things, too */

static bool may_mount;

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * Since the machine started: for how long some process of it was ready to run and had no processor, by
 * the pressure stall information of Linux.
 */
static long starved_ms(void)
{
	cleanup_fclose FILE *file = fopen("/proc/pressure/cpu", "re");
	unsigned long long us = 0;

	if (!file || fscanf(file, "some avg10=%*f avg60=%*f avg300=%*f total=%llu", &us) != 1)
		return 0;
	return (long)(us / 1000);
}

/* On a busy machine the time in which any process waits for a processor does not count: it may be the daemon. */
static void expect_end(struct daemon *daemon, unsigned int signals, long within_ms)
{
	long start = now_ms(), starved = starved_ms();

	for (unsigned int i = 0; i < signals; i++)
		assert_int_equal(kill(daemon->pid, i % 2 ? SIGINT : SIGTERM), 0);
	assert_int_equal(daemon_wait(daemon), 0);
	assert_in_range(now_ms() - start, 0, within_ms + starved_ms() - starved);
}

/* Every length that is not a whole message, of one without and one with a payload. */
static void test_half_message(void **state)
{
	static const struct {
		struct vhost_user_header header;
		uint64_t payload;
	} message = { { VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, sizeof(uint64_t) }, 0 };
	static const size_t parts[] = { 1, 4, 11, 12, 16, 19 };
	const char *const none[] = { "--sandbox", "none", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		cleanup_close int sock = -1;
		struct daemon daemon;

		daemon_start(&daemon, i % 2 ? none : NULL);
		sock = daemon_socket(&daemon);
		assert_int_equal(send(sock, &message, parts[i], 0), parts[i]);
		while (!daemon_logged(&daemon, "the VMM connected"))
			sched_yield();
		expect_end(&daemon, 1, PROMISED_MS);
		assert_int_equal(daemon_stop(&daemon), 0);
	}
}

/* Requests without end, and nobody takes the answers. */
static void test_nobody_reads(void **state)
{
	static const struct vhost_user_header ask = { VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0 };
	struct daemon daemon;
	cleanup_close int sock = -1;
	unsigned int quiet = 0;

	(void)state;
	daemon_start(&daemon, NULL);
	sock = daemon_socket(&daemon);
	while (!daemon_logged(&daemon, "the VMM connected"))
		sched_yield();
	/* Until neither side has room: it was said for a while. */
	while (quiet < 10) {
		struct timespec pause = { .tv_nsec = 1000000 };

		if (send(sock, &ask, sizeof(ask), MSG_DONTWAIT) == sizeof(ask)) {
			quiet = 0;
			continue;
		}
		quiet++;
		nanosleep(&pause, NULL);
	}
	expect_end(&daemon, 1, PROMISED_MS);
	assert_int_equal(daemon_stop(&daemon), 0);
}

/* A counter that is full says no more, and holds up nobody. */
static void test_full_call(void **state)
{
	struct fixture *f = fixture_of(state);
	cleanup_close int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t index = f->q->index, full = UINT64_MAX - 1;
	struct fuse_getattr_in in = { .dummy = 0 };
	struct fuse_attr_out attr;
	struct iovec iov[2] = { { &in, sizeof(in) }, { &attr, sizeof(attr) } };
	struct casement_request request = {
		.opcode = FUSE_GETATTR, .nodeid = CASEMENT_ROOT, .in = &iov[0], .n_in = 1,
		.out = &iov[1], .n_out = 1,
	};

	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	ok(raw_message(f->client, VHOST_USER_SET_VRING_CALL, VHOST_USER_VERSION, &index, sizeof(index), &fd, 1));
	for (unsigned int i = 0; i < 3; i++) {
		uint16_t before = f->q->used->idx;

		assert_int_equal(ok(casement_submit(f->q, &request, 1)), 1);
		while (__atomic_load_n(&f->q->used->idx, __ATOMIC_ACQUIRE) == before)
			sched_yield();
		casement_queue_reset(f->q);
		ok(casement_queue_stop(f->q));
		casement_queue_reset(f->q);
		ok(casement_queue_start(f->q));
		ok(raw_message(f->client, VHOST_USER_SET_VRING_CALL, VHOST_USER_VERSION, &index, sizeof(index), &fd, 1));
	}
	expect_end(&f->daemon, 1, PROMISED_MS);
}

static void stuck(void **state, unsigned int signals, long within_ms)
{
	struct fixture *f = fixture_of(state);
	struct hung_server server;
	struct fuse_getattr_in in = { .dummy = 0 };
	struct fuse_attr_out attr;
	struct iovec iov[2] = { { &in, sizeof(in) }, { &attr, sizeof(attr) } };
	struct casement_request request = {
		.opcode = FUSE_GETATTR, .in = &iov[0], .n_in = 1, .out = &iov[1], .n_out = 1,
	};
	struct fuse_entry_out entry;

	if (!may_mount || access("/dev/fuse", R_OK | W_OK))
		SKIP_BECAUSE("only root may mount, and not in every container");
	assert_int_equal(mkdir(share_path(&f->daemon, "hung"), 0777), 0);
	hung_server_start(&server, share_path(&f->daemon, "hung"));
	ok(casement_lookup(f->q, CASEMENT_ROOT, "hung", &entry));
	request.nodeid = entry.nodeid;
	hung_server_hold(&server, true);
	assert_int_equal(ok(casement_submit(f->q, &request, 1)), 1);
	hung_server_await(&server);
	expect_end(&f->daemon, signals, within_ms);
	hung_server_stop(&server);
}

static void test_stuck(void **state)
{
	stuck(state, 1, PROMISED_MS + SLACK_MS);
}

static void test_stuck_told_twice(void **state)
{
	stuck(state, 2, SLACK_MS);
}

/* A descriptor by which each open(2) of the file waits until its event is answered. */
static int hold_opens(const char *path)
{
	int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, path))
		SKIP_BECAUSE("only root may decide on opens (fanotify(7)), and not in every container");
	return fd;
}

/*
 * A program of the host that decides on each open, and does not (a virus scanner that hangs): open(2) waits
 * for it, on whatever thread. The queue that asked waits; no other queue does, nor the daemon's end.
 */
static void test_held_open(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_queue *other = casement_request_queue(f->client, 1);
	struct fuse_open_in in = { .flags = O_RDONLY };
	struct fuse_open_out out;
	struct iovec iov[2] = { { &in, sizeof(in) }, { &out, sizeof(out) } };
	struct casement_request request = {
		.opcode = FUSE_OPEN, .in = &iov[0], .n_in = 1, .out = &iov[1], .n_out = 1,
	}, *done[1];
	struct fanotify_event_metadata event;
	struct fanotify_response answer = { .response = FAN_ALLOW };
	struct fuse_attr_out attr;
	cleanup_close int scanner = -1;

	share_fill(&f->daemon, "file", 100, 1);
	request.nodeid = lookup_node(f->q, "file");
	scanner = hold_opens(share_path(&f->daemon, "file"));
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(ok(casement_submit(f->q, &request, 1)), 1);
		assert_int_equal(read(scanner, &event, sizeof(event)), sizeof(event));
		ok(casement_getattr(other, request.nodeid, CASEMENT_NO_FH, &attr));
		ok(casement_queue_stop(other));
		ok(casement_queue_start(other));
		answer.fd = event.fd;
		if (!i)
			assert_int_equal(write(scanner, &answer, sizeof(answer)), sizeof(answer));
		close(event.fd);
		if (!i)
			assert_int_equal(ok(casement_complete(f->q, done, 1, -1)), 1);
	}
	expect_end(&f->daemon, 1, PROMISED_MS + SLACK_MS);
}

/* The serving process gets no time at all: its parent ends it, which is no failure. */
static void frozen(unsigned int signals, long within_ms)
{
	struct daemon daemon;
	pid_t serving;

	daemon_start(&daemon, NULL);
	while ((serving = daemon_serving_pid(&daemon)) == daemon.pid)
		sched_yield();
	assert_int_equal(kill(serving, SIGSTOP), 0);
	expect_end(&daemon, signals, within_ms);
	assert_true(daemon_logged(&daemon, "did not in time: it was killed"));
	assert_int_equal(daemon_stop(&daemon), 0);
}

static void test_frozen(void **state)
{
	(void)state;
	frozen(1, PROMISED_MS + SLACK_MS);
}

static void test_frozen_told_twice(void **state)
{
	(void)state;
	frozen(2, SLACK_MS);
}

int main(void)
{
	static const struct fixture_config two_queues = {
		.args = { "--queues", "2" }, .options = { .request_queues = 2 },
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_message),
		cmocka_unit_test(test_nobody_reads),
		FIXTURE_TEST(test_full_call, NULL),
		FIXTURE_TEST(test_stuck, NULL),
		FIXTURE_TEST(test_stuck_told_twice, NULL),
		FIXTURE_TEST(test_held_open, &two_queues),
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_frozen_told_twice),
	};

	/* In the sandbox: else what ends is the very process that has a thread stuck. */
	daemons_are_as_shipped();
	may_mount = unshare(CLONE_NEWNS) == 0 &&
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		    mount("none", "/", NULL, MS_REC | MS_SHARED, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
