/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring made of the input, in a guest memory of two regions with a hole
 * between them. Whatever is popped lies in that memory and fits the caller's
 * room; what the device writes lies in the used ring.
 *
 * The input: a byte for the ring's size, one for features, available and base
 * index (two bytes each), then the descriptor table, the available ring, and
 * the rest at INDIRECT.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/checked.h"
#include "daemon/transport/guest_mem.h"
#include "daemon/transport/virtqueue.h"
#include "tests/fuzz/fuzz.h"

#define REGION 0x8000u
#define SECOND 0x10000u		/* guest address of the second region; 0x8000 to here is the hole */
#define USER 0x100000u
#define AVAIL 0x1000u
#define USED 0x2000u
#define INDIRECT 0x3000u
#define ROOM 128u
#define POPS 200u

static struct guest_mem mem;
static struct guest_table *table;
static char *ram;	/* the first region; the second follows it on the host */

static void prepare(void)
{
	const struct vhost_user_mem_region regions[2] = {
		{ 0, REGION, USER, 0 }, { SECOND, REGION, USER + SECOND, REGION },
	};
	int fd = memfd_create("ram", MFD_CLOEXEC), fds[2] = { fd, fd };
	uint64_t run;

	if (fd < 0 || ftruncate(fd, 2 * REGION) || guest_mem_init(&mem) ||
	    guest_mem_set(&mem, regions, fds, 2))
		abort();
	close(fd);
	table = guest_mem_get(&mem);
	ram = guest_table_map(table, 0, REGION, &run);
}

static void put(struct fuzz_bytes *bytes, size_t at, size_t size)
{
	size_t n = MIN(MIN(size, bytes->left), REGION - at);

	memcpy(ram + at, bytes->at, n);
	bytes->at += n;
	bytes->left -= n;
}

static bool in_memory(const struct iovec *iov)
{
	for (uint64_t guest = 0; guest <= SECOND; guest += SECOND) {
		uint64_t run;
		const char *base = guest_table_map(table, guest, REGION, &run);
		uintptr_t offset = (uintptr_t)iov->iov_base - (uintptr_t)base;

		if (offset < REGION && iov->iov_len <= REGION - offset)
			return true;
	}
	return false;
}

static void check_chain(const struct vq_chain *chain)
{
	FUZZ_CHECK(chain->n_read + chain->n_write <= ROOM, "%u + %u", chain->n_read, chain->n_write);
	for (unsigned int i = 0; i < chain->n_read + chain->n_write; i++)
		FUZZ_CHECK(chain->iov[i].iov_len && in_memory(&chain->iov[i]), "piece %u", i);
}

static void serve(struct virtqueue *vq, struct vq_chain *chain)
{
	unsigned int pops = 0;
	int got = 1;

	while (got > 0 && pops++ < POPS) {
		got = virtqueue_pop(vq, table, chain);
		FUZZ_CHECK(got == 0 || got == 1 || got == -EPROTO, "%d", got);
		if (got != 1)
			break;
		check_chain(chain);
		if (pops % 5 == 0) {
			virtqueue_unpop(vq);
			continue;
		}
		virtqueue_push(vq, chain->head, 16);
		virtqueue_show(vq);
		if (pops % 3 == 0)
			virtqueue_must_notify(vq);
		/* A hostile driver, too, sees no more than the ring holds per index it moves. */
		FUZZ_CHECK(pops <= 2u * vq->num + 2, "%u pops of %u", pops, vq->num);
	}
	virtqueue_must_notify(vq);
	virtqueue_enable_kick(vq);
	virtqueue_disable_kick(vq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = { data, size };
	struct iovec iov[ROOM];
	struct vq_chain chain = { .iov = iov, .room = ROOM };
	struct virtqueue vq = {
		.desc_addr = USER, .avail_addr = USER + AVAIL, .used_addr = USER + USED,
	};
	uint8_t features;

	if (!ram)
		prepare();
	memset(ram, 0, REGION);
	vq.num = (uint16_t)(1u << (fuzz_u8(&bytes) % 8));
	features = fuzz_u8(&bytes);
	vq.event_idx = features & 1;
	vq.indirect = features & 2;
	if (features & 4)	/* over the end of memory */
		vq.used_addr = USER + REGION - 8u * (features >> 3);
	*(uint16_t *)(void *)(ram + AVAIL + 2) = fuzz_u16(&bytes);
	vq.last_avail = fuzz_u16(&bytes);
	put(&bytes, 0, vq.num * sizeof(struct vring_desc));
	put(&bytes, AVAIL + 4, 2u * vq.num + 2);
	put(&bytes, INDIRECT, bytes.left);
	if (!virtqueue_attach(&vq, table))
		serve(&vq, &chain);
	return 0;
}
