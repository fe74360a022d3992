/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client: the connection, the memory, the window and the queues, and the
 * steps that bring them up. casement_connect_fd() takes the steps in order;
 * tests take them in other orders.
 */
#ifndef CASEMENT_CLIENT_SESSION_H
#define CASEMENT_CLIENT_SESSION_H

#include "casement/casement.h"
#include "client/channel.h"
#include "client/memory.h"
#include "client/queue.h"
#include "client/window.h"

struct casement {
	struct casement_options options;	/* [I] no zeros left */
	struct channel channel;
	struct memory memory;
	struct window window;
	uint64_t offered;		/* virtio features of the daemon */
	uint64_t features;		/* virtio features agreed on */
	uint64_t protocol_offered;
	uint64_t protocol;		/* protocol features agreed on */
	uint64_t max_slots;		/* memory regions the daemon takes */
	uint64_t max_queues;		/* what GET_QUEUE_NUM said */
	struct virtio_fs_config config;
	uint64_t agreed;		/* FUSE flags of the last INIT that was answered */
	char tag[VIRTIO_FS_TAG_MAX + 1];
	unsigned int n_queues;		/* [I] with hiprio */
	struct casement_queue *queues;	/* [I] n_queues of them */
};

/* A client with its memory and queues, on a connected socket (taken); nothing is sent yet. */
int session_new(int sock, const struct casement_options *options, struct casement **out);
/* Same as casement_close(). */
void session_free(struct casement *client);

/* SET_OWNER; agree on features and protocol features; queue number, slots, config. */
int session_negotiate(struct casement *client);
/* Offer the back-end channel and open the window the daemon asks for, if any. */
int session_open_window(struct casement *client);
/* Tell of all memory regions, in the way agreed on. */
int session_tell_memory(struct casement *client);
/* Start every queue. */
int session_start_queues(struct casement *client);

#endif
