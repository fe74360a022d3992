/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a split ring, and one queue's start and stop; see
 * queue.h. Relies on guest memory staying mapped; never believes what the
 * daemon could write: chains are freed by our own list, ids are checked.
 */
#include "client/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/error.h"
#include "common/checked.h"
#include "common/cleanup.h"

#define SLOT_IN 0u
#define SLOT_OUT 64u
#define SLOT_INDIRECT 128u
#define SLOT_BOUNCE (SLOT_INDIRECT + QUEUE_SEGS_MAX * sizeof(struct vring_desc))
#define PAGE_UP(n) (((n) + 4095u) & ~(size_t)4095u)

static size_t slot_bytes(size_t max_request)
{
	return PAGE_UP(SLOT_BOUNCE + max_request + QUEUE_BOUNCE_SLACK);
}

static size_t avail_bytes(unsigned int size)
{
	return sizeof(struct vring_avail) + (size + 1) * sizeof(uint16_t);
}

static size_t used_bytes(unsigned int size)
{
	return sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) + sizeof(uint16_t);
}

size_t queue_memory(unsigned int size, unsigned int depth, size_t max_request)
{
	return PAGE_UP(size * sizeof(struct vring_desc)) + PAGE_UP(avail_bytes(size)) +
	       PAGE_UP(used_bytes(size)) + depth * slot_bytes(max_request);
}

void casement_queue_reset(struct casement_queue *queue)
{
	memset(queue->desc, 0, queue->size * sizeof(struct vring_desc));
	memset(queue->avail, 0, avail_bytes(queue->size));
	memset(queue->used, 0, used_bytes(queue->size));
	for (unsigned int i = 0; i < queue->size; i++) {
		queue->next[i] = (uint16_t)(i + 1);
		queue->owner[i] = QUEUE_NO_SLOT;
	}
	for (unsigned int i = 0; i < queue->depth; i++) {
		queue->slots[i].request = NULL;
		queue->slots[i].n_desc = 0;
		queue->free_slots[i] = (uint16_t)(queue->depth - 1 - i);
	}
	queue->n_free_slots = queue->depth;
	queue->free_head = 0;
	queue->n_free = (uint16_t)queue->size;
	queue->next_avail = 0;
	queue->last_used = 0;
	if (queue->poll) {
		/* Nobody shall call; with EVENT_IDX, not before the index comes round. */
		queue->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
		queue->avail->ring[queue->size] = UINT16_MAX;
	}
	queue->base = 0;
	queue->broken = false;
	queue->done = NULL;
	queue->done_tail = &queue->done;
}

static bool alloc_slot(struct casement_queue *queue, struct queue_slot *slot, size_t max_request)
{
	char *area = memory_alloc(queue->memory, slot_bytes(max_request));

	if (!area)
		return false;
	slot->in = (void *)(area + SLOT_IN);
	slot->out = (void *)(area + SLOT_OUT);
	slot->indirect = (void *)(area + SLOT_INDIRECT);
	slot->bounce = area + SLOT_BOUNCE;
	return true;
}

void queue_close(struct casement_queue *queue)
{
	close_fd(&queue->kick);
	close_fd(&queue->call);
	free(queue->next);
	free(queue->owner);
	free(queue->slots);
	free(queue->free_slots);
}

int queue_open(struct casement_queue *queue, size_t max_request)
{
	bool ok;

	queue->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->next = calloc(queue->size, sizeof(queue->next[0]));
	queue->owner = calloc(queue->size, sizeof(queue->owner[0]));
	queue->slots = calloc(queue->depth, sizeof(queue->slots[0]));
	queue->free_slots = calloc(queue->depth, sizeof(queue->free_slots[0]));
	queue->desc = memory_alloc(queue->memory, queue->size * sizeof(struct vring_desc));
	queue->avail = memory_alloc(queue->memory, avail_bytes(queue->size));
	queue->used = memory_alloc(queue->memory, used_bytes(queue->size));
	queue->bounce_size = max_request + QUEUE_BOUNCE_SLACK;
	ok = queue->kick >= 0 && queue->call >= 0 && queue->next && queue->owner &&
	     queue->slots && queue->free_slots && queue->desc && queue->avail && queue->used;
	for (unsigned int i = 0; ok && i < queue->depth; i++)
		ok = alloc_slot(queue, &queue->slots[i], max_request);
	if (!ok) {
		queue_close(queue);
		return error_set(-ENOMEM, "no memory for queue %u", queue->index);
	}
	casement_queue_reset(queue);
	return 0;
}

/* A chain being built: in the ring, or in the slot's indirect table. */
struct chain {
	struct casement_queue *queue;
	struct queue_slot *slot;
	struct vring_desc *table;
	unsigned int n;			/* entries so far */
	uint16_t at;			/* the ring's next free entry */
	size_t bounced;			/* bytes of bounce used */
	bool failed;			/* data does not fit a slot */
	const void *reply;		/* where the daemon begins to write */
};

