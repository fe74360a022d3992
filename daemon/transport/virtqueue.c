/* SPDX-License-Identifier: BSD-3-Clause */
/* The split virtqueue, device side; see virtqueue.h. */
#include "daemon/transport/virtqueue.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "common/checked.h"
#include "daemon/transport/guest_mem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are little-endian (VERSION_1)");

/* Ring fields are shared with the guest: one access each, never cached by the compiler. */
#define RING_LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define RING_LOAD_ACQUIRE(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define RING_STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define RING_STORE_RELEASE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELEASE)

/* Requests whose pieces are fetched together, and descriptors of each: one line of an indirect table. */
#define PREFETCH_MAX 8
#define PREFETCH_DESCS 4

/* used_event lies behind the avail ring, avail_event behind the used ring (section 2.7.10). */
static uint16_t *used_event(const struct virtqueue *vq)
{
	return &vq->avail->ring[vq->num];
}

static uint16_t *avail_event(const struct virtqueue *vq)
{
	return (uint16_t *)&vq->used->ring[vq->num];
}

int virtqueue_reattach(struct virtqueue *vq, const struct guest_table *table)
{
	uint64_t desc_len = (uint64_t)vq->num * sizeof(struct vring_desc);
	uint64_t avail_len = offsetof(struct vring_avail, ring) + 2ull * vq->num + 2;
	uint64_t used_len = offsetof(struct vring_used, ring) +
			    (uint64_t)vq->num * sizeof(struct vring_used_elem) + 2;

	vq->desc = guest_table_map_user(table, vq->desc_addr, desc_len);
	vq->avail = guest_table_map_user(table, vq->avail_addr, avail_len);
	vq->used = guest_table_map_user(table, vq->used_addr, used_len);
	if (!vq->desc || !vq->avail || !vq->used)
		return -EFAULT;
	if (!is_aligned((uintptr_t)vq->desc, 16) || !is_aligned((uintptr_t)vq->avail, 2) ||
	    !is_aligned((uintptr_t)vq->used, 4))
		return -EINVAL;
	return 0;
}

int virtqueue_attach(struct virtqueue *vq, const struct guest_table *table)
{
	int err;

	if (!is_power_of_two(vq->num) || vq->num > VIRTIO_RING_MAX)
		return -EINVAL;
	err = virtqueue_reattach(vq, table);
	if (err)
		return err;
	vq->used_idx = RING_LOAD(vq->used->idx);
	vq->notified_valid = false;
	vq->prefetched = vq->last_avail;
	return 0;
}

/* Add one buffer to the chain, cut where our mapping of it is. */
static int chain_add(struct vq_chain *chain, const struct guest_table *table,
		     uint64_t addr, uint64_t len, bool write)
{
	if (!write && chain->n_write)
		return -EPROTO;	/* readable after writable: section 2.7.4.2 */
	while (len) {
		unsigned int n = chain->n_read + chain->n_write;
		uint64_t run;
		void *host = guest_table_map(table, addr, len, &run);

		if (!host || n == chain->room)
			return -EPROTO;
		chain->iov[n] = (struct iovec){ host, run };
		if (write)
			chain->n_write++;
		else
			chain->n_read++;
		addr += run;
		len -= run;
	}
	return 0;
}

static struct vring_desc desc_load(const struct vring_desc *from)
{
	return (struct vring_desc){
		.addr = RING_LOAD(from->addr),
		.len = RING_LOAD(from->len),
		.flags = RING_LOAD(from->flags),
		.next = RING_LOAD(from->next),
	};
}

/* Walk `n` descriptors at `table_desc` from `index`; each may be used once, so a loop ends. */
static int chain_walk(struct virtqueue *vq, const struct guest_table *table,
		      const struct vring_desc *descs, uint32_t n, uint32_t index,
		      struct vq_chain *chain, struct vring_desc *indirect)
{
	for (uint32_t steps = 0; steps < n; steps++) {
		struct vring_desc desc;
		int err;

		if (index >= n)
			return -EPROTO;
		desc = desc_load(&descs[index]);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			/* Only in the ring itself, only when negotiated, only as the last (2.7.5.3.1). */
			if (!indirect || !vq->indirect || (desc.flags & VRING_DESC_F_NEXT))
				return -EPROTO;
			*indirect = desc;
			return 0;
		}
		err = chain_add(chain, table, desc.addr, desc.len, desc.flags & VRING_DESC_F_WRITE);
		if (err)
			return err;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		index = desc.next;
	}
	return -EPROTO;
}

static int chain_walk_indirect(struct virtqueue *vq, const struct guest_table *table,
			       const struct vring_desc *ref, struct vq_chain *chain)
{
	uint32_t n = ref->len / sizeof(struct vring_desc);
	const struct vring_desc *descs;
	uint64_t run;

	if (!n || ref->len % sizeof(struct vring_desc) || n > VIRTIO_RING_MAX)
		return -EPROTO;
	descs = guest_table_map(table, ref->addr, ref->len, &run);
	if (!descs || run < ref->len || !is_aligned((uintptr_t)descs, _Alignof(struct vring_desc)))
		return -EPROTO;
	return chain_walk(vq, table, descs, n, 0, chain, NULL);
}

unsigned int virtqueue_count(const struct virtqueue *vq)
{
	return MIN((uint16_t)(RING_LOAD_ACQUIRE(vq->avail->idx) - vq->last_avail), vq->num);
}

bool virtqueue_pending(const struct virtqueue *vq)
{
	return RING_LOAD_ACQUIRE(vq->avail->idx) != vq->last_avail;
}

