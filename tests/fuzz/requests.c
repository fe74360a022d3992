/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests out of a fuzzer's input; see requests.h. Relies on request_shape.h for where numbers lie. */
#include "tests/fuzz/requests.h"

#include <string.h>

#include "common/checked.h"
#include "daemon/protocol/opcodes.h"
#include "proto/fuse_wire.h"
#include "tests/wire/request_shape.h"

#define BODY_MAX 2048
#define ROOM_MAX 8192
#define GIVEN_MAX 32
#define PIECE 7
#define FILL 0xa5

/* Numbers that the server gave out, newest last; the oldest are overwritten. */
struct given {
	uint64_t number[GIVEN_MAX];
	unsigned int n;
};

struct conversation {
	struct server_queue *sq;
	struct given nodes, handles;
	uint64_t unique;
};

/* One request as it goes to the server. */
struct sent {
	struct fuse_in_header head;
	uint8_t body[BODY_MAX];
	size_t body_size;
	uint8_t knobs;
	size_t room;
};

static void given_add(struct given *given, uint64_t number)
{
	given->number[given->n++ % GIVEN_MAX] = number;
}

static uint64_t given_at(const struct given *given, uint8_t index, uint64_t none)
{
	unsigned int n = MIN(given->n, GIVEN_MAX);

	return n ? given->number[index % n] : none;
}

static uint64_t node_at(const struct conversation *c, uint8_t index)
{
	return index ? given_at(&c->nodes, (uint8_t)(index - 1), index) : FUSE_ROOT_ID;
}

static void put_u64(struct sent *sent, uint16_t at, uint64_t value)
{
	if (at != SHAPE_NONE && sent->body_size >= at + sizeof(value))
		memcpy(sent->body + at, &value, sizeof(value));
}

static size_t room_of(const struct sent *sent)
{
	const struct opcode *op = opcode_find(sent->head.opcode);
	size_t due = sizeof(struct fuse_out_header) + (op ? op->reply_min : 0);

	switch (sent->knobs & KNOB_ROOM) {
	case 0: return ROOM_MAX;
	case 1: return due;
	case 2: return due - 1;
	}
	return sent->body_size ? sent->body[0] : 0;
}

/* The next request of the input. */
static void sent_take(struct conversation *c, struct fuzz_bytes *bytes, struct sent *sent)
{
	uint8_t opcode = fuzz_u8(bytes), node = fuzz_u8(bytes), handle = fuzz_u8(bytes);
	uint8_t node2 = fuzz_u8(bytes);
	const struct request_shape *shape = request_shape(opcode);
	size_t size;

	sent->knobs = fuzz_u8(bytes);
	size = fuzz_u16(bytes);
	sent->body_size = MIN(MIN(size, bytes->left), BODY_MAX);
	memcpy(sent->body, bytes->at, sent->body_size);
	bytes->at += sent->body_size;
	bytes->left -= sent->body_size;
	if (handle != REQUEST_RAW) {
		put_u64(sent, shape->fh_at, given_at(&c->handles, handle, handle));
		put_u64(sent, shape->fh2_at, given_at(&c->handles, handle / 16, handle));
	}
	if (node2 != REQUEST_RAW)
		put_u64(sent, shape->node_at, node_at(c, node2));
	sent->head = (struct fuse_in_header){
		.opcode = opcode == 0xff ? UINT32_MAX : opcode, .unique = ++c->unique,
		.nodeid = node == REQUEST_RAW ? UINT64_MAX : node_at(c, node),
	};
	if (sent->knobs & KNOB_SHORT && sent->body_size)
		sent->body_size--;
	if (sent->knobs & KNOB_USER)
		sent->head.uid = sent->head.gid = 1000;
	sent->head.len = (uint32_t)(sizeof(sent->head) + sent->body_size);
	if (sent->knobs & KNOB_LIE && sent->body_size)
		sent->head.len += (uint32_t)(int8_t)sent->body[0];
	sent->room = room_of(sent);
}

/* Describe `size` bytes, whole or in small pieces. */
static unsigned int cut(struct iovec *iov, void *base, size_t size, bool pieces)
{
	size_t step = pieces ? PIECE : ROOM_MAX;
	unsigned int n = 0;

	for (size_t at = 0; at < size; at += step)
		iov[n++] = (struct iovec){ (char *)base + at, MIN(step, size - at) };
	return n;
}

