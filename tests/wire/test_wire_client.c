/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library has beside the plain requests: messages that are passed on
 * whole, waiting in an event loop, polling, and the requests that other tests
 * have no use for.
 */
#include "batch.h"
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/queue.h"
#include "common/checked.h"
#include "proto/fuse_wire.h"
#include "tests/skip.h"

static const struct fixture_config plain;
static const struct fixture_config plain_old = { .options = { .flags = CASEMENT_NO_EVENT_IDX } };
static const struct fixture_config asleep = { .args = { "--poll-max-us", "0" } };
static const struct fixture_config polling = { .options = { .flags = CASEMENT_POLL } };
static const struct fixture_config polling_old = {
	.options = { .flags = CASEMENT_POLL | CASEMENT_NO_EVENT_IDX },
};
static const struct fixture_config locks = { .args = { "--posix-lock", "--flock" } };
static const struct fixture_config xattr = { .args = { "--xattr" }, .needs = "xattr" };

/* A GETATTR with headers of the test's own. */
struct message {
	struct casement_request request;
	struct {
		struct fuse_in_header header;
		struct fuse_getattr_in body;
	} in;
	struct {
		struct fuse_out_header header;
		struct fuse_attr_out body;
	} out;
	struct iovec iov[2];
};

static void make_message(struct message *message, uint64_t node, uint64_t unique)
{
	memset(message, 0, sizeof(*message));
	message->in.header = (struct fuse_in_header){
		.len = sizeof(message->in), .opcode = FUSE_GETATTR, .unique = unique,
		.nodeid = node,
	};
	message->iov[0] = (struct iovec){ &message->in, sizeof(message->in) };
	message->iov[1] = (struct iovec){ &message->out, sizeof(message->out) };
	message->request = (struct casement_request){
		.opcode = FUSE_GETATTR, .flags = CASEMENT_WHOLE_MESSAGE,
		.in = &message->iov[0], .n_in = 1, .out = &message->iov[1], .n_out = 1,
	};
}

static void send_message(struct fixture *f, struct message *message)
{
	struct casement_request *done[1];

	assert_int_equal(ok(casement_submit(f->q, &message->request, 1)), 1);
	assert_int_equal(ok(casement_complete(f->q, done, 1, -1)), 1);
	assert_ptr_equal(done[0], &message->request);
}

static void check_whole(struct fixture *f, struct message *message)
{
	make_message(message, CASEMENT_ROOT, 0x1234567890);
	send_message(f, message);
	assert_int_equal(message->request.result, sizeof(message->out));
	assert_int_equal(message->out.header.len, sizeof(message->out));
	assert_int_equal(message->out.header.unique, 0x1234567890);
	assert_true(S_ISDIR(message->out.body.attr.mode));

	make_message(message, 0x7777, 0xabcdef);
	send_message(f, message);
	assert_int_equal(message->request.result, sizeof(message->out.header));
	assert_true(message->out.header.error < 0);
	assert_int_equal(message->out.header.unique, 0xabcdef);
}

static void test_whole_messages(void **state)
{
	struct fixture *f = fixture_of(state);
	struct message message;

	check_whole(f, &message);
}

static void test_a_message_without_a_header_is_refused(void **state)
{
	struct fixture *f = fixture_of(state);
	struct message message;

	make_message(&message, CASEMENT_ROOT, 2);
	message.iov[0].iov_len = sizeof(struct fuse_in_header) - 1;
	send_message(f, &message);
	assert_int_equal(message.request.result, -EINVAL);
	make_message(&message, CASEMENT_ROOT, 2);
	message.request.n_in = 0;
	send_message(f, &message);
	assert_int_equal(message.request.result, -EINVAL);
	check_whole(f, &message);
}

