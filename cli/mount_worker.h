/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One worker: a thread that carries messages between a descriptor of /dev/fuse
 * and one request queue, until the mount or the daemon is gone.
 */
#ifndef CASEMENT_CLI_MOUNT_WORKER_H
#define CASEMENT_CLI_MOUNT_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "cli/mount_slot.h"
#include "cli/mount_urgent.h"

struct mount_worker {
	int fuse_fd;			/* [I] borrowed */
	int stop_fd;			/* [I] borrowed: readable when all shall end */
	int daemon_fd;			/* [I] borrowed: hangs up with the daemon */
	int done_fd;			/* [I] borrowed: an eventfd, written at the end */
	struct casement_queue *queue;	/* [I] borrowed; the thread's own */
	struct mount_urgent *urgent;	/* [I] borrowed */
	unsigned int n_slots;		/* [I] */
	struct mount_slot *slots;	/* [I] owned */
	int result;			/* after the end: 0 the mount is gone, or -errno */

	/* the thread's own */
	pthread_t thread;
	int epoll_fd;
	struct mount_slot *free;	/* last used first */
	struct mount_slot *lent;	/* to the high-priority queue, first lent first */
	struct mount_slot **lent_tail;
	struct mount_slot *unsent;	/* for a high-priority queue that is full; NULL: none */
	unsigned int in_flight;		/* in its own queue */
	bool listening;			/* to /dev/fuse, in epoll_fd */
};

/*
 * Fields up to n_slots set before. Start the thread, with memory from `client`.
 * 0 or -errno, logged. worker_join() waits for its end. worker_free() comes
 * after casement_close(): what is still in flight, as a RELEASE that nobody
 * waits for, completes into the slots.
 */
int worker_start(struct mount_worker *worker, struct casement *client);
void worker_join(struct mount_worker *worker);
void worker_free(struct mount_worker *worker);

#endif
