/* SPDX-License-Identifier: BSD-3-Clause */
/* How a thread is asked to stop what it waits for; see stop_token.h. */
#include "common/stop_token.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/cleanup.h"

static _Thread_local struct stop_token *current_token;

int stop_token_open(struct stop_token *token)
{
	atomic_init(&token->fired, false);
	token->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return token->event_fd < 0 ? -errno : 0;
}

void stop_token_close(struct stop_token *token)
{
	close_fd(&token->event_fd);
}

void stop_token_fire(struct stop_token *token)
{
	atomic_store_explicit(&token->fired, true, memory_order_relaxed);
	eventfd_write(token->event_fd, 1);
}

void stop_token_rearm(struct stop_token *token)
{
	eventfd_t value;

	atomic_store_explicit(&token->fired, false, memory_order_relaxed);
	eventfd_read(token->event_fd, &value);
}

void stop_token_set_current(struct stop_token *token)
{
	current_token = token;
}

struct stop_token *stop_token_current(void)
{
	return current_token;
}

bool stop_token_current_fired(void)
{
	return current_token && atomic_load_explicit(&current_token->fired, memory_order_relaxed);
}

int stop_token_wait_readable(int fd)
{
	struct pollfd fds[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = current_token ? current_token->event_fd : -1, .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (fds[1].revents)
			return -EINTR;
		if (fds[0].revents)
			return 0;
	}
}
