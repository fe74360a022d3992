/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user session as a VMM drives it: features, config space, memory,
 * rings started, stopped and reset in every legal order, with requests in
 * flight. Relies on the real daemon; never reaches into it.
 */
#include "batch.h"
#include "daemon_fixture.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/call.h"
#include "client/raw.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "proto/fuse_extension.h"
#include "tests/skip.h"

#define BIT(n) (1ull << (n))

static void test_features(void **state)
{
	const uint64_t must = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) |
			      BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			      BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	const uint64_t protocol =
		BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
		BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
		BIT(VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD) | BIT(VHOST_USER_PROTOCOL_F_CONFIG) |
		BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |
		BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	struct fixture *f = fixture_of(state);

	assert_int_equal(f->client->offered & must, must);
	assert_int_equal(f->client->protocol_offered & protocol, protocol);
	/* Offered would mean we must do it. */
	assert_false(f->client->offered & BIT(VIRTIO_F_RING_PACKED));
	assert_false(f->client->protocol_offered & BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD));
}

static void test_config(void **state)
{
	struct fixture *f = fixture_of(state);
	struct vhost_user_config request = { .offset = 36, .size = 4 }, reply;
	uint32_t queues;

	assert_string_equal(casement_tag(f->client), "wire");
	assert_true(f->client->max_queues >= 4);
	assert_int_equal(le32toh(f->client->config.num_request_queues), 3);
	ok(channel_get(&f->client->channel, VHOST_USER_GET_CONFIG, &request,
		       VHOST_USER_CONFIG_HEADER + 4, &reply, VHOST_USER_CONFIG_HEADER + 4));
	memcpy(&queues, reply.region, sizeof(queues));
	assert_int_equal(le32toh(queues), 3);
}

static const struct fixture_config three_queues = {
	.args = { "--queues", "3", NULL },
	.options = { .request_queues = 3 },
	.needs = "queues",
};

static void test_mem_slots(void **state)
{
	struct fixture *f = fixture_of(state);

	assert_true(f->client->max_slots >= VHOST_USER_MEM_REGIONS);
}

/* Something that uses every part of the memory: a file written and read in one piece. */
static void exercise(struct casement *client)
{
	struct casement_queue *q = casement_request_queue(client, 0);
	const size_t size = 300 * 1024 + 7;
	cleanup_free unsigned char *data = malloc(size), *back = malloc(size);
	unsigned char *shared = casement_alloc(client, size);
	struct fuse_init_out init;
	uint64_t node, fh;

	assert_non_null(shared);
	for (size_t i = 0; i < size; i++)
		data[i] = shared[i] = pattern(1, i);
	ok(casement_init(q, NULL, &init));
	fh = create_file(q, "data", &node);
	assert_int_equal(ok(casement_write(q, node, fh, 0, data, size)), size);
	assert_int_equal(ok(casement_write(q, node, fh, size, shared, size)), size);
	memset(shared, 0, size);
	assert_int_equal(ok(casement_read(q, node, fh, size, back, size)), size);
	check_pattern(back, size, 1, 0);
	assert_int_equal(ok(casement_read(q, node, fh, 0, shared, size)), size);
	check_pattern(shared, size, 1, 0);
	ok(casement_release(q, node, fh));
	ok(casement_unlink(q, CASEMENT_ROOT, "data"));
}

static void test_memory_forms(void **state)
{
	static const unsigned int regions[] = { 1, 2, 7, 8 };

	(void)state;
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(regions); i++) {
		struct casement_options options = {
			.memory_regions = regions[i / 2],
			.memory_gap = i % 3 ? 0x200000 : 0,
			.flags = i % 2 ? CASEMENT_NO_MEM_SLOTS : 0,
		};
		struct daemon daemon;
		struct casement *client;

		daemon_start(&daemon, NULL);
		client = daemon_connect(&daemon, &options);
		exercise(client);
		casement_close(client);
		assert_int_equal(daemon_wait(&daemon), 0);
		assert_int_equal(daemon_stop(&daemon), 0);
	}
}

/* With and without EVENT_IDX and indirect descriptors, on small and large rings. */
static void test_ring_forms(void **state)
{
	static const unsigned int sizes[] = { 4, 16, 1024 };

	(void)state;
	for (unsigned int i = 0; i < 4 * ARRAY_SIZE(sizes); i++) {
		struct casement_options options = {
			.queue_size = sizes[i / 4],
			.depth = 4,
			.flags = (i & 1 ? CASEMENT_NO_EVENT_IDX : 0) |
				 (i & 2 ? CASEMENT_NO_INDIRECT : 0),
		};
		struct daemon daemon;
		struct casement *client;

		/* A write is four pieces and a create six: they want the room. */
		if (sizes[i / 4] == 4)
			options.flags &= ~CASEMENT_NO_INDIRECT;
		daemon_start(&daemon, NULL);
		client = daemon_connect(&daemon, &options);
		exercise(client);
		casement_close(client);
		assert_int_equal(daemon_wait(&daemon), 0);
		assert_int_equal(daemon_stop(&daemon), 0);
	}
}

