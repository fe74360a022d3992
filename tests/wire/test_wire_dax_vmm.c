/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The window between daemon and VMM: a VMM that answers late, stops the
 * machine meanwhile, sends its memory table because of a mapping; and files
 * that are cut and grow under mappings. Relies on the client's window, which
 * can be told to hesitate.
 */
#include "dax_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "tests/skip.h"

#define HOLD_MAP (1u << VHOST_USER_BACKEND_SHMEM_MAP)
#define HOLD_UNMAP (1u << VHOST_USER_BACKEND_SHMEM_UNMAP)
#define HOLD_BARRIER (1u << VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE)

static struct window_event events[WINDOW_EVENTS];

static const struct fixture_config window_queues = {
	.args = { "--window-size", "64M", "--queues", "4", NULL },
	.options = { .request_queues = 4, .flags = CASEMENT_MAP_ALL_WRITABLE },
	.needs = "window-size",
};
static const struct fixture_config announced = {
	.args = { "--window-size", "64M", NULL },
	.options = { .flags = CASEMENT_MAP_ALL_WRITABLE | CASEMENT_ANNOUNCE_MAPPINGS },
	.needs = "window-size",
};
static const struct fixture_config announced_by_table = {
	.args = { "--window-size", "64M", NULL },
	.options = { .memory_regions = 2, .flags = CASEMENT_MAP_ALL_WRITABLE |
		     CASEMENT_ANNOUNCE_MAPPINGS | CASEMENT_NO_MEM_SLOTS },
	.needs = "window-size",
};

/* The answer to the guest waits for the answer to the map, and for the barrier behind it. */
static void test_barrier(void **state)
{
	static const uint32_t holds[] = { HOLD_MAP, HOLD_BARRIER };
	struct fixture *f = fixture_of(state);
	struct pending p;
	uint64_t node;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	node = lookup_node(f->q, "file");
	for (unsigned int i = 0; i < ARRAY_SIZE(holds); i++) {
		raw_window_hold(f->client, holds[i]);
		map_begin(f, &p, node, 0, i * RANGE);
		assert_true(raw_window_held(f->client, TEST_WAIT_MS));
		assert_true(still_pending(f));
		raw_window_hold(f->client, 0);
		assert_int_equal(map_end(f, &p), 0);
		check_pattern(window_at(f, i * RANGE), RANGE, 1, 0);
	}
}

/* Other queues, and other requests than mappings, do not wait for a slow VMM. */
static void test_others_go_on(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_queue *other = casement_request_queue(f->client, 1);
	struct fuse_attr_out attr;
	struct pending p;
	uint64_t node, fh;
	char buf[100];

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	fh = open_file(f->q, "file", O_RDWR, &node);
	raw_window_hold(f->client, HOLD_MAP);
	map_begin(f, &p, node, 0, 0);
	assert_true(raw_window_held(f->client, TEST_WAIT_MS));
	ok(casement_getattr(other, node, CASEMENT_NO_FH, &attr));
	assert_int_equal(ok(casement_read(other, node, fh, 5, buf, 100)), 100);
	check_pattern(buf, 100, 1, 5);
	ok(casement_queue_stop(other));
	ok(casement_queue_start(other));
	raw_window_hold(f->client, 0);
	assert_int_equal(map_end(f, &p), 0);
}

/* The machine is stopped while the VMM has not answered: it must not deadlock, nor lose the request. */
static void test_stop_while_pending(void **state)
{
	static const uint32_t holds[] = { HOLD_MAP, HOLD_BARRIER };
	struct fixture *f = fixture_of(state);
	uint64_t node;

	share_fill(&f->daemon, "file", 64 * MIB, 1);
	node = lookup_node(f->q, "file");
	for (unsigned int round = 0; round < 16; round++) {
		uint64_t at = round * RANGE;
		struct pending p;

		raw_window_hold(f->client, holds[round & 1]);
		map_begin(f, &p, node, at, at);
		assert_true(raw_window_held(f->client, TEST_WAIT_MS));
		ok(casement_queue_stop(f->q));
		/* Not answered, so still on the ring. */
		assert_int_equal((uint16_t)(f->q->next_avail - f->q->base), 1);
		if (round & 2)
			raw_window_hold(f->client, 0);
		ok(casement_queue_start(f->q));
		if (!(round & 2)) {
			assert_true(still_pending(f));
			raw_window_hold(f->client, 0);
		}
		assert_int_equal(map_end(f, &p), 0);
		assert_true(mapped(f, at, at, RANGE));
		assert_int_equal(live(f), round + 1);
		check_pattern(window_at(f, at), RANGE, 1, at);
	}
}

