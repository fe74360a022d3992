/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings that no honest driver makes. After each: the daemon lives, another
 * queue is served, this one has either answered or is stopped and can be
 * started again, and nothing was written beyond the used length. Relies on the
 * raw side of the client.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "client/raw.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "hostile_cases.h"

#define QUEUE_SIZE 16
#define FILL 0xa5		/* what the reply area holds before */
#define ROOM 4096

/* Addresses in the tables: a tag in the top byte and an offset; others are meant as they are. */
#define IN(offset)    ((1ull << 56) + (offset))	/* a GETATTR of the root, 56 bytes */
#define OUT(offset)   ((2ull << 56) + (offset))	/* ROOM bytes for the reply */
#define TABLE(offset) ((3ull << 56) + (offset))	/* the case's indirect table */
#define EDGE(offset)  ((4ull << 56) + (offset))	/* the end of the first memory region */

#define W VRING_DESC_F_WRITE
#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT

enum outcome {
	EITHER,		/* answered (with whatever) or the queue stops */
	SERVED,		/* answered properly: this is odd, but legal */
};

struct ring_case {
	const char *name;
	struct vring_desc desc[8];
	struct vring_desc table[8];
	uint16_t heads[4];
	uint16_t n_heads;	/* 0 means 1 */
	uint16_t jump;		/* add to the available index beyond the heads */
	enum outcome outcome;
};

#define GOOD_OUT { OUT(0), 120, W, 0 }

