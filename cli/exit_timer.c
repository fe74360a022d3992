/* SPDX-License-Identifier: BSD-3-Clause */
/* A process's last seconds; see exit_timer.h. timer_settime(2) is a system call and nothing else. */
#include "cli/exit_timer.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define LAST_SECONDS 2	/* beside what a daemon holds up, ending takes milliseconds */

static timer_t timer;		/* [I] */
static int exit_status;		/* [I] */

static void leave(int number)
{
	(void)number;
	_exit(exit_status);
}

int exit_timer_new(int status)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };

	exit_status = status;
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || signal(SIGALRM, leave) == SIG_ERR)
		return -errno;
	return 0;
}

static void set(time_t seconds)
{
	struct itimerspec when = { .it_value = { .tv_sec = seconds } };

	timer_settime(timer, 0, &when, NULL);
}

void exit_timer_start(void)
{
	set(LAST_SECONDS);
}

void exit_timer_stop(void)
{
	set(0);
}