/* The descriptors of an entry: in the ring, or where its indirect table is. NULL: nowhere. */
static const struct vring_desc *prefetch_descs(const struct virtqueue *vq, const struct guest_table *table,
					       uint16_t head, unsigned int *n)
{
	struct vring_desc desc = desc_load(&vq->desc[head]);
	uint64_t run;
	void *host;

	*n = 1;
	if (!(desc.flags & VRING_DESC_F_INDIRECT))
		return &vq->desc[head];
	if (desc.len < sizeof(desc))
		return NULL;
	host = guest_table_map(table, desc.addr, MIN(desc.len, PREFETCH_DESCS * sizeof(desc)), &run);
	if (!host || run < sizeof(desc) || !is_aligned((uintptr_t)host, __alignof__(desc)))
		return NULL;
	*n = (unsigned int)(run / sizeof(desc));
	return host;
}

/* What the descriptors point to: headers and arguments, and where the answer will go. */
static void prefetch_buffers(const struct guest_table *table, const struct vring_desc *descs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct vring_desc desc = desc_load(&descs[i]);
		uint64_t run;
		char *host = guest_table_map(table, desc.addr, 1, &run);

		if (!host)
			return;
		if (desc.flags & VRING_DESC_F_WRITE)
			__builtin_prefetch(host, 1);
		else
			__builtin_prefetch(host);
	}
}

/*
 * All that a request consists of was written by another processor, and each
 * piece tells where the next one is. Fetched for several requests at a time,
 * the waits overlap. Nothing read here is kept: it is all read again, and
 * checked then.
 */
static void prefetch(struct virtqueue *vq, const struct guest_table *table, uint16_t avail_idx)
{
	unsigned int n = MIN((uint16_t)(avail_idx - vq->last_avail), PREFETCH_MAX), lens[PREFETCH_MAX];
	const struct vring_desc *descs[PREFETCH_MAX];
	uint16_t heads[PREFETCH_MAX];

	vq->prefetched = (uint16_t)(vq->last_avail + n);
	if (n < 2)
		return;
	for (unsigned int i = 0; i < n; i++) {
		heads[i] = RING_LOAD(vq->avail->ring[(vq->last_avail + i) & (vq->num - 1)]) & (vq->num - 1);
		__builtin_prefetch(&vq->desc[heads[i]]);
	}
	for (unsigned int i = 0; i < n; i++) {
		descs[i] = prefetch_descs(vq, table, heads[i], &lens[i]);
		__builtin_prefetch(descs[i]);
	}
	for (unsigned int i = 0; i < n; i++)
		if (descs[i])
			prefetch_buffers(table, descs[i], lens[i]);
}

int virtqueue_pop(struct virtqueue *vq, const struct guest_table *table, struct vq_chain *chain)
{
	struct vring_desc indirect = { 0 };
	uint16_t avail_idx = RING_LOAD_ACQUIRE(vq->avail->idx);
	int err;

	if (avail_idx == vq->last_avail)
		return 0;
	if ((uint16_t)(avail_idx - vq->last_avail) > vq->num)
		return -EPROTO;
	if ((int16_t)(vq->prefetched - vq->last_avail) <= 0)
		prefetch(vq, table, avail_idx);
	chain->head = RING_LOAD(vq->avail->ring[vq->last_avail & (vq->num - 1)]);
	chain->n_read = 0;
	chain->n_write = 0;
	err = chain_walk(vq, table, vq->desc, vq->num, chain->head, chain, &indirect);
	if (!err && indirect.flags)
		err = chain_walk_indirect(vq, table, &indirect, chain);
	if (err)
		return err;
	vq->last_avail++;
	return 1;
}

void virtqueue_unpop(struct virtqueue *vq)
{
	vq->last_avail--;
}

void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	struct vring_used_elem *elem = &vq->used->ring[vq->used_idx & (vq->num - 1)];

	RING_STORE(elem->id, head);
	RING_STORE(elem->len, len);
	vq->used_idx++;
}

void virtqueue_show(struct virtqueue *vq)
{
	RING_STORE_RELEASE(vq->used->idx, vq->used_idx);
}

bool virtqueue_seems_to_wait(const struct virtqueue *vq)
{
	if (!vq->event_idx)
		return !(RING_LOAD(vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	return !vq->notified_valid || vring_need_event(RING_LOAD(*used_event(vq)), vq->used_idx, vq->notified_idx);
}

bool virtqueue_must_notify(struct virtqueue *vq)
{
	bool waits;

	/* Pairs with the guest's barrier between setting used_event or flags and reading used->idx. */
	atomic_thread_fence(memory_order_seq_cst);
	waits = virtqueue_seems_to_wait(vq);
	vq->notified_idx = vq->used_idx;
	vq->notified_valid = true;
	return waits;
}

bool virtqueue_enable_kick(struct virtqueue *vq)
{
	if (vq->event_idx)
		RING_STORE(*avail_event(vq), vq->last_avail);
	else
		RING_STORE(vq->used->flags, 0);
	/* Pairs with the guest's barrier between its avail->idx and reading avail_event or flags. */
	atomic_thread_fence(memory_order_seq_cst);
	return virtqueue_pending(vq);
}

void virtqueue_disable_kick(struct virtqueue *vq)
{
	/* With EVENT_IDX a stale avail_event already keeps the guest quiet. */
	if (!vq->event_idx)
		RING_STORE(vq->used->flags, VRING_USED_F_NO_NOTIFY);
}
