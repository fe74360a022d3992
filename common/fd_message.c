/* SPDX-License-Identifier: BSD-3-Clause */
/* A number and a descriptor to another process; see fd_message.h. */
#include "common/fd_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int fd_message_send(int sock, int number, int fd)
{
	struct iovec iov = { &number, sizeof(number) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union fd_control control = { 0 };
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *head;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int fd_message_receive(int sock, int *number, int *fd)
{
	struct iovec iov = { number, sizeof(*number) };
	union fd_control control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *head;
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	head = CMSG_FIRSTHDR(&msg);
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(head), sizeof(*fd));
	return n == sizeof(*number) ? 0 : -EPIPE;
}
