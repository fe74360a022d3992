/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One vhost-user message at a time over a stream socket, with its descriptors.
 * Knows sizes and flags, not what requests mean.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_VU_SOCKET_H
#define CASEMENT_DAEMON_TRANSPORT_VU_SOCKET_H

#include "proto/vhost_user.h"

struct vu_message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	int fds[VHOST_USER_MAX_FDS];	/* owned; vu_message_close_fds() closes what was not taken */
	unsigned int n_fds;
};

/*
 * Receive a message. 1, 0 when the other side closed, -EPROTO for a message no
 * version-1 peer sends (the stream cannot be followed any further), -ECANCELED
 * when `stop_fd` became readable before all of it was there, -errno. On anything
 * but 1 there are no descriptors to close.
 */
int vu_socket_receive(int sock, int stop_fd, struct vu_message *message);
/* Send header and payload, and one descriptor unless fd is -1. 0, -ECANCELED as above, or -errno. */
int vu_socket_send(int sock, int stop_fd, const struct vhost_user_header *header, const void *payload,
		   int fd);

/* Give up descriptor `i`; -1 if it did not come. */
int vu_message_take_fd(struct vu_message *message, unsigned int i);
void vu_message_close_fds(struct vu_message *message);

#endif
