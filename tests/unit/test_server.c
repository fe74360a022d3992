/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server as a whole: headers in pieces or cut short, several threads
 * while the session comes and goes, and noise.
 */
#include "daemon/protocol/server.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/protocol/detach.h"
#include "daemon/protocol/opcodes.h"
#include "daemon/protocol/session.h"
#include "tests/unit/share.h"

static void test_cache_names(void **state)
{
	(void)state;
	assert_string_equal(server_cache_names[CACHE_AUTO], "auto");
	assert_string_equal(server_cache_names[CACHE_ALWAYS], "always");
	assert_string_equal(server_cache_names[CACHE_NEVER], "never");
	assert_string_equal(server_cache_names[CACHE_METADATA], "metadata");
	assert_null(server_cache_names[CACHE_METADATA + 1]);
}

/* The header of a request cut in every way, the reply's in every other. */
static void test_header_pieces(void **state)
{
	static const size_t first[] = { 1, 39, 40, 41 }, rest[] = { 1, 2, 39, 0 };

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		exchange_start(&x, FUSE_LOOKUP, 7);
		exchange_add_name(&x, "some name");
		x.in_first = first[i / 4];
		x.in_piece = rest[i % 4];
		x.out_first = first[i % 4];
		x.out_piece = rest[i / 4];
		assert_int_equal(exchange_run(&x, sq), 0);
		assert_string_equal(fake.name, "some name");
	}
}

/* Less than a header: nobody can say what it was, but there is an answer. */
static void test_no_header(void **state)
{
	(void)state;
	for (size_t given = 0; given < sizeof(x.head); given++) {
		exchange_start(&x, FUSE_LOOKUP, 7);
		x.head_given = given;
		assert_int_equal(exchange_run(&x, sq), -EINVAL);
		assert_int_equal(x.reply.unique, 0);
		exchange_start(&x, FUSE_LOOKUP, 7);
		x.head_given = given;
		x.room = 15;
		assert_int_equal(exchange_run(&x, sq), EXCHANGE_NO_REPLY);
	}
	assert_int_equal(fake.calls, 0);
}

static long ask_in_haste(uint32_t opcode, const void *args, size_t size, const void *data, size_t data_size)
{
	long result;

	exchange_start(&x, opcode, 7);
	exchange_add(&x, args, size);
	exchange_add(&x, data_size ? data : "", data_size);
	x.impatient = true;
	result = exchange_run(&x, sq);
	x.impatient = false;
	return result;
}

/* What no guest's kernel would take for an errno, it gets as EIO. */
static void test_strange_errors(void **state)
{
	static const int strange[] = { -512, -513, -100000, INT32_MIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
		fake.result = strange[i];
		assert_int_equal(ASK_BARE(FUSE_LOOKUP, 7, "name", NULL), -EIO);
	}
	fake.result = -511;
	assert_int_equal(ASK_BARE(FUSE_LOOKUP, 7, "name", NULL), -511);
}

/* What waits for others is served without the guest's memory; the reply waits for the queue. */
static void test_detached(void **state)
{
	struct fuse_read_in in = { .fh = 5, .size = 100 };
	char big[3000];

	(void)state;
	memset(big, 'b', sizeof(big));
	fake.others = true;
	assert_int_equal(ask_in_haste(FUSE_READ, &in, sizeof(in), NULL, 0), EXCHANGE_WAITS);
	assert_int_equal(x.used, SERVER_WAITS_OTHERS);
	assert_int_equal(server_key(sq), FAKE_AWAITED);
	assert_int_equal(fake.calls, 0);
	assert_int_equal(server_detach(sq), 0);
	fake.contents = "from afar";
	assert_int_equal(exchange_resume(&x, sq, PATIENCE_OTHERS), 0);
	assert_int_equal(x.answer_len, strlen("from afar"));
	assert_memory_equal(x.answer, "from afar", x.answer_len);

	/* what comes with it goes along: the guest has written over it since */
	struct fuse_write_in write_in = { .fh = 5, .size = sizeof(big) };

	assert_int_equal(ask_in_haste(FUSE_WRITE, &write_in, sizeof(write_in), big, sizeof(big)), EXCHANGE_WAITS);
	assert_int_equal(exchange_resume(&x, sq, PATIENCE_OTHERS), 0);
	assert_memory_equal(fake.data, big, sizeof(big));

	/* nobody can be found who waits: an error, and nothing was done */
	fake.calls = 0;
	assert_int_equal(ask_in_haste(FUSE_READ, &in, sizeof(in), NULL, 0), EXCHANGE_WAITS);
	assert_int_equal(exchange_refuse(&x, sq), -EBUSY);
	assert_int_equal(fake.calls, 0);

	/* but a handle that is given back is given back: no guest asks again */
	struct fuse_release_in release_in = { .fh = 7 };

	assert_int_equal(ask_in_haste(FUSE_RELEASE, &release_in, sizeof(release_in), NULL, 0), EXCHANGE_WAITS);
	assert_int_equal(exchange_refuse(&x, sq), 0);
	assert_string_equal(fake.last, "fs_release_soon");
	assert_int_equal(fake.handle, 7);
	fake.calls = 0;

	/* a fsync waits for the disk only where it is not for others, and never both */
	struct fuse_fsync_in fsync_in = { .fh = 5 };

	assert_int_equal(ask_in_haste(FUSE_FSYNC, &fsync_in, sizeof(fsync_in), NULL, 0), EXCHANGE_WAITS);
	assert_int_equal(x.used, SERVER_WAITS_OTHERS);
	assert_int_equal(exchange_resume(&x, sq, PATIENCE_OTHERS), 0);
	fake.others = false;
	assert_int_equal(ask_in_haste(FUSE_FSYNC, &fsync_in, sizeof(fsync_in), NULL, 0), EXCHANGE_WAITS);
	assert_int_equal(x.used, SERVER_WAITS_DISK);
	assert_int_equal(exchange_resume(&x, sq, PATIENCE_DISK), 0);
}

