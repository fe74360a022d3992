/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VMM that breaks the vhost-user protocol. The daemon may refuse a message or
 * drop the connection and end, with a line in its log; it never crashes, never
 * hangs, and keeps no descriptor it has no use for. Relies on /proc for the
 * count of descriptors.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/raw.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "hostile_cases.h"
#include "tests/skip.h"

#define FLAGS (VHOST_USER_VERSION | VHOST_USER_NEED_REPLY)
#define PAYLOAD_MAX 4096

/* A daemon that may drop us: it is replaced, or with --persist serves us again. */
struct target {
	struct daemon daemon;
	struct casement *client;
	unsigned int drops;
	bool persists;
	unsigned int fds;	/* of a daemon that persists, at the first connection */
};

static const char *const args[] = { "--window-size", "64M", "--queues", "2", NULL };
static const char *const persist_args[] = { "--window-size", "64M", "--queues", "2", "--persist", NULL };

static void target_open(struct target *t)
{
	daemon_start(&t->daemon, t->persists ? persist_args : args);
	t->client = daemon_connect(&t->daemon, NULL);
}

/* The daemon has dropped us, and serves us again with nothing left of the session before. */
static void target_again(struct target *t)
{
	casement_close(t->client);
	t->client = daemon_connect(&t->daemon, NULL);
	t->drops++;
	if (!t->fds)
		t->fds = daemon_count_fds(&t->daemon);
	if (daemon_count_fds(&t->daemon) > t->fds)
		fail_msg("%s: %u descriptors in the next session, not %u", hostile_case_name(),
			 daemon_count_fds(&t->daemon), t->fds);
}

/* Leave the daemon, which must end by itself, with a status of its own; start another. */
static void target_renew(struct target *t)
{
	int status;

	casement_close(t->client);
	t->client = NULL;
	status = daemon_wait(&t->daemon);
	assert_true(status == 0 || status == 1);
	assert_true(daemon_logged(&t->daemon, "\n"));
	assert_int_equal(daemon_stop(&t->daemon), 0);
	daemon_start(&t->daemon, args);
}

/* The daemon has let go. */
static void target_replace(struct target *t)
{
	if (t->persists) {
		target_again(t);
		return;
	}
	target_renew(t);
	t->client = daemon_connect(&t->daemon, NULL);
	t->drops++;
}

/* Connected again, with memory that can be made smaller: the library's own cannot. */
static void target_unsealed(struct target *t)
{
	const struct casement_options options = { .timeout_ms = TEST_WAIT_MS };

	if (t->persists)
		casement_close(t->client);
	else
		target_renew(t);
	ok(session_new(daemon_socket(&t->daemon), &options, &t->client));
	ok(session_negotiate(t->client));
	ok(session_open_window(t->client));
	ok(session_tell_memory(t->client));
	ok(session_start_queues(t->client));
}

static int target_setup(void **state)
{
	struct target *t = calloc(1, sizeof(*t));

	target_open(t);
	*state = t;
	return 0;
}

static int target_setup_persist(void **state)
{
	struct target *t = calloc(1, sizeof(*t));

	t->persists = true;
	target_open(t);
	*state = t;
	return 0;
}

static int target_teardown(void **state)
{
	struct target *t = *state;
	int bad;

	casement_close(t->client);
	bad = daemon_stop(&t->daemon);
	free(t);
	return bad;
}

/*
 * Ask for the features and wait for that answer, the n-th to come. Passes over
 * answers to other messages. False when the daemon has closed the connection;
 * fails when it does not say.
 */
static bool answers(struct target *t, unsigned int n)
{
	struct channel_message message;
	int err = raw_message(t->client, VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, NULL, 0, NULL, 0);

	while (!err) {
		err = raw_receive(t->client, &message, TEST_WAIT_MS);
		if (err)
			break;
		channel_message_clear(&message);
		if (message.header.request == VHOST_USER_GET_FEATURES && message.header.size == 8 &&
		    !--n)
			return true;
	}
	if (err != -ECONNRESET)
		fail_msg("the daemon does not answer: %s", casement_error());
	return false;
}

/* Is the daemon still talking to us, having dealt with all that was sent? */
static bool still_there(struct target *t)
{
	return answers(t, 1);
}

