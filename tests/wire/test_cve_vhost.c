/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What VMMs, honest or not, did to other vhost-user back ends, by the number of
 * each: descriptors that leak, indexes that are not checked, rings that are
 * changed while they run, kicks that are lost. The wider sweep is
 * test_hostile_vhost.c; see docs/cves.md.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/raw.h"
#include "common/checked.h"
#include "common/cleanup.h"

#define FLAGS (VHOST_USER_VERSION | VHOST_USER_NEED_REPLY)
#define GET_INFLIGHT_FD 31
#define SET_INFLIGHT_FD 32

/* Send, and have all of it dealt with. False when the daemon has closed the connection. */
static bool told(struct fixture *f, uint32_t request, const void *payload, uint32_t size, const int *fds,
		 unsigned int n_fds)
{
	struct channel_message message;
	int err = raw_message(f->client, request, FLAGS, payload, size, fds, n_fds);

	if (!err)
		err = raw_message(f->client, VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, NULL, 0, NULL, 0);
	while (!err) {
		err = raw_receive(f->client, &message, TEST_WAIT_MS);
		if (err)
			break;
		channel_message_clear(&message);
		if (message.header.request == VHOST_USER_GET_FEATURES)
			return true;
	}
	if (err != -ECONNRESET && err != -EPIPE)
		fail_msg("request %u: %s", request, casement_error());
	return false;
}

static void check_served(struct fixture *f)
{
	struct fuse_attr_out attr;

	daemon_check(&f->daemon);
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
}

/* Descriptors that a message has no use for, as often as the VMM likes. */
static void test_cve_2022_0669_descriptors_with_inflight_messages(void **state)
{
	struct fixture *f = fixture_of(state);
	struct { uint64_t size, offset; uint16_t queues, queue_size, pad[2]; } inflight = { 4096, 0, 1, 256, { 0 } };
	cleanup_close int fd = memfd_create("inflight", MFD_CLOEXEC);
	int fds[8] = { fd, fd, fd, fd, fd, fd, fd, fd };
	unsigned int before = daemon_count_fds(&f->daemon);

	for (unsigned int i = 0; i < 200; i++) {
		assert_true(told(f, SET_INFLIGHT_FD, &inflight, sizeof(inflight), fds, i % 9));
		assert_true(told(f, GET_INFLIGHT_FD, &inflight, sizeof(inflight), fds, i % 9));
	}
	assert_int_equal(daemon_count_fds(&f->daemon), before);
	check_served(f);
}

/* Not negotiated, so refused whatever they say. */
static void test_cve_2021_3839_inflight_numbers(void **state)
{
	static const uint16_t numbers[] = { 0, 1, 255, 0x7fff, 0xffff };
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < ARRAY_SIZE(numbers) * ARRAY_SIZE(numbers); i++) {
		struct { uint64_t size, offset; uint16_t queues, queue_size, pad[2]; } inflight = {
			UINT64_MAX, UINT64_MAX - i, numbers[i % 5], numbers[i / 5], { 0 },
		};

		assert_true(told(f, GET_INFLIGHT_FD, &inflight, sizeof(inflight), NULL, 0));
	}
	check_served(f);
}

/* Ten thousand times the same: nothing adds up. */
static void test_cve_2019_14818_messages_repeated(void **state)
{
	struct fixture *f = fixture_of(state);
	cleanup_close int fd = memfd_create("region", MFD_CLOEXEC);
	struct vhost_user_single_mem_region region = { .region = { 1ull << 40, 4096, 1ull << 41, 0 } };
	unsigned int before = daemon_count_fds(&f->daemon);

	assert_int_equal(ftruncate(fd, 4096), 0);
	for (unsigned int i = 0; i < 10000; i++) {
		ok(queue_send_fd(f->q, VHOST_USER_SET_VRING_CALL, f->q->call));
		if (i % 50)
			continue;
		/* The second is one too many. */
		assert_true(told(f, VHOST_USER_ADD_MEM_REG, &region, sizeof(region), &fd, 1));
		assert_true(told(f, VHOST_USER_ADD_MEM_REG, &region, sizeof(region), &fd, 1));
		assert_true(told(f, VHOST_USER_REM_MEM_REG, &region, sizeof(region), NULL, 0));
		ok(casement_queue_stop(f->q));
		ok(casement_queue_start(f->q));
	}
	assert_int_equal(daemon_count_fds(&f->daemon), before);
	check_served(f);
}

