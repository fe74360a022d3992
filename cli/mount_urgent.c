/* SPDX-License-Identifier: BSD-3-Clause */
/* The high-priority queue of a mount; see mount_urgent.h. */
#include "cli/mount_urgent.h"

#include <sys/eventfd.h>

#include "common/checked.h"

#define URGENT_BATCH 32

void urgent_open(struct mount_urgent *urgent, struct casement_queue *hiprio)
{
	pthread_mutex_init(&urgent->lock, NULL);
	urgent->queue = hiprio;
	urgent->awaited = false;
}

void urgent_close(struct mount_urgent *urgent)
{
	pthread_mutex_destroy(&urgent->lock);
}

/* Lock held. How many came back, or -errno. */
static int collect(struct mount_urgent *urgent)
{
	struct casement_request *done[URGENT_BATCH];
	int n = casement_complete(urgent->queue, done, URGENT_BATCH, 0);

	for (int i = 0; i < n; i++) {
		struct mount_slot *slot = done[i]->user;

		/* All that the library did to the slot before; pairs with its worker's acquire. */
		__atomic_store_n(&slot->returned, true, __ATOMIC_RELEASE);
	}
	/* Who collects what another one waits for takes the event that was meant for him. */
	if (n > 0 && urgent->awaited) {
		urgent->awaited = false;
		eventfd_write(casement_queue_fd(urgent->queue), 1);
	}
	return n;
}

int urgent_collect(struct mount_urgent *urgent)
{
	int n;

	pthread_mutex_lock(&urgent->lock);
	n = collect(urgent);
	pthread_mutex_unlock(&urgent->lock);
	return n < 0 ? n : 0;
}

int urgent_arm(struct mount_urgent *urgent, const struct mount_slot *slot)
{
	int n;

	pthread_mutex_lock(&urgent->lock);
	n = collect(urgent);
	/* Under the lock: what is not returned now will be by somebody who sees `awaited`. */
	if (!n && !(slot && __atomic_load_n(&slot->returned, __ATOMIC_RELAXED))) {
		urgent->awaited = true;
		n = casement_queue_arm(urgent->queue);
	} else if (!n) {
		n = 1;
	}
	pthread_mutex_unlock(&urgent->lock);
	return MIN(n, 1);
}

int urgent_fd(const struct mount_urgent *urgent)
{
	return casement_queue_fd(urgent->queue);
}

int urgent_send(struct mount_urgent *urgent, struct mount_slot *slot)
{
	int n;

	slot->returned = false;
	pthread_mutex_lock(&urgent->lock);
	n = collect(urgent);
	if (n >= 0)
		n = casement_submit(urgent->queue, &slot->request, 1);
	pthread_mutex_unlock(&urgent->lock);
	return n;
}