/* Send, and go on with a new daemon if this one left. True when it stayed. */
static bool provoke(struct target *t, uint32_t request, uint32_t flags, const void *payload,
		    uint32_t size, const int *fds, unsigned int n_fds)
{
	unsigned int n = request == VHOST_USER_GET_FEATURES ? 2 : 1;

	if (!raw_message(t->client, request, flags, payload, size, fds, n_fds) && answers(t, n))
		return true;
	target_replace(t);
	return false;
}

/* What the payload of each request is; the others have none. */
static uint32_t payload_size(uint32_t request)
{
	switch (request) {
	case VHOST_USER_SET_FEATURES:
	case VHOST_USER_SET_PROTOCOL_FEATURES:
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
	case VHOST_USER_SET_STATUS:
		return 8;
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_GET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
	case VHOST_USER_VRING_KICK:
		return sizeof(struct vhost_user_vring_state);
	case VHOST_USER_SET_VRING_ADDR:
		return sizeof(struct vhost_user_vring_addr);
	case VHOST_USER_SET_MEM_TABLE:
		return 8 + sizeof(struct vhost_user_mem_region);
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
		return sizeof(struct vhost_user_single_mem_region);
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		return VHOST_USER_CONFIG_HEADER + 40;
	case VHOST_USER_SET_LOG_BASE:
		return 16;
	}
	return 0;
}

/* One message twice: what the first leaves open in the daemon, the second must not add to. */
static void check_message(struct target *t, uint32_t request, uint32_t size, unsigned char fill,
			  const int *fds, unsigned int n_fds)
{
	unsigned char payload[PAYLOAD_MAX];
	unsigned int before;

	hostile_case("request %u, %u bytes of %#x, %u descriptors", request, size, fill, n_fds);
	memset(payload, fill, sizeof(payload));
	if (!provoke(t, request, FLAGS, payload, size, fds, n_fds))
		return;
	before = daemon_count_fds(&t->daemon);
	if (!provoke(t, request, FLAGS, payload, size, fds, n_fds))
		return;
	if (daemon_count_fds(&t->daemon) > before)
		fail_msg("request %u, %u bytes of %#x, %u fds: descriptors grew from %u to %u",
			 request, size, fill, n_fds, before, daemon_count_fds(&t->daemon));
}

