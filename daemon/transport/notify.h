/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a guest that sleeps is notified of used buffers (virtio 1.3 section 2.7.7: the guest says from
 * which entry on it wants that; the device may do it later).
 *
 * Replies are in the used ring as soon as they are done, so a guest that is awake finds them without a
 * notification. A guest that sleeps takes some time to wake. Notified too early, it finds few replies,
 * sleeps again, and has to be woken for each few. Notified when all is done, the device has nothing to do
 * until the guest is awake. Best is to notify it when as many requests are left as are served while it
 * wakes. That number, the lead, is learned from each notification: how many requests were served between
 * it and the guest's next request. No clock is needed for that. Where the guest's wake-up stops this very
 * thread, as they share a processor, the answer comes before anything was served, and the lead goes to 0.
 * tests/unit/test_notify.c simulates it; docs/performance.md has the figures.
 *
 * One for each queue, for the thread that serves it.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_NOTIFY_H
#define CASEMENT_DAEMON_TRANSPORT_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* A sleeping guest is notified at the latest when a reply has been in the ring for this long, ns. */
#define NOTIFY_LATEST_NS 50000u

struct notify {
	unsigned int lead;	/* in eighths of a request */
	unsigned int doubt;	/* how often its being late shall not count, after an answer that came at once ... */
	unsigned int ignored;	/* ... and how often it still shall not */
	uint64_t missed_since;	/* CLOCK_MONOTONIC, ns, when a reply was first missed; 0: none is */
	bool told;		/* it was notified, and has sent nothing since */
	uint16_t told_avail;	/* the available index then */
	unsigned int served;	/* requests since then */
};

/* The guest sleeps while there are replies, and `left` requests are to be served: true when it is to be notified. */
bool notify_is_due(struct notify *notify, unsigned int left, uint64_t now);
/* The guest is awake: it misses nothing. */
static inline void notify_awake(struct notify *notify)
{
	notify->missed_since = 0;
}

/* The guest was notified; the available index is `avail`, and `left` requests are to be served. */
void notify_sent(struct notify *notify, uint16_t avail, unsigned int left);
/* Before each request is taken: the available index, and how many requests are left. */
void notify_learn(struct notify *notify, uint16_t avail, unsigned int left);

/* A request was served. */
static inline void notify_served(struct notify *notify)
{
	notify->served++;
}

#endif
