/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The high-priority queue, which all workers share: FORGET, BATCH_FORGET and
 * INTERRUPT go there, and nobody waits for them but together with all else that
 * may happen: a daemon that keeps them keeps nobody.
 */
#ifndef CASEMENT_CLI_MOUNT_URGENT_H
#define CASEMENT_CLI_MOUNT_URGENT_H

#include <pthread.h>

#include "cli/mount_slot.h"

struct mount_urgent {
	pthread_mutex_t lock;
	struct casement_queue *queue;	/* [L:lock] */
	bool awaited;			/* [L:lock] some worker sleeps until a slot comes back */
};

void urgent_open(struct mount_urgent *urgent, struct casement_queue *hiprio);
void urgent_close(struct mount_urgent *urgent);

/*
 * Send the slot's message: 1, and the slot is lent; slot->returned says when it is
 * the caller's again. 0 when the ring is full. -errno when the daemon has gone.
 */
int urgent_send(struct mount_urgent *urgent, struct mount_slot *slot);

/* Mark what the daemon is done with as returned. 0 or -errno. */
int urgent_collect(struct mount_urgent *urgent);

/*
 * Before a sleep until `slot` comes back (NULL: until there is room in the ring): 0 when
 * urgent_fd() will have an event, edge-triggered, once something came back; 1 when something
 * has; -errno.
 */
int urgent_arm(struct mount_urgent *urgent, const struct mount_slot *slot);
int urgent_fd(const struct mount_urgent *urgent);

#endif
