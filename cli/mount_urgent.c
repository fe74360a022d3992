/* SPDX-License-Identifier: BSD-3-Clause */
/* The high-priority queue of a mount; see mount_urgent.h. */
#include "cli/mount_urgent.h"

#define URGENT_BATCH 32

void urgent_open(struct mount_urgent *urgent, struct casement_queue *hiprio)
{
	pthread_mutex_init(&urgent->lock, NULL);
	urgent->queue = hiprio;
}

void urgent_close(struct mount_urgent *urgent)
{
	pthread_mutex_destroy(&urgent->lock);
}

/* Lock held. */
static int collect(struct mount_urgent *urgent, bool wait)
{
	struct casement_request *done[URGENT_BATCH];
	int n = casement_complete(urgent->queue, done, URGENT_BATCH, wait ? -1 : 0);

	for (int i = 0; i < n; i++) {
		struct mount_slot *slot = done[i]->user;

		/* All that the library did to the slot before; pairs with its worker's acquire. */
		__atomic_store_n(&slot->returned, true, __ATOMIC_RELEASE);
	}
	return n < 0 ? n : 0;
}

int urgent_wait(struct mount_urgent *urgent, const struct mount_slot *slot)
{
	int err = 0;

	pthread_mutex_lock(&urgent->lock);
	/* Under the lock: what is not returned is on the ring. A slow daemon is waited for. */
	while (!err && !__atomic_load_n(&slot->returned, __ATOMIC_RELAXED))
		err = collect(urgent, true);
	pthread_mutex_unlock(&urgent->lock);
	return err;
}

int urgent_send(struct mount_urgent *urgent, struct mount_slot *slot)
{
	int err;

	slot->returned = false;
	pthread_mutex_lock(&urgent->lock);
	err = collect(urgent, false);
	while (!err && !casement_submit(urgent->queue, &slot->request, 1))
		err = collect(urgent, true);
	pthread_mutex_unlock(&urgent->lock);
	return err;
}