static void test_an_event_loop(void **state)
{
	struct fixture *f = fixture_of(state);
	struct pollfd pfd = { .fd = casement_queue_fd(f->q), .events = POLLIN };
	struct casement_request *done[1];
	struct message message;
	uint64_t calls;

	if (f->q->poll)
		SKIP_BECAUSE("nobody calls a queue that polls");
	for (int i = 0; i < 100; i++) {
		make_message(&message, CASEMENT_ROOT, 2 + 2 * (uint64_t)i);
		assert_int_equal(ok(casement_queue_arm(f->q)), 0);
		assert_int_equal(ok(casement_submit(f->q, &message.request, 1)), 1);
		do {
			/* The call for an answer that was seen without it may be late. */
			assert_int_equal(poll(&pfd, 1, TEST_WAIT_MS), 1);
			assert_int_equal(read(pfd.fd, &calls, sizeof(calls)), sizeof(calls));
		} while (!ok(casement_queue_arm(f->q)));
		assert_int_equal(ok(casement_complete(f->q, done, 1, 0)), 1);
		assert_int_equal(message.request.result, sizeof(message.out));
	}
	assert_int_equal(poll(&pfd, 1, 0), 0);
}

/* Requests that lie apart, in an order of ours: each is answered for itself. */
static void test_submit_each(void **state)
{
	struct fixture *f = fixture_of(state);
	struct message messages[4];
	struct casement_request *requests[4], *done[4];
	unsigned int seen = 0;

	for (unsigned int i = 0; i < 4; i++) {
		make_message(&messages[i], CASEMENT_ROOT, 2 + 2 * i);
		messages[i].request.user = &messages[i];
		requests[3 - i] = &messages[i].request;
	}
	assert_int_equal(ok(casement_submit_each(f->q, requests, 4)), 4);
	while (seen < 4) {
		long n = ok(casement_complete(f->q, done, 4, -1));

		assert_true(n > 0);
		for (long i = 0; i < n; i++) {
			struct message *message = done[i]->user;

			assert_int_equal(message->request.result, sizeof(message->out));
			assert_int_equal(message->out.header.unique, 2 + 2 * (message - messages));
		}
		seen += (unsigned int)n;
	}
	assert_int_equal(casement_submit_each(f->q, requests, 0), 0);
}

/*
 * Batches of all sizes, over the wrap of the indexes. A guest may be told
 * before a batch is done, and then not again: a notification that is lost
 * between the two would leave us waiting for ever.
 */
static void test_batches(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0, sent = 0; sent <= UINT16_MAX + 100; i++) {
		unsigned int n = 1 + i * 7 % MANY;

		run_batch(f->q, n);
		sent += n;
	}
}

/* A polling client is not called, but for the ring's first entry. */
static void test_polling(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	struct message message;
	uint64_t calls = 0;

	for (int i = 0; i < 1000; i++)
		ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	check_whole(f, &message);
	if (read(casement_queue_fd(f->q), &calls, sizeof(calls)) < 0)
		assert_int_equal(errno, EAGAIN);
	assert_true(calls <= 1);
}

static void test_polling_past_the_end(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;

	assert_int_equal(kill(f->daemon.pid, SIGTERM), 0);
	assert_int_equal(daemon_wait(&f->daemon), 0);
	refused(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr), ECONNRESET);
}

static void test_lock_calls(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	struct fuse_lk_in in = { .fh = fh, .owner = 1, .lk = { .end = 99, .type = F_WRLCK } };
	struct fuse_lk_in other = in;
	struct fuse_file_lock found;
	struct fuse_open_out open;

	ok(casement_open(f->q, node, O_RDWR, &open));
	other.fh = open.fh;
	other.owner = 2;
	ok(casement_setlk(f->q, node, &in, 0));
	refused(casement_setlk(f->q, node, &other, 0), EAGAIN);
	ok(casement_getlk(f->q, node, &other, &found));
	assert_int_equal(found.type, F_WRLCK);
	assert_int_equal(found.end, 99);
	ok(casement_flush_owner(f->q, node, fh, 1));
	ok(casement_setlk(f->q, node, &other, 1));
	ok(casement_flush_owner(f->q, node, open.fh, 2));

	in.lk_flags = other.lk_flags = FUSE_LK_FLOCK;
	ok(casement_setlk(f->q, node, &in, 1));
	refused(casement_setlk(f->q, node, &other, 0), EAGAIN);
	ok(casement_release_owner(f->q, node, fh, FUSE_RELEASE_FLOCK_UNLOCK, 1));
	ok(casement_setlk(f->q, node, &other, 0));
	/* Of a request that nobody knows: nothing happens. */
	ok(casement_interrupt(casement_hiprio_queue(f->client), 0x4242));
	ok(casement_release(f->q, node, open.fh));
}

