/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests served elsewhere: they come back, in any order, each once, and only so many are away. */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/stop_token.h"
#include "daemon/transport/offload.h"
#include "daemon/transport/queue_worker.h"

#define ROOM 4

/* A request is one byte, its number; this is one that was decoded. */
struct request {
	unsigned char number;
	bool detached, refused;
	struct iov_cursor out;
};

#define THREADS 3
#define FAR_MAX 10

static sem_t begun, go[OFFLOAD_MAX + 1];
static atomic_uint places, refusals, wakes;
static struct guest_mem mem;
static struct guest_table *table;
static struct job_pool *pool, *others;
static struct stop_token stop;
static struct offload offload;
static struct vq_chain chain;
static void *at_hand;

static int place_new(void *ctx, void **place)
{
	(void)ctx;
	*place = malloc(sizeof(struct request));
	places++;
	return *place ? 0 : -ENOMEM;
}

static void place_free(void *place)
{
	free(place);
	places--;
}

/* What the queue's thread does with a request. */
static long handle(void *place, struct iov_cursor *in, struct iov_cursor *out)
{
	struct request *request = place;

	request->out = *out;
	assert_true(iov_cursor_read(in, &request->number, 1));
	request->detached = request->refused = false;
	return REQUEST_WAITS_DISK;
}

/* Served when the semaphore of its number says so. */
static long resume(void *place, long what)
{
	struct request *request = place;

	assert_true(what == REQUEST_WAITS_DISK ? request->out.left == 2 : request->detached);
	sem_post(&begun);
	sem_wait(&go[request->number]);
	return 100 + request->number;
}

static long refuse(void *place)
{
	struct request *request = place;

	request->refused = true;
	refusals++;
	return 50;
}

static int detach(void *place)
{
	struct request *request = place;

	request->detached = true;
	return 0;
}

static long fetch(void *place, struct iov_cursor *out, long written)
{
	const struct request *request = place;

	assert_int_equal(out->left, 2);
	if (request->detached)
		iov_cursor_write(out, &request->number, 1);
	return written;
}

/* Two in a row wait for the same. */
static uint64_t key(void *place)
{
	return ((struct request *)place)->number / 2;
}

static void wake(void *ctx)
{
	(void)ctx;
	wakes++;
}

static const struct request_ops ops = {
	.refuse = refuse, .detach = detach, .fetch = fetch, .key = key, .wake = wake,
	.place_new = place_new, .place_free = place_free, .handle = handle, .resume = resume,
};

static const struct job_pool_limits disk_limits = {
	.threads = THREADS, .threads_per_key = THREADS, .jobs = OFFLOAD_MAX, .what = "a disk",
};
static const struct job_pool_limits other_limits = {
	.threads = THREADS, .threads_per_key = 1, .jobs = FAR_MAX, .what = "others",
};

static int setup(void **state)
{
	(void)state;
	sem_init(&begun, 0, 0);
	for (int i = 0; i <= OFFLOAD_MAX; i++)
		sem_init(&go[i], 0, 0);
	chain.iov = calloc(ROOM, sizeof(struct iovec));
	chain.room = ROOM;
	if (!chain.iov || place_new(NULL, &at_hand) || guest_mem_init(&mem) || job_pool_new(&ops, &disk_limits, &pool) ||
	    job_pool_new(&ops, &other_limits, &others))
		return -1;
	table = guest_mem_get(&mem);
	return offload_open(&offload, &ops, &(struct offload_pools){ .disk = pool, .others = others }, &mem, &stop);
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(offload.near, 0);
	assert_int_equal(offload.far, 0);
	job_pool_free(pool);
	assert_true(job_pool_try_free(others, 10000));
	offload_trim(&offload);
	assert_null(offload.spare);
	place_free(at_hand);
	assert_int_equal(places, 0);
	offload_close(&offload);
	assert_int_equal(table->refs, 2);
	guest_table_put(&mem, table);
	guest_mem_destroy(&mem);
	free(chain.iov);
	return 0;
}

static unsigned char numbers[OFFLOAD_MAX + 1];
static char reply[2];

static int send_to(unsigned int number, long what)
{
	struct iov_cursor in, out;

	numbers[number] = (unsigned char)number;
	chain.head = (uint16_t)number;
	chain.n_read = chain.n_write = 1;
	chain.iov[0] = (struct iovec){ &numbers[number], 1 };
	chain.iov[1] = (struct iovec){ reply, sizeof(reply) };
	iov_cursor_init(&in, chain.iov, 1);
	iov_cursor_init(&out, chain.iov + 1, 1);
	assert_int_equal(ops.handle(at_hand, &in, &out), REQUEST_WAITS_DISK);
	/* The guest may write there now: nobody looks at it again. */
	numbers[number] = 0xff;
	return offload_send(&offload, table, &chain, &at_hand, what);
}

static int send_away(unsigned int number)
{
	return send_to(number, REQUEST_WAITS_DISK);
}

/* Wait for the next that comes back, which must be this one. */
static void expect_back(unsigned int number)
{
	struct job *job;

	while (!(job = offload_collect(&offload)))
		queue_waker_wait(&offload.waker);
	assert_null(job->next);
	assert_int_equal(job->chain.head, number);
	assert_int_equal(job->written, 100 + number);
	offload_done(&offload, job);
}

