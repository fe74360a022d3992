/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Below the public calls: any vhost-user message, any descriptor, any FUSE
 * bytes, and a window that hesitates. For hostile tests; not installed.
 */
#ifndef CASEMENT_CLIENT_RAW_H
#define CASEMENT_CLIENT_RAW_H

#include <stdbool.h>

#include "client/session.h"

/* Send a message as given; the flags are complete, version and all. 0 or -errno. */
int raw_message(struct casement *client, uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, const int *fds, unsigned int n_fds);
/* Wait for the next message of the daemon's; the caller clears it. 0 or -errno. */
int raw_receive(struct casement *client, struct channel_message *message, int timeout_ms);
/* True when the daemon has closed the connection, or does so within `timeout_ms`. */
bool raw_hung_up(struct casement *client, int timeout_ms);

/* The guest address of something in guest memory; ends the process when it is not there. */
uint64_t raw_guest(const struct casement_queue *queue, const void *p);

/*
 * The following write the ring behind the back of casement_call(): nothing may
 * be in flight by it, and where an entry stays unanswered the queue is to be
 * stopped and reset before casement_call() is used again.
 */

/* Put heads in the available ring, publish, notify. */
void raw_post(struct casement_queue *queue, const uint16_t *heads, unsigned int n);
/* Notify, whether the daemon wants it or not. */
void raw_kick(struct casement_queue *queue);
/* The next used element: 1, 0 when none came in time, or -errno. */
int raw_wait_used(struct casement_queue *queue, struct vring_used_elem *elem, int timeout_ms);

/* A descriptor without its link. */
struct raw_piece {
	uint64_t guest;
	uint32_t len;
	uint16_t flags;
};
/* Write pieces as one chain into descriptors 0, 1, 2, … of the ring. */
void raw_chain(struct casement_queue *queue, const struct raw_piece *pieces, unsigned int n);

/*
 * Send `size` bytes as one FUSE request with `room` writable bytes, and copy
 * what came back to `reply`. Returns the used length, -ETIMEDOUT when nothing
 * came. Both are at most options.max_request.
 */
ssize_t raw_fuse(struct casement_queue *queue, const void *bytes, size_t size, void *reply,
		 size_t room, int timeout_ms);
/* A page-aligned piece of guest memory of this queue, max_request + 16 KiB long. */
char *raw_scratch(struct casement_queue *queue);

/* Stop a queue, empty its ring, start it again. 0 or -errno. */
int raw_restart(struct casement_queue *queue);

/* Back-end requests whose bit (1 << number) is set are taken but not served until this changes. */
void raw_window_hold(struct casement *client, uint32_t requests);
/* True when a back-end request is being held, or comes to be within `timeout_ms`. */
bool raw_window_held(struct casement *client, int timeout_ms);
/* Answer every SHMEM_MAP with this number, doing nothing; 0: serve them. */
void raw_window_refuse(struct casement *client, uint64_t answer);
/* How mappings are announced from now on. */
void raw_window_announce(struct casement *client, enum window_announce how);
/* Take the back-end requests seen so far, at most `max`: their number. */
unsigned int raw_window_events(struct casement *client, struct window_event *events,
			       unsigned int max);
/* Copy the live mappings, at most `max`: how many there are. *peak: the most there ever were. */
unsigned int raw_window_mappings(struct casement *client, struct window_mapping *mappings,
				 unsigned int max, unsigned int *peak);

#endif