static void chain_add(struct chain *chain, const void *p, size_t len, bool write)
{
	uint16_t flags = write ? VRING_DESC_F_WRITE : 0;
	bool indirect = chain->table == chain->slot->indirect;
	uint64_t guest;
	uint16_t i;

	if (!len || chain->failed)
		return;
	if (chain->n == QUEUE_SEGS_MAX || (!indirect && chain->n == chain->queue->size) ||
	    len > UINT32_MAX || !memory_to_guest(chain->queue->memory, p, len, &guest)) {
		chain->failed = true;
		return;
	}
	i = indirect ? (uint16_t)chain->n : chain->at;
	chain->at = indirect ? 0 : chain->queue->next[i];
	chain->table[i] = (struct vring_desc){ guest, (uint32_t)len, flags | VRING_DESC_F_NEXT,
					       indirect ? (uint16_t)(i + 1) : chain->at };
	chain->n++;
	if (write && !chain->reply)
		chain->reply = p;
	if (write)
		chain->slot->reply_room += (uint32_t)len;
}

/* Add one piece of the caller's data: as it is where the daemon sees it, else by way of bounce. */
static void chain_add_data(struct chain *chain, const struct iovec *iov, bool write)
{
	struct queue_slot *slot = chain->slot;
	uint64_t guest;

	if (memory_to_guest(chain->queue->memory, iov->iov_base, iov->iov_len, &guest)) {
		chain_add(chain, iov->iov_base, iov->iov_len, write);
		return;
	}
	if (iov->iov_len > chain->queue->bounce_size - chain->bounced) {
		chain->failed = true;
		return;
	}
	if (!write && iov->iov_len)
		memcpy(slot->bounce + chain->bounced, iov->iov_base, iov->iov_len);
	chain_add(chain, slot->bounce + chain->bounced, iov->iov_len, write);
	chain->bounced += iov->iov_len;
}

static bool is_whole(const struct casement_request *request)
{
	return request->flags & CASEMENT_WHOLE_MESSAGE;
}

static void build_chain(struct chain *chain, const struct casement_request *request)
{
	if (!is_whole(request))
		chain_add(chain, chain->slot->in, sizeof(*chain->slot->in), false);
	for (unsigned int i = 0; i < request->n_in; i++)
		chain_add_data(chain, &request->in[i], false);
	chain->slot->out_copy = chain->bounced;
	if (request->opcode == FUSE_FORGET || request->opcode == FUSE_BATCH_FORGET ||
	    request->opcode == FUSE_INTERRUPT)
		return;	/* nobody answers these */
	if (!is_whole(request))
		chain_add(chain, chain->slot->out, sizeof(*chain->slot->out), true);
	for (unsigned int i = 0; i < request->n_out; i++)
		chain_add_data(chain, &request->out[i], true);
}