/* Wait for so many, in whichever order. */
static void expect_all_back(unsigned int n)
{
	for (unsigned int back = 0; back < n;) {
		struct job *job = offload_collect(&offload);

		if (!job)
			queue_waker_wait(&offload.waker);
		for (struct job *next; job; job = next, back++) {
			next = job->next;
			offload_done(&offload, job);
		}
	}
}

static void any_order(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(send_away(i), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		sem_wait(&begun);
	for (unsigned int i = THREADS; i-- > 0;) {
		assert_null(offload_collect(&offload));
		sem_post(&go[i]);
		expect_back(i);
	}
}

/* One thread too few: what is queued behind is served when one is free, and none is lost. */
static void more_than_threads(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < THREADS + 2; i++)
		assert_int_equal(send_away(i), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		sem_wait(&begun);
	assert_int_equal(sem_trywait(&begun), -1);
	for (unsigned int i = 0; i < THREADS + 2; i++) {
		sem_post(&go[i]);
		expect_back(i);
	}
}

static void only_so_many(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < OFFLOAD_MAX; i++)
		assert_int_equal(send_away(i), 0);
	assert_int_equal(send_away(OFFLOAD_MAX), -EBUSY);
	/* the request is still in the caller's hands */
	assert_int_equal(chain.head, OFFLOAD_MAX);
	assert_ptr_equal(chain.iov[0].iov_base, &numbers[OFFLOAD_MAX]);
	assert_int_equal(((struct request *)at_hand)->number, OFFLOAD_MAX);
	for (unsigned int i = 0; i < OFFLOAD_MAX; i++)
		sem_post(&go[i]);
	expect_all_back(OFFLOAD_MAX);
}

static void without_a_pool(void **state)
{
	struct offload none;

	(void)state;
	assert_int_equal(offload_open(&none, &ops, &(struct offload_pools){ NULL }, &mem, &stop), 0);
	assert_int_equal(offload_send(&none, table, &chain, &at_hand, REQUEST_WAITS_DISK), -EOPNOTSUPP);
	offload_close(&none);
}

/* What waits for one thing has one thread here: the next of it is held up, others are not. */
static void one_key_does_not_stop_others(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(send_to(i, REQUEST_WAITS_OTHERS), 0);
	sem_wait(&begun);
	sem_wait(&begun);
	assert_int_equal(sem_trywait(&begun), -1);
	reply[0] = 0;
	sem_post(&go[2]);
	expect_back(2);
	assert_int_equal(reply[0], 2);
	sem_wait(&begun);
	sem_post(&go[3]);
	expect_back(3);
	sem_post(&go[0]);
	expect_back(0);
	sem_post(&go[1]);
	expect_back(1);
}

static void far_ones_are_counted(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < FAR_MAX; i++)
		assert_int_equal(send_to(i, REQUEST_WAITS_OTHERS), 0);
	assert_int_equal(send_to(FAR_MAX, REQUEST_WAITS_OTHERS), -EBUSY);
	assert_int_equal(offload.far, FAR_MAX);
	/* A disk is another matter. */
	assert_int_equal(send_away(FAR_MAX), 0);
	sem_post(&go[FAR_MAX]);
	expect_back(FAR_MAX);
	for (unsigned int i = 0; i < FAR_MAX; i++)
		sem_post(&go[i]);
	expect_all_back(FAR_MAX);
}

/* Those that are served are left to their thread, the others are refused and gone; nothing is written. */
static void left_behind(void **state)
{
	(void)state;
	refusals = wakes = 0;
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(send_to(2 * i, REQUEST_WAITS_OTHERS), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		sem_wait(&begun);
	reply[0] = 0x55;
	offload_leave(&offload);
	assert_int_equal(refusals, 5 - THREADS);
	assert_int_equal(wakes, 1);
	assert_int_equal(table->refs, 2);
	for (unsigned int i = 0; i < 5; i++)
		sem_post(&go[2 * i]);
	assert_true(job_pool_try_free(others, 10000));
	assert_int_equal(job_pool_new(&ops, &other_limits, &others), 0);
	assert_null(offload_collect(&offload));
	assert_int_equal(reply[0], 0x55);
}

/* One came back, and nobody has taken it yet, when all are left. */
static void left_when_back(void **state)
{
	(void)state;
	assert_int_equal(send_to(1, REQUEST_WAITS_OTHERS), 0);
	sem_post(&go[1]);
	while (!atomic_load(&offload.back))
		sched_yield();
	offload_leave(&offload);
	assert_null(offload_collect(&offload));
}

/* The threads of a process that ends need not. */
static void stuck_at_the_end(void **state)
{
	(void)state;
	assert_int_equal(send_to(1, REQUEST_WAITS_OTHERS), 0);
	sem_wait(&begun);
	assert_false(job_pool_try_free(others, 1));
	sem_post(&go[1]);
	expect_back(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(any_order), TEST(more_than_threads), TEST(only_so_many), TEST(without_a_pool),
		TEST(one_key_does_not_stop_others), TEST(far_ones_are_counted), TEST(left_behind),
		TEST(left_when_back), TEST(stuck_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
