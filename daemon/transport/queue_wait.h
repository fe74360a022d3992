/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a queue's thread waits for its guest: it looks at the ring for a short
 * time before it sleeps, since to be woken costs more than most requests.
 *
 * The time adapts: it grows while guests come back soon after a sleep began,
 * and goes to nothing when they do not, or when somebody else wants the
 * processor: whoever put us off it, or the guest itself, which can send nothing
 * while we look. Not more threads look at once than leaves one processor free,
 * of those that the process was given when its first queue started.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_QUEUE_WAIT_H
#define CASEMENT_DAEMON_TRANSPORT_QUEUE_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stop_token;
struct virtqueue;

/* How other threads get the queue's thread to look up, at no cost while it is awake. */
struct queue_waker {
	int event_fd;		/* [I] */
	atomic_bool wanted;	/* [A] */
	atomic_bool asleep;	/* [A] seq_cst with `wanted`: one of the two sides sees the other */
};

/* 0 or -errno. */
int queue_waker_open(struct queue_waker *waker);
void queue_waker_close(struct queue_waker *waker);
/* Any thread. */
void queue_waker_wake(struct queue_waker *waker);
/* The queue's thread: true once after each queue_waker_wake(), or several of them. */
bool queue_waker_take(struct queue_waker *waker);
/* The queue's thread: wait for the next, and for nothing else. */
void queue_waker_wait(struct queue_waker *waker);

/* All of it is the queue's thread's while that runs. */
struct queue_wait {
	int epoll_fd;
	const struct stop_token *stop;	/* borrowed, as the next */
	struct queue_waker *waker;
	int kick_fd;		/* borrowed; -1: nobody kicks, look every millisecond */
	uint64_t max_ns;	/* longest look; 0: sleep at once */
	uint64_t look_ns;	/* the next look */
	uint64_t barred_until;	/* CLOCK_MONOTONIC, ns: the processor was wanted elsewhere */
	unsigned int vain;	/* looks that found nothing, one after the other */
	uint64_t vain_barred_ns; /* how long there is none after too many of them */
	uint64_t began;		/* CLOCK_MONOTONIC, ns: of the wait at hand */
};

/*
 * Wait for kicks on `kick_fd` (-1: there are none), for `stop` and `waker`, all
 * borrowed. 0 or -errno; queue_wait_close() it.
 */
int queue_wait_open(struct queue_wait *wait, int kick_fd, const struct stop_token *stop,
		    struct queue_waker *waker, uint64_t max_ns);
void queue_wait_close(struct queue_wait *wait);

/* Look at the ring: true when there is something to do, false when it is time to sleep. */
bool queue_wait_look(struct queue_wait *wait, const struct virtqueue *vq);
/*
 * Sleep until a kick, the waker or the stop. The ring must have been asked to kick, and
 * found empty, after queue_wait_look() gave up.
 */
void queue_wait_sleep(struct queue_wait *wait);

#endif
