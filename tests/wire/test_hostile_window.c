/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VMM that refuses to map, answers nonsense, or loses the back-end channel.
 * It costs the guest an error for that mapping, and nothing else: a new channel
 * is a new start. Relies on the raw side of the client.
 */
#include "dax_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"

#define HOLD_MAP (1u << VHOST_USER_BACKEND_SHMEM_MAP)

static const struct fixture_config window_256 = {
	.args = { "--window-size", "256M", NULL },
	.options = { .flags = CASEMENT_MAP_ALL_WRITABLE },
	.needs = "window-size",
};

/* A VMM that refuses costs the guest an error, and nothing else. */
static void test_refusing_vmm(void **state)
{
	struct fixture *f = fixture_of(state);
	struct pending p;
	uint64_t node;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	node = lookup_node(f->q, "file");
	ok(map(f, node, 0, RANGE, READ, 8 * RANGE));
	raw_window_refuse(f->client, 1);
	assert_true(map(f, node, 0, RANGE, READ, 0) < 0);
	raw_window_hold(f->client, HOLD_MAP);
	map_begin(f, &p, node, 0, 0);
	assert_true(raw_window_held(f->client, TEST_WAIT_MS));
	ok(casement_queue_stop(f->q));
	raw_window_hold(f->client, 0);
	ok(casement_queue_start(f->q));
	assert_true(map_end(f, &p) < 0);
	raw_window_refuse(f->client, 0);
	ok(map(f, node, 0, RANGE, READ, 0));
	check_pattern(window_at(f, 0), RANGE, 1, 0);
	assert_int_equal(live(f), 2);
}

/* A VMM that goes away from the channel. */
static void test_channel_closed(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	node = lookup_node(f->q, "file");
	ok(map(f, node, 0, RANGE, READ, 0));
	shutdown(f->client->window.sock, SHUT_RDWR);
	assert_true(map(f, node, 0, RANGE, READ, RANGE) < 0);
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &(struct fuse_attr_out){ 0 }));
	ok(casement_queue_stop(f->q));
	ok(casement_queue_start(f->q));
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &(struct fuse_attr_out){ 0 }));
	daemon_check(&f->daemon);
}

/* Answers to a SHMEM_MAP that are none. */
struct bad_answer {
	const char *name;
	uint32_t request, flags, size;
	size_t bytes;		/* of payload that really follow */
	unsigned int n_fds;
	bool hang_up;
};

#define REPLY_FLAGS (VHOST_USER_VERSION | VHOST_USER_REPLY)

static const struct bad_answer bad_answers[] = {
	{ "another request's", 77, REPLY_FLAGS, 8, 8, 0, false },
	{ "no reply at all", VHOST_USER_BACKEND_SHMEM_MAP, VHOST_USER_VERSION, 8, 8, 0, false },
	{ "version 0", VHOST_USER_BACKEND_SHMEM_MAP, VHOST_USER_REPLY, 8, 8, 0, false },
	{ "empty", VHOST_USER_BACKEND_SHMEM_MAP, REPLY_FLAGS, 0, 0, 0, false },
	{ "4 bytes", VHOST_USER_BACKEND_SHMEM_MAP, REPLY_FLAGS, 4, 4, 0, false },
	{ "16 bytes", VHOST_USER_BACKEND_SHMEM_MAP, REPLY_FLAGS, 16, 16, 0, false },
	{ "4 GiB", VHOST_USER_BACKEND_SHMEM_MAP, REPLY_FLAGS, 0xffffffff, 0, 0, false },
	{ "with descriptors", VHOST_USER_BACKEND_SHMEM_MAP, REPLY_FLAGS, 8, 8, 8, false },
	{ "half of one", VHOST_USER_BACKEND_SHMEM_MAP, REPLY_FLAGS, 8, 3, 0, true },
	{ "nothing", 0, 0, 0, 0, 0, true },
};

