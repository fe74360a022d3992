/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's clock; see clock.h. */
#include "guest/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "guest/report.h"

#define NS_PER_S 1000000000LL

static long long nanoseconds(const struct timespec *time)
{
	return time->tv_sec * NS_PER_S + time->tv_nsec;
}

/*
 * The answer is taken to be as old as the question, so that this clock comes to be ahead by the question's way,
 * and is never behind: make(1) warns of a file that is newer than now, and of none that is older.
 */
void clock_take(void)
{
	struct timespec asked, now, host;
	long long ns;
	int err;

	clock_gettime(CLOCK_REALTIME, &asked);
	err = report_ask_clock(&host);
	if (err) {
		report_note("the host does not tell the time: %s", strerror(-err));
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	ns = nanoseconds(&host) + nanoseconds(&now) - nanoseconds(&asked);
	now = (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
	if (clock_settime(CLOCK_REALTIME, &now))
		report_note("the clock cannot be set: %s", strerror(errno));
}
