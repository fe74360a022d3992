/* SPDX-License-Identifier: BSD-3-Clause */
/* What the FUSE calls share: requests whose answer has one size. */
#ifndef CASEMENT_CLIENT_CALL_H
#define CASEMENT_CLIENT_CALL_H

#include <string.h>

#include "casement/casement.h"

#define PIECE(object) ((struct iovec){ (object), sizeof(*(object)) })
#define CONST_BYTES(p, size) ((struct iovec){ (void *)(uintptr_t)(p), (size) })
/* A name with its NUL, as FUSE sends it. */
#define NAME(text) CONST_BYTES(text, strlen(text) + 1)

/* casement_call() for an answer of exactly the bytes in `out`: 0 or -errno. */
int call_exact(struct casement_queue *queue, uint32_t opcode, uint64_t node,
	       const struct iovec *in, unsigned int n_in,
	       const struct iovec *out, unsigned int n_out);

/* The same with at most one object out. */
int call_object(struct casement_queue *queue, uint32_t opcode, uint64_t node,
		const struct iovec *in, unsigned int n_in, void *out, size_t out_size);

#endif
