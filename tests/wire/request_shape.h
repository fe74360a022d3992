/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an honest request looks like, beyond what the daemon's opcode table says
 * of its sizes: values that make sense, and where node ids and handles lie in
 * it. For tests that bend requests, by wire and by fuzzer. An opcode without a
 * shape here is all zeros, with no number in it.
 */
#ifndef CASEMENT_TESTS_REQUEST_SHAPE_H
#define CASEMENT_TESTS_REQUEST_SHAPE_H

#include <stddef.h>
#include <stdint.h>

#define SHAPE_NONE 0xffffu

/* What the handle of a request must be open on. */
enum shape_kind { SHAPE_ANY, SHAPE_FILE, SHAPE_DIR };

struct request_shape {
	uint32_t opcode;
	const void *fixed;	/* the part before the names; its size is the opcode row's */
	uint16_t fh_at;		/* offset in it of the handle; SHAPE_NONE */
	uint16_t fh2_at;	/* of a second handle */
	uint16_t node_at;	/* of a node beside the header's */
	enum shape_kind kind;	/* of the node and of the handle */
};

/* Never NULL. */
const struct request_shape *request_shape(uint32_t opcode);

/*
 * Write an honest body into `body` (room for 512 bytes): fixed part, then the
 * names. Unused names are passed over. 0 bytes for an opcode that the daemon
 * does not serve.
 */
size_t request_body(uint32_t opcode, unsigned char *body, const char *first, const char *second);

#endif
