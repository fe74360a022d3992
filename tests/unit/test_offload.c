/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests served elsewhere: they come back, in any order, each once, and only so many are away. */
#include <errno.h>
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
	struct iov_cursor out;
};

#define THREADS 3

static sem_t begun, go[OFFLOAD_MAX + 1];
static atomic_uint places;
static struct guest_mem mem;
static struct guest_table *table;
static struct job_pool *pool;
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
	return REQUEST_WAITS;
}

/* Served when the semaphore of its number says so. */
static long resume(void *place, bool refused)
{
	struct request *request = place;

	assert_true(!refused && request->out.left == 2);
	sem_post(&begun);
	sem_wait(&go[request->number]);
	return 100 + request->number;
}

static const struct request_ops ops = {
	.place_new = place_new, .place_free = place_free, .handle = handle, .resume = resume,
};

static int setup(void **state)
{
	(void)state;
	sem_init(&begun, 0, 0);
	for (int i = 0; i <= OFFLOAD_MAX; i++)
		sem_init(&go[i], 0, 0);
	chain.iov = calloc(ROOM, sizeof(struct iovec));
	chain.room = ROOM;
	if (!chain.iov || place_new(NULL, &at_hand) || guest_mem_init(&mem) || job_pool_new(&ops, THREADS, &pool))
		return -1;
	table = guest_mem_get(&mem);
	return offload_open(&offload, &ops, &(struct offload_pools){ .disk = pool }, &mem, &stop);
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(offload.away, 0);
	job_pool_free(pool);
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

static int send_away(unsigned int number)
{
	struct iov_cursor in, out;

	numbers[number] = (unsigned char)number;
	chain.head = (uint16_t)number;
	chain.n_read = chain.n_write = 1;
	chain.iov[0] = (struct iovec){ &numbers[number], 1 };
	chain.iov[1] = (struct iovec){ reply, sizeof(reply) };
	iov_cursor_init(&in, chain.iov, 1);
	iov_cursor_init(&out, chain.iov + 1, 1);
	assert_int_equal(ops.handle(at_hand, &in, &out), REQUEST_WAITS);
	/* The guest may write there now: nobody looks at it again. */
	numbers[number] = 0xff;
	return offload_send(&offload, table, &chain, &at_hand, false);
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
	unsigned int back = 0;

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
	while (back < OFFLOAD_MAX) {
		struct job *job = offload_collect(&offload);

		if (!job)
			queue_waker_wait(&offload.waker);
		for (struct job *next; job; job = next, back++) {
			next = job->next;
			offload_done(&offload, job);
		}
	}
}

static void without_a_pool(void **state)
{
	struct offload none;

	(void)state;
	assert_int_equal(offload_open(&none, &ops, &(struct offload_pools){ NULL }, &mem, &stop), 0);
	assert_int_equal(offload_send(&none, table, &chain, &at_hand, false), -EOPNOTSUPP);
	offload_close(&none);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(any_order), TEST(more_than_threads), TEST(only_so_many), TEST(without_a_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