/* All that is kept for requests is limited, and given back. */
static void test_detached_is_limited(void **state)
{
	enum { N = DETACHED_ALL_MAX / DETACHED_MAX + 2 };
	struct server_queue *queues[N];
	struct fuse_write_in in = { .fh = 5, .size = 16u << 20 };
	struct fuse_in_header head = { .opcode = FUSE_WRITE, .len = sizeof(head) + sizeof(in) + in.size };
	char *data = calloc(1, in.size), room[64];
	struct iovec in_iov[] = { { &head, sizeof(head) }, { &in, sizeof(in) }, { data, in.size } };
	struct iovec out_iov = { room, sizeof(room) };
	unsigned int kept = 0;

	(void)state;
	assert_non_null(data);
	fake.others = true;
	for (unsigned int i = 0; i < N; i++) {
		struct iov_cursor from, to;

		iov_cursor_init(&from, in_iov, 3);
		iov_cursor_init(&to, &out_iov, 1);
		assert_int_equal(server_queue_new(server, &queues[i]), 0);
		assert_int_equal(server_handle(queues[i], &from, &to, PATIENCE_NONE), SERVER_WAITS_OTHERS);
		kept += !server_detach(queues[i]);
		if (kept <= i)
			assert_int_equal(server_refuse(queues[i]), sizeof(struct fuse_out_header));
	}
	assert_in_range(kept, N / 2, N - 1);
	for (unsigned int i = 0; i < N; i++)
		server_queue_free(queues[i]);
	assert_int_equal(server->detached, 0);
	free(data);
}

/* The fixture's generator: the same noise on each run. */
static uint32_t noise(void)
{
	static uint64_t seed = 88172645463325252ULL;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

static void add_noise(void)
{
	size_t len = noise() % 300;

	for (size_t i = 0; i < len; i++) {
		/* zeros and small numbers get further than random ones */
		uint32_t value = noise() % 3 ? 0 : noise() % 5 ? noise() % 8 : noise();
		unsigned char byte = (unsigned char)value;

		exchange_add(&x, &byte, 1);
	}
	if (noise() % 4 == 0)
		exchange_add_name(&x, "name");
}

/* Every opcode with noise of every size in pieces of every size: exchange_run() checks. */
static void test_noise(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 30000; i++) {
		exchange_start(&x, noise() % 70, noise() % 4);
		add_noise();
		if (noise() % 8 == 0)
			x.claim = noise() % 400;
		x.in_first = noise() % 60;
		x.in_piece = 1 + noise() % 90;
		x.room = noise() % 3 ? 4112 : noise() % 200;
		x.out_first = noise() % 40;
		x.out_piece = 1 + noise() % 200;
		fake.dirents = noise() % 30;
		exchange_run(&x, sq);
		if (noise() % 50 == 0)
			exchange_init(&x, sq, 46, SHARE_ALL_FLAGS);
	}
}

/* One request straight through server_handle(): x belongs to the main thread. */
static long handle_plain(struct server_queue *own, uint32_t opcode, const void *args, size_t size)
{
	struct fuse_in_header head = { .len = (uint32_t)(sizeof(head) + size), .opcode = opcode };
	char in[sizeof(head) + sizeof(struct fuse_init_in)], room[256];
	struct iovec in_iov = { in, sizeof(head) + size }, out_iov = { room, sizeof(room) };
	struct iov_cursor in_cursor, out_cursor;

	memcpy(in, &head, sizeof(head));
	memcpy(in + sizeof(head), args, size);
	iov_cursor_init(&in_cursor, &in_iov, 1);
	iov_cursor_init(&out_cursor, &out_iov, 1);
	return server_handle(own, &in_cursor, &out_cursor, PATIENCE_ENOUGH);
}

static void *interrupt_often(void *arg)
{
	struct fuse_interrupt_in interrupt = { .unique = 1 };
	struct fuse_setupmapping_in setup = { .flags = 8 };
	struct server_queue *own = arg;
	long bad = 0;

	for (unsigned int i = 0; i < 20000; i++) {
		if (handle_plain(own, FUSE_INTERRUPT, &interrupt, sizeof(interrupt)) !=
		    SERVER_NO_REPLY)
			bad++;
		/* refused for its flags or for want of a session: the fakes below are not shared */
		if (handle_plain(own, FUSE_SETUPMAPPING, &setup, sizeof(setup)) != 16)
			bad++;
	}
	return (void *)bad;
}

/* Requests on one queue while another's INIT and DESTROY come and go. */
static void test_queues(void **state)
{
	struct fuse_init_in init = { .major = 7, .minor = 40 };
	struct server_queue *own;
	pthread_t thread;
	void *bad;

	(void)state;
	assert_int_equal(server_queue_new(server, &own), 0);
	assert_int_equal(pthread_create(&thread, NULL, interrupt_often, own), 0);
	for (unsigned int i = 0; i < 5000; i++) {
		assert_int_equal(handle_plain(sq, FUSE_INIT, &init, sizeof(init)), 16 + 64);
		assert_int_equal(handle_plain(sq, FUSE_DESTROY, "", 0), 16);
	}
	pthread_join(thread, &bad);
	assert_null(bad);
	server_queue_free(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache_names),
		cmocka_unit_test_setup_teardown(test_header_pieces, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_no_header, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_strange_errors, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_detached, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_detached_is_limited, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_noise, share_setup, share_teardown),
		cmocka_unit_test_setup_teardown(test_queues, share_setup, share_teardown),
	};

	log_setup("test_server", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
