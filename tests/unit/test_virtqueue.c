/* SPDX-License-Identifier: BSD-3-Clause */
/* The split ring, device side: chains, hostile descriptors, wrapping indexes, notification rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/transport/guest_mem.h"
#include "daemon/transport/virtqueue.h"

#define MEM_SIZE (1u << 20)
#define NUM 8
#define DESC 0x1000
#define AVAIL 0x2000
#define USED 0x3000
#define INDIRECT 0x4000
#define DATA 0x10000
#define USER 0x7f0000000000ull

/* A guest of one region, seen from both sides. */
struct fixture {
	struct guest_mem mem;
	struct guest_table *table;
	char *ram;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct virtqueue vq;
	struct iovec iov[16];
	struct vq_chain chain;
};

static int setup(void **state)
{
	static struct fixture f;
	struct vhost_user_mem_region r = { 0, MEM_SIZE, USER, 0 };
	int fd = memfd_create("ram", MFD_CLOEXEC);
	uint64_t run;

	memset(&f, 0, sizeof(f));
	if (fd < 0 || ftruncate(fd, MEM_SIZE) || guest_mem_init(&f.mem) ||
	    guest_mem_add(&f.mem, &r, fd))
		return -1;
	close(fd);
	f.table = guest_mem_get(&f.mem);
	f.ram = guest_table_map(f.table, 0, MEM_SIZE, &run);
	f.desc = (void *)(f.ram + DESC);
	f.avail = (void *)(f.ram + AVAIL);
	f.used = (void *)(f.ram + USED);
	f.vq = (struct virtqueue){ .num = NUM, .event_idx = true, .indirect = true,
		.desc_addr = USER + DESC, .avail_addr = USER + AVAIL, .used_addr = USER + USED };
	f.chain = (struct vq_chain){ .iov = f.iov, .room = 16 };
	*state = &f;
	return virtqueue_attach(&f.vq, f.table);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	guest_table_put(&f->mem, f->table);
	guest_mem_destroy(&f->mem);
	return 0;
}

/* Looks for one byte of guest memory: what is fetched ahead begins with one, what is served never does. */
static unsigned int looks_ahead;

void *__real_guest_table_map(const struct guest_table *table, uint64_t addr, uint64_t len, uint64_t *run);
void *__wrap_guest_table_map(const struct guest_table *table, uint64_t addr, uint64_t len, uint64_t *run);

void *__wrap_guest_table_map(const struct guest_table *table, uint64_t addr, uint64_t len, uint64_t *run)
{
	looks_ahead += len == 1;
	return __real_guest_table_map(table, addr, len, run);
}

static void offer(struct fixture *f, uint16_t head)
{
	f->avail->ring[f->avail->idx % NUM] = head;
	f->avail->idx++;
}

static int pop(struct fixture *f)
{
	return virtqueue_pop(&f->vq, f->table, &f->chain);
}

static void a_chain_is_cut_in_two(void **state)
{
	struct fixture *f = *state;

	f->desc[0] = (struct vring_desc){ DATA, 40, VRING_DESC_F_NEXT, 3 };
	f->desc[3] = (struct vring_desc){ DATA + 100, 8, VRING_DESC_F_NEXT, 1 };
	f->desc[1] = (struct vring_desc){ DATA + 200, 16, VRING_DESC_F_WRITE, 0 };
	assert_int_equal(pop(f), 0);
	offer(f, 0);
	assert_true(virtqueue_pending(&f->vq));
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.n_read, 2);
	assert_int_equal(f->chain.n_write, 1);
	assert_ptr_equal(f->iov[1].iov_base, f->ram + DATA + 100);
	assert_int_equal(pop(f), 0);
	virtqueue_push(&f->vq, 0, 16);
	assert_int_equal(f->used->idx, 0);
	virtqueue_show(&f->vq);
	assert_int_equal(f->used->idx, 1);
	assert_true(virtqueue_must_notify(&f->vq));
	assert_int_equal(f->used->ring[0].len, 16);
}

static void unpop_gives_it_again(void **state)
{
	struct fixture *f = *state;

	f->desc[2] = (struct vring_desc){ DATA, 40, 0, 0 };
	offer(f, 2);
	assert_int_equal(pop(f), 1);
	virtqueue_unpop(&f->vq);
	assert_int_equal(f->vq.last_avail, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.head, 2);
}

static void indirect_tables_work(void **state)
{
	struct fixture *f = *state;
	struct vring_desc *table = (void *)(f->ram + INDIRECT);

	table[0] = (struct vring_desc){ DATA, 40, VRING_DESC_F_NEXT, 1 };
	table[1] = (struct vring_desc){ DATA + 64, 16, VRING_DESC_F_WRITE, 0 };
	f->desc[5] = (struct vring_desc){ INDIRECT, 32, VRING_DESC_F_INDIRECT, 0 };
	offer(f, 5);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.n_read, 1);
	assert_int_equal(f->chain.n_write, 1);
}

/* One bad thing in descriptor 0 (or in the indirect table at INDIRECT). */
struct bad_case {
	const char *name;
	struct vring_desc desc;
	struct vring_desc table[2];
};