/* The indices wrap at 2^16, with EVENT_IDX and however the batches fall. */
static void test_index_wrap(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int n = 1;

	for (unsigned int start = 0xfff0; start < 0xfff0 + 16; start++) {
		ok(casement_queue_stop(f->q));
		casement_queue_reset(f->q);
		f->q->base = f->q->next_avail = f->q->last_used = (uint16_t)start;
		f->q->avail->idx = f->q->used->idx = (uint16_t)start;
		ok(casement_queue_start(f->q));
		for (unsigned int total = 0; total < 40; total += n, n = 1 + (n + 6) % MANY)
			run_batch(f->q, n);
	}
}

static void test_full_turn(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int total = 0; total < 0x10000 + MANY; total += MANY)
		run_batch(f->q, MANY);
}

/* QEMU changes the call descriptor of a running ring, and sometimes takes it away. */
static void test_call_changes(void **state)
{
	struct fixture *f = fixture_of(state);
	cleanup_close int other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cleanup_close int error = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	for (unsigned int round = 0; round < 50; round++) {
		int mine = f->q->call;

		ok(queue_send_fd(f->q, VHOST_USER_SET_VRING_CALL, other));
		f->q->call = other;
		run_batch(f->q, 2);
		f->q->call = mine;
		ok(queue_send_fd(f->q, VHOST_USER_SET_VRING_CALL, -1));
		ok(queue_send_fd(f->q, VHOST_USER_SET_VRING_ERR, error));
		ok(queue_send_fd(f->q, VHOST_USER_SET_VRING_CALL, mine));
		run_batch(f->q, 3);
	}
}

/* A ring that was never started has a base to give. */
static void test_stop_unstarted(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_queue *other = casement_request_queue(f->client, 2);

	ok(casement_queue_stop(other));
	assert_int_equal(other->base, 0);
	ok(casement_queue_stop(other));
	ok(casement_queue_start(other));
	run_batch(other, 3);
	run_batch(f->q, 3);
}

static void test_queues_apart(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int i = 0; i < 3; i++)
		run_batch(casement_request_queue(f->client, i), 4);
	ok(casement_queue_stop(f->q));
	for (unsigned int i = 1; i < 3; i++)
		run_batch(casement_request_queue(f->client, i), 4);
	ok(casement_queue_start(f->q));
	run_batch(f->q, 4);
}

/* A region is used, taken away and given again. */
static void test_region_comes_and_goes(void **state)
{
	struct fixture *f = fixture_of(state);
	const uint64_t where = 0x200000000ull;
	const size_t size = 1u << 20;
	cleanup_close int fd = memfd_create("region", MFD_CLOEXEC);
	struct vhost_user_single_mem_region region = {
		.region = { .guest_addr = where, .size = size, .user_addr = 0x700000000000ull },
	};
	struct fuse_in_header in = { .len = 56, .opcode = FUSE_GETATTR, .unique = 2, .nodeid = 1 };

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, &in, sizeof(in), 0), sizeof(in));
	for (unsigned int round = 0; round < 10; round++) {
		const struct raw_piece pieces[2] = {
			{ where, 56, 0 }, { where + 4096, 120, VRING_DESC_F_WRITE },
		};
		static const uint16_t head;
		struct fuse_out_header out = { 0 };
		struct vring_used_elem elem;

		ok(channel_set(&f->client->channel, VHOST_USER_ADD_MEM_REG, &region, sizeof(region),
			       &fd, 1));
		raw_chain(f->q, pieces, 2);
		raw_post(f->q, &head, 1);
		assert_int_equal(raw_wait_used(f->q, &elem, TEST_WAIT_MS), 1);
		assert_int_equal(elem.len, 120);
		assert_int_equal(pread(fd, &out, sizeof(out), 4096), sizeof(out));
		assert_int_equal(out.error, 0);
		ok(channel_set(&f->client->channel, VHOST_USER_REM_MEM_REG, &region, sizeof(region),
			       NULL, 0));
		/* The address is nothing now: the ring stops, and can be started again. */
		raw_post(f->q, &head, 1);
		assert_int_equal(raw_wait_used(f->q, &elem, TEST_QUIET_MS), 0);
		ok(raw_restart(f->q));
		run_batch(f->q, 2);
	}
}