static const struct ring_case cases[] = {
	{ "an honest request", { { IN(0), 56, N, 1 }, GOOD_OUT }, .outcome = SERVED },

	/* loops */
	{ "self loop", { { IN(0), 56, N, 0 } } },
	{ "self loop, writable", { { OUT(0), 56, N | W, 0 } } },
	{ "loop of two", { { IN(0), 40, N, 1 }, { IN(40), 16, N, 0 } } },
	{ "loop at the end", { { IN(0), 56, N, 1 }, { OUT(0), 16, N | W, 2 },
			       { OUT(16), 104, N | W, 1 } } },
	{ "loop of nothing", { { IN(0), 0, N, 1 }, { IN(0), 0, N, 0 } } },

	/* indices */
	{ "head = size", { { IN(0), 56, N, 1 }, GOOD_OUT }, .heads = { QUEUE_SIZE } },
	{ "head = 65535", { { IN(0), 56, N, 1 }, GOOD_OUT }, .heads = { 0xffff } },
	{ "next = size", { { IN(0), 56, N, QUEUE_SIZE } } },
	{ "next = 65535", { { IN(0), 56, N, 0xffff } } },

	/* addresses */
	{ "address 0", { { 0, 56, N, 1 }, GOOD_OUT } },
	{ "address in no region", { { 1ull << 40, 56, N, 1 }, GOOD_OUT } },
	{ "address at the top", { { UINT64_MAX, 1, N, 1 }, GOOD_OUT } },
	{ "wrap at 2^64", { { UINT64_MAX - 7, 56, N, 1 }, GOOD_OUT } },
	{ "wrap at 2^64, page", { { UINT64_MAX - 4095, 8192, N, 1 }, GOOD_OUT } },
	{ "reply in no region", { { IN(0), 56, N, 1 }, { 1ull << 40, 120, W, 0 } } },
	{ "reply at 0", { { IN(0), 56, N, 1 }, { 0, 120, W, 0 } } },
	{ "reply wraps", { { IN(0), 56, N, 1 }, { UINT64_MAX - 7, 120, W, 0 } } },
	{ "length 2^32-1", { { IN(0), UINT32_MAX, N, 1 }, GOOD_OUT } },
	{ "room 2^32-1", { { IN(0), 56, N, 1 }, { OUT(0), UINT32_MAX, W, 0 } } },
	{ "rooms above 2^32", { { IN(0), 56, N, 1 }, { OUT(0), UINT32_MAX, N | W, 2 },
				{ OUT(0), UINT32_MAX, N | W, 3 }, { OUT(0), 120, W, 0 } } },
	{ "request ends outside", { { EDGE(-20), 56, N, 1 }, GOOD_OUT } },
	{ "reply ends outside", { { IN(0), 56, N, 1 }, { EDGE(-20), 120, W, 0 } } },

	/* order and lengths */
	{ "readable after writable", { { OUT(0), 120, N | W, 1 }, { IN(0), 56, 0, 0 } } },
	{ "readable between writables", { { IN(0), 56, N, 1 }, { OUT(0), 16, N | W, 2 },
					  { IN(40), 16, N, 3 }, { OUT(16), 104, W, 0 } } },
	{ "nothing readable", { { OUT(0), 120, W, 0 } } },
	{ "nothing writable", { { IN(0), 56, 0, 0 } } },
	{ "empty chain", { { IN(0), 0, 0, 0 } } },
	{ "empty writable chain", { { OUT(0), 0, W, 0 } } },
	{ "empty pieces between", { { IN(0), 0, N, 1 }, { IN(0), 56, N, 2 }, { OUT(0), 0, N | W, 3 },
				    { OUT(0), 120, W, 0 } } },
	{ "39 bytes of header", { { IN(0), 39, N, 1 }, GOOD_OUT } },
	{ "room of 15", { { IN(0), 56, N, 1 }, { OUT(0), 15, W, 0 } } },
	{ "room of 1", { { IN(0), 56, N, 1 }, { OUT(0), 1, W, 0 } } },
	{ "room of 16", { { IN(0), 56, N, 1 }, { OUT(0), 16, W, 0 } } },
	{ "room of 119", { { IN(0), 56, N, 1 }, { OUT(0), 119, W, 0 } } },
	{ "room to spare", { { IN(0), 56, N, 1 }, { OUT(0), ROOM, W, 0 } }, .outcome = SERVED },
	{ "unknown flags", { { IN(0), 56, N | 0xff80, 1 }, { OUT(0), 120, W | 0x7f80, 0 } } },

	/* headers in pieces */
	{ "header 1 + 39", { { IN(0), 1, N, 1 }, { IN(1), 39, N, 2 }, { IN(40), 16, N, 3 },
			     { OUT(0), 120, W, 0 } }, .outcome = SERVED },
	{ "header 39 + 1", { { IN(0), 39, N, 1 }, { IN(39), 17, N, 2 }, { OUT(0), 15, N | W, 3 },
			     { OUT(15), 105, W, 0 } }, .outcome = SERVED },
	{ "reply in pieces", { { IN(0), 56, N, 1 }, { OUT(0), 1, N | W, 2 }, { OUT(1), 16, N | W, 3 },
			       { OUT(17), 1, N | W, 4 }, { OUT(18), 102, W, 0 } }, .outcome = SERVED },

	/* indirect tables */
	{ "indirect", { { TABLE(0), 32, I, 0 } }, { { IN(0), 56, N, 1 }, GOOD_OUT }, .outcome = SERVED },
	{ "indirect, not aligned", { { TABLE(8), 32, I, 0 } }, { { IN(0), 56, N, 1 }, GOOD_OUT } },
	{ "indirect of nothing", { { TABLE(0), 0, I, 0 } }, { { IN(0), 56, N, 1 }, GOOD_OUT } },
	{ "indirect of 8 bytes", { { TABLE(0), 8, I, 0 } }, { { IN(0), 56, N, 1 }, GOOD_OUT } },
	{ "indirect of 24 bytes", { { TABLE(0), 24, I, 0 } }, { { IN(0), 56, N, 1 }, GOOD_OUT } },
	{ "indirect of 4 GiB", { { TABLE(0), 0xfffffff0u, I, 0 } }, { { IN(0), 56, N, 1 }, GOOD_OUT } },
	{ "indirect in no region", { { 1ull << 40, 32, I, 0 } } },
	{ "indirect at the top", { { UINT64_MAX - 15, 32, I, 0 } } },
	{ "indirect over the edge", { { EDGE(-16), 32, I, 0 } } },
	{ "indirect and next", { { TABLE(0), 32, I | N, 1 }, GOOD_OUT },
	  { { IN(0), 56, N, 1 }, GOOD_OUT } },
	{ "next and indirect", { { IN(0), 56, N, 1 }, { TABLE(0), 16, I, 0 } }, { GOOD_OUT } },
	{ "indirect and writable", { { TABLE(0), 32, I | W, 0 } }, { { IN(0), 56, N, 1 }, GOOD_OUT } },
	{ "nested", { { TABLE(0), 16, I, 0 } }, { { TABLE(16), 32, I, 0 },
	  { IN(0), 56, N, 1 }, GOOD_OUT } },
	{ "nested in itself", { { TABLE(0), 16, I, 0 } }, { { TABLE(0), 16, I, 0 } } },
	{ "table loops", { { TABLE(0), 32, I, 0 } }, { { IN(0), 40, N, 1 }, { IN(40), 16, N, 0 } } },
	{ "table ends early", { { TABLE(0), 16, I, 0 } }, { { IN(0), 56, N, 1 }, GOOD_OUT } },
	{ "table next = 65535", { { TABLE(0), 32, I, 0 } }, { { IN(0), 56, N, 0xffff }, GOOD_OUT } },
	{ "table longer than the queue", { { TABLE(0), 64 * 16, I, 0 } },
	  { { IN(0), 56, N, 1 }, GOOD_OUT } },

	/* the available ring */
	{ "same head twice", { { IN(0), 56, N, 1 }, GOOD_OUT }, .heads = { 0, 0 }, .n_heads = 2 },
	{ "same head four times", { { IN(0), 56, N, 1 }, GOOD_OUT }, .heads = { 0 }, .n_heads = 4 },
	{ "a head inside a chain", { { IN(0), 56, N, 1 }, GOOD_OUT }, .heads = { 0, 1 }, .n_heads = 2 },
	{ "chains share a tail", { { IN(0), 56, N, 2 }, { IN(0), 56, N, 2 }, GOOD_OUT },
	  .heads = { 0, 1 }, .n_heads = 2 },
	{ "bad head after good", { { IN(0), 56, N, 1 }, GOOD_OUT }, .heads = { 0, 0xffff },
	  .n_heads = 2 },
	{ "index jumps by size + 1", { { IN(0), 56, N, 1 }, GOOD_OUT }, .jump = QUEUE_SIZE },
	{ "index jumps by 32768", { { IN(0), 56, N, 1 }, GOOD_OUT }, .jump = 0x8000 },
	{ "index goes back", { { IN(0), 56, N, 1 }, GOOD_OUT }, .jump = 0xfffe },
};

