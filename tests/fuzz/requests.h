/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fuzzer's input as a sequence of FUSE requests to one server, and the check
 * of every reply. What lies below the server is the target's business.
 *
 * A request in the input: opcode, node, handle, second node, knobs (one byte
 * each), length of the body (two), body. Nodes and handles are numbers into
 * what the server has given out so far, so that they often mean something.
 */
#ifndef CASEMENT_TESTS_FUZZ_REQUESTS_H
#define CASEMENT_TESTS_FUZZ_REQUESTS_H

#include "daemon/protocol/server.h"
#include "tests/fuzz/fuzz.h"

#define REQUESTS_MAX 48		/* of one input */
#define REQUEST_RAW 0xff	/* node or handle: leave what the body has */
#define REQUEST_HEAD 7		/* bytes before the body */

/* Knobs. */
#define KNOB_ROOM	0x03	/* 0: 8 KiB, 1: as much as is due, 2: one byte less, 3: the body's first byte */
#define KNOB_LIE	0x04	/* the header's length is another */
#define KNOB_PIECES	0x08	/* request and reply in pieces of 7 bytes */
#define KNOB_USER	0x10	/* the caller is not root */
#define KNOB_SHORT	0x20	/* the last byte is missing */

/* Called after each request, with what was asked; NULL: nothing to check. */
typedef void (*requests_check_fn)(uint32_t opcode);

/* Send INIT, then what is in the input. */
void requests_run(struct server *server, const uint8_t *data, size_t size, requests_check_fn check);

/* A structure-aware mutator for such inputs. */
size_t requests_mutate(uint8_t *data, size_t size, size_t max, unsigned int seed);

#endif