/* The same, and the guest after it is another one. */
static void test_reset_while_pending(void **state)
{
	struct fixture *f = fixture_of(state);
	struct pending p;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	for (unsigned int round = 0; round < 8; round++) {
		uint64_t node = lookup_node(f->q, "file");

		ok(map(f, node, RANGE, RANGE, READ, RANGE));
		raw_window_hold(f->client, round & 1 ? HOLD_MAP : HOLD_BARRIER);
		map_begin(f, &p, node, 0, 0);
		assert_true(raw_window_held(f->client, TEST_WAIT_MS));
		ok(casement_queue_stop(f->q));
		casement_queue_reset(f->q);
		if (round & 2)
			raw_window_hold(f->client, 0);
		ok(casement_queue_start(f->q));
		raw_window_hold(f->client, 0);
		ok(casement_init(f->q, NULL, &f->init));
		assert_int_equal(live(f), 0);
	}
}

static void test_leave_while_pending(void **state)
{
	struct fixture *f = fixture_of(state);
	struct pending p;
	uint64_t node;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	node = lookup_node(f->q, "file");
	raw_window_hold(f->client, HOLD_MAP);
	map_begin(f, &p, node, 0, 0);
	assert_true(raw_window_held(f->client, TEST_WAIT_MS));
	casement_close(f->client);
	f->client = NULL;
	assert_int_equal(daemon_wait(&f->daemon), 0);
}

/* Each mapping makes the VMM send its memory, before its answer or after it. */
static void test_announced(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node;

	share_fill(&f->daemon, "file", 32 * MIB, 1);
	node = lookup_node(f->q, "file");
	for (unsigned int round = 0; round < 4; round++) {
		raw_window_announce(f->client, round & 1 ? WINDOW_ANNOUNCE_FIRST : WINDOW_ANNOUNCE);
		for (unsigned int i = 0; i < 16; i++) {
			ok(map(f, node, i * RANGE, RANGE, READ, (15 - i) * RANGE));
			ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &(struct fuse_attr_out){ 0 }));
		}
		check_pattern(window_at(f, 3 * RANGE), RANGE, 1, 12 * RANGE);
		ok(casement_init(f->q, NULL, &f->init));
		assert_int_equal(live(f), 0);
		node = lookup_node(f->q, "file");
	}
}

static uint64_t host_size(struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(stat(share_path(&f->daemon, name), &st), 0);
	return (uint64_t)st.st_size;
}

static int set_size(struct fixture *f, uint64_t node, uint64_t size)
{
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = size };
	struct fuse_attr_out attr;

	return casement_setattr(f->q, node, &set, &attr);
}

/* Whatever makes the file grow brings back what lies within it again. */
static int grow(struct fixture *f, unsigned int how, uint64_t node, uint64_t fh)
{
	switch (how) {
	case 0:
		return set_size(f, node, 8 * MIB);
	case 1:
		return (int)MIN(casement_write(f->q, node, fh, 8 * MIB - 1, "x", 1), 0);
	default:
		return casement_fallocate(f->q, node, fh, 0, 0, 8 * MIB);
	}
}

static void test_truncate(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh;

	for (unsigned int how = 0; how < 3; how++) {
		share_fill(&f->daemon, "file", 8 * MIB, 1);
		fh = open_file(f->q, "file", O_RDWR, &node);
		for (unsigned int i = 0; i < 4; i++)
			ok(map(f, node, i * RANGE, RANGE, i & 1 ? WRITE : READ, i * RANGE));
		raw_window_events(f->client, events, WINDOW_EVENTS);
		ok(set_size(f, node, MIB));
		assert_int_equal(host_size(f, "file"), MIB);
		assert_int_equal(live(f), 1);
		assert_int_equal(raw_window_events(f->client, events, WINDOW_EVENTS) > 0, 1);
		check_pattern(window_at(f, 0), MIB, 1, 0);
		ok(grow(f, how, node, fh));
		for (unsigned int i = 0; i < 4; i++)
			assert_true(mapped(f, i * RANGE, i * RANGE, RANGE));
		check_pattern(window_at(f, 0), MIB, 1, 0);
		for (uint64_t i = MIB; i < 8 * MIB - 1; i += 4095)
			assert_int_equal(*window_at(f, i), 0);
		memset(window_at(f, RANGE), 'x', RANGE);
		ok(casement_init(f->q, NULL, &f->init));
	}
}

