/* SPDX-License-Identifier: BSD-3-Clause */
/* Several requests in flight at once, for tests of rings. */
#ifndef CASEMENT_TESTS_BATCH_H
#define CASEMENT_TESTS_BATCH_H

#include <sys/uio.h>

#include "casement/casement.h"

#define MANY 24		/* requests that any of these take */

/* Fill `requests` with GETATTRs of the root, each with an answer of its own; iov has two a request. */
void make_getattrs(struct casement_request *requests, struct iovec *iov,
		   struct fuse_attr_out *attrs, unsigned int n);
/* Every one of `n` requests completes, once, with an answer. */
void collect(struct casement_queue *q, struct casement_request *requests, unsigned int n);
/* Both. */
void run_batch(struct casement_queue *q, unsigned int n);

#endif