static void test_every_message(void **state)
{
	static const unsigned int fd_counts[] = { 0, 1, 8 };
	struct target *t = *state;
	int fds[VHOST_USER_MAX_FDS];

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = memfd_create("hostile", MFD_CLOEXEC);
	for (uint32_t request = 0; request <= VHOST_USER_REQUEST_LIMIT; request++) {
		uint32_t right = payload_size(request);
		uint32_t sizes[] = { right, right ? right - 1 : 1, right + 8, PAYLOAD_MAX, 0 };
		/* Where nothing is right, the last is the first. */
		unsigned int n_sizes = right ? ARRAY_SIZE(sizes) : ARRAY_SIZE(sizes) - 1;

		for (unsigned int s = 0; s < n_sizes; s++)
			for (unsigned int n = 0; n < ARRAY_SIZE(fd_counts); n++)
				check_message(t, request, sizes[s], s == 0 && n == 1 ? 0xff : 0, fds,
					      fd_counts[n]);
		check_message(t, request, right, 0xff, fds, 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	print_message("             the daemon dropped us %u times\n", t->drops);
}

static void test_headers(void **state)
{
	static const struct vhost_user_header headers[] = {
		{ VHOST_USER_GET_FEATURES, 0, 0 },		/* no version */
		{ VHOST_USER_GET_FEATURES, 2, 0 },
		{ VHOST_USER_GET_FEATURES, 3, 0 },
		{ VHOST_USER_GET_FEATURES, VHOST_USER_VERSION | VHOST_USER_REPLY, 0 },
		{ VHOST_USER_GET_FEATURES, 0xffffffff, 0 },
		{ VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0xffffffff },
		{ VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 0x7fffffff },
		{ VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, 1u << 20 },
		{ 0xffffffff, VHOST_USER_VERSION, 0 },
		{ 0xffffffff, 0xffffffff, 0xffffffff },
	};
	struct target *t = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(headers); i++) {
		int sock = t->client->channel.sock;

		hostile_case("header %u: request %#x, flags %#x, size %#x", i, headers[i].request,
			     headers[i].flags, headers[i].size);
		ok(channel_send_bytes(sock, &headers[i], sizeof(headers[i]), NULL, 0));
		/* With the rest of a large message never coming, the end of our side is all it gets. */
		if (headers[i].size)
			shutdown(sock, SHUT_WR);
		if (headers[i].size || !still_there(t))
			target_replace(t);
	}
}

/* A message in single bytes is a message; half of one is the end. */
static void test_pieces(void **state)
{
	struct vhost_user_header header = { VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0 };
	struct target *t = *state;
	struct channel_message message;

	for (unsigned int i = 0; i < sizeof(header); i++)
		ok(channel_send_bytes(t->client->channel.sock, (char *)&header + i, 1, NULL, 0));
	ok(raw_receive(t->client, &message, TEST_WAIT_MS));
	assert_int_equal(message.header.size, 8);
	for (unsigned int cut = 1; cut < sizeof(header); cut += 5) {
		ok(channel_send_bytes(t->client->channel.sock, &header, cut, NULL, 0));
		target_replace(t);
	}
	header.size = 8;
	ok(channel_send_bytes(t->client->channel.sock, &header, sizeof(header), NULL, 0));
	target_replace(t);
}

/* A value that some request takes in its first two words. */
struct vring_case {
	uint32_t request;
	uint32_t index, num;
};

static const struct vring_case vring_cases[] = {
	{ VHOST_USER_SET_VRING_NUM, 255, 256 }, { VHOST_USER_SET_VRING_NUM, 65535, 256 },
	{ VHOST_USER_SET_VRING_NUM, 0xffffffff, 256 }, { VHOST_USER_SET_VRING_NUM, 1, 0 },
	{ VHOST_USER_SET_VRING_NUM, 1, 3 }, { VHOST_USER_SET_VRING_NUM, 1, 65536 },
	{ VHOST_USER_SET_VRING_NUM, 1, 0xffffffff }, { VHOST_USER_SET_VRING_NUM, 1, 32769 },
	{ VHOST_USER_SET_VRING_NUM, 1, 1 }, { VHOST_USER_SET_VRING_NUM, 1, 32768 },
	{ VHOST_USER_SET_VRING_BASE, 255, 0 }, { VHOST_USER_SET_VRING_BASE, 65535, 0 },
	{ VHOST_USER_SET_VRING_BASE, 0x80000001, 0 }, { VHOST_USER_SET_VRING_BASE, 1, 65536 },
	{ VHOST_USER_SET_VRING_BASE, 1, 0xffffffff },
	{ VHOST_USER_GET_VRING_BASE, 255, 0 }, { VHOST_USER_GET_VRING_BASE, 65535, 0 },
	{ VHOST_USER_GET_VRING_BASE, 0xffffffff, 0 },
	{ VHOST_USER_SET_VRING_ENABLE, 255, 1 }, { VHOST_USER_SET_VRING_ENABLE, 65535, 1 },
	{ VHOST_USER_SET_VRING_ENABLE, 1, 2 }, { VHOST_USER_SET_VRING_ENABLE, 1, 0xffffffff },
	{ VHOST_USER_SET_VRING_KICK, 255, 0 }, { VHOST_USER_SET_VRING_KICK, 0xffffffff, 0xffffffff },
	{ VHOST_USER_SET_VRING_KICK, 1, 0 }, { VHOST_USER_SET_VRING_CALL, 255, 0 },
	{ VHOST_USER_SET_VRING_CALL, 0x1ff, 0 }, { VHOST_USER_SET_VRING_ERR, 255, 0 },
	{ VHOST_USER_SET_VRING_KICK, 0x101, 0 }, /* polling: no descriptor */
	{ VHOST_USER_SET_FEATURES, 0xffffffff, 0xffffffff }, { VHOST_USER_SET_FEATURES, 0, 0 },
	{ VHOST_USER_SET_PROTOCOL_FEATURES, 0xffffffff, 0xffffffff },
	{ VHOST_USER_SET_PROTOCOL_FEATURES, 0, 0 },
};

static void test_vring_values(void **state)
{
	struct target *t = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(vring_cases); i++) {
		const struct vring_case *c = &vring_cases[i];
		uint32_t payload[2] = { c->index, c->num };

		hostile_case("request %u with %#x, %#x", c->request, c->index, c->num);
		provoke(t, c->request, FLAGS, payload, sizeof(payload), NULL, 0);
		if (provoke(t, VHOST_USER_GET_QUEUE_NUM, VHOST_USER_VERSION, NULL, 0, NULL, 0))
			daemon_check(&t->daemon);
	}
}