/* No dirty log: LOG_ALL is not offered, and no address to log to is taken. */
static void test_cve_2019_14835_no_dirty_log(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t all = 1ull << VHOST_F_LOG_ALL, log[2] = { UINT64_MAX, UINT64_MAX };
	cleanup_close int fd = memfd_create("log", MFD_CLOEXEC);

	assert_int_equal(f->client->offered & all, 0);
	all |= f->client->features;
	assert_true(told(f, VHOST_USER_SET_FEATURES, &all, sizeof(all), NULL, 0));
	assert_true(told(f, VHOST_USER_SET_LOG_BASE, log, sizeof(log), &fd, 1));
	check_served(f);
}

static void test_cve_2020_10722_a_log_that_wraps(void **state)
{
	struct fixture *f = fixture_of(state);
	const uint64_t logs[][2] = { { UINT64_MAX, 1 }, { 1, UINT64_MAX }, { 1ull << 63, 1ull << 63 }, { 0, 0 } };
	unsigned int before = daemon_count_fds(&f->daemon);

	for (unsigned int i = 0; i < ARRAY_SIZE(logs); i++) {
		cleanup_close int fd = memfd_create("log", MFD_CLOEXEC);

		assert_true(told(f, VHOST_USER_SET_LOG_BASE, logs[i], 16, &fd, 1));
		assert_true(told(f, VHOST_USER_SET_LOG_FD, NULL, 0, &fd, 1));
	}
	assert_int_equal(daemon_count_fds(&f->daemon), before);
	check_served(f);
}

/* A queue's number is not cut to fewer bits before it is checked. */
static void test_cve_2020_10723_queue_numbers_are_not_cut(void **state)
{
	static const uint32_t requests[] = {
		VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ENABLE,
	};
	static const uint32_t indexes[] = { 0x101, 0x10001, 0x80000001, 0xffffff01, 129, 255, 65535 };
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < ARRAY_SIZE(requests) * ARRAY_SIZE(indexes); i++) {
		struct vhost_user_vring_state vring = { indexes[i % 7], 0 };

		vring.num = requests[i / 7] == VHOST_USER_SET_VRING_NUM ? 1 : 0;
		assert_true(told(f, requests[i / 7], &vring, sizeof(vring), NULL, 0));
	}
	/* Queue 1, which most of them are when cut, still runs as it was. */
	check_served(f);
}

static void test_cve_2020_10724_payloads_are_as_long_as_they_say(void **state)
{
	struct fixture *f = fixture_of(state);
	char payload[64] = "";

	/* Too short for what it is: the connection ends, nothing is read beyond. */
	assert_false(told(f, VHOST_USER_SET_VRING_ADDR, payload, 39, NULL, 0));
	assert_int_equal(daemon_wait(&f->daemon), 1);
}

static void test_cve_2020_10726_answers_that_carry_descriptors(void **state)
{
	struct fixture *f = fixture_of(state);
	struct { uint64_t size, offset; uint16_t queues, queue_size, pad[2]; } inflight = { 0, 0, 1, 256, { 0 } };
	unsigned int before = daemon_count_fds(&f->daemon);

	for (unsigned int i = 0; i < 2000; i++)
		assert_true(told(f, GET_INFLIGHT_FD, &inflight, sizeof(inflight), NULL, 0));
	assert_int_equal(daemon_count_fds(&f->daemon), before);
}

/* A ring that runs: its size and place change only with it stopped. */
static void test_cve_2026_5747_a_running_ring_is_changed(void **state)
{
	struct fixture *f = fixture_of(state);
	struct vhost_user_vring_state num = { 1, 1 << 15 }, base = { 1, 60000 };
	struct vhost_user_vring_addr addr = { .index = 1, .desc = 16, .used = 32, .avail = 48 };

	assert_true(told(f, VHOST_USER_SET_VRING_NUM, &num, sizeof(num), NULL, 0));
	assert_true(told(f, VHOST_USER_SET_VRING_BASE, &base, sizeof(base), NULL, 0));
	raw_kick(f->q);
	assert_true(told(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0));
	raw_kick(f->q);
	ok(raw_restart(f->q));
	check_served(f);
}

/* The header over as many descriptors as it has bytes. */
static void test_cve_2022_2132_a_header_in_forty_pieces(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_in_header in = { .len = 56, .opcode = FUSE_GETATTR, .unique = 9, .nodeid = CASEMENT_ROOT };
	struct raw_piece pieces[57 + 1];
	struct vring_used_elem elem;
	struct fuse_out_header out;
	static const uint16_t head;

	memset(raw_scratch(f->q), 0, 56);
	memcpy(raw_scratch(f->q), &in, sizeof(in));
	for (unsigned int i = 0; i < 56; i++)
		pieces[i] = (struct raw_piece){ raw_guest(f->q, raw_scratch(f->q) + i), 1, 0 };
	pieces[56] = (struct raw_piece){ raw_guest(f->q, raw_scratch(f->q) + 4096), 15, VRING_DESC_F_WRITE };
	pieces[57] = (struct raw_piece){ raw_guest(f->q, raw_scratch(f->q) + 4096 + 15), 105, VRING_DESC_F_WRITE };
	raw_chain(f->q, pieces, ARRAY_SIZE(pieces));
	raw_post(f->q, &head, 1);
	assert_int_equal(raw_wait_used(f->q, &elem, TEST_WAIT_MS), 1);
	memcpy(&out, raw_scratch(f->q) + 4096, sizeof(out));
	assert_int_equal(elem.len, 120);
	assert_int_equal(out.len, 120);
	assert_int_equal(out.error, 0);
	check_served(f);
}

