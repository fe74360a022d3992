/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * QEMU's events; see run_events.h. Only a few words are looked for, so lines
 * are searched, not parsed: they are QEMU's own, and no guest can write them.
 */
#include "cli/run_events.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

static const char hello[] = "{\"execute\": \"qmp_capabilities\"}\n";
/* A stop says that the machine stands still, and this is how to hear why. */
static const char quit[] = "{\"execute\": \"quit\"}\n";
/*
 * Physical memory, as crash(8) and drgn read it, by the kernel's page tables. QEMU could follow these
 * itself ("paging"), and then a guest says how much memory that takes of the host.
 */
static const char take_file[] = "{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"core\"}}\n";
static const char dump[] = "{\"execute\": \"dump-guest-memory\", \"id\": \"core\", "
			   "\"arguments\": {\"paging\": false, \"protocol\": \"fd:core\"}}\n";
static const char ask_status[] = "{\"execute\": \"query-status\"}\n";

void events_init(struct events *events)
{
	*events = (struct events){ .fd = -1, .vmm = -1 };
}

/* The socket has room: QEMU is told a few dozen bytes in its life. */
static void tell(const struct events *events, const char *text)
{
	if (send(events->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("QEMU's monitor: %s", strerror(errno));
}

int events_dump(struct events *events, int file)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)take_file, .iov_len = strlen(take_file) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(header), &file, sizeof(file));
	events->answered = events->refused = false;
	if (sendmsg(events->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	tell(events, dump);
	return 0;
}

void events_quit(const struct events *events)
{
	tell(events, quit);
}

int events_connect(struct events *events)
{
	int fds[2];

	events_close(events);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		int err = -errno;

		log_error("no socket for QEMU's monitor: %s", strerror(-err));
		return err;
	}
	*events = (struct events){ .fd = fds[0], .vmm = fds[1] };
	tell(events, hello);
	/* Events from before the hello are lost; the status is not. */
	tell(events, ask_status);
	return 0;
}

void events_start(struct events *events)
{
	close_fd(&events->vmm);
}

/* {"id": "core", "error": {"class": "GenericError", "desc": "..."}} */
static void take_answer(struct events *events, const char *line)
{
	const char *why = strstr(line, "\"desc\": \"");

	events->answered = true;
	events->refused = strstr(line, "\"error\"");
	snprintf(events->refusal, sizeof(events->refusal), "%.*s", why ? (int)strcspn(why + 9, "\"") : 0, why ? why + 9 : "");
}

static void take_line(struct events *events, const char *line)
{
	if (strstr(line, "\"event\": \"SHUTDOWN\""))
		events->down = true;
	if (strstr(line, "\"id\": \"core\""))
		take_answer(events, line);
	else if (strstr(line, "\"guest-reset\""))
		events->reset = true;
	else if (strstr(line, "\"event\": \"STOP\""))
		tell(events, ask_status);
	else if (strstr(line, "\"internal-error\""))
		events->broken = true;
}

static void take_bytes(struct events *events, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != '\n') {
			if (events->len < sizeof(events->line) - 1)
				events->line[events->len++] = bytes[i];
			continue;
		}
		events->line[events->len] = '\0';
		take_line(events, events->line);
		events->len = 0;
	}
}

void events_move(struct events *events)
{
	char bytes[1024];
	ssize_t n = recv(events->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		take_bytes(events, bytes, (size_t)n);
	else if (!n || (errno != EAGAIN && errno != EINTR))
		close_fd(&events->fd);
}

void events_close(struct events *events)
{
	close_fd(&events->fd);
	close_fd(&events->vmm);
}
