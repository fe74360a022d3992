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

#include "client/limit.h"
#include "proto/vhost_user.h"

struct channel {
	int sock;		/* [I] owned */
	int timeout_ms;		/* [I] longest wait for an answer */
	int stop_fd;		/* [I] borrowed: while it is readable nothing is waited for; -1: none */
	int ended;		/* [A] relaxed: 0, or why channel_end() was called */
	bool reply_ack;		/* [I] after negotiation: ask for an answer to everything */
	pthread_mutex_t lock;	/* a request and its answer are one step */
};

/* Take a connected socket over. */
void channel_open(struct channel *channel, int sock);
void channel_close(struct channel *channel);

/*
 * Nobody waits any more for something that the daemon may still answer: end the connection, so that
 * it is not taken for the answer to something else. Any thread. Returns err.
 */
int channel_end(struct channel *channel, int err);
/* 0, or the err of channel_end(), with its text. */
int channel_ended(const struct channel *channel);

/* Send bytes with descriptors (which stay the caller's), all within `limit`. 0 or -errno. */
int channel_send(int sock, const void *bytes, size_t size, const int *fds, unsigned int n_fds,
		 const struct limit *limit);
/* The same, waiting as long as it takes. */
int channel_send_bytes(int sock, const void *bytes, size_t size, const int *fds,
		       unsigned int n_fds);

struct channel_message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	int fds[VHOST_USER_MAX_FDS];	/* received: the caller's to close */
	unsigned int n_fds;
};

/*
 * Receive one message, all of it within `timeout_ms` or `limit`. 0, -ECONNRESET at the end of the stream, -ETIMEDOUT,
 * -ECANCELED, -EPROTO when too large.
 */
int channel_receive(int sock, struct channel_message *message, int timeout_ms);
int channel_receive_within(int sock, struct channel_message *message, const struct limit *limit);
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
