/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user messages over a unix socket; see channel.h. Relies on nothing but
 * the socket; never waits without a limit of time, and never keeps a received
 * descriptor that its caller did not ask for.
 */
#include "client/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/error.h"
#include "common/checked.h"

void channel_open(struct channel *channel, int sock)
{
	*channel = (struct channel){ .sock = sock, .stop_fd = -1 };
	pthread_mutex_init(&channel->lock, NULL);
}

void channel_close(struct channel *channel)
{
	close(channel->sock);
	channel->sock = -1;
	pthread_mutex_destroy(&channel->lock);
}

int channel_end(struct channel *channel, int err)
{
	int none = 0;

	__atomic_compare_exchange_n(&channel->ended, &none, err, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
	shutdown(channel->sock, SHUT_RDWR);
	return err;
}

int channel_ended(const struct channel *channel)
{
	int err = __atomic_load_n(&channel->ended, __ATOMIC_RELAXED);

	return err ? error_set(err, "the connection was given up: %s", strerror(-err)) : 0;
}

static int gave_up(int err)
{
	return error_set(err, err == -ETIMEDOUT ? "the daemon did not answer in time" :
						  "the wait for the daemon was ended");
}

static int broken(void)
{
	if (errno == EPIPE || errno == ECONNRESET)
		return error_set(-ECONNRESET, "the daemon closed the connection");
	return error_set(-errno, "vhost-user socket: %s", strerror(errno));
}

int channel_send(int sock, const void *bytes, size_t size, const int *fds, unsigned int n_fds,
		 const struct limit *limit)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_FDS)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
	}
	while (iov.iov_len) {
		ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		int err = 0;

		if (n < 0 && errno == EAGAIN)
			err = limit_wait(limit, sock, POLLOUT);
		else if (n < 0 && errno != EINTR)
			return broken();
		if (err)
			return gave_up(err);
		if (n < 0)
			continue;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return 0;
}

int channel_send_bytes(int sock, const void *bytes, size_t size, const int *fds, unsigned int n_fds)
{
	struct limit limit = limit_in(INT32_MAX, -1);

	return channel_send(sock, bytes, size, fds, n_fds, &limit);
}

/* Keep the descriptors that came with a piece of a message. */
static void keep_fds(struct channel_message *message, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (message->n_fds < VHOST_USER_MAX_FDS)
				message->fds[message->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

static int receive_bytes(int sock, struct channel_message *message, void *to, size_t size,
			 const struct limit *limit)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_FDS)];
		struct cmsghdr align;
	} control;

	while (size) {
		struct iovec iov = { to, size };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
				      .msg_control = control.space,
				      .msg_controllen = sizeof(control.space) };
		int err = limit_wait(limit, sock, POLLIN);
		ssize_t n;

		if (err)
			return gave_up(err);
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return broken();
		if (n == 0)
			return error_set(-ECONNRESET, "the daemon closed the connection");
		keep_fds(message, &msg);
		to = (char *)to + n;
		size -= (size_t)n;
		/* A byte now and then does not buy more time. */
		if (size && !limit_left(limit))
			return gave_up(-ETIMEDOUT);
	}
	return 0;
}

void channel_message_clear(struct channel_message *message)
{
	for (unsigned int i = 0; i < message->n_fds; i++)
		close(message->fds[i]);
	message->n_fds = 0;
}

int channel_receive_within(int sock, struct channel_message *message, const struct limit *limit)
{
	int err;

	message->n_fds = 0;
	err = receive_bytes(sock, message, &message->header, sizeof(message->header), limit);
	if (!err && message->header.size > sizeof(message->payload))
		err = error_set(-EPROTO, "message %u has a payload of %u bytes",
				message->header.request, message->header.size);
	if (!err)
		err = receive_bytes(sock, message, &message->payload, message->header.size, limit);
	if (err)
		channel_message_clear(message);
	return err;
}

int channel_receive(int sock, struct channel_message *message, int timeout_ms)
{
	struct limit limit = limit_in(timeout_ms, -1);

	return channel_receive_within(sock, message, &limit);
}

static int send_request(struct channel *channel, uint32_t request, uint32_t flags,
			const void *payload, size_t size, const int *fds, unsigned int n_fds,
			const struct limit *limit)
{
	struct {
		struct vhost_user_header header;
		char payload[sizeof(union vhost_user_payload)];
	} __attribute__((packed)) message;

	if (size > sizeof(message.payload))
		return error_set(-EMSGSIZE, "payload of %zu bytes", size);
	message.header = (struct vhost_user_header){
		request, VHOST_USER_VERSION | flags, (uint32_t)size };
	if (size)
		memcpy(message.payload, payload, size);
	return channel_send(channel->sock, &message, sizeof(message.header) + size, fds, n_fds,
			    limit);
}

/* The answer to `request`, which must be one and have `size` bytes. */
static int receive_reply(struct channel *channel, uint32_t request, void *reply, size_t size,
			 const struct limit *limit)
{
	struct channel_message message;
	uint32_t flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
	int err = channel_receive_within(channel->sock, &message, limit);

	if (err)
		return err;
	if (message.header.request != request || message.n_fds ||
	    (message.header.flags & (VHOST_USER_VERSION_MASK | VHOST_USER_REPLY)) != flags)
		err = error_set(-EPROTO, "request %u was answered as %u, flags %#x, %u fds",
				request, message.header.request, message.header.flags,
				message.n_fds);
	else if (message.header.size != size)
		err = error_set(-EPROTO, "request %u was answered by %u bytes, not %zu",
				request, message.header.size, size);
	else
		memcpy(reply, &message.payload, size);
	channel_message_clear(&message);
	return err;
}

/* A request, and its answer where there is a `reply`. */
static int exchange(struct channel *channel, uint32_t request, uint32_t flags, const void *payload,
		    size_t size, const int *fds, unsigned int n_fds, void *reply, size_t reply_size)
{
	struct limit limit;
	int err;

	pthread_mutex_lock(&channel->lock);
	limit = limit_in(channel->timeout_ms, channel->stop_fd);
	err = channel_ended(channel);
	if (!err)
		err = send_request(channel, request, flags, payload, size, fds, n_fds, &limit);
	if (!err && reply)
		err = receive_reply(channel, request, reply, reply_size, &limit);
	if (err == -ETIMEDOUT || err == -ECANCELED)
		channel_end(channel, err);
	pthread_mutex_unlock(&channel->lock);
	return err;
}

int channel_set(struct channel *channel, uint32_t request, const void *payload, size_t size,
		const int *fds, unsigned int n_fds)
{
	uint32_t flags = channel->reply_ack ? VHOST_USER_NEED_REPLY : 0;
	uint64_t status = 0;
	int err = exchange(channel, request, flags, payload, size, fds, n_fds,
			   flags ? &status : NULL, sizeof(status));

	if (!err && status)
		err = error_set(-EREMOTEIO, "the daemon refused vhost-user request %u", request);
	return err;
}

int channel_get(struct channel *channel, uint32_t request, const void *payload, size_t size,
		void *reply, size_t reply_size)
{
	return exchange(channel, request, 0, payload, size, NULL, 0, reply, reply_size);
}
