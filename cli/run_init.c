/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines from and to the guest's init; see run_init.h. */
#include "cli/run_init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "guest/params.h"

#define SWEEP_MAX 1024	/* reads; more than a socket holds */

void run_init_clear(struct run_init *init)
{
	*init = (struct run_init){ .fd = -1, .vmm = -1 };
}

int run_init_connect(struct run_init *init)
{
	int pair[2];

	run_init_close(init);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		int err = -errno;

		log_error("no port for the guest's status: %s", strerror(-err));
		return err;
	}
	*init = (struct run_init){ .fd = pair[0], .vmm = pair[1] };
	return 0;
}

void run_init_start(struct run_init *init)
{
	close_fd(&init->vmm);
}

static void take_end(struct run_init *init)
{
	init->known = true;
	init->answered = false;
	init->ends++;
}

/* "exit STATUS OUT ERR". */
static void take_exit(struct run_init *init, const char *text)
{
	unsigned long long bytes[2] = { 0, 0 };
	char *end;

	init->status = (int)(strtoul(text, &end, 10) & 0xff);
	for (int i = 0; i < 2; i++)
		bytes[i] = strtoull(end, &end, 10);
	init->out = bytes[0];
	init->err = bytes[1];
	init->failure[0] = '\0';
	take_end(init);
}

/* Of several ends the last counts. A line of no kind that is known is passed over. */
static void take_line(struct run_init *init)
{
	const char *line = init->line;

	init->line[init->len] = '\0';
	init->len = 0;
	if (!strncmp(line, GUEST_STATUS_EXIT, strlen(GUEST_STATUS_EXIT))) {
		take_exit(init, line + strlen(GUEST_STATUS_EXIT));
	} else if (!strncmp(line, GUEST_STATUS_FAILED, strlen(GUEST_STATUS_FAILED))) {
		line += strlen(GUEST_STATUS_FAILED);
		snprintf(init->failure, sizeof(init->failure), "%s", *line ? line : "no reason given");
		init->out = init->err = 0;
		take_end(init);
	} else if (!strcmp(line, GUEST_STATUS_CLOCK)) {
		init->say_clock = true;
	} else if (!strncmp(line, GUEST_STATUS_STARTED, strlen(GUEST_STATUS_STARTED))) {
		line += strlen(GUEST_STATUS_STARTED);
		snprintf(init->mark, sizeof(init->mark), "%s", *line ? line + 1 : "");
		init->starts++;
		init->took = 0;
	} else if (!strncmp(line, GUEST_STATUS_TOOK, strlen(GUEST_STATUS_TOOK))) {
		init->took = strtoull(line + strlen(GUEST_STATUS_TOOK), NULL, 10);
	}
}

/* False when there was nothing. */
static bool take_some(struct run_init *init)
{
	char bytes[1024];
	ssize_t n = recv(init->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&init->fd);
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] == '\n')
			take_line(init);
		else if (init->len < sizeof(init->line) - 1)
			init->line[init->len++] = bytes[i];
	}
	return n > 0;
}

/* ---- to the guest ---- */

void run_init_tell_size(struct run_init *init, struct run_terminal_size size)
{
	init->size = size;
	init->say_size = true;
}

void run_init_tell_input(struct run_init *init, uint64_t total)
{
	init->input = total;
	init->say_input = true;
}

void run_init_tell_done(struct run_init *init)
{
	if (init->answered || run_init_is_flooded(init))
		return;
	init->answered = true;
	init->say_done = true;
}

/* Make the next line. */
static void compose(struct run_init *init)
{
	const size_t room = sizeof(init->told);
	struct timespec now;
	int n = 0;

	if (init->say_clock) {
		clock_gettime(CLOCK_REALTIME, &now);
		n = snprintf(init->told, room, GUEST_TOLD_CLOCK "%lld %ld\n", (long long)now.tv_sec, now.tv_nsec);
		init->say_clock = false;
	} else if (init->say_size) {
		n = snprintf(init->told, room, GUEST_TOLD_SIZE "%hux%hu\n", init->size.rows, init->size.columns);
		init->say_size = false;
	} else if (init->say_input) {
		n = snprintf(init->told, room, GUEST_TOLD_INPUT_END "%llu\n", (unsigned long long)init->input);
		init->say_input = false;
	} else if (init->say_done) {
		n = snprintf(init->told, room, GUEST_TOLD_DONE "\n");
		init->say_done = false;
	}
	init->told_len = (size_t)n;
}

static bool has_line(const struct run_init *init)
{
	if (init->told_len || init->say_clock)
		return true;
	/* Before the command runs the guest's init reads no others. */
	return (init->starts || init->known) && (init->say_size || init->say_input || init->say_done);
}

static void tell_some(struct run_init *init)
{
	ssize_t n;

	if (!init->told_len)
		compose(init);
	n = send(init->fd, init->told, init->told_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n <= 0)
		return;
	init->told_len -= (size_t)n;
	memmove(init->told, init->told + n, init->told_len);
}

/* ---- both ---- */

void run_init_poll(const struct run_init *init, struct pollfd *fd)
{
	*fd = (struct pollfd){ .fd = init->fd, .events = POLLIN };
	if (has_line(init))
		fd->events |= POLLOUT;
}

void run_init_move(struct run_init *init, short revents)
{
	if (revents & ~POLLOUT)
		take_some(init);
	if (revents & POLLOUT && init->fd >= 0)
		tell_some(init);
}

bool run_init_is_flooded(const struct run_init *init)
{
	return init->ends > RUN_INIT_ENDS_MAX;
}

void run_init_sweep(struct run_init *init)
{
	for (int i = 0; i < SWEEP_MAX && init->fd >= 0; i++)
		if (!take_some(init))
			return;
}

void run_init_close(struct run_init *init)
{
	close_fd(&init->fd);
	close_fd(&init->vmm);
}