static void test_vhost_38c442d_the_index_of_a_base(void **state)
{
	static const uint32_t indexes[] = { 129, 255, 65535, 0x7fffffff, 0xffffffff };
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < ARRAY_SIZE(indexes); i++) {
		struct vhost_user_vring_state vring = { indexes[i], 1 };

		assert_true(told(f, VHOST_USER_SET_VRING_BASE, &vring, sizeof(vring), NULL, 0));
	}
	check_served(f);
}

/* stop and cont: the ring goes on where it was, used index and all. */
static void test_vhost_958cdec_a_stop_keeps_the_indexes(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < 50; i++) {
		uint16_t used;

		check_served(f);
		used = f->q->used->idx;
		ok(casement_queue_stop(f->q));
		assert_int_equal(f->q->base, f->q->next_avail);
		ok(casement_queue_start(f->q));
		assert_int_equal(f->q->used->idx, used);
	}
	/* A reboot: all from zero. */
	ok(raw_restart(f->q));
	assert_int_equal(f->q->used->idx, 0);
	check_served(f);
}

/* Requests and kicks that come while the ring is stopped or disabled are not lost. */
static void test_vhost_8c00b88_kicks_around_a_start(void **state)
{
	struct fixture *f = fixture_of(state);
	static const struct fuse_getattr_in body;
	struct fuse_attr_out attr[8];

	for (unsigned int i = 0; i < 40; i++) {
		struct iovec in = { (void *)(uintptr_t)&body, sizeof(body) }, out = { &attr[0], sizeof(attr[0]) };
		struct casement_request request = { .opcode = FUSE_GETATTR, .nodeid = CASEMENT_ROOT,
						    .in = &in, .n_in = 1, .out = &out, .n_out = 1 };
		struct casement_request *done = NULL;

		if (i % 2)
			ok(casement_queue_stop(f->q));
		else
			ok(queue_send_enable(f->q, false));
		assert_int_equal(ok(casement_submit(f->q, &request, 1)), 1);
		raw_kick(f->q);
		if (i % 2)
			ok(casement_queue_start(f->q));
		else
			ok(queue_send_enable(f->q, true));
		assert_int_equal(ok(casement_complete(f->q, &done, 1, -1)), 1);
		assert_int_equal(request.result, sizeof(attr[0]));
	}
}

/* SET_FEATURES again does not stop what runs. */
static void test_vhost_7f326dd_features_again(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < 20; i++) {
		uint64_t features = f->client->features;

		assert_true(told(f, VHOST_USER_SET_FEATURES, &features, sizeof(features), NULL, 0));
		check_served(f);
	}
}

static const struct fixture_config plain = { .options = { .queue_size = 64, .depth = 16 } };

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_cve_2022_0669_descriptors_with_inflight_messages, &plain),
		FIXTURE_TEST(test_cve_2021_3839_inflight_numbers, &plain),
		FIXTURE_TEST(test_cve_2019_14818_messages_repeated, &plain),
		FIXTURE_TEST(test_cve_2019_14835_no_dirty_log, &plain),
		FIXTURE_TEST(test_cve_2020_10722_a_log_that_wraps, &plain),
		FIXTURE_TEST(test_cve_2020_10723_queue_numbers_are_not_cut, &plain),
		FIXTURE_TEST(test_cve_2020_10724_payloads_are_as_long_as_they_say, &plain),
		FIXTURE_TEST(test_cve_2020_10726_answers_that_carry_descriptors, &plain),
		FIXTURE_TEST(test_cve_2026_5747_a_running_ring_is_changed, &plain),
		FIXTURE_TEST(test_cve_2022_2132_a_header_in_forty_pieces, &plain),
		FIXTURE_TEST(test_vhost_38c442d_the_index_of_a_base, &plain),
		FIXTURE_TEST(test_vhost_958cdec_a_stop_keeps_the_indexes, &plain),
		FIXTURE_TEST(test_vhost_8c00b88_kicks_around_a_start, &plain),
		FIXTURE_TEST(test_vhost_7f326dd_features_again, &plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
