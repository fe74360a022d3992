/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library refuses to keep where the daemon can write: requests, the lists of their pieces,
 * headers, lists of requests. Data may lie there, and is right wherever it lies.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "client/memory.h"
#include "client/session.h"
#include "common/checked.h"
#include "tests/skip.h"
#include "proto/fuse_wire.h"

static const struct fixture_config plain;
static const struct fixture_config in_pieces = {
	.options = { .memory_regions = 3, .memory_gap = 1u << 20, .flags = CASEMENT_NO_INDIRECT },
};
static const struct fixture_config window = {
	.args = { "--window-size", "16M" }, .needs = "window-size",
};

/* A GETATTR, each part of which is somewhere. */
struct parts {
	struct casement_request *request;
	struct iovec *in, *out;
	struct fuse_getattr_in *body;
	struct fuse_attr_out *reply;
	struct fuse_in_header *head;	/* NULL: the library's headers */
	struct fuse_out_header *reply_head;
};

struct room {
	struct casement_request request, *list[1], *done[1];
	struct iovec in[2], out[2];
	struct fuse_getattr_in body;
	struct fuse_attr_out reply;
	struct fuse_in_header head;
	struct fuse_out_header reply_head;
};

static struct parts parts_in(struct room *room)
{
	memset(room, 0, sizeof(*room));
	return (struct parts){ .request = &room->request, .in = room->in, .out = room->out,
			       .body = &room->body, .reply = &room->reply };
}

static struct casement_request *make(struct parts *parts)
{
	unsigned int n = 0;

	if (parts->head) {
		*parts->head = (struct fuse_in_header){
			.len = sizeof(*parts->head) + sizeof(*parts->body),
			.opcode = FUSE_GETATTR, .unique = 2, .nodeid = CASEMENT_ROOT,
		};
		parts->in[n] = (struct iovec){ parts->head, sizeof(*parts->head) };
		parts->out[n++] = (struct iovec){ parts->reply_head, sizeof(*parts->reply_head) };
	}
	*parts->body = (struct fuse_getattr_in){ 0 };
	parts->in[n] = (struct iovec){ parts->body, sizeof(*parts->body) };
	parts->out[n++] = (struct iovec){ parts->reply, sizeof(*parts->reply) };
	*parts->request = (struct casement_request){
		.opcode = FUSE_GETATTR, .flags = parts->head ? CASEMENT_WHOLE_MESSAGE : 0,
		.nodeid = CASEMENT_ROOT,
		.in = parts->in, .n_in = n, .out = parts->out, .n_out = n,
	};
	return parts->request;
}

/* The result of a request that is taken. */
static ssize_t result_of(struct fixture *f, struct casement_request *request)
{
	struct casement_request *done[1];

	assert_int_equal(ok(casement_submit(f->q, request, 1)), 1);
	assert_int_equal(ok(casement_complete(f->q, done, 1, -1)), 1);
	assert_ptr_equal(done[0], request);
	return request->result;
}

static void works(struct fixture *f)
{
	struct room ours;
	struct parts parts = parts_in(&ours);

	assert_int_equal(result_of(f, make(&parts)), sizeof(ours.reply));
	assert_true(S_ISDIR(ours.reply.attr.mode));
}

static void check_requests(struct fixture *f, struct room *theirs)
{
	struct casement_request *list[1];
	struct parts parts = parts_in(theirs);

	assert_int_equal(casement_submit(f->q, make(&parts), 1), -EINVAL);
	list[0] = make(&parts);
	assert_int_equal(casement_submit_each(f->q, list, 1), -EINVAL);
	/* Not so much as looked at: nothing was written. */
	assert_null(theirs->request.next);
	assert_int_equal(theirs->request.state, 0);
	works(f);
}

static void check_lists(struct fixture *f, struct room *theirs)
{
	struct room ours;
	struct parts parts = parts_in(&ours);

	parts.in = theirs->in;
	assert_int_equal(result_of(f, make(&parts)), -EINVAL);
	refused(casement_call(f->q, FUSE_GETATTR, CASEMENT_ROOT, parts.in, 1, parts.out, 1), EINVAL);
	parts = parts_in(&ours);
	parts.out = theirs->out;
	assert_int_equal(result_of(f, make(&parts)), -EINVAL);
	refused(casement_call(f->q, FUSE_GETATTR, CASEMENT_ROOT, parts.in, 1, parts.out, 1), EINVAL);
	parts = parts_in(&ours);
	theirs->list[0] = make(&parts);
	assert_int_equal(casement_submit_each(f->q, theirs->list, 1), -EINVAL);
	assert_int_equal(casement_complete(f->q, theirs->done, 1, 0), -EINVAL);
	works(f);
}

