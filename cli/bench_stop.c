/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals during a measurement; see bench_stop.h. The descriptor is a timer, which
 * the handler sets: timerfd_settime(2) is a system call and nothing else.
 */
#include "cli/bench_stop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/timerfd.h>

#include "cli/exit_timer.h"

#define GRANT_SECONDS 1	/* that a daemon has for one answer, once somebody wants to go */

static int timer = -1;
static atomic_bool asked;
static atomic_bool insisted;

static void set_timer(time_t seconds, long nanoseconds)
{
	struct itimerspec when = { .it_value = { .tv_sec = seconds, .tv_nsec = nanoseconds } };

	timerfd_settime(timer, 0, &when, NULL);
}

static void on_signal(int number)
{
	int saved = errno;

	(void)number;
	if (atomic_exchange(&asked, true)) {
		atomic_store(&insisted, true);
		set_timer(0, 1);
		exit_timer_start();
	} else {
		set_timer(GRANT_SECONDS, 0);
	}
	errno = saved;
}

int stop_catch(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	int err;

	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer < 0)
		return -errno;
	err = exit_timer_new(128 + SIGINT);
	if (err)
		return err;
	/* The handler of one is not interrupted by another. */
	sigaddset(&action.sa_mask, SIGINT);
	sigaddset(&action.sa_mask, SIGTERM);
	sigaddset(&action.sa_mask, SIGHUP);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

int stop_fd(void)
{
	return timer;
}

const atomic_bool *stop_flag(void)
{
	return &asked;
}

bool stop_insisted(void)
{
	return atomic_load(&insisted);
}

void stop_grant(void)
{
	if (!atomic_load_explicit(&asked, memory_order_relaxed) || stop_insisted())
		return;
	set_timer(GRANT_SECONDS, 0);
	/* A second signal in between meant it. */
	if (stop_insisted())
		set_timer(0, 1);
}
