/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings stopped and started in the middle of work: nothing is lost, nothing is
 * done twice, whoever serves it. Relies on the real daemon.
 */
#include "batch.h"
#include "daemon_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/raw.h"
#include "common/checked.h"

static const struct fixture_config no_pool = { .args = { "--thread-pool-size", "0" } };

/* Stopped in the middle of a batch, the ring loses nothing and repeats nothing. */
static void test_stop_in_flight(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_request requests[MANY];
	struct fuse_attr_out attrs[MANY];
	struct iovec iov[2 * MANY];

	for (unsigned int round = 0; round < 200; round++) {
		unsigned int n = 1 + round % MANY;

		make_getattrs(requests, iov, attrs, n);
		assert_int_equal(ok(casement_submit(f->q, requests, n)), n);
		ok(casement_queue_stop(f->q));
		assert_true((uint16_t)(f->q->next_avail - f->q->base) <= n);
		/* All before the base is answered, nothing after it. */
		assert_int_equal(f->q->used->idx, f->q->base);
		ok(casement_queue_start(f->q));
		collect(f->q, requests, n);
	}
}

/* Make every second request an fsync, which is served away from the queue's thread. */
static void mix_in_syncs(struct casement_request *requests, unsigned int n)
{
	static const struct fuse_syncfs_in body;

	for (unsigned int i = 0; i < n; i += 2) {
		requests[i].opcode = FUSE_SYNCFS;
		*(struct iovec *)(uintptr_t)requests[i].in =
			(struct iovec){ (void *)(uintptr_t)&body, sizeof(body) };
		requests[i].n_out = 0;
	}
}

/* The same with requests that are away when the stop comes: they are waited for. */
static void test_stop_with_some_away(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_request requests[MANY], *done[MANY];
	struct fuse_attr_out attrs[MANY];
	struct iovec iov[2 * MANY];

	for (unsigned int round = 0; round < 100; round++) {
		unsigned int n = 1 + round % MANY, seen = 0;

		make_getattrs(requests, iov, attrs, n);
		mix_in_syncs(requests, n);
		assert_int_equal(ok(casement_submit(f->q, requests, n)), n);
		ok(casement_queue_stop(f->q));
		assert_int_equal(f->q->used->idx, f->q->base);
		ok(casement_queue_start(f->q));
		while (seen < n) {
			long got = ok(casement_complete(f->q, done, MANY, -1));

			for (long i = 0; i < got; i++)
				assert_int_equal(done[i]->result, (done[i] - requests) % 2 ?
						 (long)sizeof(struct fuse_attr_out) : 0);
			seen += (unsigned int)got;
		}
	}
}

/* A request put on a stopped ring is found at the start, without another notification. */
static void test_start_finds_requests(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int round = 0; round < 20; round++) {
		struct casement_request requests[MANY];
		struct fuse_attr_out attrs[MANY];
		struct iovec iov[2 * MANY];
		uint64_t count;

		ok(casement_queue_stop(f->q));
		make_getattrs(requests, iov, attrs, 3);
		assert_int_equal(ok(casement_submit(f->q, requests, 3)), 3);
		if (read(f->q->kick, &count, sizeof(count)) < 0)
			assert_int_equal(errno, EAGAIN);
		ok(casement_queue_start(f->q));
		collect(f->q, requests, 3);
	}
}

/* A kick before the ring is enabled, or while it is disabled, is not lost. */
static void test_kick_while_disabled(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int round = 0; round < 20; round++) {
		struct casement_request requests[MANY];
		struct casement_request *done[1];
		struct fuse_attr_out attrs[MANY];
		struct iovec iov[2 * MANY];

		ok(queue_send_enable(f->q, false));
		make_getattrs(requests, iov, attrs, 2);
		assert_int_equal(ok(casement_submit(f->q, requests, 2)), 2);
		raw_kick(f->q);
		if (round < 2)
			assert_int_equal(casement_complete(f->q, done, 1, TEST_QUIET_MS), 0);
		ok(queue_send_enable(f->q, true));
		collect(f->q, requests, 2);
	}
}

static void test_stop_start(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int round = 0; round < 100; round++) {
		ok(casement_queue_stop(f->q));
		if (round % 3 == 0)
			casement_queue_reset(f->q);
		ok(casement_queue_start(f->q));
		run_batch(f->q, 1);
	}
}

/* Every order of the messages that start a ring, where a started one may follow. */
static void test_start_orders(void **state)
{
	static const char *const orders[] = {
		"nbackE", "bnackE", "abnckE", "nabckE", "cnbakE", "nbakcE", "kcnbaE", "Enback",
		"nbEack", "ckEnba", "Ekcnba", "nbaEkc", "EnbakcE", "nbackEE", "nnbbackE", "nbaccckE",
		"nbackeE", "nbackEeE",
	};
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++) {
		ok(casement_queue_stop(f->q));
		for (const char *step = orders[i]; *step; step++) {
			switch (*step) {
			case 'n': ok(queue_send_num(f->q)); break;
			case 'b': ok(queue_send_base(f->q)); break;
			case 'a': ok(queue_send_addr(f->q)); break;
			case 'c': ok(queue_send_fd(f->q, VHOST_USER_SET_VRING_CALL, f->q->call)); break;
			case 'k': ok(queue_send_fd(f->q, VHOST_USER_SET_VRING_KICK, f->q->kick)); break;
			case 'E': ok(queue_send_enable(f->q, true)); break;
			case 'e': ok(queue_send_enable(f->q, false)); break;
			}
		}
		run_batch(f->q, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_stop_in_flight, NULL),
		FIXTURE_TEST(test_stop_with_some_away, NULL),
		FIXTURE_TEST(test_stop_with_some_away, &no_pool),
		FIXTURE_TEST(test_start_finds_requests, NULL),
		FIXTURE_TEST(test_kick_while_disabled, NULL),
		FIXTURE_TEST(test_stop_start, NULL),
		FIXTURE_TEST(test_start_orders, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
