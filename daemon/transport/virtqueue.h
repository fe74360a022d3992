/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split virtqueue, device side (virtio 1.3 section 2.7), with indirect
 * descriptors and EVENT_IDX. Everything in the rings is the guest's word:
 * each field is read once, checked, and used from the copy.
 *
 * A virtqueue belongs to one thread at a time: the session's while it is
 * stopped, its worker's while it runs.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_VIRTQUEUE_H
#define CASEMENT_DAEMON_TRANSPORT_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/virtio_fs.h"

struct guest_table;

struct virtqueue {
	uint16_t num;		/* entries; a power of two, at most VIRTIO_RING_MAX */
	bool event_idx;		/* VIRTIO_RING_F_EVENT_IDX was negotiated */
	bool indirect;		/* VIRTIO_RING_F_INDIRECT_DESC was negotiated */
	uint64_t desc_addr, avail_addr, used_addr;	/* front-end virtual */

	struct vring_desc *desc;	/* mapped by virtqueue_attach() */
	struct vring_avail *avail;
	struct vring_used *used;

	uint16_t last_avail;	/* next avail entry to take */
	uint16_t used_idx;	/* next used entry to fill; shown by virtqueue_show() */
	uint16_t notified_idx;	/* used_idx at the last decision to notify */
	bool notified_valid;
	uint16_t prefetched;	/* avail entries before it are on their way into our cache */
};

/* A request as the guest cut it: iov[0 .. n_read) to read, then n_write to fill. */
struct vq_chain {
	uint16_t head;
	unsigned int n_read, n_write;
	struct iovec *iov;	/* owned by whoever calls; `room` segments */
	unsigned int room;
};

/*
 * Find the rings in `table` and take up the used index that the guest sees.
 * -EFAULT when an address is not in memory, -EINVAL for a bad size or alignment.
 */
int virtqueue_attach(struct virtqueue *vq, const struct guest_table *table);
/* The table changed: find the rings again, keep every index. */
int virtqueue_reattach(struct virtqueue *vq, const struct guest_table *table);

/* Take the next request: 1, 0 when there is none, -EPROTO when the ring is nonsense. */
int virtqueue_pop(struct virtqueue *vq, const struct guest_table *table, struct vq_chain *chain);
/* Put the last one popped back: it will be popped again. */
void virtqueue_unpop(struct virtqueue *vq);
/* How many requests virtqueue_pop() would find; what the guest says, not more than a ring has room for. */
unsigned int virtqueue_count(const struct virtqueue *vq);
/* True when it would find one. */
bool virtqueue_pending(const struct virtqueue *vq);

/* Return a request, `len` bytes written. Seen by the guest after virtqueue_show(). */
void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);
/* Show all pushed entries to the guest, which finds them when it looks. */
void virtqueue_show(struct virtqueue *vq);
/* True when the guest seems to wait for a notification of what was shown: without a fence, so it may have begun since. */
bool virtqueue_seems_to_wait(const struct virtqueue *vq);
/* Decide about all that was shown: true when the guest waits, and is to be notified now. */
bool virtqueue_must_notify(struct virtqueue *vq);

/* Ask to be kicked for new requests. True when one is there already: do not sleep. */
bool virtqueue_enable_kick(struct virtqueue *vq);
/* Kicks are not needed: the ring is being looked at. */
void virtqueue_disable_kick(struct virtqueue *vq);

#endif
