/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Looking for a reply instead of sleeping until the interrupt, for poll_us at most (a
 * parameter of the module; 0: never). While nobody else waits for a reply of the queue, it
 * asks for no interrupts meanwhile; others never depend on a poller, whose processor the
 * host may have taken away. Nobody polls who keeps another task from its processor, and
 * nobody at all with PREEMPT_RT: more urgent ones could not have it. Polls in vain, of slow calls or since the host has no
 * processor for the daemon meanwhile, make the next calls sleep at once; more of them,
 * the more polls were in vain lately.
 */
#ifndef CASEMENT_KMOD_POLL_H
#define CASEMENT_KMOD_POLL_H

#include <linux/types.h>

struct cs_queue;
struct cs_request;

/* Of one call. */
struct cs_poll {
	struct cs_queue *queue;
	const struct cs_request *request;
	u64 until;	/* local_clock(); 0: it sleeps at once */
};

/* Before the request is sent. If it is to poll, preemption is off from here to cs_poll_run(). */
void cs_poll_start(struct cs_poll *poll, struct cs_queue *queue, const struct cs_request *request);

/* After that: until the request ends, time is up, or the processor is wanted. */
void cs_poll_run(struct cs_poll *poll);

#endif
