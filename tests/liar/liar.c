/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A casementd whose replies are wrong, for a guest's driver under test: the real server answers,
 * and what it answered is bent before the guest has it. Linked in front of server_handle() and
 * virtqueue_push().
 *
 * The file .lies in the shared directory says how, and is looked at for each request: the name of
 * a lie, or "any", and after how many replies one is bent. Without it every reply is the truth.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/iov_cursor.h"
#include "daemon/protocol/decode.h"
#include "daemon/protocol/server.h"
#include "daemon/transport/virtqueue.h"
#include "proto/fuse_wire.h"

#define LIES_FILE "/.lies"	/* the sandbox has the shared directory for its root */

/* A reply that is being bent. */
struct reply {
	struct fuse_out_header *head;
	char *body;
	size_t body_len;
	size_t room;		/* bytes that the guest gave for all of it */
	long used;		/* what the ring will say */
};

long __real_server_handle(struct server_queue *sq, struct iov_cursor *in, struct iov_cursor *out,
			  enum server_patience patience);
long __wrap_server_handle(struct server_queue *sq, struct iov_cursor *in, struct iov_cursor *out,
			  enum server_patience patience);
long __real_server_resume(struct server_queue *sq, enum server_patience patience);
long __wrap_server_resume(struct server_queue *sq, enum server_patience patience);
void __real_virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);
void __wrap_virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);

static uint32_t roll(void)
{
	static atomic_uint state = 2463534242u;
	uint32_t x = atomic_fetch_add(&state, 0x9e3779b9u);

	x = (x ^ (x >> 16)) * 0x85ebca6bu;
	x = (x ^ (x >> 13)) * 0xc2b2ae35u;
	return x ^ (x >> 16);
}

/* ---- of the header, and of what the ring says ---- */

static void other_unique(struct reply *reply)
{
	reply->head->unique ^= 2;
}

static void longer(struct reply *reply)
{
	reply->head->len += 8;
}

static void shorter(struct reply *reply)
{
	reply->head->len -= 8;
}

static void nothing(struct reply *reply)
{
	reply->used = 0;
}

static void half_a_header(struct reply *reply)
{
	reply->used = sizeof(*reply->head) / 2;
}

static void beyond_its_room(struct reply *reply)
{
	reply->used = (long)reply->room + 4096;
	reply->head->len = (uint32_t)reply->used;
}

static void a_positive_error(struct reply *reply)
{
	reply->head->error = EIO;
}

static void no_known_error(struct reply *reply)
{
	reply->head->error = -(int)(512 + roll() % 5000);
}

static void an_error_and_a_result(struct reply *reply)
{
	reply->head->error = -ENOENT;
}

static void another_error(struct reply *reply)
{
	reply->head->error = -(int)(1 + roll() % 133);
	reply->used = sizeof(*reply->head);
	reply->head->len = (uint32_t)reply->used;
}

static void success_alone(struct reply *reply)
{
	reply->head->error = 0;
	reply->used = sizeof(*reply->head);
	reply->head->len = (uint32_t)reply->used;
}

static void cut(struct reply *reply)
{
	reply->used -= (long)(roll() % (reply->body_len + 1));
	reply->head->len = (uint32_t)reply->used;
}

/* ---- of the result ---- */

static void ones(struct reply *reply)
{
	memset(reply->body, 0xff, reply->body_len);
}

static void zeros(struct reply *reply)
{
	memset(reply->body, 0, reply->body_len);
}

static void noise(struct reply *reply)
{
	for (size_t i = 0; i < reply->body_len; i++)
		reply->body[i] = (char)roll();
}

static void a_few_bytes(struct reply *reply)
{
	for (uint32_t n = 1 + roll() % 4; n && reply->body_len; n--)
		reply->body[roll() % MIN(reply->body_len, (size_t)256)] = (char)roll();
}

/* What somebody else got: nodes, types, sizes, handles are all sensible, and not this one's. */
static void anothers(struct reply *reply)
{
	static _Thread_local char before[256];
	char now[sizeof(before)];
	size_t len = MIN(reply->body_len, sizeof(now));

	memcpy(now, reply->body, len);
	memcpy(reply->body, before, len);
	memcpy(before, now, len);
}

/* ---- of the ring ---- */

static _Thread_local bool wrong_head;

static void no_buffer_of_the_guests(struct reply *reply)
{
	(void)reply;
	wrong_head = true;
}

static const struct lie {
	const char *name;
	void (*tell)(struct reply *reply);
} lies[] = {
	{ "unique", other_unique }, { "longer", longer }, { "shorter", shorter }, { "nothing", nothing },
	{ "half", half_a_header }, { "beyond", beyond_its_room }, { "positive", a_positive_error },
	{ "unknown", no_known_error }, { "both", an_error_and_a_result }, { "error", another_error },
	{ "success", success_alone }, { "cut", cut }, { "ones", ones }, { "zeros", zeros },
	{ "noise", noise }, { "bytes", a_few_bytes }, { "another", anothers },
};

/* No driver can go on after that, so it is not among the others. */
static const struct lie ring_lie = { "head", no_buffer_of_the_guests };

/* The lie that is due now, or NULL. */
static const struct lie *choose(void)
{
	static atomic_uint replies;
	cleanup_close int fd = open(LIES_FILE, O_RDONLY | O_CLOEXEC);
	char text[64] = "", name[32];
	unsigned int every;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0 || sscanf(text, "%31s %u", name, &every) != 2)
		return NULL;
	if (!every || ++replies % every)
		return NULL;
	if (!strcmp(name, ring_lie.name))
		return &ring_lie;
	if (!strcmp(name, "any"))
		return &lies[roll() % ARRAY_SIZE(lies)];
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		if (!strcmp(lies[i].name, name))
			return &lies[i];
	return NULL;
}

/* Bend the reply of `used` bytes that was written at `out`. */
static long bend(struct iov_cursor out, long used)
{
	const struct lie *lie = used >= (long)sizeof(struct fuse_out_header) ? choose() : NULL;
	cleanup_free char *bytes = lie ? malloc((size_t)used) : NULL;
	struct reply reply = { .head = (void *)bytes, .room = out.left, .used = used };
	struct iov_cursor reading = out;

	if (!bytes || !iov_cursor_read(&reading, bytes, (size_t)used))
		return used;
	reply.body = bytes + sizeof(*reply.head);
	reply.body_len = (size_t)used - sizeof(*reply.head);
	lie->tell(&reply);
	iov_cursor_write(&out, bytes, (size_t)used);
	return reply.used;
}

long __wrap_server_handle(struct server_queue *sq, struct iov_cursor *in, struct iov_cursor *out,
			  enum server_patience patience)
{
	return bend(*out, __real_server_handle(sq, in, out, patience));
}

long __wrap_server_resume(struct server_queue *sq, enum server_patience patience)
{
	long used = __real_server_resume(sq, patience);

	return bend(sq->req.reply_at, used);
}

void __wrap_virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	__real_virtqueue_push(vq, wrong_head ? UINT16_MAX : head, len);
	wrong_head = false;
}
