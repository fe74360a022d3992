/* SPDX-License-Identifier: BSD-3-Clause */
/* Waits for locks; see lock_wait.h. Relies on every other thread blocking SIGUSR1. */
#include "daemon/fs/lock_wait.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/stop_token.h"

#define CANCEL_SIGNAL SIGUSR1
#define CANCEL_AGAIN_NS 2000000

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* That it came is all: it ends the system call. */
static void on_signal(int number)
{
	(void)number;
}

int lock_waits_init(struct lock_waits *waits)
{
	struct sigaction action = { .sa_handler = on_signal };
	int err;

	*waits = (struct lock_waits){ .first = NULL };
	if (sigaction(CANCEL_SIGNAL, &action, NULL))
		return -errno;
	err = pthread_mutex_init(&waits->lock, NULL);
	return -err;
}

void lock_waits_fini(struct lock_waits *waits)
{
	pthread_mutex_destroy(&waits->lock);
}

bool lock_waits_reserve(struct lock_waits *waits)
{
	if (__atomic_fetch_add(&waits->reserved, 1, __ATOMIC_RELAXED) < FS_LOCK_WAITS_MAX)
		return true;
	lock_waits_unreserve(waits);
	return false;
}

void lock_waits_unreserve(struct lock_waits *waits)
{
	__atomic_fetch_sub(&waits->reserved, 1, __ATOMIC_RELAXED);
}

static int timer_make(timer_t *timer)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = CANCEL_SIGNAL,
	};

	event.sigev_notify_thread_id = gettid();
	return timer_create(CLOCK_MONOTONIC, &event, timer) ? -errno : 0;
}

static void signal_allow(bool allow)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, CANCEL_SIGNAL);
	pthread_sigmask(allow ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/* Was this request interrupted before it waited? Under the lock. */
static bool early_take(struct lock_waits *waits, uint64_t unique)
{
	for (unsigned int i = 0; unique && i < LOCK_WAITS_EARLY; i++) {
		if (waits->early[i] != unique)
			continue;
		waits->early[i] = 0;
		return true;
	}
	return false;
}

static void early_keep(struct lock_waits *waits, uint64_t unique)
{
	waits->early[waits->next_early++ % LOCK_WAITS_EARLY] = unique;
}

int lock_wait_begin(struct lock_waits *waits, struct lock_wait *wait,
		    const struct lock_wait_keys *keys)
{
	int err;

	*wait = (struct lock_wait){ .keys = *keys, .token = stop_token_current() };
	err = timer_make(&wait->timer);
	if (err)
		return err;
	pthread_mutex_lock(&waits->lock);
	/* Whoever fires the token cancels afterwards, under this lock: one of us sees the other. */
	if (stop_token_current_fired() || early_take(waits, keys->unique)) {
		err = -EINTR;
	} else {
		wait->next = waits->first;
		waits->first = wait;
	}
	pthread_mutex_unlock(&waits->lock);
	if (err)
		timer_delete(wait->timer);
	else
		signal_allow(true);
	return err;
}

bool lock_wait_end(struct lock_waits *waits, struct lock_wait *wait)
{
	struct lock_wait **link = &waits->first;

	pthread_mutex_lock(&waits->lock);
	while (*link != wait)
		link = &(*link)->next;
	*link = wait->next;
	pthread_mutex_unlock(&waits->lock);
	timer_delete(wait->timer);
	signal_allow(false);
	return wait->cancelled;
}

static bool wait_matches(const struct lock_wait *wait, enum lock_wait_key key,
			 const struct lock_wait_keys *like)
{
	switch (key) {
	case LOCK_WAIT_UNIQUE:
		return wait->keys.unique == like->unique;
	case LOCK_WAIT_HANDLE:
		return wait->keys.handle == like->handle;
	case LOCK_WAIT_OWNER:
		/* An owner is a process: another file's close is no business of its other threads. */
		return wait->keys.owner == like->owner && wait->keys.node == like->node;
	case LOCK_WAIT_STOPPED:
		return wait->token && atomic_load_explicit(&wait->token->fired, memory_order_relaxed);
	case LOCK_WAIT_ALL:
		break;
	}
	return true;
}

void lock_waits_cancel(struct lock_waits *waits, enum lock_wait_key key,
		       const struct lock_wait_keys *like)
{
	static const struct itimerspec now = {
		.it_value.tv_nsec = 1, .it_interval.tv_nsec = CANCEL_AGAIN_NS,
	};

	bool found = false;

	pthread_mutex_lock(&waits->lock);
	for (struct lock_wait *wait = waits->first; wait; wait = wait->next) {
		if (!wait_matches(wait, key, like))
			continue;
		found = true;
		if (wait->cancelled)
			continue;
		__atomic_store_n(&wait->cancelled, true, __ATOMIC_RELAXED);
		timer_settime(wait->timer, 0, &now, NULL);
	}
	if (key == LOCK_WAIT_UNIQUE && !found)
		early_keep(waits, like->unique);
	if (key == LOCK_WAIT_ALL)
		memset(waits->early, 0, sizeof(waits->early));
	pthread_mutex_unlock(&waits->lock);
}
