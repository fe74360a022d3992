/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One request at a time, and batches. Relies on queue.h; never allocates, and
 * never returns while the daemon may still write to a caller's own memory
 * (replies land in the slot and are copied).
 */
#include "client/call.h"

#include <errno.h>

#include "client/error.h"
#include "client/queue.h"
#include "common/checked.h"

void casement_set_caller(struct casement_queue *queue, uint32_t uid, uint32_t gid, uint32_t pid)
{
	queue->uid = uid;
	queue->gid = gid;
	queue->pid = pid;
}

/* When a wait of `timeout_ms` (-1: the usual one) that begins now is over. */
static struct limit limit_of(const struct casement_queue *queue, int timeout_ms)
{
	return limit_in(timeout_ms < 0 ? queue->channel->timeout_ms : timeout_ms, -1);
}

/*
 * Wait, once, for the daemon to do something, and collect it. It may be late news, so nothing new; a
 * daemon that makes such news for ever does not keep us. -ETIMEDOUT when the time was over before,
 * though something may have been collected.
 */
static int wait_and_reap(struct casement_queue *queue, const struct limit *limit)
{
	int left = limit_left(limit);
	int err = queue_wait(queue, left);

	if (!err)
		err = queue_reap(queue);
	if (!err && !left)
		err = error_set(-ETIMEDOUT, "queue %u: no answer in time", queue->index);
	return err;
}

/*
 * What a call or a wait came to: an answer that nobody waits for any more ends the connection, and so
 * does a used ring that makes no sense, on which no answer can come.
 */
static int conclude(struct casement_queue *queue, int err)
{
	if (err == -ETIMEDOUT || err == -ECANCELED || (err && queue->broken))
		channel_end(queue->channel, err);
	return err;
}

/* Take one request out of the completed ones. */
static void unlink_done(struct casement_queue *queue, const struct casement_request *request)
{
	struct casement_request **at = &queue->done;

	while (*at != request)
		at = &(*at)->next;
	*at = request->next;
	if (queue->done_tail == &request->next)
		queue->done_tail = at;
}

/* Push, making room by collecting what is finished. */
static int push_waiting(struct casement_queue *queue, struct casement_request *request,
			const struct limit *limit)
{
	int taken = queue_push(queue, request);
	int err = taken ? 0 : queue_reap(queue);

	while (!err && !taken) {
		taken = queue_push(queue, request);
		if (!taken)
			err = wait_and_reap(queue, limit);
	}
	return taken < 0 ? taken : err;
}

ssize_t casement_call(struct casement_queue *queue, uint32_t opcode, uint64_t nodeid,
		      const struct iovec *in, unsigned int n_in,
		      const struct iovec *out, unsigned int n_out)
{
	struct casement_request request = {
		.opcode = opcode, .nodeid = nodeid,
		.in = in, .n_in = n_in, .out = out, .n_out = n_out,
	};
	uint16_t from = queue->next_avail;
	struct limit limit = limit_of(queue, -1);
	int err;

	err = push_waiting(queue, &request, &limit);
	if (err)
		return conclude(queue, err);
	queue_publish(queue, from);
	err = queue_reap(queue);
	while (!err && request.state != QUEUE_REQUEST_DONE)
		err = wait_and_reap(queue, &limit);
	if (request.state != QUEUE_REQUEST_DONE) {
		queue_abandon(queue, &request);
		return conclude(queue, err);
	}
	unlink_done(queue, &request);
	return request.result;
}

int casement_submit(struct casement_queue *queue, struct casement_request *requests,
		    unsigned int n)
{
	uint16_t from = queue->next_avail;
	unsigned int taken = 0;
	int pushed = 1;

	while (taken < n && (pushed = queue_push(queue, &requests[taken])) > 0)
		taken++;
	queue_publish(queue, from);
	return taken ? (int)taken : MIN(pushed, 0);
}

int casement_submit_each(struct casement_queue *queue, struct casement_request *const *requests,
			 unsigned int n)
{
	uint16_t from = queue->next_avail;
	unsigned int taken = 0;
	int pushed = 1;

	if (memory_is_shared(queue->memory, requests, n * sizeof(requests[0])))
		return error_set(-EINVAL, "requests are listed where the daemon can write");
	while (taken < n && (pushed = queue_push(queue, requests[taken])) > 0)
		taken++;
	queue_publish(queue, from);
	return taken ? (int)taken : MIN(pushed, 0);
}

int casement_complete(struct casement_queue *queue, struct casement_request **done,
		      unsigned int max, int timeout_ms)
{
	struct limit limit = { 0 };
	unsigned int n = 0;
	int err;

	if (memory_is_shared(queue->memory, done, max * sizeof(done[0])))
		return error_set(-EINVAL, "completed requests cannot be listed where the daemon can write");
	if (timeout_ms)
		limit = limit_of(queue, timeout_ms);
	err = queue_reap(queue);
	while (!err && !queue->done && timeout_ms)
		err = wait_and_reap(queue, &limit);
	while (n < max && queue->done) {
		done[n] = queue->done;
		unlink_done(queue, done[n]);
		n++;
	}
	if (n || !err || channel_ended(queue->channel))
		return n ? (int)n : err;
	if (err == -ETIMEDOUT && timeout_ms >= 0)
		return 0;	/* the caller's own time: nothing is given up */
	return err == -ECANCELED ? err : conclude(queue, err);
}

int call_exact(struct casement_queue *queue, uint32_t opcode, uint64_t node,
	       const struct iovec *in, unsigned int n_in,
	       const struct iovec *out, unsigned int n_out)
{
	ssize_t n = casement_call(queue, opcode, node, in, n_in, out, n_out);
	size_t expected = 0;

	for (unsigned int i = 0; i < n_out; i++)
		expected += out[i].iov_len;
	if (n >= 0 && (size_t)n != expected)
		return error_set(-EPROTO, "opcode %u: %zd bytes where %zu were expected", opcode, n,
				 expected);
	return n < 0 ? (int)n : 0;
}

int call_object(struct casement_queue *queue, uint32_t opcode, uint64_t node,
		const struct iovec *in, unsigned int n_in, void *out, size_t out_size)
{
	struct iovec reply = { out, out_size };

	return call_exact(queue, opcode, node, in, n_in, &reply, out ? 1 : 0);
}
