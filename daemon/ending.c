/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of the process that serves; see ending.h. Never ends it before a signal came. */
#include "daemon/ending.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/log.h"

static struct {		/* [I] once the thread runs */
	pthread_t thread;
	int signal_fd, stop_fd;
	int done_fd;	/* readable when the main thread needs no end by force any more; owned */
	void (*last)(void *ctx);
	void *ctx;
} ending;

enum news { NEWS_NONE, NEWS_SIGNAL, NEWS_DONE };

/* What happens next, within `ms` milliseconds; -1: whenever that is. */
static enum news next_news(int ms)
{
	struct pollfd pfds[] = {
		{ .fd = ending.done_fd, .events = POLLIN }, { .fd = ending.signal_fd, .events = POLLIN },
	};
	struct signalfd_siginfo info;

	while (poll(pfds, 2, ms) < 0)
		continue;
	if (pfds[0].revents)
		return NEWS_DONE;
	return pfds[1].revents && read(ending.signal_fd, &info, sizeof(info)) == sizeof(info) ?
		       NEWS_SIGNAL : NEWS_NONE;
}

static void *wait_for_the_end(void *arg)
{
	enum news news;

	(void)arg;
	pthread_setname_np(pthread_self(), "signals");
	do
		news = next_news(-1);
	while (news == NEWS_NONE);
	if (news == NEWS_SIGNAL) {
		eventfd_write(ending.stop_fd, 1);
		news = next_news(ENDING_GRACE_MS);
	}
	if (news == NEWS_DONE)
		return NULL;
	log_warn("%s: something that it waits for does not end; the process ends without it",
		 news == NEWS_SIGNAL ? "told twice" : "told to end");
	ending.last(ending.ctx);
	_exit(0);
}

int ending_start(int signal_fd, int stop_fd, void (*last)(void *ctx), void *ctx)
{
	sigset_t all, old;
	int err;

	ending.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ending.done_fd < 0)
		return -errno;
	ending.signal_fd = signal_fd;
	ending.stop_fd = stop_fd;
	ending.last = last;
	ending.ctx = ctx;
	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&ending.thread, NULL, wait_for_the_end, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		close(ending.done_fd);
	return -err;
}

void ending_finish(void)
{
	eventfd_write(ending.done_fd, 1);
	pthread_join(ending.thread, NULL);
	close(ending.done_fd);
}