static const struct bad_case bad_cases[] = {
	{ "outside memory", { MEM_SIZE, 1, 0, 0 }, {} },
	{ "end outside memory", { MEM_SIZE - 1, 2, 0, 0 }, {} },
	{ "wraps", { UINT64_MAX - 1, 16, 0, 0 }, {} },
	{ "next out of range", { DATA, 1, VRING_DESC_F_NEXT, NUM }, {} },
	{ "loop to itself", { DATA, 1, VRING_DESC_F_NEXT, 0 }, {} },
	{ "loop of empty buffers", { DATA, 0, VRING_DESC_F_NEXT, 0 }, {} },
	{ "indirect and next", { INDIRECT, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1 }, {} },
	{ "indirect of odd length", { INDIRECT, 17, VRING_DESC_F_INDIRECT, 0 }, {} },
	{ "indirect of no length", { INDIRECT, 0, VRING_DESC_F_INDIRECT, 0 }, {} },
	{ "indirect outside memory", { MEM_SIZE - 16, 32, VRING_DESC_F_INDIRECT, 0 }, {} },
	{ "indirect unaligned", { INDIRECT + 1, 16, VRING_DESC_F_INDIRECT, 0 }, {} },
	{ "indirect in indirect", { INDIRECT, 16, VRING_DESC_F_INDIRECT, 0 },
	  { { INDIRECT, 16, VRING_DESC_F_INDIRECT, 0 } } },
	{ "indirect loop", { INDIRECT, 16, VRING_DESC_F_INDIRECT, 0 },
	  { { DATA, 1, VRING_DESC_F_NEXT, 0 } } },
	{ "indirect too long", { INDIRECT, (VIRTIO_RING_MAX + 1) * 16, VRING_DESC_F_INDIRECT, 0 }, {} },
	{ "readable after writable", { INDIRECT, 32, VRING_DESC_F_INDIRECT, 0 },
	  { { DATA, 1, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1 }, { DATA, 1, 0, 0 } } },
};

static void nonsense_is_refused(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
		f->desc[0] = bad_cases[i].desc;
		memcpy(f->ram + INDIRECT, bad_cases[i].table, sizeof(bad_cases[i].table));
		f->avail->idx = 0;
		f->vq.last_avail = 0;
		offer(f, 0);
		if (pop(f) != -EPROTO)
			fail_msg("%s was taken", bad_cases[i].name);
		assert_int_equal(f->vq.last_avail, 0);
	}
	f->avail->idx = NUM + 1;
	assert_int_equal(pop(f), -EPROTO);
	f->avail->idx = 0;
	offer(f, NUM);
	assert_int_equal(pop(f), -EPROTO);
}

static void too_many_segments_are_refused(void **state)
{
	struct fixture *f = *state;
	struct vring_desc *table = (void *)(f->ram + INDIRECT);

	for (uint16_t i = 0; i < 17; i++)
		table[i] = (struct vring_desc){ DATA, 1, i < 16 ? VRING_DESC_F_NEXT : 0, i + 1 };
	f->desc[0] = (struct vring_desc){ INDIRECT, 17 * 16, VRING_DESC_F_INDIRECT, 0 };
	offer(f, 0);
	assert_int_equal(pop(f), -EPROTO);
}

static void rings_must_be_in_memory(void **state)
{
	struct fixture *f = *state;
	struct virtqueue vq = f->vq;

	vq.used_addr = USER + MEM_SIZE - 16;
	assert_int_equal(virtqueue_attach(&vq, f->table), -EFAULT);
	vq.used_addr = USER + USED + 2;
	assert_int_equal(virtqueue_attach(&vq, f->table), -EINVAL);
	vq = f->vq;
	vq.num = 3;
	assert_int_equal(virtqueue_attach(&vq, f->table), -EINVAL);
	vq.num = 0;
	assert_int_equal(virtqueue_attach(&vq, f->table), -EINVAL);
}

/* Over the wrap of the 16-bit indexes, with a driver that asks for each second interrupt. */
static void event_idx_wraps(void **state)
{
	struct fixture *f = *state;
	uint16_t *used_event = &f->avail->ring[NUM];
	uint16_t *avail_event = (uint16_t *)&f->used->ring[NUM];

	f->avail->idx = f->vq.last_avail = 0xfff0;
	f->used->idx = 0xfff0;
	assert_int_equal(virtqueue_attach(&f->vq, f->table), 0);
	f->desc[0] = (struct vring_desc){ DATA, 1, 0, 0 };
	*used_event = 0xfff0;
	for (unsigned int i = 0; i < 64; i++) {
		uint16_t before = f->used->idx;
		bool wanted = *used_event == before, first = !i;

		offer(f, 0);
		assert_int_equal(pop(f), 1);
		virtqueue_push(&f->vq, 0, 0);
		virtqueue_show(&f->vq);
		assert_int_equal(virtqueue_seems_to_wait(&f->vq), first || wanted);
		assert_int_equal(virtqueue_must_notify(&f->vq), first || wanted);
		assert_int_equal(virtqueue_seems_to_wait(&f->vq), 0);
		if (wanted)
			*used_event = (uint16_t)(before + 2);
		assert_false(virtqueue_enable_kick(&f->vq));
		assert_int_equal(*avail_event, f->avail->idx);
	}
	assert_true(f->used->idx < 0xfff0);
	offer(f, 0);
	assert_true(virtqueue_enable_kick(&f->vq));
}

