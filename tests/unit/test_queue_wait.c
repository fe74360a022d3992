/* SPDX-License-Identifier: BSD-3-Clause */
/* How a queue's thread waits: what wakes it, and when it looks before it sleeps. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/stop_token.h"
#include "daemon/transport/queue_wait.h"
#include "daemon/transport/virtqueue.h"
#include "tests/skip.h"

#define LONG_NS 1000000000000u	/* a look that only work ends */

static union {
	struct vring_avail avail;
	uint16_t bytes[16];
} ring;
static struct virtqueue vq = { .num = 4, .avail = &ring.avail };
static struct stop_token stop;
static struct queue_waker waker;
static struct queue_wait wait;
static int kick = -1;

static int setup(void **state)
{
	(void)state;
	memset(&ring, 0, sizeof(ring));
	vq.last_avail = 0;
	kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return kick < 0 || stop_token_open(&stop) || queue_waker_open(&waker) ||
	       queue_wait_open(&wait, kick, &stop, &waker, LONG_NS);
}

static int teardown(void **state)
{
	(void)state;
	queue_wait_close(&wait);
	queue_waker_close(&waker);
	stop_token_close(&stop);
	close_fd(&kick);
	return 0;
}

/* A kick wakes each time, though nobody reads it, and also one that came before the sleep. */
static void every_kick_wakes(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(eventfd_write(kick, 1), 0);
		queue_wait_sleep(&wait);
	}
}

static void the_stop_wakes_for_good(void **state)
{
	(void)state;
	stop_token_fire(&stop);
	queue_wait_sleep(&wait);
	queue_wait_sleep(&wait);
	wait.look_ns = LONG_NS;
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		assert_true(queue_wait_look(&wait, &vq));
}

/* Another thread's wake-up is not lost, whenever it comes, and costs nothing while we are awake. */
static void the_waker_wakes(void **state)
{
	eventfd_t value;

	(void)state;
	queue_waker_wake(&waker);
	queue_wait_sleep(&wait);
	assert_int_equal(eventfd_read(waker.event_fd, &value), -1);
	assert_true(queue_waker_take(&waker));
	assert_false(queue_waker_take(&waker));
	atomic_store(&waker.asleep, true);
	queue_waker_wake(&waker);
	assert_int_equal(eventfd_read(waker.event_fd, &value), 0);
	queue_waker_wait(&waker);
	assert_true(queue_waker_take(&waker));
}

static void a_look_finds_a_request(void **state)
{
	(void)state;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP_BECAUSE("one processor is always left to others");
	assert_false(queue_wait_look(&wait, &vq));	/* nobody told that it pays */
	wait.look_ns = LONG_NS;
	ring.avail.idx = 1;
	assert_true(queue_wait_look(&wait, &vq));
	vq.last_avail = 1;
	wait.look_ns = 1000;
	assert_false(queue_wait_look(&wait, &vq));
}

/* A short sleep says that looking pays, a long one that it does not. */
static void looks_follow_the_guest(void **state)
{
	(void)state;
	assert_false(queue_wait_look(&wait, &vq));
	eventfd_write(kick, 1);
	queue_wait_sleep(&wait);
	assert_true(wait.look_ns > 0);
	wait.began -= 2 * LONG_NS;
	eventfd_write(kick, 1);
	queue_wait_sleep(&wait);
	assert_int_equal(wait.look_ns, 0);
}

static void looks_have_a_limit(void **state)
{
	(void)state;
	wait.max_ns = 20000;
	for (int i = 0; i < 10; i++) {
		eventfd_write(kick, 1);
		queue_wait_look(&wait, &vq);
		queue_wait_sleep(&wait);
		assert_true(wait.look_ns <= 20000);
	}
}

/* Off: not even a look at the clock. */
static void no_look_when_off(void **state)
{
	(void)state;
	wait.max_ns = 0;
	wait.look_ns = LONG_NS;
	assert_false(queue_wait_look(&wait, &vq));
	assert_int_equal(wait.began, 0);
}

/* Who was put off the processor does not look again at once. */
static void no_look_when_barred(void **state)
{
	(void)state;
	wait.look_ns = LONG_NS;
	wait.barred_until = UINT64_MAX;
	assert_false(queue_wait_look(&wait, &vq));
}

/*
 * A guest on our own processor sends only when we sleep: short sleeps, and
 * looks in vain. They end, and each time for longer; a look that finds
 * something begins anew.
 */
static void looks_in_vain_end(void **state)
{
	uint64_t first = wait.vain_barred_ns;

	(void)state;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP_BECAUSE("with one processor no queue polls");
	for (int round = 0; round < 3; round++) {
		uint64_t before = wait.vain_barred_ns;

		/* Who was put off the processor meanwhile is barred at once, which is another matter. */
		for (int looks = 0; wait.vain_barred_ns == before; looks++) {
			assert_true(looks < 100);
			wait.barred_until = 0;
			wait.look_ns = 1000;
			assert_false(queue_wait_look(&wait, &vq));
		}
		assert_int_equal(wait.vain_barred_ns, 2 * before);
		assert_int_equal(wait.look_ns, 0);
		assert_true(wait.barred_until > wait.began);
		wait.look_ns = 1000;
		wait.barred_until = UINT64_MAX;	/* the test may have slept through it */
		assert_false(queue_wait_look(&wait, &vq));
	}
	ring.avail.idx = 1;
	wait.barred_until = 0;
	wait.look_ns = LONG_NS;
	assert_true(queue_wait_look(&wait, &vq));
	assert_int_equal(wait.vain_barred_ns, first);
}

/* A kick that hung up wakes once; then the ring is looked at from time to time. */
static void a_dead_kick_is_dropped(void **state)
{
	int ends[2];

	(void)state;
	queue_wait_close(&wait);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(queue_wait_open(&wait, ends[0], &stop, &waker, 0), 0);
	close(ends[1]);
	queue_wait_sleep(&wait);
	assert_int_equal(wait.kick_fd, -1);
	queue_wait_sleep(&wait);
	close(ends[0]);
}

/* What cannot be waited for cannot kick. */
static void a_file_is_no_kick(void **state)
{
	char path[] = "/tmp/casement-kick-XXXXXX";
	cleanup_close int file = mkstemp(path);

	(void)state;
	assert_true(file >= 0);
	unlink(path);
	queue_wait_close(&wait);
	assert_int_equal(queue_wait_open(&wait, file, &stop, &waker, 0), 0);
	assert_int_equal(wait.kick_fd, -1);
	queue_wait_sleep(&wait);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kick_wakes), TEST(the_stop_wakes_for_good), TEST(the_waker_wakes),
		TEST(a_look_finds_a_request),
		TEST(looks_follow_the_guest), TEST(looks_have_a_limit), TEST(no_look_when_off),
		TEST(no_look_when_barred), TEST(looks_in_vain_end),
		TEST(a_dead_kick_is_dropped), TEST(a_file_is_no_kick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