static size_t iov_bytes(const struct iovec *iov, unsigned int n)
{
	size_t sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

static void fill_header(struct casement_queue *queue, struct queue_slot *slot,
			const struct casement_request *request)
{
	if (is_whole(request)) {
		struct fuse_in_header theirs;

		memcpy(&theirs, request->in[0].iov_base, sizeof(theirs));
		slot->unique = theirs.unique;
		return;
	}
	slot->unique = queue->unique += 2;
	*slot->in = (struct fuse_in_header){
		.len = (uint32_t)(sizeof(*slot->in) + iov_bytes(request->in, request->n_in)),
		.opcode = request->opcode,
		.unique = slot->unique,
		.nodeid = request->nodeid,
		.uid = queue->uid, .gid = queue->gid, .pid = queue->pid,
	};
	memset(slot->out, 0, sizeof(*slot->out));
}

static void complete(struct casement_queue *queue, struct casement_request *request,
		     ssize_t result)
{
	request->result = result;
	request->state = QUEUE_REQUEST_DONE;
	request->next = NULL;
	*queue->done_tail = request;
	queue->done_tail = &request->next;
}

/* Take the chain's descriptors from the free list and put its head in the available ring. */
static void commit_chain(struct casement_queue *queue, struct chain *chain, uint16_t number)
{
	struct queue_slot *slot = chain->slot;
	uint16_t last = queue->free_head;

	slot->head = queue->free_head;
	slot->n_desc = 1;
	if (chain->table == slot->indirect) {
		uint64_t guest = 0;

		slot->indirect[chain->n - 1].flags &= (uint16_t)~VRING_DESC_F_NEXT;
		memory_to_guest(queue->memory, slot->indirect, chain->n * sizeof(struct vring_desc),
				&guest);
		queue->desc[slot->head] = (struct vring_desc){ guest,
			(uint32_t)(chain->n * sizeof(struct vring_desc)), VRING_DESC_F_INDIRECT, 0 };
	} else {
		slot->n_desc = (uint16_t)chain->n;
		for (unsigned int i = 1; i < chain->n; i++)
			last = queue->next[last];
		queue->desc[last].flags &= (uint16_t)~VRING_DESC_F_NEXT;
	}
	queue->free_head = queue->next[last];
	queue->n_free = (uint16_t)(queue->n_free - slot->n_desc);
	queue->owner[slot->head] = number;
	queue->avail->ring[queue->next_avail++ & (queue->size - 1)] = slot->head;
}

/* The header of a whole message is in one piece, and nobody else's to change. */
static bool header_is_ours(const struct casement_queue *queue, const struct iovec *iov,
			   unsigned int n, size_t size)
{
	return n && iov[0].iov_len >= size &&
	       !memory_is_shared(queue->memory, iov[0].iov_base, size);
}

/* A request that no queue can serve: -errno, or 0. */
static int judge_request(const struct casement_queue *queue, const struct casement_request *request,
			 uint64_t most, bool indirect)
{
	if (most > QUEUE_SEGS_MAX || (!indirect && most > queue->size))
		return error_set(-EMSGSIZE, "a request of %llu pieces", (unsigned long long)most);
	if (memory_is_shared(queue->memory, request->in, request->n_in * sizeof(struct iovec)) ||
	    memory_is_shared(queue->memory, request->out, request->n_out * sizeof(struct iovec)))
		return error_set(-EINVAL, "a request's pieces are listed where the daemon can write");
	if (!is_whole(request))
		return 0;
	if (!header_is_ours(queue, request->in, request->n_in, sizeof(struct fuse_in_header)) ||
	    (request->n_out &&
	     !header_is_ours(queue, request->out, request->n_out, sizeof(struct fuse_out_header))))
		return error_set(-EINVAL, "a whole message without its header in one piece of its own");
	return 0;
}

/* One that was not given back yet: it would come back twice. Whatever `state` was left at. */
static bool is_in_flight(const struct casement_queue *queue, const struct casement_request *request)
{
	unsigned int number = request->state - QUEUE_REQUEST_FLYING;

	return number < queue->depth && queue->slots[number].request == request;
}

int queue_push(struct casement_queue *queue, struct casement_request *request)
{
	struct chain chain = { .queue = queue, .at = queue->free_head };
	bool indirect;
	uint64_t most;
	uint16_t number;
	int err = channel_ended(queue->channel);

	if (err)
		return err;
	if (memory_is_shared(queue->memory, request, sizeof(*request)))
		return error_set(-EINVAL, "a request where the daemon can write");
	if (is_in_flight(queue, request))
		return error_set(-EBUSY, "a request that is in flight already");
	most = 2 + (uint64_t)request->n_in + request->n_out;
	indirect = queue->use_indirect && most > 2;
	request->state = 0;
	err = judge_request(queue, request, most, indirect);
	if (err) {
		complete(queue, request, err);
		return 1;
	}
	if (!queue->n_free_slots || queue->n_free < (indirect ? 1 : most))
		return 0;
	number = queue->free_slots[queue->n_free_slots - 1];
	chain.slot = &queue->slots[number];
	chain.table = indirect ? chain.slot->indirect : queue->desc;
	chain.slot->reply_room = 0;
	fill_header(queue, chain.slot, request);
	build_chain(&chain, request);
	if (chain.failed) {
		complete(queue, request, error_set(-EMSGSIZE, "more data than options.max_request"));
		return 1;
	}
	request->state = QUEUE_REQUEST_FLYING + number;
	chain.slot->request = request;
	chain.slot->whole = is_whole(request);
	chain.slot->reply = chain.reply;
	queue->n_free_slots--;
	commit_chain(queue, &chain, number);
	return 1;
}

/* True when the daemon asked to be told of an entry in [old, new). */
static bool wants_kick(const struct casement_queue *queue, uint16_t old, uint16_t new)
{
	const volatile uint16_t *event = (const uint16_t *)&queue->used->ring[queue->size];

	if (!queue->event_idx)
		return !(__atomic_load_n(&queue->used->flags, __ATOMIC_RELAXED) &
			 VRING_USED_F_NO_NOTIFY);
	return vring_need_event(*event, new, old);
}

void queue_publish(struct casement_queue *queue, uint16_t from)
{
	uint64_t one = 1;

	if (queue->next_avail == from)
		return;
	/* Entries before the index; pairs with the daemon's acquire of avail->idx. */
	__atomic_store_n(&queue->avail->idx, queue->next_avail, __ATOMIC_RELEASE);
	/* The index before our look at its wish; pairs with the daemon's fence after arming. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* EINTR: the daemon has let it fill up and taken its O_NONBLOCK. It has been told often enough. */
	if (wants_kick(queue, from, queue->next_avail) &&
	    write(queue->kick, &one, sizeof(one)) < 0 && errno != EAGAIN && errno != EINTR)
		abort();	/* our own eventfd */
}

/*
 * What the reply is worth: bytes of body, the daemon's error, or -EPROTO. Its header is read once,
 * to *out.
 */
static ssize_t judge_reply(const struct queue_slot *slot, uint32_t used,
			   struct fuse_out_header *out)
{
	*out = (struct fuse_out_header){ 0 };
	if (!slot->reply_room)
		return used ? error_set(-EPROTO, "%u bytes used where none may be written", used) : 0;
	if (used > slot->reply_room)
		return error_set(-EPROTO, "used length %u, room %u", used, slot->reply_room);
	memcpy(out, slot->reply, MIN(used, sizeof(*out)));
	if (used < sizeof(*out) || out->len != used)
		return error_set(-EPROTO, "used length %u, header length %u", used, out->len);
	if (out->unique != slot->unique)
		return error_set(-EPROTO, "unique %llu, not %llu", (unsigned long long)out->unique,
				 (unsigned long long)slot->unique);
	if (out->error > 0 || out->error < -4095)
		return error_set(-EPROTO, "error %d in a reply", out->error);
	if (out->error && used != sizeof(*out))
		return error_set(-EPROTO, "an error reply of %u bytes", used);
	if (slot->whole)
		return (ssize_t)used;
	if (out->error)
		return error_set(out->error, "%s", strerror(-out->error));
	return (ssize_t)(used - sizeof(*out));
}

/* Hand copied reply data to its caller, and a whole message's header as it was judged. */
static void copy_out(const struct casement_queue *queue, const struct queue_slot *slot, size_t left,
		     const struct fuse_out_header *header)
{
	const struct casement_request *request = slot->request;
	size_t at = slot->out_copy;

	for (unsigned int i = 0; i < request->n_out && left; i++) {
		const struct iovec *iov = &request->out[i];
		size_t n = MIN(left, iov->iov_len);
		uint64_t guest;

		left -= n;
		if (memory_to_guest(queue->memory, iov->iov_base, iov->iov_len, &guest))
			continue;
		memcpy(iov->iov_base, slot->bounce + at, n);
		at += iov->iov_len;
	}
	if (slot->whole)
		memcpy(request->out[0].iov_base, header, sizeof(*header));
}

static void free_chain(struct casement_queue *queue, struct queue_slot *slot)
{
	uint16_t last = slot->head;

	for (unsigned int i = 1; i < slot->n_desc; i++)
		last = queue->next[last];
	queue->next[last] = queue->free_head;
	queue->free_head = slot->head;
	queue->n_free = (uint16_t)(queue->n_free + slot->n_desc);
	queue->free_slots[queue->n_free_slots++] = queue->owner[slot->head];
	queue->owner[slot->head] = QUEUE_NO_SLOT;
	slot->n_desc = 0;
	slot->request = NULL;
}

static int finish(struct casement_queue *queue, const struct vring_used_elem *elem)
{
	struct fuse_out_header header;
	struct queue_slot *slot;
	ssize_t result;

	if (elem->id >= queue->size || queue->owner[elem->id] == QUEUE_NO_SLOT) {
		queue->broken = true;
		return error_set(-EPROTO, "queue %u: used element names descriptor %u", queue->index,
				 elem->id);
	}
	slot = &queue->slots[queue->owner[elem->id]];
	result = judge_reply(slot, elem->len, &header);
	if (slot->request) {
		if (result > 0)
			copy_out(queue, slot, (size_t)result, &header);
		complete(queue, slot->request, result);
	}
	free_chain(queue, slot);
	return 0;
}

int queue_reap(struct casement_queue *queue)
{
	/* Pairs with the daemon's release of used->idx. */
	uint16_t idx = __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE);
	int err = channel_ended(queue->channel);

	if (err)
		return err;
	if (queue->broken)
		return error_set(-EPROTO, "queue %u is broken", queue->index);
	if ((uint16_t)(idx - queue->last_used) > queue->size) {
		queue->broken = true;
		return error_set(-EPROTO, "queue %u: used index jumps from %u to %u", queue->index,
				 queue->last_used, idx);
	}
	while (!err && queue->last_used != idx) {
		struct vring_used_elem elem =
			queue->used->ring[queue->last_used++ & (queue->size - 1)];

		err = finish(queue, &elem);
	}
	return err;
}

void queue_abandon(struct casement_queue *queue, const struct casement_request *request)
{
	for (unsigned int i = 0; i < queue->depth; i++)
		if (queue->slots[i].request == request)
			queue->slots[i].request = NULL;
}
