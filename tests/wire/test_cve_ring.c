/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What hostile rings did to other devices, by the number of each: loops, heads
 * that come twice, lengths that wrap. After each the daemon lives, another
 * queue is served, and this one works again once it was reset. The wider sweep
 * is test_hostile_ring.c; see docs/cves.md.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "client/raw.h"
#include "common/checked.h"

#define W VRING_DESC_F_WRITE
#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT
#define FILL 0xa5
#define ROOM 4096u

static const struct fixture_config two_queues = {
	.args = { "--queues", "2", NULL },
	.options = { .request_queues = 2, .queue_size = 16, .depth = 4 },
	.needs = "queues",
};

static char *in_area(struct casement_queue *q)
{
	return raw_scratch(q);
}

static char *out_area(struct casement_queue *q)
{
	return raw_scratch(q) + 4096;
}

/* Descriptors 0 and 1: a request, and room for the answer. */
static void honest(struct casement_queue *q, uint32_t opcode, uint64_t node, const void *body, uint32_t size)
{
	struct fuse_in_header in = { .len = (uint32_t)sizeof(in) + size, .opcode = opcode, .unique = 5,
				     .nodeid = node };

	memcpy(in_area(q), &in, sizeof(in));
	memcpy(in_area(q) + sizeof(in), body, size);
	memset(out_area(q), FILL, ROOM);
	q->desc[0] = (struct vring_desc){ raw_guest(q, in_area(q)), in.len, N, 1 };
	q->desc[1] = (struct vring_desc){ raw_guest(q, out_area(q)), ROOM, W, 0 };
}

static void honest_getattr(struct casement_queue *q)
{
	static const struct fuse_getattr_in body;

	honest(q, FUSE_GETATTR, CASEMENT_ROOT, &body, sizeof(body));
}