/* What every reply must be, whatever was asked. */
static void check_reply(const struct sent *sent, const uint8_t *reply, long used)
{
	const struct opcode *op = opcode_find(sent->head.opcode);
	struct fuse_out_header out;
	unsigned int number = sent->head.opcode;

	if (used == SERVER_NO_REPLY) {
		FUZZ_CHECK((op && op->flags & OP_NO_REPLY) || sent->room < sizeof(out),
			   "opcode %u was not answered", number);
		used = 0;
	} else {
		FUZZ_CHECK(used >= (long)sizeof(out) && used <= (long)sent->room, "opcode %u: %ld bytes",
			   number, used);
		memcpy(&out, reply, sizeof(out));
		FUZZ_CHECK(out.len == used, "opcode %u: length %u, used %ld", number, out.len, used);
		FUZZ_CHECK(out.unique == sent->head.unique, "opcode %u", number);
		FUZZ_CHECK(out.error <= 0 && out.error > -512, "opcode %u: error %d", number, out.error);
		FUZZ_CHECK(!out.error || used == sizeof(out), "opcode %u: error of %ld bytes", number, used);
		if (out.error)	/* what a handler wrote before it failed stays, unread */
			return;
	}
	for (size_t i = (size_t)used; i < sent->room; i++)
		FUZZ_CHECK(reply[i] == FILL, "opcode %u: byte %zu written, %ld used", number, i, used);
}

/* Numbers in the answer that later requests can use. */
static void take_numbers(struct conversation *c, uint32_t opcode, const uint8_t *reply, long used)
{
	const uint8_t *body = reply + sizeof(struct fuse_out_header);
	size_t size = used < 0 ? 0 : (size_t)used - sizeof(struct fuse_out_header);
	uint64_t number;

	if (size >= sizeof(struct fuse_entry_out) && opcode != FUSE_READ && opcode != FUSE_READDIR &&
	    opcode != FUSE_READLINK && opcode != FUSE_STATX) {
		memcpy(&number, body, sizeof(number));
		given_add(&c->nodes, number);
	}
	if (opcode == FUSE_CREATE || opcode == FUSE_TMPFILE)
		body += sizeof(struct fuse_entry_out);
	else if (opcode != FUSE_OPEN && opcode != FUSE_OPENDIR)
		return;
	if (size >= sizeof(struct fuse_open_out)) {
		memcpy(&number, body, sizeof(number));
		given_add(&c->handles, number);
	}
}

static long serve(struct conversation *c, struct sent *sent, uint8_t *in, uint8_t *out)
{
	static struct iovec in_iov[(BODY_MAX + 40) / PIECE + 1], out_iov[ROOM_MAX / PIECE + 1];
	bool pieces = sent->knobs & KNOB_PIECES;
	struct iov_cursor in_cursor, out_cursor;

	iov_cursor_init(&in_cursor, in_iov,
			cut(in_iov, in, sizeof(sent->head) + sent->body_size, pieces));
	iov_cursor_init(&out_cursor, out_iov, cut(out_iov, out, sent->room, pieces));
	return server_handle(c->sq, &in_cursor, &out_cursor, PATIENCE_NONE);
}

static void converse(struct conversation *c, struct sent *sent)
{
	/* Of exactly the size, so that a sanitizer sees a byte too far. */
	uint8_t *in = malloc(sizeof(sent->head) + sent->body_size), *out = malloc(MAX(sent->room, 1u));
	long used;

	if (!in || !out)
		abort();
	memcpy(in, &sent->head, sizeof(sent->head));
	memcpy(in + sizeof(sent->head), sent->body, sent->body_size);
	memset(out, FILL, sent->room);
	used = serve(c, sent, in, out);
	if (used == SERVER_WAITS_DISK || used == SERVER_WAITS_OTHERS)
		used = server_resume(c->sq, PATIENCE_OTHERS);
	if (used == SERVER_WAITS_LOCK)
		used = server_refuse(c->sq);
	check_reply(sent, out, used);
	take_numbers(c, sent->head.opcode, out, used);
	free(in);
	free(out);
}