/* The memory of one case. */
struct area {
	struct casement_queue *q;
	char *in, *out;
	struct vring_desc *table;
	uint64_t edge;
};

static uint64_t resolve(const struct area *area, uint64_t address)
{
	int64_t offset = (int64_t)(address << 8) >> 8;

	switch ((address - (uint64_t)offset) >> 56) {
	case 1: return raw_guest(area->q, area->in) + (uint64_t)offset;
	case 2: return raw_guest(area->q, area->out) + (uint64_t)offset;
	case 3: return raw_guest(area->q, area->table) + (uint64_t)offset;
	case 4: return area->edge + (uint64_t)offset;
	}
	return address;
}

static void prepare(struct area *area, struct casement_queue *q, const struct memory *memory)
{
	struct fuse_in_header in = { .len = 56, .opcode = FUSE_GETATTR, .unique = 1234, .nodeid = 1 };

	area->q = q;
	area->in = raw_scratch(q);
	area->out = area->in + 4096;
	area->table = (void *)(area->in + 16384);
	area->edge = memory->regions[0].guest + memory->regions[0].size;
	memset(area->in, 0, 4096);
	memcpy(area->in, &in, sizeof(in));
	memset(area->out, FILL, ROOM);
	memset(area->table, 0, 4096);
}

/* A reply, if there is one, is whole, and nothing is written behind it. */
static void check_reply(const struct area *area, uint32_t used, bool must)
{
	struct fuse_out_header out;

	memcpy(&out, area->out, sizeof(out));
	if (must && (used != 120 || out.error))
		fail_msg("used length %u, error %d", used, out.error);
	if (used > ROOM || (used && used < sizeof(out)))
		fail_msg("used length %u", used);
	if (used && (out.len != used || (!out.error && out.unique != 1234)))
		fail_msg("used length %u, header length %u", used, out.len);
	if (out.error && used > sizeof(out) && used)
		fail_msg("an error of %u bytes", used);
	for (uint32_t i = used; i < ROOM; i++)
		if ((unsigned char)area->out[i] != FILL)
			fail_msg("byte %u was written, used length %u", i, used);
}