/* The other queue is served, and this one again after a reset. */
static void check_alive(struct fixture *f)
{
	struct fuse_attr_out attr;

	daemon_check(&f->daemon);
	ok(casement_getattr(casement_request_queue(f->client, 1), CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	ok(raw_restart(f->q));
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
}

/* Offer head 0: this many answers come, and no more. */
static void offer(struct fixture *f, unsigned int expected)
{
	static const uint16_t head;
	struct vring_used_elem elem;
	unsigned int n = 0;

	raw_post(f->q, &head, 1);
	while (n <= expected && raw_wait_used(f->q, &elem, n < expected ? TEST_WAIT_MS : TEST_QUIET_MS) == 1)
		n++;
	assert_int_equal(n, expected);
}

static void test_cve_2016_6490_a_loop_of_nothing_ends(void **state)
{
	struct fixture *f = fixture_of(state);

	f->q->desc[0] = (struct vring_desc){ raw_guest(f->q, in_area(f->q)), 0, N, 1 };
	f->q->desc[1] = (struct vring_desc){ raw_guest(f->q, in_area(f->q)), 0, N, 0 };
	offer(f, 0);
	check_alive(f);
}

static void test_cve_2019_9547_a_chain_is_no_longer_than_its_queue(void **state)
{
	struct fixture *f = fixture_of(state);

	honest_getattr(f->q);
	for (uint16_t i = 0; i < 16; i++)
		f->q->desc[i] = (struct vring_desc){ raw_guest(f->q, in_area(f->q)), 1, N, (uint16_t)((i + 1) % 16) };
	offer(f, 0);
	check_alive(f);
}

static void test_cve_2016_5403_no_more_in_flight_than_entries(void **state)
{
	struct fixture *f = fixture_of(state);
	struct vring_used_elem elem;
	unsigned int n = 0;

	honest_getattr(f->q);
	f->q->next_avail = (uint16_t)(f->q->next_avail + 1000);
	raw_post(f->q, NULL, 0);
	while (raw_wait_used(f->q, &elem, TEST_QUIET_MS) == 1 && n < 100)
		n++;
	assert_int_equal(n, 0);
	check_alive(f);
}

static void test_cve_2016_7422_buffers_outside_of_memory(void **state)
{
	struct fixture *f = fixture_of(state);
	const struct memory_region *r = &f->client->memory.regions[0];
	const struct vring_desc bad[] = {
		{ r->guest + r->size - 8, 56, N, 1 }, { r->guest - 8, 56, N, 1 },
		{ UINT64_MAX - 8, 56, N, 1 }, { r->guest, UINT32_MAX, N, 1 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		honest_getattr(f->q);
		f->q->desc[0] = bad[i];
		offer(f, 0);
		check_alive(f);
		honest_getattr(f->q);
		f->q->desc[1] = bad[i];
		f->q->desc[1].flags = W;
		offer(f, 0);
		check_alive(f);
	}
}

/* Contiguous for the guest, two mappings for us; and with a hole between, no buffer at all. */
static void across(struct fixture *f, bool hole)
{
	struct memory *memory = &f->client->memory;
	struct memory_region *first = &memory->regions[0], *second = &memory->regions[1];
	char saved[128], before[64];
	static const struct fuse_getattr_in body;

	assert_int_equal(first->guest + first->size == second->guest, !hole);
	honest(f->q, FUSE_GETATTR, CASEMENT_ROOT, &body, sizeof(body));
	memcpy(saved, second->base, sizeof(saved));
	memcpy(before, first->base + first->size - 40, 40);
	f->q->desc[1] = (struct vring_desc){ first->guest + first->size - 20, 120, W, 0 };
	offer(f, hole ? 0 : 1);
	if (!hole) {
		struct fuse_out_header out;

		memcpy(&out, first->base + first->size - 20, sizeof(out));
		assert_int_equal(out.error, 0);
		assert_int_equal(out.len, 120);
	}
	memcpy(first->base + first->size - 40, before, 40);
	memcpy(second->base, saved, sizeof(saved));
	ok(raw_restart(f->q));
}

static void test_cve_2018_1059_a_buffer_over_two_mappings(void **state)
{
	across(fixture_of(state), false);
}

static void test_cve_2020_10725_a_buffer_over_a_hole(void **state)
{
	across(fixture_of(state), true);
}

/* What fails is answered once, and the queue goes on. */
static void test_cve_2021_3748_an_error_returns_its_chain_once(void **state)
{
	struct fixture *f = fixture_of(state);
	static const struct fuse_open_in open_in;

	for (unsigned int i = 0; i < 40; i++) {
		honest(f->q, FUSE_OPEN, 1 << 20, &open_in, sizeof(open_in));
		offer(f, 1);
	}
	honest_getattr(f->q);
	offer(f, 1);
	check_alive(f);
}

/* One head several times while it waits for the disk: as many answers at most, and nothing freed twice. */
static void test_cve_2026_45782_a_head_that_is_in_flight(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(casement_request_queue(f->client, 1), "flying", &node);
	struct fuse_fsync_in body = { .fh = fh };
	static const uint16_t heads[4];

	for (unsigned int i = 0; i < 100; i++) {
		struct vring_used_elem elem;
		unsigned int n = 0;

		honest(f->q, FUSE_FSYNC, node, &body, sizeof(body));
		raw_post(f->q, heads, 4);
		while (n < 4 && raw_wait_used(f->q, &elem, TEST_WAIT_MS) == 1) {
			assert_int_equal(elem.id, 0);
			n++;
		}
		assert_int_equal(n, 4);
	}
	check_alive(f);
}

/* The used length is what was written, and behind it nothing was. */
static void test_cve_2024_8612_used_lengths_are_what_was_written(void **state)
{
	struct fixture *f = fixture_of(state);
	static const uint16_t head;
	uint64_t node = lookup_node(f->q, "file"), fh;
	struct fuse_open_out open;
	struct fuse_read_in read_in = { .size = ROOM - 16 };
	struct vring_used_elem elem;

	ok(casement_open(f->q, node, O_RDONLY, &open));
	fh = open.fh;
	for (uint64_t offset = 0; offset <= 1200; offset += 300) {
		uint32_t whole = offset < 1000 ? 16 + 1000 - (uint32_t)offset : 16;

		read_in.fh = fh;
		read_in.offset = offset;
		honest(f->q, FUSE_READ, node, &read_in, sizeof(read_in));
		raw_post(f->q, &head, 1);
		assert_int_equal(raw_wait_used(f->q, &elem, TEST_WAIT_MS), 1);
		assert_int_equal(elem.len, whole);
		for (uint32_t i = whole; i < ROOM; i++)
			assert_int_equal((unsigned char)out_area(f->q)[i], FILL);
	}
}

/* Sizes inside the request against the buffers around it. */
static void test_cve_2023_3180_sizes_and_buffers_disagree(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "new", &node);
	struct { struct fuse_write_in in; char data[16]; } write_body = { .in = { .fh = fh, .size = 1 << 20 } };
	struct fuse_read_in read_in = { .fh = fh, .size = UINT32_MAX };
	struct fuse_attr_out attr;

	honest(f->q, FUSE_WRITE, node, &write_body, sizeof(write_body));
	offer(f, 1);
	ok(casement_getattr(f->q, node, fh, &attr));
	assert_true(attr.attr.size <= 16);
	ok(casement_write(f->q, node, fh, 0, "0123456789", 10));
	honest(f->q, FUSE_READ, node, &read_in, sizeof(read_in));
	f->q->desc[1].len = 20;
	offer(f, 1);
	assert_int_equal((unsigned char)out_area(f->q)[20], FILL);
	check_alive(f);
}

/* The descriptor changes while it is looked at; where it points to is read once. */
struct racer {
	volatile struct vring_desc *desc;
	uint64_t good;
	bool stop;	/* [A] relaxed */
};

static void *change(void *arg)
{
	struct racer *racer = arg;

	for (unsigned int i = 0; !__atomic_load_n(&racer->stop, __ATOMIC_RELAXED); i++) {
		racer->desc->addr = i % 2 ? racer->good : UINT64_MAX - 15;
		racer->desc->len = i % 3 ? 56 : UINT32_MAX;
	}
	return NULL;
}

static void test_cve_2023_41051_memory_that_changes_is_read_once(void **state)
{
	struct fixture *f = fixture_of(state);
	struct racer racer = { .stop = false };
	static const uint16_t head;
	pthread_t thread;

	racer.desc = f->q->desc;
	racer.good = raw_guest(f->q, in_area(f->q));
	assert_int_equal(pthread_create(&thread, NULL, change, &racer), 0);
	for (unsigned int i = 0; i < 300; i++) {
		struct vring_used_elem elem;

		honest_getattr(f->q);
		raw_post(f->q, &head, 1);
		if (raw_wait_used(f->q, &elem, 5) != 1 && raw_restart(f->q))
			break;
	}
	__atomic_store_n(&racer.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check_alive(f);
}

/* A table of another device's bugs: nested, with a next, of odd or no length. */
static void test_vm_virtio_922f2e5_indirect_tables(void **state)
{
	static const uint32_t lengths[] = { 0, 8, 17, 24, 0xfffffff0 };
	struct fixture *f = fixture_of(state);
	struct vring_desc *table = (void *)(in_area(f->q) + 2048);

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths) + 2; i++) {
		bool nested = i == ARRAY_SIZE(lengths), next = i == ARRAY_SIZE(lengths) + 1;

		honest_getattr(f->q);
		table[0] = f->q->desc[0];
		table[1] = f->q->desc[1];
		if (nested)
			table[0] = (struct vring_desc){ raw_guest(f->q, table), 32, I, 0 };
		f->q->desc[0] = (struct vring_desc){ raw_guest(f->q, table),
			i < ARRAY_SIZE(lengths) ? lengths[i] : 32, (uint16_t)(next ? I | N : I), 1 };
		offer(f, 0);
		check_alive(f);
	}
}

/* A broken ring costs no processor: its thread is gone, not trying for ever. */
static void test_openvmm_e375025c7_a_broken_ring_does_not_spin(void **state)
{
	struct fixture *f = fixture_of(state);
	static const uint16_t head = 0xffff;

	raw_post(f->q, &head, 1);
	for (unsigned int i = 0; !daemon_logged(&f->daemon, "ring is broken"); i++) {
		struct fuse_attr_out attr;

		assert_true(i < 100000);
		ok(casement_getattr(casement_request_queue(f->client, 1), CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	}
	check_alive(f);
}

/* After an error answer the next request is still noticed. */
static void test_virtiofsd_dbfe3c4_notifications_after_an_error(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;

	for (unsigned int i = 0; i < 50; i++) {
		refused(casement_lookup(f->q, CASEMENT_ROOT, "missing", &entry), ENOENT);
		refused(casement_getattr(f->q, 1 << 20, CASEMENT_NO_FH, &attr), ESTALE);
		ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	}
}

static int setup_with_file(void **state)
{
	int err = fixture_setup(state);
	struct fixture *f = *state;

	if (!err && f->daemon.pid > 0)
		share_fill(&f->daemon, "file", 1000, 1);
	return err;
}

static const struct fixture_config touching = {
	.args = { "--queues", "2", NULL }, .needs = "queues",
	.options = { .request_queues = 2, .queue_size = 16, .depth = 4, .memory_regions = 2 },
};
static const struct fixture_config with_hole = {
	.args = { "--queues", "2", NULL }, .needs = "queues",
	.options = { .request_queues = 2, .queue_size = 16, .depth = 4, .memory_regions = 2,
		     .memory_gap = 1 << 20 },
};

#define RING_TEST(test) \
	cmocka_unit_test_prestate_setup_teardown(test, setup_with_file, fixture_teardown, \
						 (void *)(uintptr_t)&two_queues)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(test_cve_2016_6490_a_loop_of_nothing_ends),
		RING_TEST(test_cve_2019_9547_a_chain_is_no_longer_than_its_queue),
		RING_TEST(test_cve_2016_5403_no_more_in_flight_than_entries),
		RING_TEST(test_cve_2016_7422_buffers_outside_of_memory),
		FIXTURE_TEST(test_cve_2018_1059_a_buffer_over_two_mappings, &touching),
		FIXTURE_TEST(test_cve_2020_10725_a_buffer_over_a_hole, &with_hole),
		RING_TEST(test_cve_2021_3748_an_error_returns_its_chain_once),
		RING_TEST(test_cve_2026_45782_a_head_that_is_in_flight),
		RING_TEST(test_cve_2024_8612_used_lengths_are_what_was_written),
		RING_TEST(test_cve_2023_3180_sizes_and_buffers_disagree),
		RING_TEST(test_cve_2023_41051_memory_that_changes_is_read_once),
		RING_TEST(test_vm_virtio_922f2e5_indirect_tables),
		RING_TEST(test_openvmm_e375025c7_a_broken_ring_does_not_spin),
		RING_TEST(test_virtiofsd_dbfe3c4_notifications_after_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
