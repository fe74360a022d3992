/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared parts of the window's tests; see dax_fixture.h. Relies on the client's window. */
#include "dax_fixture.h"

#include <errno.h>

#include "common/checked.h"

#define LOOK_AT 64u		/* mappings looked at */

const struct fixture_config window_64 = {
	.args = { "--window-size", "64M", NULL },
	.options = { .flags = CASEMENT_MAP_ALL_WRITABLE },
	.needs = "window-size",
};

char *window_at(struct fixture *f, uint64_t at)
{
	uint64_t size;
	char *base = casement_window(f->client, &size);

	assert_non_null(base);
	assert_true(at < size);
	return base + at;
}

unsigned int live(struct fixture *f)
{
	return raw_window_mappings(f->client, NULL, 0, NULL);
}

bool mapped(struct fixture *f, uint64_t at, uint64_t offset, uint64_t len)
{
	struct window_mapping mappings[LOOK_AT];
	unsigned int n = raw_window_mappings(f->client, mappings, LOOK_AT, NULL), found = 0;

	for (unsigned int i = 0; i < MIN(n, LOOK_AT); i++)
		found += mappings[i].at == at && mappings[i].offset == offset &&
			 mappings[i].len == len;
	return found == 1;
}

int map(struct fixture *f, uint64_t node, uint64_t offset, uint64_t len, uint64_t flags,
	uint64_t at)
{
	/* A mainline guest has no handle to name. */
	return casement_setupmapping(f->q, node, UINT64_MAX, offset, len, flags, at);
}

int unmap(struct fixture *f, uint64_t at, uint64_t len)
{
	struct fuse_removemapping_one one = { at, len };

	return casement_removemapping(f->q, &one, 1);
}

void map_begin(struct fixture *f, struct pending *p, uint64_t node, uint64_t offset, uint64_t at)
{
	p->body = (struct fuse_setupmapping_in){ .fh = UINT64_MAX, .foffset = offset, .len = RANGE,
						 .flags = READ, .moffset = at };
	p->iov = (struct iovec){ &p->body, sizeof(p->body) };
	p->request = (struct casement_request){ .opcode = FUSE_SETUPMAPPING, .nodeid = node,
						.in = &p->iov, .n_in = 1 };
	assert_int_equal(ok(casement_submit(f->q, &p->request, 1)), 1);
}

ssize_t map_end(struct fixture *f, struct pending *p)
{
	struct casement_request *done = NULL;

	assert_int_equal(ok(casement_complete(f->q, &done, 1, -1)), 1);
	assert_ptr_equal(done, &p->request);
	return p->request.result;
}

bool still_pending(struct fixture *f)
{
	/* Looks without collecting; a call that brings nothing is late news of something older. */
	while (!queue_reap(f->q) && !f->q->done)
		if (queue_wait(f->q, TEST_QUIET_MS) == -ETIMEDOUT)
			return true;
	return false;
}
