/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of FUSE requests we serve: what each looks like on the wire and
 * who handles it. An opcode without a row is answered -ENOSYS, which a Linux
 * guest takes as "never ask again"; why it has none stands in a second table.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_OPCODES_H
#define CASEMENT_DAEMON_PROTOCOL_OPCODES_H

#include <stddef.h>
#include <stdint.h>

struct request;

#define OP_ANYTIME	(1u << 0)	/* served without a session, too */
#define OP_NO_REPLY	(1u << 1)	/* the guest waits for no answer and has room for none */
#define OP_CHANGES	(1u << 2)	/* changes the share: -EROFS when it is read-only */
#define OP_TARGET	(1u << 3)	/* the second string is a link's target, not a name */
#define OP_WAITS	(1u << 4)	/* waits for a disk by its nature */
#define OP_WAITS_UNWINDOWED (1u << 5)	/* the same, but with a window it may talk to the VMM */
#define OP_XATTR	(1u << 6)	/* about attributes: only with --xattr, and the name is one's */
#define OP_DATA		(1u << 7)	/* bytes of the handler's follow the name */
#define OP_EXTENDS	(1u << 8)	/* extensions may follow the names, if negotiated */
#define OP_CALLER	(1u << 10)	/* done in the caller's name, whose ids must be good */
#define OP_UNNAMED	(1u << 9)	/* the name says nothing, and may be anything */
#define OP_CLOSES	(1u << 11)	/* closes a handle: done without waiting when the pool is full, never refused */

struct opcode {
	const char *name;
	uint16_t arg_size;	/* bytes of the fixed part */
	uint16_t arg_min;	/* least we accept of it, the rest being zero; 0: all of it */
	uint32_t long_if;	/* SESSION_* bit without which the fixed part ends at arg_min; 0: none */
	uint16_t umask_at;	/* offset in the fixed part of the maker's umask; 0: has none */
	uint16_t reply_min;	/* bytes of body for which the guest must have room */
	uint8_t names;		/* strings that follow the fixed part: 0, 1 or 2 */
	uint16_t flags;		/* OP_* */
	/*
	 * Do it: 0 when the body, if any, is written to req->out, -errno, or
	 * REQUEST_DEFERRED. Not called unless all the above is true of the request.
	 */
	int (*handle)(struct request *req);
};

/* The row of a request number, or NULL. */
const struct opcode *opcode_find(uint32_t number);

/* A request of protocol 7.46 that is answered -ENOSYS on purpose. */
struct opcode_refusal {
	uint32_t number;
	const char *name;
	const char *why;
};

/* All of them; *count gets their number. */
const struct opcode_refusal *opcode_refusals(size_t *count);

#endif