static void test_copies(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh, to, to_fh;
	char back[4000];

	share_fill(&f->daemon, "from", sizeof(back), 3);
	fh = open_file(f->q, "from", O_RDONLY, &node);
	to_fh = create_file(f->q, "to", &to);
	for (int i = 0; i < 2; i++) {
		struct fuse_copy_file_range_in in = {
			.fh_in = fh, .off_in = (uint64_t)i * 2000, .nodeid_out = to,
			.fh_out = to_fh, .off_out = (uint64_t)i * 2000, .len = 2000,
		};
		int64_t n = i ? casement_copy_file_range_64(f->q, &in, node) :
				casement_copy_file_range(f->q, &in, node);

		assert_int_equal(ok(n), 2000);
	}
	assert_int_equal(ok(casement_read(f->q, to, to_fh, 0, back, sizeof(back))), sizeof(back));
	check_pattern(back, sizeof(back), 3, 0);
}

/* Whatever the daemon says of it, the answer is a proper one. */
static void test_ioctl_calls(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	int32_t result = 0;
	uint32_t flags = 0;
	ssize_t n = casement_ioctl(f->q, node, fh, 0x80086601 /* FS_IOC_GETFLAGS */, 0, NULL, 0,
				   &flags, sizeof(flags), &result);

	if (n < 0)
		assert_true(n == -ENOSYS || n == -ENOTTY || n == -EOPNOTSUPP);
	else
		assert_true(n == 0 || n == sizeof(flags));
}

static void test_xattr_calls(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node;
	char value[16], list[256];

	create_file(f->q, "file", &node);
	refused(casement_getxattr(f->q, node, "user.one", value, sizeof(value)), ENODATA);
	ok(casement_setxattr(f->q, node, "user.one", "first", 5, 0));
	refused(casement_setxattr(f->q, node, "user.one", "again", 5, 1 /* XATTR_CREATE */), EEXIST);
	ok(casement_setxattr(f->q, node, "user.two", "", 0, 0));
	assert_int_equal(ok(casement_getxattr(f->q, node, "user.one", NULL, 0)), 5);
	assert_int_equal(ok(casement_getxattr(f->q, node, "user.one", value, sizeof(value))), 5);
	assert_memory_equal(value, "first", 5);
	assert_int_equal(ok(casement_listxattr(f->q, node, NULL, 0)), 18);
	assert_int_equal(ok(casement_listxattr(f->q, node, list, sizeof(list))), 18);
	ok(casement_removexattr(f->q, node, "user.one"));
	refused(casement_getxattr(f->q, node, "user.one", value, sizeof(value)), ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_whole_messages, &plain),
		FIXTURE_TEST(test_a_message_without_a_header_is_refused, &plain),
		FIXTURE_TEST(test_an_event_loop, &plain),
		FIXTURE_TEST(test_submit_each, &polling),
		FIXTURE_TEST(test_batches, &plain),
		FIXTURE_TEST(test_batches, &plain_old),
		FIXTURE_TEST(test_batches, &asleep),
		FIXTURE_TEST(test_batches, &polling),
		FIXTURE_TEST(test_polling, &polling),
		FIXTURE_TEST(test_polling, &polling_old),
		FIXTURE_TEST(test_polling_past_the_end, &polling),
		FIXTURE_TEST(test_lock_calls, &locks),
		FIXTURE_TEST(test_copies, &plain),
		FIXTURE_TEST(test_ioctl_calls, &plain),
		FIXTURE_TEST(test_xattr_calls, &xattr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