/* The tail is gone from the window before it is gone from the file: in between is a SIGBUS. */
static void test_unmapped_before_cut(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = 0 };
	struct fuse_attr_out attr;
	struct fuse_open_in open_in = { .flags = O_RDWR | O_TRUNC };
	struct fuse_open_out open_out;
	struct iovec in[2] = { { &set, sizeof(set) }, { &open_in, sizeof(open_in) } };
	struct iovec out[2] = { { &attr, sizeof(attr) }, { &open_out, sizeof(open_out) } };
	uint64_t node;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	for (unsigned int i = 0; i < 4; i++) {
		struct casement_request request = { .opcode = i & 1 ? FUSE_OPEN : FUSE_SETATTR,
			.in = &in[i & 1], .n_in = 1, .out = &out[i & 1], .n_out = 1 };
		struct casement_request *done = NULL;

		request.nodeid = node = lookup_node(f->q, "file");
		ok(set_size(f, node, 8 * MIB));
		ok(map(f, node, 0, 2 * RANGE, READ, 0));
		ok(map(f, node, 2 * RANGE, RANGE, WRITE, 2 * RANGE));
		raw_window_hold(f->client, i & 2 ? HOLD_BARRIER : HOLD_UNMAP);
		assert_int_equal(ok(casement_submit(f->q, &request, 1)), 1);
		assert_true(raw_window_held(f->client, TEST_WAIT_MS));
		assert_true(still_pending(f));
		assert_int_equal(host_size(f, "file"), 8 * MIB);
		raw_window_hold(f->client, 0);
		assert_int_equal(ok(casement_complete(f->q, &done, 1, -1)), 1);
		assert_true(request.result > 0);
		assert_int_equal(host_size(f, "file"), 0);
		assert_int_equal(live(f), 0);
	}
}

/* Stopped in the middle of a cut: after the restart it is done, once. */
static void test_stop_while_cutting(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = MIB };
	struct fuse_attr_out attr;
	struct iovec in = { &set, sizeof(set) }, out = { &attr, sizeof(attr) };
	uint64_t node;

	share_fill(&f->daemon, "file", 8 * MIB, 1);
	node = lookup_node(f->q, "file");
	for (unsigned int round = 0; round < 8; round++) {
		struct casement_request request = { .opcode = FUSE_SETATTR, .nodeid = node,
			.in = &in, .n_in = 1, .out = &out, .n_out = 1 };
		struct casement_request *done = NULL;

		ok(set_size(f, node, 8 * MIB));
		for (unsigned int i = 0; i < 4; i++)
			ok(map(f, node, i * RANGE, RANGE, READ, i * RANGE));
		raw_window_hold(f->client, round & 1 ? HOLD_UNMAP : HOLD_BARRIER);
		assert_int_equal(ok(casement_submit(f->q, &request, 1)), 1);
		assert_true(raw_window_held(f->client, TEST_WAIT_MS));
		ok(casement_queue_stop(f->q));
		if (round & 2)
			raw_window_hold(f->client, 0);
		ok(casement_queue_start(f->q));
		raw_window_hold(f->client, 0);
		assert_int_equal(ok(casement_complete(f->q, &done, 1, -1)), 1);
		assert_int_equal(request.result, sizeof(attr));
		assert_int_equal(host_size(f, "file"), MIB);
		assert_int_equal(live(f), 1);
	}
}

/* One queue's thread maps and unmaps its own part of the window. */
struct mapper {
	struct fixture *f;
	struct casement_queue *q;
	uint64_t node;
	unsigned int number;
	const char *failed;
};

static void *map_and_look(void *arg)
{
	struct mapper *m = arg;

	for (unsigned int round = 0; !m->failed && round < 60; round++) {
		uint64_t at = (m->number * 4 + round % 4) * RANGE;
		uint64_t offset = (round * 7 + m->number) % 16 * RANGE;
		struct fuse_removemapping_one one = { at, RANGE };

		if (casement_setupmapping(m->q, m->node, UINT64_MAX, offset, RANGE, READ, at))
			m->failed = "setup";
		else if ((unsigned char)*window_at(m->f, at + 4099) != pattern(1, offset + 4099))
			m->failed = "contents";
		else if (round % 3 == 0 && casement_removemapping(m->q, &one, 1))
			m->failed = "remove";
	}
	return NULL;
}

