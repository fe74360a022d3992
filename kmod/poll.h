/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Looking for a reply instead of sleeping until the interrupt, for poll_us at most (a
 * parameter of the module; 0: never). While somebody polls, the queue asks for no
 * interrupts, and the poller takes everybody's replies. Nobody polls who keeps another
 * task from its processor. Polls in vain, of slow calls or since the host has no
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
	u64 until;	/* local_clock(); 0: it sleeps at once */
};

/* Before the request is sent. Preemption is off from here to cs_poll_run(). */
void cs_poll_start(struct cs_poll *poll, struct cs_queue *queue);

/* After that: until the request ends, time is up, or the processor is wanted. */
void cs_poll_run(struct cs_poll *poll, const struct cs_request *request);

#endif
