/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Looking for a reply instead of sleeping until the interrupt. Worth while where replies
 * come sooner than a sleeper is woken: what calls by a queue took lately tells, and no
 * more than poll_us (a parameter of the module; 0: never) is spent on one. While somebody
 * polls, the queue asks for no interrupts, and the poller takes everybody's replies.
 * Nobody polls who keeps another task from its processor. Where the host has no processor
 * for the daemon meanwhile, polls are in vain: one such, and some calls do without.
 */
#ifndef CASEMENT_KMOD_POLL_H
#define CASEMENT_KMOD_POLL_H

#include <linux/types.h>

struct cs_queue;
struct cs_request;

/* Of one call. */
struct cs_poll {
	struct cs_queue *queue;
	u64 start;	/* local_clock() */
	u64 until;	/* 0: it sleeps at once */
	bool in_vain;	/* time was up, and it sleeps */
};

/* Before the request is sent. Preemption is off from here to cs_poll_run(). */
void cs_poll_start(struct cs_poll *poll, struct cs_queue *queue);

/* After that: until the request ends, time is up, or the processor is wanted. */
void cs_poll_run(struct cs_poll *poll, struct cs_request *request);

/* The call has ended: what it took is remembered. */
void cs_poll_learn(const struct cs_poll *poll);

#endif