static void test_queues_map(void **state)
{
	struct fixture *f = fixture_of(state);
	struct mapper mappers[4];
	pthread_t threads[4];

	share_fill(&f->daemon, "file", 32 * MIB, 1);
	for (unsigned int i = 0; i < 4; i++) {
		mappers[i] = (struct mapper){ f, casement_request_queue(f->client, i), 0, i, NULL };
		mappers[i].node = lookup_node(f->q, "file");
	}
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, map_and_look, &mappers[i]), 0);
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < 4; i++)
		if (mappers[i].failed)
			fail_msg("queue %u: %s", i, mappers[i].failed);
}

/* A file with a lease of this process, which it is asked for by SIGIO; closed to give it back. */
static int lease_file(struct fixture *f, const char *name)
{
	int fd;

	share_fill(&f->daemon, name, 8 * MIB, 1);
	fd = open(share_path(&f->daemon, name), O_RDONLY | O_CLOEXEC);
	signal(SIGIO, SIG_IGN);
	if (fcntl(fd, F_SETLEASE, F_RDLCK)) {
		close(fd);
		SKIP_BECAUSE("this file system has no leases");
	}
	return fd;
}

/* The mapping waits for the process that has the lease; its queue does not, nor does the queue's stop. */
static void test_lease(void **state)
{
	struct fixture *f = fixture_of(state);
	cleanup_close int lease = lease_file(f, "file");
	uint64_t node = lookup_node(f->q, "file");
	struct fuse_attr_out attr;
	struct pending p;

	map_begin(f, &p, node, 0, 0);
	for (unsigned int i = 0; i < 2; i++) {
		ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
		assert_true(still_pending(f));
		ok(casement_queue_stop(f->q));
		ok(casement_queue_start(f->q));
	}
	close_fd(&lease);
	assert_int_equal(map_end(f, &p), 0);
	assert_true(mapped(f, 0, 0, RANGE));
	check_pattern(window_at(f, 0), RANGE, 1, 0);
}

/* What has waited for a lease and then waits for the VMM is not answered by a stop either. */
static void test_stop_after_lease(void **state)
{
	struct fixture *f = fixture_of(state);
	struct pending p;

	for (unsigned int i = 0; i < 8; i++) {
		cleanup_close int lease = lease_file(f, "file");
		uint64_t node = lookup_node(f->q, "file");

		raw_window_hold(f->client, HOLD_MAP);
		map_begin(f, &p, node, 0, 0);
		close_fd(&lease);
		assert_true(raw_window_held(f->client, TEST_WAIT_MS));
		ok(casement_queue_stop(f->q));
		if (i & 1)
			raw_window_hold(f->client, 0);
		ok(casement_queue_start(f->q));
		raw_window_hold(f->client, 0);
		assert_int_equal(map_end(f, &p), 0);
		assert_true(mapped(f, 0, 0, RANGE));
		ok(unmap(f, 0, RANGE));
	}
}

/* The guest leaves while its mapping waits for a lease: what comes of that late is nothing of the next guest's. */
static void test_leave_while_leased(void **state)
{
	struct fixture *f = fixture_of(state);
	cleanup_close int lease = lease_file(f, "file");
	uint64_t node = lookup_node(f->q, "file");
	struct pending p;

	map_begin(f, &p, node, 0, 0);
	assert_true(still_pending(f));
	ok(casement_queue_stop(f->q));
	casement_queue_reset(f->q);
	ok(casement_queue_start(f->q));
	ok(casement_init(f->q, NULL, &f->init));
	close_fd(&lease);
	node = lookup_node(f->q, "file");
	ok(map(f, node, 0, RANGE, READ, RANGE));
	assert_int_equal(live(f), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_barrier, &window_64),
		FIXTURE_TEST(test_others_go_on, &window_queues),
		FIXTURE_TEST(test_stop_while_pending, &window_64),
		FIXTURE_TEST(test_reset_while_pending, &window_64),
		FIXTURE_TEST(test_leave_while_pending, &window_64),
		FIXTURE_TEST(test_announced, &announced),
		FIXTURE_TEST(test_announced, &announced_by_table),
		FIXTURE_TEST(test_truncate, &window_64),
		FIXTURE_TEST(test_unmapped_before_cut, &window_64),
		FIXTURE_TEST(test_stop_while_cutting, &window_64),
		FIXTURE_TEST(test_queues_map, &window_queues),
		FIXTURE_TEST(test_lease, &window_64),
		FIXTURE_TEST(test_stop_after_lease, &window_64),
		FIXTURE_TEST(test_leave_while_leased, &window_64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
