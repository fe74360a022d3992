/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a malicious or broken VMM could send; see raw.h. Relies on the insides
 * of the session and the queue; never checks what it is told to send.
 */
#include "client/raw.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/error.h"
#include "common/checked.h"

int raw_message(struct casement *client, uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, const int *fds, unsigned int n_fds)
{
	struct vhost_user_header header = { request, flags, size };
	char bytes[sizeof(header) + 8192];

	if (size > sizeof(bytes) - sizeof(header))
		return -EMSGSIZE;
	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), payload, size);
	return channel_send_bytes(client->channel.sock, bytes, sizeof(header) + size, fds, n_fds);
}

int raw_receive(struct casement *client, struct channel_message *message, int timeout_ms)
{
	return channel_receive(client->channel.sock, message, timeout_ms);
}

bool raw_hung_up(struct casement *client, int timeout_ms)
{
	struct pollfd pfd = { .fd = client->channel.sock, .events = POLLRDHUP };

	return poll(&pfd, 1, timeout_ms) > 0;
}

uint64_t raw_guest(const struct casement_queue *queue, const void *p)
{
	uint64_t guest;

	if (!memory_to_guest(queue->memory, p, 1, &guest))
		abort();
	return guest;
}

void raw_kick(struct casement_queue *queue)
{
	uint64_t one = 1;

	if (write(queue->kick, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

void raw_post(struct casement_queue *queue, const uint16_t *heads, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		queue->avail->ring[queue->next_avail++ & (queue->size - 1)] = heads[i];
	/* Pairs with the daemon's acquire of avail->idx. */
	__atomic_store_n(&queue->avail->idx, queue->next_avail, __ATOMIC_RELEASE);
	raw_kick(queue);
}

int raw_wait_used(struct casement_queue *queue, struct vring_used_elem *elem, int timeout_ms)
{
	uint16_t idx = __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE);
	int err = 0;

	/* A call may be late news of what was collected before: wait again. */
	while (!err && idx == queue->last_used) {
		err = queue_wait(queue, timeout_ms);
		idx = __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE);
	}
	if (idx == queue->last_used)
		return err == -ETIMEDOUT ? 0 : err;
	*elem = queue->used->ring[queue->last_used++ & (queue->size - 1)];
	return 1;
}

void raw_chain(struct casement_queue *queue, const struct raw_piece *pieces, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		queue->desc[i] = (struct vring_desc){ pieces[i].guest, pieces[i].len,
			(uint16_t)(pieces[i].flags | (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
			(uint16_t)(i + 1 < n ? i + 1 : 0) };
}

char *raw_scratch(struct casement_queue *queue)
{
	uintptr_t p = (uintptr_t)queue->slots[0].bounce;

	return (char *)((p + 4095u) & ~(uintptr_t)4095u);
}

ssize_t raw_fuse(struct casement_queue *queue, const void *bytes, size_t size, void *reply,
		 size_t room, int timeout_ms)
{
	static const uint16_t head;
	char *in = raw_scratch(queue), *out = in + ((size + 4095u) & ~(size_t)4095u);
	struct raw_piece pieces[2] = {
		{ raw_guest(queue, in), (uint32_t)size, 0 },
		{ raw_guest(queue, out), (uint32_t)room, VRING_DESC_F_WRITE },
	};
	struct vring_used_elem elem;
	int n;

	memcpy(in, bytes, size);
	raw_chain(queue, size ? pieces : pieces + 1, (size ? 1 : 0) + (room ? 1 : 0));
	raw_post(queue, &head, 1);
	n = raw_wait_used(queue, &elem, timeout_ms);
	if (n <= 0)
		return n ? n : -ETIMEDOUT;
	if (elem.id != 0 || elem.len > room)
		return error_set(-EPROTO, "used element {%u, %u}", elem.id, elem.len);
	memcpy(reply, out, elem.len);
	return (ssize_t)elem.len;
}

int raw_restart(struct casement_queue *queue)
{
	int err = casement_queue_stop(queue);

	if (err)
		return err;
	casement_queue_reset(queue);
	return casement_queue_start(queue);
}

void raw_window_hold(struct casement *client, uint32_t requests)
{
	pthread_mutex_lock(&client->window.lock);
	client->window.hold = requests;
	pthread_cond_broadcast(&client->window.changed);
	pthread_mutex_unlock(&client->window.lock);
}

bool raw_window_held(struct casement *client, int timeout_ms)
{
	struct window *window = &client->window;
	struct timespec end;
	bool held;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_ms / 1000;
	end.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (end.tv_nsec >= 1000000000L) {
		end.tv_nsec -= 1000000000L;
		end.tv_sec++;
	}
	pthread_mutex_lock(&window->lock);
	while (!window->held &&
	       !pthread_cond_clockwait(&window->changed, &window->lock, CLOCK_MONOTONIC, &end))
		continue;
	held = window->held;
	pthread_mutex_unlock(&window->lock);
	return held;
}

void raw_window_refuse(struct casement *client, uint64_t answer)
{
	pthread_mutex_lock(&client->window.lock);
	client->window.refuse = answer;
	pthread_mutex_unlock(&client->window.lock);
}

void raw_window_announce(struct casement *client, enum window_announce how)
{
	pthread_mutex_lock(&client->window.lock);
	client->window.announce = how;
	pthread_mutex_unlock(&client->window.lock);
}

unsigned int raw_window_events(struct casement *client, struct window_event *events,
			       unsigned int max)
{
	struct window *window = &client->window;
	unsigned int n;

	pthread_mutex_lock(&window->lock);
	n = MIN(window->n_events, max);
	memcpy(events, window->events, n * sizeof(*events));
	window->n_events = 0;
	pthread_mutex_unlock(&window->lock);
	return n;
}

unsigned int raw_window_mappings(struct casement *client, struct window_mapping *mappings,
				 unsigned int max, unsigned int *peak)
{
	struct window *window = &client->window;
	unsigned int n;

	pthread_mutex_lock(&window->lock);
	n = window->n_mappings;
	for (unsigned int i = 0; i < MIN(n, max); i++)
		mappings[i] = window->mappings[i];
	if (peak)
		*peak = window->peak;
	pthread_mutex_unlock(&window->lock);
	return n;
}
