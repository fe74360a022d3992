/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's word at its end; see run_verdict.h. */
#include "cli/run_verdict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "guest/params.h"

#define SWEEP_MAX 1024	/* reads; more than a socket holds */

void verdict_init(struct run_verdict *verdict)
{
	*verdict = (struct run_verdict){ .fd = -1, .vmm = -1 };
}

int verdict_connect(struct run_verdict *verdict)
{
	int pair[2];

	verdict_close(verdict);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		int err = -errno;

		log_error("no port for the guest's status: %s", strerror(-err));
		return err;
	}
	*verdict = (struct run_verdict){ .fd = pair[0], .vmm = pair[1] };
	return 0;
}

void verdict_start(struct run_verdict *verdict)
{
	close_fd(&verdict->vmm);
}

/* The last line that is one counts. */
static void take_line(struct run_verdict *verdict)
{
	const char *line = verdict->line;

	verdict->line[verdict->len] = '\0';
	verdict->len = 0;
	if (!strncmp(line, GUEST_STATUS_EXIT, strlen(GUEST_STATUS_EXIT))) {
		verdict->status = (int)(strtoul(line + strlen(GUEST_STATUS_EXIT), NULL, 10) & 0xff);
		verdict->failure[0] = '\0';
		verdict->known = true;
	} else if (!strncmp(line, GUEST_STATUS_FAILED, strlen(GUEST_STATUS_FAILED))) {
		line += strlen(GUEST_STATUS_FAILED);
		snprintf(verdict->failure, sizeof(verdict->failure), "%s", *line ? line : "no reason given");
		verdict->known = true;
	}
}

/* False when there was nothing. */
static bool take_some(struct run_verdict *verdict)
{
	char bytes[1024];
	ssize_t n = recv(verdict->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&verdict->fd);
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] == '\n')
			take_line(verdict);
		else if (verdict->len < sizeof(verdict->line) - 1)
			verdict->line[verdict->len++] = bytes[i];
	}
	return n > 0;
}

void verdict_move(struct run_verdict *verdict)
{
	take_some(verdict);
}

void verdict_sweep(struct run_verdict *verdict)
{
	for (int i = 0; i < SWEEP_MAX && verdict->fd >= 0; i++)
		if (!take_some(verdict))
			return;
}

void verdict_close(struct run_verdict *verdict)
{
	close_fd(&verdict->fd);
	close_fd(&verdict->vmm);
}
