/* SPDX-License-Identifier: BSD-3-Clause */
/* One request and its reply in hostile pieces; see exchange.h. */
#include "tests/unit/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"

#define PIECES_MAX (EXCHANGE_IN_MAX + 64)
#define UNTOUCHED 0xa5

void exchange_start(struct exchange *x, uint32_t opcode, uint64_t node)
{
	memset(x, 0, sizeof(*x));
	x->head.opcode = opcode;
	x->head.nodeid = node;
	x->head.unique = EXCHANGE_UNIQUE;
	x->head.uid = 1000;
	x->head.gid = 100;
	x->head.pid = 4321;
	x->head_given = sizeof(x->head);
	x->room = 4096 + 16;
}

void exchange_add(struct exchange *x, const void *data, size_t len)
{
	assert_true(len <= sizeof(x->body) - x->body_len);
	memcpy(x->body + x->body_len, data, len);
	x->body_len += len;
}

void exchange_add_name(struct exchange *x, const char *name)
{
	exchange_add(x, name, strlen(name) + 1);
}

/* Cut `len` bytes to pieces, filled from `data` or, without any, with a mark. */
static unsigned int cut(struct iovec *iov, const unsigned char *data, size_t len,
			size_t first, size_t piece)
{
	unsigned int n = 0;

	for (size_t done = 0; done < len; n++) {
		size_t want = n == 0 && first ? first : piece ? piece : len;
		size_t size = MIN(want, len - done);

		iov[n].iov_base = malloc(size);
		iov[n].iov_len = size;
		assert_non_null(iov[n].iov_base);
		if (data)
			memcpy(iov[n].iov_base, data + done, size);
		else
			memset(iov[n].iov_base, UNTOUCHED, size);
		done += size;
	}
	return n;
}

/* The pieces put together again, and freed. */
static void join(struct iovec *iov, unsigned int n, unsigned char *to)
{
	for (unsigned int i = 0; i < n; i++) {
		if (to) {
			memcpy(to, iov[i].iov_base, iov[i].iov_len);
			to += iov[i].iov_len;
		}
		free(iov[i].iov_base);
	}
}

/* What every reply must be, whatever was asked. */
static void check_reply(struct exchange *x, const unsigned char *out)
{
	size_t used = (size_t)x->used;

	assert_true(used >= sizeof(x->reply) && used <= x->room);
	memcpy(&x->reply, out, sizeof(x->reply));
	assert_int_equal(x->reply.len, used);
	assert_true(x->reply.error <= 0 && x->reply.error > -512);
	if (x->head_given == sizeof(x->head))
		assert_int_equal(x->reply.unique, x->head.unique);
	if (x->reply.error) {
		assert_int_equal(used, sizeof(x->reply));
		return;
	}
	for (size_t i = used; i < x->room; i++)
		assert_int_equal(out[i], UNTOUCHED);
	x->answer_len = used - sizeof(x->reply);
	memcpy(x->answer, out + sizeof(x->reply), x->answer_len);
}

/* The memory of the last request; one that waits keeps it until it is resumed. */
static struct iovec in_iov[PIECES_MAX], out_iov[PIECES_MAX];
static unsigned int n_in, n_out;

static long take_answer(struct exchange *x, struct server_queue *sq)
{
	static unsigned char out[EXCHANGE_OUT_MAX];
	struct iov_cursor room;

	iov_cursor_init(&room, out_iov, n_out);
	server_fetch(sq, &room, x->used);
	join(in_iov, n_in, NULL);
	join(out_iov, n_out, out);
	n_in = n_out = 0;
	if (x->used < 0)
		return x->used == SERVER_NO_REPLY ? EXCHANGE_NO_REPLY : EXCHANGE_AGAIN;
	check_reply(x, out);
	return x->reply.error;
}

/* Nobody has any business with these bytes now: a guest may write others there. */
static void overwrite(void)
{
	for (unsigned int i = 0; i < n_in; i++)
		memset(in_iov[i].iov_base, 0xff, in_iov[i].iov_len);
}

long exchange_run(struct exchange *x, struct server_queue *sq)
{
	static unsigned char in[EXCHANGE_IN_MAX + 40];
	struct iov_cursor in_cursor, out_cursor;

	join(in_iov, n_in, NULL);
	join(out_iov, n_out, NULL);
	x->head.len = x->claim ? x->claim : (uint32_t)(sizeof(x->head) + x->body_len);
	memcpy(in, &x->head, sizeof(x->head));
	memcpy(in + x->head_given, x->body, x->body_len);
	n_in = cut(in_iov, in, x->head_given + x->body_len, x->in_first, x->in_piece);
	n_out = cut(out_iov, NULL, x->room, x->out_first, x->out_piece);
	iov_cursor_init(&in_cursor, in_iov, n_in);
	iov_cursor_init(&out_cursor, out_iov, n_out);

	x->used = server_handle(sq, &in_cursor, &out_cursor, x->impatient ? PATIENCE_NONE : PATIENCE_ENOUGH);

	if (x->used > SERVER_WAITS_DISK)
		return take_answer(x, sq);
	if (x->used == SERVER_WAITS_OTHERS)
		assert_int_equal(server_detach(sq), 0);
	overwrite();
	return EXCHANGE_WAITS;
}

long exchange_resume(struct exchange *x, struct server_queue *sq, enum server_patience patience)
{
	x->used = server_resume(sq, patience);
	return take_answer(x, sq);
}

long exchange_refuse(struct exchange *x, struct server_queue *sq)
{
	x->used = server_refuse(sq);
	return take_answer(x, sq);
}

long exchange_init(struct exchange *x, struct server_queue *sq, uint32_t minor, uint64_t flags)
{
	struct fuse_init_in in = {
		.major = 7, .minor = minor, .max_readahead = 131072,
		.flags = (uint32_t)flags, .flags2 = (uint32_t)(flags >> 32),
	};

	exchange_start(x, FUSE_INIT, 0);
	exchange_add(x, &in, sizeof(in));
	return exchange_run(x, sq);
}