static void post_case(const struct area *area, const struct ring_case *c)
{
	struct casement_queue *q = area->q;

	for (unsigned int i = 0; i < ARRAY_SIZE(c->desc); i++) {
		q->desc[i] = c->desc[i];
		q->desc[i].addr = resolve(area, c->desc[i].addr);
		area->table[i] = c->table[i];
		area->table[i].addr = resolve(area, c->table[i].addr);
	}
	for (unsigned int i = 0; i < MAX(c->n_heads, 1); i++)
		q->avail->ring[(q->next_avail + i) & (q->size - 1)] = c->heads[i];
	q->next_avail = (uint16_t)(q->next_avail + MAX(c->n_heads, 1) + c->jump);
	/* Pairs with the daemon's acquire of avail->idx. */
	__atomic_store_n(&q->avail->idx, q->next_avail, __ATOMIC_RELEASE);
	raw_kick(q);
}

static void run_case(struct fixture *f, const struct ring_case *c)
{
	struct casement_queue *other = casement_request_queue(f->client, 1);
	struct vring_used_elem elem;
	struct fuse_attr_out attr;
	unsigned int answers = 0;
	struct area area;

	prepare(&area, f->q, &f->client->memory);
	post_case(&area, c);
	while (answers < 8 && raw_wait_used(f->q, &elem, answers || c->outcome == EITHER ?
					    TEST_QUIET_MS : TEST_WAIT_MS) == 1) {
		answers++;
		/* Several heads share one reply area: the last to write it is not known. */
		if (c->n_heads <= 1)
			check_reply(&area, elem.len, c->outcome == SERVED);
	}
	if (answers > MAX(c->n_heads, 1) || (c->outcome == SERVED && answers != 1))
		fail_msg("%u answers", answers);
	daemon_check(&f->daemon);
	ok(casement_getattr(other, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	ok(raw_restart(f->q));
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
}

static const struct fixture_config two_queues = {
	.args = { "--queues", "2", NULL },
	.options = { .request_queues = 2, .queue_size = QUEUE_SIZE, .depth = 4 },
	.needs = "queues",
};

static void test_cases(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		hostile_case("%s", cases[i].name);
		run_case(f, &cases[i]);
	}
}

static const struct fixture_config no_indirect = {
	.args = { "--queues", "2", NULL },
	.options = { .request_queues = 2, .queue_size = QUEUE_SIZE, .depth = 4,
		     .flags = CASEMENT_NO_INDIRECT | CASEMENT_NO_EVENT_IDX },
	.needs = "queues",
};

/* Indirect descriptors that were not agreed on. */
static void test_not_negotiated(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ring_case c = cases[i];

		hostile_case("%s, nothing negotiated", c.name);
		if (c.desc[0].flags & I)
			c.outcome = EITHER;
		run_case(f, &c);
	}
}

static const struct fixture_config two_regions = {
	.args = { "--queues", "2", NULL },
	.options = { .request_queues = 2, .queue_size = QUEUE_SIZE, .depth = 4, .memory_regions = 2 },
	.needs = "queues",
};