/* What was fetched ahead is read again: the guest may have changed it since. */
static void nothing_fetched_ahead_is_kept(void **state)
{
	struct fixture *f = *state;

	f->desc[0] = (struct vring_desc){ DATA, 40, 0, 0 };
	f->desc[1] = (struct vring_desc){ DATA + 64, 40, 0, 0 };
	offer(f, 0);
	offer(f, 1);
	assert_int_equal(virtqueue_count(&f->vq), 2);
	assert_int_equal(pop(f), 1);
	f->desc[1] = (struct vring_desc){ DATA + 128, 8, 0, 0 };
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->iov[0].iov_len, 8);
	assert_ptr_equal(f->iov[0].iov_base, f->ram + DATA + 128);
	assert_int_equal(virtqueue_count(&f->vq), 0);
}

/* Nonsense further back in the ring is looked at ahead, and harms nobody before its turn. */
static void nonsense_is_fetched_unharmed(void **state)
{
	static const struct vring_desc bad[] = {
		{ UINT64_MAX - 8, 32, VRING_DESC_F_INDIRECT, 0 },
		{ INDIRECT + 1, 32, VRING_DESC_F_INDIRECT, 0 },
		{ INDIRECT, 0, VRING_DESC_F_INDIRECT, 0 },
		{ MEM_SIZE - 8, UINT32_MAX, VRING_DESC_F_INDIRECT, 0 },
		{ MEM_SIZE, UINT32_MAX, VRING_DESC_F_WRITE, 0xffff },
		{ INDIRECT, 1 << 16, VRING_DESC_F_INDIRECT, 0 },
	};
	struct fixture *f = *state;

	f->desc[0] = (struct vring_desc){ DATA, 40, 0, 0 };
	memcpy(&f->desc[1], bad, sizeof(bad));
	memset(f->ram + INDIRECT, 0xff, 256);
	offer(f, 0);
	for (uint16_t i = 1; i <= 6; i++)
		offer(f, i);
	offer(f, 0xffff);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->iov[0].iov_len, 40);
	assert_int_equal(pop(f), -EPROTO);
	f->avail->idx = (uint16_t)(f->vq.last_avail + 0x8000);
	assert_int_equal(virtqueue_count(&f->vq), NUM);
	assert_int_equal(pop(f), -EPROTO);
}

static void flags_rule_without_event_idx(void **state)
{
	struct fixture *f = *state;

	f->vq.event_idx = false;
	f->desc[0] = (struct vring_desc){ DATA, 1, 0, 0 };
	offer(f, 0);
	pop(f);
	virtqueue_push(&f->vq, 0, 0);
	virtqueue_show(&f->vq);
	f->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	assert_false(virtqueue_must_notify(&f->vq));
	f->avail->flags = 0;
	assert_true(virtqueue_must_notify(&f->vq));
	virtqueue_disable_kick(&f->vq);
	assert_int_equal(f->used->flags, VRING_USED_F_NO_NOTIFY);
	virtqueue_enable_kick(&f->vq);
	assert_int_equal(f->used->flags, 0);
}

/* Of several requests that wait, the buffers are fetched: four of an indirect table, one of a chain in the ring. */
static void several_are_fetched_ahead(void **state)
{
	struct fixture *f = *state;
	struct vring_desc *table = (void *)(f->ram + INDIRECT);

	for (uint16_t i = 0; i < 5; i++)
		table[i] = (struct vring_desc){ DATA + i * 64u, 40, i < 4 ? VRING_DESC_F_NEXT : 0, i + 1 };
	f->desc[0] = (struct vring_desc){ INDIRECT, 5 * sizeof(*table), VRING_DESC_F_INDIRECT, 0 };
	f->desc[1] = (struct vring_desc){ INDIRECT, 2 * sizeof(*table), VRING_DESC_F_INDIRECT, 0 };
	f->desc[2] = (struct vring_desc){ DATA, 40, VRING_DESC_F_NEXT, 3 };
	f->desc[3] = (struct vring_desc){ DATA + 64, 40, 0, 0 };
	looks_ahead = 0;
	for (uint16_t head = 0; head < 3; head++)
		offer(f, head);
	assert_int_equal(pop(f), 1);
	assert_int_equal(looks_ahead, 4 + 2 + 1);
	assert_int_equal(f->chain.n_read, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_chain_is_cut_in_two), TEST(unpop_gives_it_again), TEST(indirect_tables_work),
		TEST(nonsense_is_refused), TEST(too_many_segments_are_refused),
		TEST(rings_must_be_in_memory), TEST(event_idx_wraps),
		TEST(several_are_fetched_ahead), TEST(nothing_fetched_ahead_is_kept),
		TEST(nonsense_is_fetched_unharmed),
		TEST(flags_rule_without_event_idx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
