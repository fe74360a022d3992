/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory from a memfd; see memory.h. Relies on pages being free until
 * they are touched, so sizes may be generous. Never gives memory back before
 * memory_close().
 */
#include "client/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/error.h"

#define MEMORY_PAGE 4096u

static int map_region(struct memory *memory, unsigned int i, size_t size, uint64_t gap)
{
	struct memory_region *region = &memory->regions[i];
	void *base;

	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd,
		    (off_t)(i * size));
	if (base == MAP_FAILED)
		return error_set(-errno, "cannot map guest memory: %s", strerror(errno));
	*region = (struct memory_region){
		.base = base,
		.size = size,
		.guest = MEMORY_GUEST_BASE + i * (size + gap),
		.offset = i * size,
	};
	memory->n = i + 1;
	return 0;
}

void memory_close(struct memory *memory)
{
	for (unsigned int i = 0; i < memory->n; i++)
		munmap(memory->regions[i].base, memory->regions[i].size);
	if (memory->fd >= 0)
		close(memory->fd);
	*memory = (struct memory){ .fd = -1 };
}

int memory_open(struct memory *memory, unsigned int n, size_t size, uint64_t gap)
{
	struct rlimit limit;
	int err = 0;

	*memory = (struct memory){
		.fd = memfd_create("casement-guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING),
	};
	/* Past the limit ftruncate(2) ends the process (SIGXFSZ), unless that was told to ignore it. */
	if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur < n * size)
		err = error_set(-EFBIG, "cannot make %zu MiB of guest memory: files are limited to less (ulimit -f)",
				n * size >> 20);
	else if (memory->fd < 0 || ftruncate(memory->fd, (off_t)(n * size)))
		err = error_set(-errno, "cannot make guest memory: %s", strerror(errno));
	for (unsigned int i = 0; !err && i < n; i++)
		err = map_region(memory, i, size, gap);
	if (err)
		memory_close(memory);
	return err;
}

int memory_seal(const struct memory *memory)
{
	if (!fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return 0;
	return error_set(-errno, "cannot seal guest memory: %s", strerror(errno));
}

void *memory_alloc(struct memory *memory, size_t size)
{
	struct memory_region *best = NULL;

	size = (size + MEMORY_PAGE - 1) & ~(size_t)(MEMORY_PAGE - 1);
	for (unsigned int i = 0; i < memory->n; i++) {
		struct memory_region *region = &memory->regions[i];

		if (region->size - region->used < size)
			continue;
		if (!best || region->size - region->used > best->size - best->used)
			best = region;
	}
	if (!best)
		return NULL;
	best->used += size;
	return best->base + best->used - size;
}

bool memory_to_guest(const struct memory *memory, const void *p, size_t size, uint64_t *guest)
{
	for (unsigned int i = 0; i < memory->n; i++) {
		const struct memory_region *region = &memory->regions[i];
		uintptr_t start = (uintptr_t)p - (uintptr_t)region->base;

		if (start < region->size && size <= region->size - start) {
			*guest = region->guest + start;
			return true;
		}
	}
	return false;
}

/* `p` and `size` are a caller's: whatever they are, nothing here overflows. */
static bool touches(const void *p, size_t size, const void *base, size_t length)
{
	uintptr_t at = (uintptr_t)p, start = (uintptr_t)base;

	return size && length && (at < start ? size > start - at : at - start < length);
}

bool memory_is_shared(const struct memory *memory, const void *p, size_t size)
{
	bool shared = touches(p, size, memory->window, memory->window_size);

	for (unsigned int i = 0; !shared && i < memory->n; i++)
		shared = touches(p, size, memory->regions[i].base, memory->regions[i].size);
	return shared;
}

struct vhost_user_mem_region memory_describe(const struct memory *memory, unsigned int i)
{
	const struct memory_region *region = &memory->regions[i];

	return (struct vhost_user_mem_region){
		.guest_addr = region->guest,
		.size = region->size,
		.user_addr = (uintptr_t)region->base,
		.mmap_offset = region->offset,
	};
}