/* SET_MEM_TABLE again on a live device: QEMU does it whenever memory changes. */
static void test_table_again(void **state)
{
	struct fixture *f = fixture_of(state);

	for (unsigned int round = 0; round < 20; round++) {
		ok(session_tell_memory(f->client));
		run_batch(f->q, 5);
	}
}

static const struct fixture_config by_table = {
	.options = { .memory_regions = 3, .flags = CASEMENT_NO_MEM_SLOTS },
};

/* A table with room behind its regions, as Linux's virtio_uml sends it; of whole regions only. */
static void test_table_with_room(void **state)
{
	struct fixture *f = fixture_of(state);
	struct memory *memory = &f->client->memory;
	struct vhost_user_mem_table table = { .nregions = memory->n };
	const size_t least = offsetof(struct vhost_user_mem_table, regions) + memory->n * sizeof(table.regions[0]);
	int fds[3] = { memory->fd, memory->fd, memory->fd };

	assert_int_equal(memory->n, 3);
	memset(table.regions, 0xff, sizeof(table.regions));
	for (unsigned int i = 0; i < 3; i++)
		table.regions[i] = memory_describe(memory, i);
	for (size_t size = least; size <= sizeof(table); size += sizeof(table.regions[0])) {
		ok(channel_set(&f->client->channel, VHOST_USER_SET_MEM_TABLE, &table, size, fds, 3));
		run_batch(f->q, 5);
	}
	assert_true(channel_set(&f->client->channel, VHOST_USER_SET_MEM_TABLE, &table, least + 8, fds, 3) < 0);
	assert_true(channel_set(&f->client->channel, VHOST_USER_SET_MEM_TABLE, &table, least - 32, fds, 3) < 0);
}

static void test_reset_device(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	uint64_t node, fh;

	for (unsigned int round = 0; round < 5; round++) {
		fh = create_file(f->q, "file", &node);
		fixture_reset_device(f);
		ok(casement_init(f->q, NULL, &f->init));
		/* What the guest before knew is gone. */
		assert_true(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr) < 0);
		assert_true(casement_release(f->q, node, fh) < 0);
		ok(casement_unlink(f->q, CASEMENT_ROOT, "file"));
	}
}

static int suspend(struct fixture *f)
{
	return call_object(f->q, FUSE_SUSPEND, CASEMENT_ROOT, NULL, 0, NULL, 0);
}

/* A guest that said it would be suspended has its session after as many resets as there are; another request undoes it. */
static void test_suspend(void **state)
{
	const struct fuse_extension said = { FUSE_EXTENSION_MAGIC, FUSE_EXTENSION_SUSPEND };
	struct fuse_init_in in = { .major = 7, .minor = 41 };
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	uint64_t node, fh;

	/* Not of a guest that does not know of it. */
	refused(suspend(f), ENOSYS);
	memcpy((char *)(&in + 1) - sizeof(said), &said, sizeof(said));
	ok(casement_init(f->q, &in, &f->init));
	fh = create_file(f->q, "file", &node);
	ok(casement_unlink(f->q, CASEMENT_ROOT, "file"));
	for (unsigned int round = 0; round < 3; round++) {
		ok(suspend(f));
		fixture_reset_device(f);
		fixture_reset_device(f);
		ok(casement_getattr(f->q, node, fh, &attr));
		assert_int_equal(attr.attr.nlink, 0);
	}
	/* A FORGET may be late. */
	ok(suspend(f));
	casement_forget(f->q, 12345, 1);
	fixture_reset_device(f);
	ok(casement_getattr(f->q, node, fh, &attr));
	/* It goes on instead: the next reset is one. */
	ok(suspend(f));
	ok(casement_getattr(f->q, node, fh, &attr));
	fixture_reset_device(f);
	refused(casement_getattr(f->q, node, fh, &attr), EIO);
	/* Another kernel was booted meanwhile, and mounts. */
	ok(casement_init(f->q, &in, &f->init));
	fh = create_file(f->q, "file", &node);
	ok(suspend(f));
	fixture_reset_device(f);
	ok(casement_init(f->q, &in, &f->init));
	assert_true(casement_getattr(f->q, node, fh, &attr) < 0);
	/* There was no session any more to be kept. */
	ok(suspend(f));
	ok(casement_destroy(f->q));
	fixture_reset_device(f);
	refused(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr), EIO);
	ok(casement_init(f->q, NULL, &f->init));
}

