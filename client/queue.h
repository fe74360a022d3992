/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue from the driver's side: a split ring (virtio 1.3 section 2.7) and the
 * slots that requests in flight live in. Used by one thread at a time.
 */
#ifndef CASEMENT_CLIENT_QUEUE_H
#define CASEMENT_CLIENT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "casement/casement.h"
#include "client/channel.h"
#include "client/memory.h"
#include "proto/fuse_wire.h"
#include "proto/virtio_fs.h"

#define QUEUE_SEGS_MAX 64	/* descriptors of one request */
#define QUEUE_NO_SLOT 0xffffu

/* casement_request.state; FLYING + i: in slot i. */
enum { QUEUE_REQUEST_DONE = 1, QUEUE_REQUEST_FLYING };

/* Where one request in flight keeps its headers, its indirect table and copied data. */
struct queue_slot {
	struct casement_request *request; /* NULL: free, or given up by its caller */
	uint64_t unique;
	uint16_t head;			/* first descriptor */
	uint16_t n_desc;		/* descriptors taken from the ring; 0: the slot is free */
	bool whole;			/* the caller's own headers: CASEMENT_WHOLE_MESSAGE */
	uint32_t reply_room;		/* bytes the daemon may write */
	const void *reply;		/* where the reply begins: in guest memory */
	size_t out_copy;		/* where copied reply data begins in bounce */
	struct fuse_in_header *in;	/* guest memory, as all below */
	struct fuse_out_header *out;
	struct vring_desc *indirect;	/* QUEUE_SEGS_MAX entries */
	char *bounce;			/* max_request + QUEUE_BOUNCE_SLACK bytes */
};
#define QUEUE_BOUNCE_SLACK 16384u	/* names and fixed parts beside the data */

/* Aligned to the pairs of lines that processors fetch: queues of several threads have none in common. */
struct casement_queue {
	struct channel *channel;	/* [I] borrowed */
	struct memory *memory;		/* [I] borrowed */
	uint64_t *agreed;		/* [I] borrowed: INIT's flags, written by casement_init() */
	unsigned int index;		/* [I] the device's number for it; 0 is hiprio */
	unsigned int size;		/* [I] descriptors, a power of two */
	unsigned int depth;		/* [I] slots */
	size_t bounce_size;		/* [I] bytes of each slot's bounce */
	bool event_idx;			/* [I] */
	bool use_indirect;		/* [I] */
	bool poll;			/* [I] look for answers instead of being called */
	int kick, call;			/* [I] eventfds, owned */
	struct vring_desc *desc;	/* [I] guest memory */
	struct vring_avail *avail;	/* [I] guest memory */
	struct vring_used *used;	/* [I] guest memory */
	uint16_t *next;			/* free list and chains: our copy, the shared one is not trusted */
	uint16_t *owner;		/* slot of a chain by its head, or QUEUE_NO_SLOT */
	struct queue_slot *slots;
	uint16_t *free_slots;		/* a stack: what was used last is warm */
	unsigned int n_free_slots;
	uint16_t free_head;		/* first free descriptor */
	uint16_t n_free;
	uint16_t next_avail;		/* next entry of the available ring */
	uint16_t last_used;		/* next entry of the used ring */
	uint16_t base;			/* where the daemon shall begin at the next start */
	bool running;
	bool broken;			/* the daemon's used ring makes no sense */
	uint64_t unique;
	uint32_t uid, gid, pid;
	struct casement_request *done;	/* completed, not yet collected: oldest first */
	struct casement_request **done_tail;
} __attribute__((aligned(128)));

/* Fields set before: channel, memory, index, size, depth, poll. 0 or -errno. */
int queue_open(struct casement_queue *queue, size_t max_request);
/* Bytes of guest memory that a queue takes at most. */
size_t queue_memory(unsigned int size, unsigned int depth, size_t max_request);
void queue_close(struct casement_queue *queue);

/*
 * Put a request in the ring without telling the daemon: 1. 0 when there is no
 * room for it now. A request that can never be served is completed with an error.
 * -EINVAL for one that the daemon could write to, -EBUSY for one that is in
 * flight: nothing is done with these.
 */
int queue_push(struct casement_queue *queue, struct casement_request *request);
/* Make everything pushed since `from` (a next_avail) visible and notify the daemon if it wants that. */
void queue_publish(struct casement_queue *queue, uint16_t from);
/* Move everything the daemon has finished to `done`. 0, or -EPROTO when its used ring is nonsense. */
int queue_reap(struct casement_queue *queue);
/*
 * Wait until the daemon may have finished something: 0, also where nothing was, -ETIMEDOUT, -ECONNRESET,
 * or -ECANCELED by the channel's stop_fd.
 */
int queue_wait(struct casement_queue *queue, int timeout_ms);
/* Forget a request whose caller does not wait any more. */
void queue_abandon(struct casement_queue *queue, const struct casement_request *request);

/* The single vhost-user steps of a start; tests take them in other orders. */
int queue_send_num(struct casement_queue *queue);
int queue_send_base(struct casement_queue *queue);
int queue_send_addr(struct casement_queue *queue);
int queue_send_fd(struct casement_queue *queue, uint32_t request, int fd);
int queue_send_enable(struct casement_queue *queue, bool on);

#endif
