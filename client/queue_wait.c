/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for the daemon to use a ring; see queue.h. Never waits longer than it
 * was told, whatever the daemon does to the call descriptor.
 */
#include "client/queue.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/uio.h>

#include "client/error.h"

#define SPINS_A_YIELD 256u	/* looks at the ring between two sched_yield() */
#define SPINS_A_CHECK 16384u	/* looks between two of the clock and the socket */

static bool has_news(const struct casement_queue *queue)
{
	return __atomic_load_n(&queue->used->idx, __ATOMIC_RELAXED) != queue->last_used;
}

/* Ask to be called for the next used element; true when there is one already. */
static bool arm(struct casement_queue *queue)
{
	if (queue->event_idx && !queue->poll)
		__atomic_store_n(&queue->avail->ring[queue->size], queue->last_used,
				 __ATOMIC_RELAXED);
	/* Our wish before our look at the index; pairs with the daemon's fence before its look. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return has_news(queue);
}

int casement_queue_fd(const struct casement_queue *queue)
{
	return queue->call;
}

int casement_queue_arm(struct casement_queue *queue)
{
	return arm(queue) || queue->done;
}

static int timed_out(const struct casement_queue *queue, int timeout_ms)
{
	return error_set(-ETIMEDOUT, "queue %u: no answer in %d ms", queue->index, timeout_ms);
}

static int hung_up(void)
{
	return error_set(-ECONNRESET, "the daemon closed the connection");
}

static int stopped(const struct casement_queue *queue)
{
	return error_set(-ECANCELED, "queue %u: the wait was ended", queue->index);
}

/* Look until there is news. The processor is lent out now and then: the daemon may need this one. */
static int queue_spin(struct casement_queue *queue, int timeout_ms)
{
	struct pollfd pfds[2] = {
		{ .fd = queue->channel->sock, .events = POLLRDHUP },
		{ .fd = queue->channel->stop_fd, .events = POLLIN },
	};
	struct limit limit = limit_in(timeout_ms, -1);

	for (unsigned int i = 1; !has_news(queue); i++) {
		if (i % SPINS_A_YIELD)
			continue;
		sched_yield();
		if (i % SPINS_A_CHECK)
			continue;
		if (poll(pfds, 2, 0) > 0 && !has_news(queue))
			return pfds[1].revents ? stopped(queue) : hung_up();
		if (!limit_left(&limit))
			return timed_out(queue, timeout_ms);
	}
	return 0;
}

/* Without waiting: the daemon may have taken what poll(2) saw, and the descriptor's O_NONBLOCK. */
static int take_call(struct casement_queue *queue)
{
	uint64_t count;
	struct iovec iov = { &count, sizeof(count) };

	if (preadv2(queue->call, &iov, 1, -1, RWF_NOWAIT) >= 0 || errno == EAGAIN || errno == EINTR)
		return 0;
	return error_set(-errno, "call eventfd: %s", strerror(errno));
}

static int queue_sleep(struct casement_queue *queue, int timeout_ms)
{
	struct pollfd pfds[3] = {
		{ .fd = queue->call, .events = POLLIN },
		{ .fd = queue->channel->sock, .events = POLLRDHUP },
		{ .fd = queue->channel->stop_fd, .events = POLLIN },
	};
	int n;

	if (arm(queue))
		return 0;
	n = poll(pfds, 3, timeout_ms);
	if (n < 0)	/* EINTR: the caller knows how much time is left */
		return errno == EINTR ? 0 : error_set(-errno, "poll: %s", strerror(errno));
	if (n == 0)
		return timed_out(queue, timeout_ms);
	if (pfds[0].revents & POLLIN)
		return take_call(queue);
	return pfds[2].revents ? stopped(queue) : hung_up();
}

int queue_wait(struct casement_queue *queue, int timeout_ms)
{
	return queue->poll ? queue_spin(queue, timeout_ms) : queue_sleep(queue, timeout_ms);
}
