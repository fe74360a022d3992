/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a guest is notified of used buffers (virtio 1.3 section 2.7.7: the guest says from which entry on it
 * wants that; the device may do it later).
 *
 * Replies are in the used ring as soon as they are done, and a guest that looks at the ring finds them without a
 * notification. A guest that waits for one takes some time to wake. Notified too early, it finds few replies and
 * has to be notified again and again, which costs both sides. Notified when all requests are served, the device has
 * nothing to do until the guest is awake. Which number of requests left is right, the lead, depends on what
 * a wake-up, a notification, an interrupt and a request cost, on the number of requests in flight, and on whether both
 * sides share a processor. None of this is known. So leads are tried: the one in use is compared with each of the others
 * by the time that a round of requests takes, and the quickest is kept. A lead that lost is tried less often, and only
 * until it has taken as long as the one in use.
 *
 * tests/unit/test_notify.c simulates it with guests of several kinds; docs/performance.md says how well it does.
 *
 * One for each queue, for the thread that serves it. All 0 is a valid start.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_NOTIFY_H
#define CASEMENT_DAEMON_TRANSPORT_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#define NOTIFY_LEADS 5
#define NOTIFY_ROUND 1024u	/* requests */
/* A guest that waits is notified at the latest when a reply has been in the ring for this long, ns. */
#define NOTIFY_LATEST_NS 50000u

struct notify {
	unsigned int usual;	/* which lead is best, as far as is known */
	unsigned int lead;	/* which is in use: that, or another that is tried for a round */
	unsigned int served;	/* requests in this round */
	uint64_t began;		/* CLOCK_MONOTONIC, ns; of this round; 0: there was none */
	uint64_t usual_ns;	/* what a round with the usual lead takes; 0: not known */
	struct {
		uint8_t lost;	/* rounds from the last trial that it lost to the next one */
		uint8_t wait;	/* and how many of them are left */
	} leads[NOTIFY_LEADS];
	uint64_t missed_since;	/* CLOCK_MONOTONIC, ns, when a reply was first missed; 0: none is */
};

/* The guest waits, and `left` requests are to be served: true when it is to be notified now. */
bool notify_is_due(struct notify *notify, unsigned int left);
/* The guest was notified. */
void notify_sent(struct notify *notify);
/* The guest does not wait: it misses nothing. */
static inline void notify_awake(struct notify *notify)
{
	notify->missed_since = 0;
}

/* The end of a round. */
void notify_round(struct notify *notify);
/* A request was served. */
static inline void notify_served(struct notify *notify)
{
	if (++notify->served == NOTIFY_ROUND)
		notify_round(notify);
}

#endif
