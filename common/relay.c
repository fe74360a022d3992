/* SPDX-License-Identifier: BSD-3-Clause */
/* One way of bytes; see relay.h. */
#include "common/relay.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"

int relay_reopen(int fd, int flags)
{
	char path[32];
	struct stat st;

	if (fstat(fd, &st) || !(S_ISFIFO(st.st_mode) || isatty(fd)))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static size_t may_read(const struct relay *relay)
{
	if (!relay->limit)
		return sizeof(relay->buf);
	return MIN(relay->limit - MIN(relay->total, relay->limit), sizeof(relay->buf));
}

void relay_poll(const struct relay *relay, struct pollfd *fd)
{
	if (relay_is_full(relay))
		*fd = (struct pollfd){ .fd = relay->to, .events = POLLOUT };
	else
		*fd = (struct pollfd){ .fd = may_read(relay) ? relay->from : -1, .events = POLLIN };
}

bool relay_is_full(const struct relay *relay)
{
	return relay->done < relay->len;
}

int relay_write(struct relay *relay)
{
	const char *bytes = relay->buf + relay->done;
	size_t len = relay->len - relay->done;
	ssize_t n;

	if (relay->most)
		len = MIN(len, relay->most);
	n = send(relay->to, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == ENOTSOCK)
		n = write(relay->to, bytes, len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	relay->done += (size_t)n;
	return 0;
}

bool relay_read(struct relay *relay)
{
	size_t most = may_read(relay);
	ssize_t n = read(relay->from, relay->buf, most);

	assert(most);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	relay->done = 0;
	relay->len = n > 0 ? (size_t)n : 0;
	relay->total += relay->len;
	relay->read_error = n < 0 ? -errno : 0;
	if (n <= 0)
		relay->from = -1;
	return n > 0;
}

bool relay_is_done(const struct relay *relay)
{
	return relay->from < 0 && !relay_is_full(relay);
}