/* One buffer over two regions that touch in guest addresses, and nowhere else. */
static void test_across_regions(void **state)
{
	struct fixture *f = fixture_of(state);
	struct memory *memory = &f->client->memory;
	char *end = memory->regions[0].base + memory->regions[0].size;
	char *second = memory->regions[1].base;
	struct fuse_in_header in = { .len = 56, .opcode = FUSE_GETATTR, .unique = 1, .nodeid = 1 };
	const struct raw_piece pieces[2] = {
		{ memory->regions[1].guest - 20, 56, 0 },
		{ raw_guest(f->q, raw_scratch(f->q)), 120, W },
	};
	struct vring_used_elem elem;
	struct fuse_out_header out;
	struct fuse_attr_out attr;
	cleanup_free char *saved = malloc(36);
	static const uint16_t head;

	assert_int_equal(memory->regions[0].guest + memory->regions[0].size,
			 memory->regions[1].guest);
	memcpy(saved, second, 36);
	memcpy(end - 20, &in, 20);
	memcpy(second, (char *)&in + 20, 20);
	memset(second + 20, 0, 16);
	raw_chain(f->q, pieces, 2);
	raw_post(f->q, &head, 1);
	if (raw_wait_used(f->q, &elem, TEST_QUIET_MS) == 1) {
		memcpy(&out, raw_scratch(f->q), sizeof(out));
		assert_int_equal(out.error, 0);
		assert_int_equal(elem.len, 120);
	}
	memcpy(second, saved, 36);
	daemon_check(&f->daemon);
	ok(raw_restart(f->q));
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
}

/* 40 single bytes of header: a long chain on a ring that holds it. */
static void test_single_bytes(void **state)
{
	struct fixture *f = fixture_of(state);
	struct raw_piece pieces[56 + 120];
	struct vring_used_elem elem;
	struct fuse_attr_out attr;
	static const uint16_t head;
	struct area area;

	prepare(&area, f->q, &f->client->memory);
	for (unsigned int i = 0; i < 56; i++)
		pieces[i] = (struct raw_piece){ raw_guest(f->q, area.in) + i, 1, 0 };
	for (unsigned int i = 0; i < 120; i++)
		pieces[56 + i] = (struct raw_piece){ raw_guest(f->q, area.out) + i, 1, W };
	raw_chain(f->q, pieces, ARRAY_SIZE(pieces));
	raw_post(f->q, &head, 1);
	assert_int_equal(raw_wait_used(f->q, &elem, TEST_WAIT_MS), 1);
	check_reply(&area, elem.len, true);
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
}

/* A thread that changes what the daemon is reading. */
struct racer {
	struct area *area;
	bool stop;		/* [A] relaxed */
};

static void *race(void *arg)
{
	static const uint32_t lengths[] = { 56, 0, 39, UINT32_MAX, 57 };
	struct racer *racer = arg;
	volatile struct vring_desc *desc = racer->area->q->desc;
	volatile struct fuse_in_header *in = (void *)racer->area->in;
	uint64_t good = desc[0].addr;

	for (unsigned int i = 0; !__atomic_load_n(&racer->stop, __ATOMIC_RELAXED); i++) {
		in->len = lengths[i % ARRAY_SIZE(lengths)];
		in->opcode = i % 7 ? FUSE_GETATTR : i;
		in->nodeid = i % 3 ? 1 : i;
		if (i % 11 == 0) {
			desc[0].len = lengths[(i / 11) % ARRAY_SIZE(lengths)];
			desc[0].addr = i % 2 ? good : 1ull << 40;
			desc[0].next = (uint16_t)(i % 2 ? 1 : i);
			desc[1].len = i % 2 ? 120 : 7;
			desc[1].flags = i % 5 ? W : W | N;
		}
	}
	return NULL;
}