static void check_headers(struct fixture *f, struct room *theirs)
{
	struct room ours;
	struct parts parts = parts_in(&ours);

	parts.head = &ours.head;
	parts.reply_head = &ours.reply_head;
	parts.body = &theirs->body;
	parts.reply = &theirs->reply;
	assert_int_equal(result_of(f, make(&parts)), sizeof(ours.reply_head) + sizeof(ours.reply));
	assert_true(S_ISDIR(theirs->reply.attr.mode));
	parts.head = &theirs->head;
	assert_int_equal(result_of(f, make(&parts)), -EINVAL);
	parts.head = &ours.head;
	parts.reply_head = &theirs->reply_head;
	assert_int_equal(result_of(f, make(&parts)), -EINVAL);
	parts.reply_head = &ours.reply_head;
	make(&parts);
	parts.out[0].iov_len--;
	assert_int_equal(result_of(f, parts.request), -EINVAL);
	works(f);
}

static void test_guest_memory_is_for_data(void **state)
{
	struct fixture *f = fixture_of(state);
	struct room *theirs = casement_alloc(f->client, sizeof(*theirs));

	assert_non_null(theirs);
	check_requests(f, theirs);
	check_lists(f, theirs);
	check_headers(f, theirs);
}

/* Data is found where it was asked for, in the daemon's sight or not. */
static void test_data_may_lie_anywhere(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh;
	char ours[3000], *theirs = casement_alloc(f->client, 4096);

	share_fill(&f->daemon, "file", 3000, 5);
	fh = open_file(f->q, "file", O_RDONLY, &node);
	assert_int_equal(ok(casement_read(f->q, node, fh, 0, ours, 3000)), 3000);
	check_pattern(ours, 3000, 5, 0);
	assert_int_equal(ok(casement_read(f->q, node, fh, 0, theirs + 1000, 3000)), 3000);
	check_pattern(theirs + 1000, 3000, 5, 0);
}

/* One byte is enough, at either end, of either piece of memory, and of the window. */
static void test_what_counts_as_shared(void **state)
{
	struct fixture *f = fixture_of(state);
	const struct memory *memory = &f->client->memory;
	uint64_t size = 0;
	char *base = casement_window(f->client, &size);

	for (unsigned int i = 0; i <= memory->n; i++) {
		char *start = i < memory->n ? memory->regions[i].base : base;
		size_t length = i < memory->n ? memory->regions[i].size : size;

		if (!start)
			continue;
		assert_true(memory_is_shared(memory, start, 1));
		assert_true(memory_is_shared(memory, start + length - 1, 1));
		assert_true(memory_is_shared(memory, start - 1, 2));
		assert_true(memory_is_shared(memory, start - 1, length + 2));
		assert_true(memory_is_shared(memory, start + length - 1, SIZE_MAX));
		assert_false(memory_is_shared(memory, start, 0));
	}
	assert_false(memory_is_shared(memory, &size, sizeof(size)));
	assert_false(memory_is_shared(memory, NULL, 4096));
	assert_true(memory_is_shared(memory, NULL, SIZE_MAX));
}

/* A file that is mapped writable is memory that others write. */
static void test_the_window_is_no_place_for_requests(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t size = 0, node, fh;
	struct parts parts;
	void *at = casement_window(f->client, &size);

	if (!at)
		SKIP_BECAUSE("the daemon has no window");
	share_fill(&f->daemon, "file", 4u << 20, 1);
	fh = open_file(f->q, "file", O_RDWR, &node);
	ok(casement_setupmapping(f->q, node, fh, 0, 2u << 20,
				 FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE, 0));
	parts = parts_in(at);
	assert_int_equal(casement_submit(f->q, make(&parts), 1), -EINVAL);
	works(f);
}

/* A request that is on its way cannot be sent again, as it would come back twice. */
static void test_a_request_in_flight_is_not_taken_again(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_request *done[2];
	struct room ours;
	struct parts parts = parts_in(&ours);

	make(&parts)->state = UINT32_MAX;	/* whatever was there */
	assert_int_equal(ok(casement_submit(f->q, parts.request, 1)), 1);
	assert_int_equal(casement_submit(f->q, parts.request, 1), -EBUSY);
	assert_int_equal(ok(casement_complete(f->q, done, 2, -1)), 1);
	assert_int_equal(parts.request->result, sizeof(ours.reply));
	assert_int_equal(result_of(f, parts.request), sizeof(ours.reply));
	/* One that a reset forgot is free. */
	assert_int_equal(ok(casement_submit(f->q, parts.request, 1)), 1);
	ok(casement_queue_stop(f->q));
	casement_queue_reset(f->q);
	ok(casement_queue_start(f->q));
	assert_int_equal(result_of(f, parts.request), sizeof(ours.reply));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_guest_memory_is_for_data, &plain),
		FIXTURE_TEST(test_guest_memory_is_for_data, &in_pieces),
		FIXTURE_TEST(test_data_may_lie_anywhere, &plain),
		FIXTURE_TEST(test_what_counts_as_shared, &in_pieces),
		FIXTURE_TEST(test_what_counts_as_shared, &window),
		FIXTURE_TEST(test_the_window_is_no_place_for_requests, &window),
		FIXTURE_TEST(test_a_request_in_flight_is_not_taken_again, &plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