static void answer_badly(int sock, const struct bad_answer *bad)
{
	struct {
		struct vhost_user_header header;
		char payload[16];
	} __attribute__((packed)) message = { { bad->request, bad->flags, bad->size }, { 0 } };
	int fds[8];

	for (unsigned int i = 0; i < 8; i++)
		fds[i] = STDERR_FILENO;
	if (bad->request)
		ok(channel_send_bytes(sock, &message, sizeof(message.header) + bad->bytes, fds,
				      bad->n_fds));
	if (bad->hang_up || bad->size > bad->bytes)
		shutdown(sock, SHUT_RDWR);
}

/* Give the daemon another back-end channel; our end of it. */
static int new_channel(struct fixture *f)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ok(channel_set(&f->client->channel, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1));
	close(pair[1]);
	return pair[0];
}

/* Take one request from a channel by hand, and answer it. */
static void serve_one(int sock, uint32_t request, uint64_t answer)
{
	struct channel_message message;
	struct {
		struct vhost_user_header header;
		uint64_t answer;
	} __attribute__((packed)) reply = { { request, REPLY_FLAGS, 8 }, answer };

	ok(channel_receive(sock, &message, TEST_WAIT_MS));
	assert_int_equal(message.header.request, request);
	channel_message_clear(&message);
	ok(channel_send_bytes(sock, &reply, sizeof(reply), NULL, 0));
}

/* Whatever happened before, a new channel is a new start. */
static void check_new_channel(struct fixture *f, uint64_t node, uint64_t at)
{
	cleanup_close int sock = new_channel(f);
	struct pending p;

	map_begin(f, &p, node, 0, at);
	serve_one(sock, VHOST_USER_BACKEND_SHMEM_MAP, 0);
	serve_one(sock, VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE, 1);
	assert_int_equal(map_end(f, &p), 0);
}

static void try_bad_answer(struct fixture *f, uint64_t node, const struct bad_answer *bad,
			   uint64_t at)
{
	struct channel_message message;
	struct pending p;
	int sock = new_channel(f);

	map_begin(f, &p, node, RANGE, 0);
	ok(channel_receive(sock, &message, TEST_WAIT_MS));
	channel_message_clear(&message);
	answer_badly(sock, bad);
	/* Some may be taken for "not yet": the end of the channel settles those. */
	if (still_pending(f))
		close_fd(&sock);
	map_end(f, &p);
	close_fd(&sock);
	if (p.request.result == 0)
		fail_msg("mapped by an answer that is %s", bad->name);
	check_new_channel(f, node, at);
}

static void test_bad_answers(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int before = 0;
	uint64_t node;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	node = lookup_node(f->q, "file");
	for (unsigned int i = 0; i < 4 * ARRAY_SIZE(bad_answers); i++) {
		const struct bad_answer *bad = &bad_answers[i % ARRAY_SIZE(bad_answers)];

		print_message("             %s\n", bad->name);
		try_bad_answer(f, node, bad, (1 + i) * RANGE);
		if (i == 0)
			before = daemon_count_fds(&f->daemon);
		assert_true(daemon_count_fds(&f->daemon) <= before);
	}
}

/* The channel is replaced while an answer is still to come on the old one. */
static void test_channel_replaced(void **state)
{
	struct fixture *f = fixture_of(state);
	struct pending p;
	cleanup_close int sock = -1;
	uint64_t node;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	node = lookup_node(f->q, "file");
	raw_window_hold(f->client, HOLD_MAP);
	map_begin(f, &p, node, 0, 0);
	assert_true(raw_window_held(f->client, TEST_WAIT_MS));
	ok(casement_queue_stop(f->q));
	sock = new_channel(f);
	ok(casement_queue_start(f->q));
	/* Nobody will ever answer on the old one: ask again here, or give up. */
	if (still_pending(f)) {
		serve_one(sock, VHOST_USER_BACKEND_SHMEM_MAP, 0);
		serve_one(sock, VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE, 1);
	}
	map_end(f, &p);
	check_new_channel(f, node, RANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_refusing_vmm, &window_64),
		FIXTURE_TEST(test_channel_closed, &window_64),
		FIXTURE_TEST(test_bad_answers, &window_256),
		FIXTURE_TEST(test_channel_replaced, &window_64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