static void test_double_fetch(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_queue *other = casement_request_queue(f->client, 1);
	struct raw_piece pieces[2];
	struct fuse_attr_out attr;
	static const uint16_t head;
	struct area area;
	struct racer racer = { .area = &area };
	pthread_t thread;

	prepare(&area, f->q, &f->client->memory);
	pieces[0] = (struct raw_piece){ raw_guest(f->q, area.in), 56, 0 };
	pieces[1] = (struct raw_piece){ raw_guest(f->q, area.out), 120, W };
	raw_chain(f->q, pieces, 2);
	assert_int_equal(pthread_create(&thread, NULL, race, &racer), 0);
	for (unsigned int i = 0; i < 3000; i++) {
		struct vring_used_elem elem;

		raw_post(f->q, &head, 1);
		if (raw_wait_used(f->q, &elem, i % 64 ? 3 : TEST_QUIET_MS) != 1 &&
		    (raw_restart(f->q) || !f->q->running))
			break;
		if (i % 100 == 0 && casement_getattr(other, CASEMENT_ROOT, CASEMENT_NO_FH, &attr))
			break;
		/* A restart emptied the table. */
		raw_chain(f->q, pieces, 2);
	}
	__atomic_store_n(&racer.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	daemon_check(&f->daemon);
	ok(raw_restart(f->q));
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	ok(casement_getattr(other, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
}

/* Wishes for notification that make no sense cost a notification, never an answer. */
static void test_event_index_lies(void **state)
{
	struct fixture *f = fixture_of(state);
	struct vring_used_elem elem;
	struct fuse_attr_out attr;
	struct area area;

	for (unsigned int i = 0; i < 64; i++) {
		struct raw_piece pieces[2];
		static const uint16_t head;

		prepare(&area, f->q, &f->client->memory);
		pieces[0] = (struct raw_piece){ raw_guest(f->q, area.in), 56, 0 };
		pieces[1] = (struct raw_piece){ raw_guest(f->q, area.out), 120, W };
		raw_chain(f->q, pieces, 2);
		f->q->avail->ring[f->q->size] = (uint16_t)(i * 977);
		f->q->avail->flags = (uint16_t)(i * 31);
		raw_post(f->q, &head, 1);
		while (raw_wait_used(f->q, &elem, 1) != 1)
			daemon_check(&f->daemon);
		check_reply(&area, elem.len, true);
	}
	f->q->avail->flags = 0;
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
}

/* The 16-bit indexes wrap, with a used_event that is right, far behind, or just past. */
static void test_event_index_wraps(void **state)
{
	static const int16_t behind[] = { 0, -1, 1, 2, -2, INT16_MAX, INT16_MIN };
	struct fixture *f = fixture_of(state);
	struct casement_queue *q = f->q;
	struct fuse_attr_out attr;

	for (unsigned int i = 0; i < ARRAY_SIZE(behind); i++) {
		hostile_case("used_event off by %d at the wrap", behind[i]);
		ok(casement_queue_stop(q));
		casement_queue_reset(q);
		q->base = q->next_avail = q->last_used = 0xfff8;
		q->avail->idx = q->used->idx = 0xfff8;
		ok(casement_queue_start(q));
		for (unsigned int n = 0; n < 16; n++) {
			struct raw_piece pieces[2];
			struct vring_used_elem elem;
			static const uint16_t head;
			struct area area;

			prepare(&area, q, &f->client->memory);
			pieces[0] = (struct raw_piece){ raw_guest(q, area.in), 56, 0 };
			pieces[1] = (struct raw_piece){ raw_guest(q, area.out), 120, W };
			raw_chain(q, pieces, 2);
			q->avail->ring[q->size] = (uint16_t)(q->last_used + behind[i]);
			raw_post(q, &head, 1);
			/* With a lie no interrupt is due; the answer is, soon. */
			while (raw_wait_used(q, &elem, behind[i] ? 1 : TEST_WAIT_MS) != 1)
				daemon_check(&f->daemon);
			check_reply(&area, elem.len, true);
		}
		assert_true(q->last_used == 8);
		ok(raw_restart(q));
		ok(casement_getattr(q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_cases, &two_queues),
		FIXTURE_TEST(test_not_negotiated, &no_indirect),
		FIXTURE_TEST(test_across_regions, &two_regions),
		FIXTURE_TEST(test_single_bytes, NULL),
		FIXTURE_TEST(test_double_fetch, &two_queues),
		FIXTURE_TEST(test_event_index_lies, NULL),
		FIXTURE_TEST(test_event_index_wraps, NULL),
		cmocka_unit_test(test_cases_counted),
	};

	hostile_cases_least = 2 * ARRAY_SIZE(cases);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