/* A stopped ring with parts in bad places may be refused at once or at its start. */
static void test_ring_addresses(void **state)
{
	struct target *t = *state;
	struct casement_queue *q = casement_request_queue(t->client, 0);
	const uint64_t desc = (uintptr_t)q->desc, avail = (uintptr_t)q->avail,
		       used = (uintptr_t)q->used;
	const struct memory_region *r = &t->client->memory.regions[0];
	const uint64_t end = (uintptr_t)r->base + r->size;
	const struct vhost_user_vring_addr bad[] = {
		{ 1, 0, desc + 1, used, avail, 0 }, { 1, 0, desc + 8, used, avail, 0 },
		{ 1, 0, desc, used + 1, avail, 0 }, { 1, 0, desc, used + 2, avail, 0 },
		{ 1, 0, desc, used, avail + 1, 0 }, { 1, 0, 0, 0, 0, 0 },
		{ 1, 0, UINT64_MAX & ~15ull, used, avail, 0 },
		{ 1, 0, desc, UINT64_MAX & ~3ull, avail, 0 },
		{ 1, 0, desc, used, UINT64_MAX & ~1ull, 0 },
		{ 1, 0, end - 16, used, avail, 0 }, { 1, 0, desc, end - 8, avail, 0 },
		{ 1, 0, desc, used, end - 8, 0 }, { 1, 0, end, end, end, 0 },
		{ 1, 0, desc, desc, desc, 0 }, { 1, 1, desc, used, avail, 0x1000 },
		{ 255, 0, desc, used, avail, 0 }, { 0x80000000, 0, desc, used, avail, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vhost_user_vring_addr addr = bad[i];
		bool stayed;

		hostile_case("SET_VRING_ADDR %u", i);
		/* A daemon that was replaced has its memory elsewhere. */
		q = casement_request_queue(t->client, 0);
		if ((uintptr_t)q->desc != desc)
			SKIP_BECAUSE("the queue came to lie elsewhere");
		ok(casement_queue_stop(q));
		stayed = provoke(t, VHOST_USER_SET_VRING_ADDR, FLAGS, &addr, sizeof(addr), NULL, 0);
		if (!stayed)
			continue;
		(void)queue_send_fd(q, VHOST_USER_SET_VRING_KICK, q->kick);
		(void)queue_send_enable(q, true);
		raw_kick(q);
		if (!still_there(t)) {
			target_replace(t);
			continue;
		}
		ok(raw_restart(q));
		ok(casement_init(q, NULL, &(struct fuse_init_out){ 0 }));
	}
}

/* Addresses and sizes change under a running ring. */
static void test_running_ring_changes(void **state)
{
	struct target *t = *state;
	struct casement_queue *q = casement_request_queue(t->client, 0);
	struct vhost_user_vring_state num = { 1, 2 }, base = { 1, 77 };
	struct vhost_user_vring_addr addr = { .index = 1 };

	ok(casement_init(q, NULL, &(struct fuse_init_out){ 0 }));
	if (provoke(t, VHOST_USER_SET_VRING_NUM, FLAGS, &num, sizeof(num), NULL, 0) &&
	    provoke(t, VHOST_USER_SET_VRING_BASE, FLAGS, &base, sizeof(base), NULL, 0) &&
	    provoke(t, VHOST_USER_SET_VRING_ADDR, FLAGS, &addr, sizeof(addr), NULL, 0)) {
		raw_kick(q);
		assert_true(still_there(t));
		ok(raw_restart(q));
	}
	q = casement_request_queue(t->client, 0);
	ok(casement_init(q, NULL, &(struct fuse_init_out){ 0 }));
}

/* Memory regions that are no memory. */
static void test_regions(void **state)
{
	struct target *t = *state;
	cleanup_close int fd = memfd_create("region", MFD_CLOEXEC), file = open("/", O_PATH | O_CLOEXEC);
	const uint64_t far = 1ull << 40, user = 0x7000000000ull;
	const struct vhost_user_mem_region bad[] = {
		{ far, 0, user, 0 },				/* empty */
		{ far, 1, user, 0 }, { far + 1, 4096, user, 0 }, { far, 4096, user, 1 },
		{ far, 1ull << 40, user, 0 },			/* larger than the file */
		{ far, 4096, user, 1ull << 40 },		/* beyond the file */
		{ far, 4096, user, UINT64_MAX - 4095 }, { far, UINT64_MAX, user, 0 },
		{ UINT64_MAX - 4095, 8192, user, 0 }, { far, 8192, UINT64_MAX - 4095, 0 },
		{ MEMORY_GUEST_BASE, 4096, user, 0 },		/* overlaps guest memory */
		{ MEMORY_GUEST_BASE - 4096, 8192, user, 0 },
		{ far, 4096, (uintptr_t)t->client->memory.regions[0].base, 0 },
	};

	assert_int_equal(ftruncate(fd, 65536), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vhost_user_single_mem_region one = { .region = bad[i] };
		struct vhost_user_mem_table table = { .nregions = 1, .regions = { bad[i] } };

		hostile_case("memory region %u", i);
		provoke(t, VHOST_USER_ADD_MEM_REG, FLAGS, &one, sizeof(one), &fd, 1);
		provoke(t, VHOST_USER_ADD_MEM_REG, FLAGS, &one, sizeof(one), &file, 1);
		provoke(t, VHOST_USER_REM_MEM_REG, FLAGS, &one, sizeof(one), NULL, 0);
		provoke(t, VHOST_USER_SET_MEM_TABLE, FLAGS, &table, 40, &fd, 1);
		provoke(t, VHOST_USER_SET_MEM_TABLE, FLAGS, &table, 40, &file, 1);
	}
}

static void test_tables(void **state)
{
	static const uint32_t counts[] = { 0, 2, 8, 9, 0x20000000, 0xffffffff };
	struct target *t = *state;
	cleanup_close int fd = memfd_create("region", MFD_CLOEXEC);
	struct vhost_user_mem_table table = { .nregions = 1 };
	unsigned int before = 0;

	assert_int_equal(ftruncate(fd, 65536), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		int fds[8] = { fd, fd, fd, fd, fd, fd, fd, fd };

		hostile_case("a table of %u regions", counts[i]);
		table.nregions = counts[i];
		for (unsigned int r = 0; r < 8; r++)
			table.regions[r] = (struct vhost_user_mem_region){ (1ull << 40) + r * 4096, 4096,
				(1ull << 41) + r * 4096, r * 4096 };
		provoke(t, VHOST_USER_SET_MEM_TABLE, FLAGS, &table, 40, fds, 1);
		provoke(t, VHOST_USER_SET_MEM_TABLE, FLAGS, &table, sizeof(table), fds, 8);
		provoke(t, VHOST_USER_SET_MEM_TABLE, FLAGS, &table, sizeof(table), fds, 7);
	}
	/* More regions than there are slots. */
	for (unsigned int i = 0; i < 700; i++) {
		struct vhost_user_single_mem_region one = { .region = { (1ull << 42) + i * 4096ull, 4096,
			(1ull << 43) + i * 4096ull, 0 } };

		if (!provoke(t, VHOST_USER_ADD_MEM_REG, FLAGS, &one, sizeof(one), &fd, 1))
			break;
		if (i == 600)
			before = daemon_count_fds(&t->daemon);
	}
	assert_true(!before || daemon_count_fds(&t->daemon) <= before);
}

/* Guest memory that shrinks under the daemon must not end it by a signal. */
static void test_memory_shrinks(void **state)
{
	struct target *t = *state;
	struct channel_message message;
	struct vhost_user_vring_state which = { 1, 0 };
	struct casement_queue *q;

	target_unsealed(t);
	q = casement_request_queue(t->client, 0);
	ok(casement_init(q, NULL, &(struct fuse_init_out){ 0 }));
	assert_int_equal(ftruncate(t->client->memory.fd, 0), 0);
	raw_kick(q);
	if (raw_message(t->client, VHOST_USER_GET_VRING_BASE, VHOST_USER_VERSION, &which,
			sizeof(which), NULL, 0))
		return;
	if (!raw_receive(t->client, &message, TEST_WAIT_MS))
		channel_message_clear(&message);
	target_replace(t);
}

/* The configuration space by offsets and sizes it does not have. */
static void test_config_space(void **state)
{
	static const uint32_t ranges[][2] = {
		{ 0, 0 }, { 0, 256 }, { 0, 257 }, { 40, 1 }, { 39, 2 }, { 0xffffffff, 1 },
		{ 0xfffffff0, 0x20 }, { 0, 0xffffffff }, { 36, 4 },
	};
	struct target *t = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct vhost_user_config config = { .offset = ranges[i][0], .size = ranges[i][1] };

		hostile_case("configuration space, %#x bytes at %#x", config.size, config.offset);
		provoke(t, VHOST_USER_GET_CONFIG, VHOST_USER_VERSION, &config, 12 + 40, NULL, 0);
		provoke(t, VHOST_USER_GET_CONFIG, VHOST_USER_VERSION, &config, sizeof(config), NULL, 0);
		provoke(t, VHOST_USER_SET_CONFIG, FLAGS, &config, sizeof(config), NULL, 0);
	}
}

