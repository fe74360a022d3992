/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: one memfd cut into regions, as a machine's memory below and
 * above its holes. What the daemon sees of us is here and nowhere else.
 */
#ifndef CASEMENT_CLIENT_MEMORY_H
#define CASEMENT_CLIENT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vhost_user.h"

#define MEMORY_REGIONS_MAX VHOST_USER_MEM_REGIONS
#define MEMORY_GUEST_BASE 0x40000000ull	/* guest address of the first region */

struct memory_region {
	char *base;		/* [I] where it is mapped here */
	size_t size;		/* [I] bytes */
	uint64_t guest;		/* [I] guest physical address */
	uint64_t offset;	/* [I] in the memfd */
	size_t used;		/* bytes given out; the client's thread only */
};

struct memory {
	int fd;			/* [I] the memfd */
	unsigned int n;		/* [I] regions */
	struct memory_region regions[MEMORY_REGIONS_MAX];
	const char *window;	/* [I] the DAX window, whose files the daemon can write, too; NULL: none */
	size_t window_size;	/* [I] bytes */
};

/*
 * `n` regions of `size` bytes (a multiple of the page), `gap` bytes of nothing
 * between two. 0 or -errno; memory_close() undoes it.
 */
int memory_open(struct memory *memory, unsigned int n, size_t size, uint64_t gap);
void memory_close(struct memory *memory);

/*
 * Fix the size of the memfd for good, before the daemon has it: one that were cut would end us by
 * SIGBUS. 0 or -errno.
 */
int memory_seal(const struct memory *memory);

/* `size` bytes on a page of their own, zeroed, never across two regions; NULL when there is no room. */
void *memory_alloc(struct memory *memory, size_t size);

/* The guest address of [p, p + size), if all of it lies in one region. */
bool memory_to_guest(const struct memory *memory, const void *p, size_t size, uint64_t *guest);

/* True when the daemon can write to a byte of [p, p + size): guest memory, or the window. */
bool memory_is_shared(const struct memory *memory, const void *p, size_t size);

/* Region `i` as vhost-user says it. */
struct vhost_user_mem_region memory_describe(const struct memory *memory, unsigned int i);

#endif
