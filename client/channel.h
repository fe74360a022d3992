/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user channel: messages with descriptors over a unix stream socket,
 * and the request-and-answer pattern of the main one.
 */
#ifndef CASEMENT_CLIENT_CHANNEL_H
#define CASEMENT_CLIENT_CHANNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vhost_user.h"

struct channel {
	int sock;		/* [I] owned */
	int timeout_ms;		/* [I] longest wait for an answer */
	bool reply_ack;		/* [I] after negotiation: ask for an answer to everything */
	pthread_mutex_t lock;	/* a request and its answer are one step */
};

/* Take a connected socket over. */
void channel_open(struct channel *channel, int sock, int timeout_ms);
void channel_close(struct channel *channel);

/* Send bytes with descriptors (which stay the caller's). 0 or -errno. */
int channel_send_bytes(int sock, const void *bytes, size_t size, const int *fds,
		       unsigned int n_fds);

struct channel_message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	int fds[VHOST_USER_MAX_FDS];	/* received: the caller's to close */
	unsigned int n_fds;
};

/* Receive one message. 0, -ECONNRESET at the end of the stream, -ETIMEDOUT, -EPROTO when too large. */
int channel_receive(int sock, struct channel_message *message, int timeout_ms);
/* Close what a received message carried. */
void channel_message_clear(struct channel_message *message);

/*
 * Send a request on the main channel and, where acknowledgements were agreed
 * on, wait for its own. 0, -EREMOTEIO when the daemon says it failed, -errno.
 */
int channel_set(struct channel *channel, uint32_t request, const void *payload, size_t size,
		const int *fds, unsigned int n_fds);

/* Send a request that has an answer of its own, of exactly `reply_size` bytes. 0 or -errno. */
int channel_get(struct channel *channel, uint32_t request, const void *payload, size_t size,
		void *reply, size_t reply_size);

#endif