/* A guest's reboot without RESET_DEVICE: rings stopped, emptied, started, a second INIT. */
static void test_reboot(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	uint64_t node;

	for (unsigned int round = 0; round < 10; round++) {
		create_file(f->q, "file", &node);
		for (unsigned int i = 0; i < f->client->n_queues; i++)
			ok(raw_restart(&f->client->queues[i]));
		ok(casement_init(f->q, NULL, &f->init));
		assert_true(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr) < 0);
		ok(casement_unlink(f->q, CASEMENT_ROOT, "file"));
		run_batch(f->q, MANY);
	}
}

/* The VMM's end is the daemon's end, also with requests in flight. */
static void test_leave(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_request requests[MANY];
	struct fuse_attr_out attrs[MANY];
	struct iovec iov[2 * MANY];

	make_getattrs(requests, iov, attrs, MANY);
	assert_int_equal(ok(casement_submit(f->q, requests, MANY)), MANY);
	casement_close(f->client);
	f->client = NULL;
	assert_int_equal(daemon_wait(&f->daemon), 0);
}

static void test_leave_at_once(void **state)
{
	struct fixture *f = fixture_of(state);

	close(daemon_socket(&f->daemon));
	assert_int_equal(daemon_wait(&f->daemon), 0);
}

/* A second VMM is not left waiting, and the first does not notice. */
static void test_second_vmm(void **state)
{
	struct fixture *f = fixture_of(state);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, f->daemon.socket, strlen(f->daemon.socket) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	share_fill(&f->daemon, "file", 1, 0);
	lookup_node(f->q, "file");
}

static const struct fixture_config no_client = { .no_client = true };

static void check_shmem(const char *size, const char *mappings, uint64_t window)
{
	const char *const args[] = { "--window-size", size, "--window-mappings", mappings, NULL };
	struct vhost_user_shmem_config config;
	struct daemon daemon;
	struct casement *client;
	uint64_t sum = 0;
	unsigned int n = 0;

	daemon_start(&daemon, args);
	client = daemon_connect(&daemon, NULL);
	assert_true(client->protocol_offered & BIT(VHOST_USER_PROTOCOL_F_SHMEM));
	ok(channel_get(&client->channel, VHOST_USER_GET_SHMEM_CONFIG, NULL, 0, &config,
		       sizeof(config)));
	for (unsigned int i = 0; i < VHOST_USER_SHMEM_REGIONS; i++) {
		assert_true(checked_add_u64(sum, config.sizes[i], &sum));
		n += config.sizes[i] != 0;
	}
	assert_int_equal(config.nregions, n);
	assert_int_equal(config.sizes[0], window);
	assert_true(is_power_of_two(sum));
	casement_close(client);
	assert_int_equal(daemon_stop(&daemon), 0);
}

/* QEMU aborts when all regions together are no power of two. */
static void test_shmem_sizes(void **state)
{
	(void)state;
	if (!daemon_has_option("window-size"))
		SKIP_BECAUSE("this daemon has no window");
	check_shmem("2M", "500", 2ull << 20);
	check_shmem("64M", "500", 64ull << 20);
	check_shmem("6M", "500", 6ull << 20);
	check_shmem("1000M", "500", 1000ull << 20);
	/* A guest maps 2 MiB at a time: there is no more window than live mappings can fill. */
	check_shmem("1G", "448", 896ull << 20);
	check_shmem("8G", "100", 200ull << 20);
	check_shmem("64M", "1", 2ull << 20);
}

static void test_no_window(void **state)
{
	struct fixture *f = fixture_of(state);

	assert_false(f->client->protocol_offered & BIT(VHOST_USER_PROTOCOL_F_SHMEM));
	assert_false(f->init.flags & FUSE_MAP_ALIGNMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_features, NULL),
		FIXTURE_TEST(test_config, &three_queues),
		FIXTURE_TEST(test_mem_slots, NULL),
		cmocka_unit_test(test_memory_forms),
		cmocka_unit_test(test_ring_forms),
		FIXTURE_TEST(test_index_wrap, NULL),
		FIXTURE_TEST(test_full_turn, NULL),
		FIXTURE_TEST(test_call_changes, NULL),
		FIXTURE_TEST(test_stop_unstarted, &three_queues),
		FIXTURE_TEST(test_queues_apart, &three_queues),
		FIXTURE_TEST(test_region_comes_and_goes, NULL),
		FIXTURE_TEST(test_table_again, &by_table),
		FIXTURE_TEST(test_table_with_room, &by_table),
		FIXTURE_TEST(test_reset_device, NULL),
		FIXTURE_TEST(test_suspend, NULL),
		FIXTURE_TEST(test_reboot, NULL),
		FIXTURE_TEST(test_leave, NULL),
		FIXTURE_TEST(test_leave_at_once, &no_client),
		FIXTURE_TEST(test_second_vmm, NULL),
		cmocka_unit_test(test_shmem_sizes),
		FIXTURE_TEST(test_no_window, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
