/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of the process that serves; see ending.h. Never ends it before a signal came. */
#include "daemon/ending.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/log.h"

static struct {		/* [I] once the thread runs */
	int signal_fd, stop_fd;
	void (*last)(void *ctx);
	void *ctx;
} ending;

/* The next signal. False when none came for `ms`; -1: for ever. */
static bool next_signal(int ms)
{
	struct pollfd pfd = { .fd = ending.signal_fd, .events = POLLIN };
	struct signalfd_siginfo info;

	while (poll(&pfd, 1, ms) < 0)
		continue;
	return pfd.revents && read(ending.signal_fd, &info, sizeof(info)) == sizeof(info);
}

static void *wait_for_the_end(void *arg)
{
	bool again;

	(void)arg;
	pthread_setname_np(pthread_self(), "signals");
	while (!next_signal(-1))
		continue;
	eventfd_write(ending.stop_fd, 1);
	again = next_signal(ENDING_GRACE_MS);
	log_warn("%s: something that it waits for does not end; the process ends without it",
		 again ? "told twice" : "told to end");
	ending.last(ending.ctx);
	_exit(0);
}

int ending_start(int signal_fd, void (*last)(void *ctx), void *ctx, int *stop_fd)
{
	sigset_t all, old;
	pthread_t thread;
	int err;

	*stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (*stop_fd < 0)
		return -errno;
	ending.signal_fd = signal_fd;
	ending.stop_fd = *stop_fd;
	ending.last = last;
	ending.ctx = ctx;
	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, wait_for_the_end, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		pthread_detach(thread);
	return -err;
}
