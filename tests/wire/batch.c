/* SPDX-License-Identifier: BSD-3-Clause */
/* Several requests in flight at once; see batch.h. */
#include "batch.h"

#include <string.h>

#include "daemon_fixture.h"

void make_getattrs(struct casement_request *requests, struct iovec *iov,
			  struct fuse_attr_out *attrs, unsigned int n)
{
	static const struct fuse_getattr_in body;

	for (unsigned int i = 0; i < n; i++) {
		iov[2 * i] = (struct iovec){ (void *)(uintptr_t)&body, sizeof(body) };
		iov[2 * i + 1] = (struct iovec){ &attrs[i], sizeof(attrs[i]) };
		memset(&attrs[i], 0, sizeof(attrs[i]));
		requests[i] = (struct casement_request){
			.opcode = FUSE_GETATTR, .nodeid = CASEMENT_ROOT,
			.in = &iov[2 * i], .n_in = 1, .out = &iov[2 * i + 1], .n_out = 1,
		};
	}
}

void collect(struct casement_queue *q, struct casement_request *requests, unsigned int n)
{
	struct casement_request *done[MANY];
	unsigned int seen = 0;

	while (seen < n) {
		long got = ok(casement_complete(q, done, MANY, -1));

		assert_true(got > 0);
		for (long i = 0; i < got; i++) {
			assert_true(done[i] >= requests && done[i] < requests + n);
			assert_null(done[i]->user);
			done[i]->user = q;
			assert_int_equal(done[i]->result, sizeof(struct fuse_attr_out));
		}
		seen += (unsigned int)got;
	}
	assert_int_equal(casement_complete(q, done, MANY, 0), 0);
}

void run_batch(struct casement_queue *q, unsigned int n)
{
	struct casement_request requests[MANY];
	struct fuse_attr_out attrs[MANY];
	struct iovec iov[2 * MANY];

	make_getattrs(requests, iov, attrs, n);
	assert_int_equal(ok(casement_submit(q, requests, n)), n);
	collect(q, requests, n);
}
