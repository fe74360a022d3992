/* SPDX-License-Identifier: BSD-3-Clause */
/* When a guest is notified; see notify.h. */
#include "daemon/transport/notify.h"

#include "common/checked.h"
#include "common/clock.h"

/* A round that took longer says nothing: the guest had less to do. */
#define ROUND_MAX_NS 100000000u
/* A lead that lost is tried again after so many rounds at the latest: within half a second of small requests. */
#define LOST_MAX 127u
/* A lead that is tried has won when it is faster by this part. */
#define BETTER 32u

/* How many requests are left when the guest is notified. The first is best on one processor, the last where a wake-up is slow. */
static const unsigned int leads[NOTIFY_LEADS] = { 0, 1, 4, 16, UINT32_MAX };

static void begin_round(struct notify *notify, uint64_t now, unsigned int lead)
{
	notify->began = now;
	notify->served = 0;
	notify->lead = lead;
}

/* The lead that is tried has taken as long as the usual one, or longer. */
static void lose(struct notify *notify, uint64_t now)
{
	notify->leads[notify->lead].lost = (uint8_t)MIN(2u * notify->leads[notify->lead].lost + 1, LOST_MAX);
	notify->leads[notify->lead].wait = notify->leads[notify->lead].lost;
	begin_round(notify, now, notify->usual);
}

static void win(struct notify *notify, uint64_t now, uint64_t took)
{
	notify->usual = notify->lead;
	notify->usual_ns = took;
	notify->leads[notify->usual].lost = 0;
	begin_round(notify, now, notify->usual);
}

/* The lead of the next round: the usual one, or another whose time has come. */
static unsigned int next_lead(struct notify *notify)
{
	unsigned int next = notify->usual;

	for (unsigned int i = 0; i < NOTIFY_LEADS; i++) {
		if (i == notify->usual)
			continue;
		if (notify->leads[i].wait)
			notify->leads[i].wait--;
		else
			next = i;
	}
	return next;
}

void notify_round(struct notify *notify)
{
	uint64_t now = clock_ns(), took = now - notify->began;

	if (!notify->began || took > ROUND_MAX_NS) {
		begin_round(notify, now, notify->usual);
	} else if (notify->lead == notify->usual) {
		notify->usual_ns = notify->usual_ns ? (3 * notify->usual_ns + took) / 4 : took;
		begin_round(notify, now, next_lead(notify));
	} else if (took + took / BETTER < notify->usual_ns) {
		win(notify, now, took);
	} else {
		lose(notify, now);
	}
}

void notify_sent(struct notify *notify)
{
	uint64_t now;

	notify->missed_since = 0;
	if (notify->lead == notify->usual)
		return;
	now = clock_ns();
	if (now - notify->began > notify->usual_ns)
		lose(notify, now);
}

bool notify_is_due(struct notify *notify, unsigned int left)
{
	uint64_t now;

	if (left <= leads[notify->lead])
		return true;
	now = clock_ns();
	if (!notify->missed_since)
		notify->missed_since = now;
	return now - notify->missed_since > NOTIFY_LATEST_NS;
}
