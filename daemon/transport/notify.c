/* SPDX-License-Identifier: BSD-3-Clause */
/* When a guest that sleeps is notified; see notify.h. */
#include "daemon/transport/notify.h"

#include "common/checked.h"
#include "proto/virtio_fs.h"

#define WHOLE 8u	/* a request, as the lead counts them */
#define DOUBT_MAX 63u

bool notify_is_due(struct notify *notify, unsigned int left, uint64_t now)
{
	if (left * WHOLE <= notify->lead)
		return true;
	if (!notify->missed_since)
		notify->missed_since = now;
	return now - notify->missed_since > NOTIFY_LATEST_NS;
}

/* All is served, and the guest has not come yet: it should have been notified sooner. */
static void was_late(struct notify *notify)
{
	if (notify->ignored)
		notify->ignored--;
	else
		notify->lead = MIN(notify->lead + notify->lead / 2 + WHOLE, VIRTIO_RING_MAX * WHOLE);
}

/* The guest came before anything was served: there is nothing to be gained by notifying it sooner. */
static void was_at_once(struct notify *notify)
{
	notify->lead /= 2;
	notify->doubt = MIN(2 * notify->doubt + 1, DOUBT_MAX);
	notify->ignored = notify->doubt;
}

/* The guest came while requests were served: notified with this lead, it comes as the last one is. */
static void was_early(struct notify *notify)
{
	notify->lead = (3 * notify->lead + (notify->served + 1) * WHOLE) / 4;
	notify->doubt /= 2;
}

void notify_sent(struct notify *notify, uint16_t avail, unsigned int left)
{
	notify->missed_since = 0;
	notify->told = left;
	notify->told_avail = avail;
	notify->served = 0;
	if (!left)
		was_late(notify);
}

void notify_learn(struct notify *notify, uint16_t avail, unsigned int left)
{
	if (!notify->told || (left && avail == notify->told_avail))
		return;
	notify->told = false;
	if (avail == notify->told_avail)
		was_late(notify);
	else if (notify->served)
		was_early(notify);
	else
		was_at_once(notify);
}
