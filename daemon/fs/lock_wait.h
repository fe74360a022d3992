/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that wait for a lock, and how they are told to give up. A wait is a
 * system call that only a signal ends; one that comes just before the call
 * would be lost, so each wait has a timer that repeats it until the wait is over.
 */
#ifndef CASEMENT_DAEMON_FS_LOCK_WAIT_H
#define CASEMENT_DAEMON_FS_LOCK_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "daemon/fs/fs.h"

/* By what a wait is known. */
struct lock_wait_keys {
	uint64_t unique;	/* of the request */
	uint64_t handle, owner;
	uint64_t node;		/* of the file */
};

struct stop_token;

struct lock_wait {
	struct lock_wait *next;		/* [L:lock_waits.lock] as the next */
	bool cancelled;			/* [A] relaxed; set under the lock */
	struct lock_wait_keys keys;	/* [I] as the next two */
	struct stop_token *token;	/* the waiting thread's, or NULL */
	timer_t timer;
};

/*
 * A request may be interrupted before it is served: INTERRUPT has a queue of
 * its own. So many are remembered, the oldest is forgotten first: more than
 * can wait at once.
 */
#define LOCK_WAITS_EARLY (2 * FS_LOCK_WAITS_MAX)

struct lock_waits {
	pthread_mutex_t lock;
	struct lock_wait *first;	/* [L:lock] */
	uint64_t early[LOCK_WAITS_EARLY];	/* [L:lock] uniques that nobody waited for; 0: none */
	unsigned int next_early;	/* [L:lock] */
	unsigned int reserved;		/* [A] waits that there are or will be */
};

/* Once, before any other thread: 0 or -errno. Takes SIGUSR1 for the process. */
int lock_waits_init(struct lock_waits *waits);
void lock_waits_fini(struct lock_waits *waits);

/* Room for one more wait, to be given back when it is over. False: too many. */
bool lock_waits_reserve(struct lock_waits *waits);
void lock_waits_unreserve(struct lock_waits *waits);

/*
 * The calling thread is about to wait. 0; -EINTR when its request was cancelled
 * or its stop token has fired already (common/stop_token.h), -errno when there
 * is no timer to be had.
 */
int lock_wait_begin(struct lock_waits *waits, struct lock_wait *wait,
		    const struct lock_wait_keys *keys);
/* The wait is over. True when it was cancelled. */
bool lock_wait_end(struct lock_waits *waits, struct lock_wait *wait);

/* Which waits to cancel: those of the same request, handle, or owner and file; or whose token fired. */
enum lock_wait_key {
	LOCK_WAIT_UNIQUE, LOCK_WAIT_HANDLE, LOCK_WAIT_OWNER, LOCK_WAIT_STOPPED, LOCK_WAIT_ALL,
};
/*
 * Have waits like this one give up with -EINTR. A unique that nobody waits with is
 * kept for the wait that may begin with it; LOCK_WAIT_ALL forgets those. The last two
 * need no `like`. Any thread.
 */
void lock_waits_cancel(struct lock_waits *waits, enum lock_wait_key key,
		       const struct lock_wait_keys *like);

#endif