/* Ten thousand of the same: nothing grows. */
static void test_repeated(void **state)
{
	struct target *t = *state;
	struct casement_queue *q = casement_request_queue(t->client, 0);
	unsigned int before = 0;

	for (unsigned int i = 0; i < 10000; i++) {
		int pair[2];

		ok(queue_send_fd(q, VHOST_USER_SET_VRING_CALL, q->call));
		if (i % 100 == 0) {
			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
			ok(channel_set(&t->client->channel, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0,
				       &pair[1], 1));
			close(pair[0]);
			close(pair[1]);
			ok(queue_send_fd(q, VHOST_USER_SET_VRING_KICK, q->kick));
			ok(queue_send_fd(q, VHOST_USER_SET_VRING_ERR, q->call));
			ok(casement_queue_stop(q));
			ok(casement_queue_start(q));
		}
		if (i == 1000)
			before = daemon_count_fds(&t->daemon);
	}
	assert_true(daemon_count_fds(&t->daemon) <= before);
	ok(casement_init(q, NULL, &(struct fuse_init_out){ 0 }));
}

/* Descriptors that are no eventfds, sockets or memory. */
static void test_odd_descriptors(void **state)
{
	static const uint32_t requests[] = {
		VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_ERR,
		VHOST_USER_SET_BACKEND_REQ_FD,
	};
	struct target *t = *state;

	for (unsigned int i = 0; i < 4 * ARRAY_SIZE(requests); i++) {
		static const char *const paths[] = { "/dev/null", "/dev/zero", "/proc/self/status", "/" };
		cleanup_close int fd = open(paths[i % 4], O_RDONLY | O_CLOEXEC);
		uint64_t index = 1;
		bool bare = requests[i / 4] == VHOST_USER_SET_BACKEND_REQ_FD;

		hostile_case("request %u with %s", requests[i / 4], paths[i % 4]);
		if (!provoke(t, requests[i / 4], FLAGS, &index, bare ? 0 : 8, &fd, 1))
			continue;
		raw_kick(casement_request_queue(t->client, 0));
		assert_true(still_there(t));
		ok(raw_restart(casement_request_queue(t->client, 0)));
		ok(casement_init(casement_request_queue(t->client, 0), NULL,
				 &(struct fuse_init_out){ 0 }));
	}
}

#define PERSIST_TEST(test) \
	cmocka_unit_test_setup_teardown(test, target_setup_persist, target_teardown)
#define TARGET_TEST(test) cmocka_unit_test_setup_teardown(test, target_setup, target_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PERSIST_TEST(test_every_message),
		TARGET_TEST(test_headers),
		TARGET_TEST(test_pieces),
		PERSIST_TEST(test_vring_values),
		TARGET_TEST(test_ring_addresses),
		TARGET_TEST(test_running_ring_changes),
		PERSIST_TEST(test_regions),
		PERSIST_TEST(test_tables),
		TARGET_TEST(test_memory_shrinks),
		PERSIST_TEST(test_config_space),
		TARGET_TEST(test_repeated),
		TARGET_TEST(test_odd_descriptors),
		cmocka_unit_test(test_cases_counted),
	};

	hostile_cases_least = 300;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