void requests_run(struct server *server, const uint8_t *data, size_t size, requests_check_fn check)
{
	struct fuzz_bytes bytes = { data, size };
	struct conversation c = { .unique = 100 };
	struct sent sent = { .head = { .opcode = FUSE_INIT, .unique = 1 }, .room = ROOM_MAX };

	if (server_queue_new(server, &c.sq))
		abort();
	sent.body_size = request_body(FUSE_INIT, sent.body, "", "");
	sent.head.len = (uint32_t)(sizeof(sent.head) + sent.body_size);
	converse(&c, &sent);
	for (unsigned int i = 0; bytes.left && i < REQUESTS_MAX; i++) {
		sent_take(&c, &bytes, &sent);
		converse(&c, &sent);
		if (check)
			check(sent.head.opcode);
	}
	server_queue_free(c.sq);
}

/* ---- mutation ---- */

static const char *const names[] = { "file", "dir", "new", "link", "out", "fifo", "inner", "x", "loop" };
#define NAME(random) names[fuzz_random(random) % ARRAY_SIZE(names)]

/* Where the requests of an input begin; their number. */
static unsigned int find_requests(const uint8_t *data, size_t size, size_t *starts)
{
	unsigned int n = 0;

	for (size_t at = 0; at + REQUEST_HEAD <= size && n < REQUESTS_MAX; n++) {
		starts[n] = at;
		at += REQUEST_HEAD + data[at + 5] + (size_t)(data[at + 6] << 8);
	}
	starts[n] = size;
	return n;
}

static size_t insert(uint8_t *data, size_t size, size_t max, size_t at, const uint8_t *bytes, size_t n)
{
	if (n > max - size)
		return size;
	memmove(data + at + n, data + at, size - at);
	memcpy(data + at, bytes, n);
	return size + n;
}

static uint32_t random_opcode(uint32_t *random)
{
	uint32_t opcode = fuzz_random(random) % FUSE_OPCODE_LIMIT;

	while (!opcode_find(opcode))
		opcode = (opcode + 1) % FUSE_OPCODE_LIMIT;
	return opcode;
}

/* An honest request about something that may exist. */
static size_t make_request(uint8_t *at, uint32_t *random)
{
	uint32_t opcode = random_opcode(random);
	size_t body = request_body(opcode, at + REQUEST_HEAD, NAME(random), NAME(random));

	at[0] = (uint8_t)opcode;
	at[1] = (uint8_t)(fuzz_random(random) % 2 ? 0 : fuzz_random(random) % 6);
	at[2] = (uint8_t)(fuzz_random(random) % 4);
	at[3] = (uint8_t)(fuzz_random(random) % 4);
	at[4] = fuzz_random(random) % 4 ? 0 : (uint8_t)fuzz_random(random);
	at[5] = (uint8_t)body;
	at[6] = (uint8_t)(body >> 8);
	return REQUEST_HEAD + body;
}

/* Change bytes inside one request's body, or its first five bytes, and keep its length. */
static size_t change_inside(uint8_t *data, size_t size, size_t start, size_t end, uint32_t *random)
{
	bool head = fuzz_random(random) % 4 == 0;
	size_t from = head ? start : MIN(start + REQUEST_HEAD, size), to = head ? start + 5 : MIN(end, size);

	if (to > from)
		LLVMFuzzerMutate(data + from, to - from, to - from);
	return size;
}

size_t requests_mutate(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	size_t starts[REQUESTS_MAX + 1];
	unsigned int n = find_requests(data, size, starts), i, j;
	uint8_t request[REQUEST_HEAD + 600];
	uint32_t random = seed;

	i = n ? fuzz_random(&random) % n : 0;
	j = n ? fuzz_random(&random) % (n + 1) : 0;
	switch (fuzz_random(&random) % 8) {
	case 0: case 1: case 2:
		return insert(data, size, max, starts[j], request, make_request(request, &random));
	case 3:		/* again, elsewhere */
		if (!n || starts[i + 1] - starts[i] > sizeof(request) || starts[i + 1] > size)
			break;
		memcpy(request, data + starts[i], starts[i + 1] - starts[i]);
		return insert(data, size, max, starts[j], request, starts[i + 1] - starts[i]);
	case 4:		/* without it */
		if (n < 2 || starts[i + 1] > size)
			break;
		memmove(data + starts[i], data + starts[i + 1], size - starts[i + 1]);
		return size - (starts[i + 1] - starts[i]);
	case 5: case 6:
		if (n)
			return change_inside(data, size, starts[i], starts[i + 1], &random);
		break;
	}
	return LLVMFuzzerMutate(data, size, max);
}
