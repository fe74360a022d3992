/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The high-priority queue, which all workers share: FORGET, BATCH_FORGET and
 * INTERRUPT go there, and nobody waits for them.
 */
#ifndef CASEMENT_CLI_MOUNT_URGENT_H
#define CASEMENT_CLI_MOUNT_URGENT_H

#include <pthread.h>

#include "cli/mount_slot.h"

struct mount_urgent {
	pthread_mutex_t lock;
	struct casement_queue *queue;	/* [L:lock] */
};

void urgent_open(struct mount_urgent *urgent, struct casement_queue *hiprio);
void urgent_close(struct mount_urgent *urgent);

/*
 * Send the slot's message. The slot is lent: slot->returned says when it is the
 * caller's again. Waits only when the ring is full. 0, or -errno when the
 * daemon has gone.
 */
int urgent_send(struct mount_urgent *urgent, struct mount_slot *slot);

/* Wait until the daemon is done with a slot that was lent. 0, or -errno when the daemon has gone. */
int urgent_wait(struct mount_urgent *urgent, const struct mount_slot *slot);

#endif
