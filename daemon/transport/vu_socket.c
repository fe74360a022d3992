/* SPDX-License-Identifier: BSD-3-Clause */
/* One vhost-user message at a time; see vu_socket.h. */
#include "daemon/transport/vu_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/checked.h"
#include "common/cleanup.h"

int vu_message_take_fd(struct vu_message *message, unsigned int i)
{
	return i < message->n_fds ? take_fd(&message->fds[i]) : -1;
}

void vu_message_close_fds(struct vu_message *message)
{
	for (unsigned int i = 0; i < message->n_fds; i++)
		close_fd(&message->fds[i]);
	message->n_fds = 0;
}

/* Wait for the other side, which may have stopped in the middle: 0, -ECANCELED or -errno. */
static int socket_wait(int sock, int stop_fd, short events)
{
	struct pollfd fds[2] = {
		{ .fd = sock, .events = events }, { .fd = stop_fd, .events = POLLIN },
	};

	while (poll(fds, 2, -1) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return fds[1].revents ? -ECANCELED : 0;
}

/* Descriptors come with a message's first bytes; more than fit are closed by the kernel (MSG_CTRUNC). */
static void collect_fds(struct msghdr *msg, struct vu_message *message)
{
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		message->n_fds = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(message->fds, CMSG_DATA(cmsg), message->n_fds * sizeof(int));
	}
}

/* Read the first `len` bytes, with what descriptors came. 1, 0 at the end, -errno. */
static int receive_first(int sock, int stop_fd, struct vu_message *message, void *to, size_t len,
			 size_t *got)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(VHOST_USER_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { to, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t n;

	while ((n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)) < 0) {
		int err = errno == EAGAIN ? socket_wait(sock, stop_fd, POLLIN) : errno == EINTR ? 0 : -errno;

		if (err)
			return err == -ECONNRESET ? 0 : err;
	}
	collect_fds(&msg, message);
	*got = (size_t)n;
	if (msg.msg_flags & MSG_CTRUNC)
		return -EPROTO;
	return n > 0;
}

static int receive_rest(int sock, int stop_fd, void *to, size_t len)
{
	char *at = to;

	while (len) {
		ssize_t n = recv(sock, at, len, MSG_DONTWAIT);
		int err = 0;

		if (n < 0 && errno == EAGAIN)
			err = socket_wait(sock, stop_fd, POLLIN);
		if (err)
			return err;
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return n < 0 && errno != ECONNRESET ? -errno : -EPROTO;
		at += n;
		len -= (size_t)n;
	}
	return 1;
}

int vu_socket_receive(int sock, int stop_fd, struct vu_message *message)
{
	struct vhost_user_header *header = &message->header;
	size_t got = 0;
	int err;

	message->n_fds = 0;
	memset(&message->payload, 0, sizeof(message->payload));
	err = receive_first(sock, stop_fd, message, header, sizeof(*header), &got);
	if (err > 0 && got < sizeof(*header))
		err = receive_rest(sock, stop_fd, (char *)header + got, sizeof(*header) - got);
	if (err > 0 && ((header->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
			header->size > sizeof(message->payload)))
		err = -EPROTO;
	if (err > 0)
		err = receive_rest(sock, stop_fd, &message->payload, header->size);
	if (err <= 0)
		vu_message_close_fds(message);
	return err;
}

int vu_socket_send(int sock, int stop_fd, const struct vhost_user_header *header, const void *payload,
		   int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)header, sizeof(*header) },
		{ (void *)(uintptr_t)payload, header->size },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = header->size ? 2 : 1 };
	size_t left = sizeof(*header) + header->size;

	if (fd >= 0) {
		struct cmsghdr *cmsg = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	while (left) {
		ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		int err = 0;

		if (n < 0 && errno == EAGAIN)
			err = socket_wait(sock, stop_fd, POLLOUT);
		else if (n < 0 && errno != EINTR)
			err = -errno;
		if (err)
			return err;
		if (n < 0)
			continue;
		left -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		while (n > 0) {
			size_t step = MIN((size_t)n, msg.msg_iov->iov_len);

			msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + step;
			msg.msg_iov->iov_len -= step;
			n -= (ssize_t)step;
			if (!msg.msg_iov->iov_len && msg.msg_iovlen > 1) {
				msg.msg_iov++;
				msg.msg_iovlen--;
			}
		}
	}
	return 0;
}
