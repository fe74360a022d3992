/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One request and its reply, through server_handle(), in memory cut to pieces
 * as a guest might cut it. Each piece is an allocation of its own, so that an
 * address sanitizer sees every byte too far. Every reply is checked for what
 * all replies must be; a test adds what it expects of its own.
 */
#ifndef CASEMENT_TESTS_UNIT_EXCHANGE_H
#define CASEMENT_TESTS_UNIT_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/protocol/server.h"
#include "proto/fuse_wire.h"

#define EXCHANGE_IN_MAX 16384
#define EXCHANGE_OUT_MAX 16384
#define EXCHANGE_UNIQUE 0x1122334455667788ULL

struct exchange {
	/* the request */
	struct fuse_in_header head;
	unsigned char body[EXCHANGE_IN_MAX];
	size_t body_len;
	size_t head_given;	/* bytes of the header that are there; 40 unless changed */
	uint32_t claim;		/* head.len, if not what is there; 0: honest */
	size_t in_first, in_piece;	/* first piece, all further pieces; 0: uncut */
	/* the reply */
	size_t room;
	size_t out_first, out_piece;
	bool impatient;		/* served by somebody who does not wait */
	long used;		/* what server_handle() returned */
	struct fuse_out_header reply;
	unsigned char answer[EXCHANGE_OUT_MAX];	/* the body */
	size_t answer_len;
};

void exchange_start(struct exchange *x, uint32_t opcode, uint64_t node);
void exchange_add(struct exchange *x, const void *data, size_t len);
void exchange_add_name(struct exchange *x, const char *name);
#define EXCHANGE_NO_REPLY 1
#define EXCHANGE_AGAIN 2
#define EXCHANGE_WAITS 3
/* Run it; one that waits for others is detached. Returns the reply's error, 0, or one of the above. */
long exchange_run(struct exchange *x, struct server_queue *sq);

/* Go on with one that waits, whose bytes the guest has written over. As exchange_run(). */
long exchange_resume(struct exchange *x, struct server_queue *sq, enum server_patience patience);

/* Refuse one that waits, likewise. */
long exchange_refuse(struct exchange *x, struct server_queue *sq);

/* A session: INIT with this minor and these flags. Returns what exchange_run() does. */
long exchange_init(struct exchange *x, struct server_queue *sq, uint32_t minor, uint64_t flags);

#endif
