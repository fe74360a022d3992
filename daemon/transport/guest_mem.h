/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's memory as the VMM describes it: regions of guest-physical
 * addresses, each backed by a descriptor that we map.
 *
 * The session thread changes the table; queue threads read it at any time. A
 * table never changes once published: a change makes a new one, and the old
 * one, with the mappings only it used, goes when its last reader lets go. So a
 * request that is under way keeps the memory it was given.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_GUEST_MEM_H
#define CASEMENT_DAEMON_TRANSPORT_GUEST_MEM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vhost_user.h"

/* What GET_MAX_MEM_SLOTS answers: QEMU's own limit, VHOST_USER_MAX_RAM_SLOTS. */
#define GUEST_MEM_SLOTS 512

struct guest_mapping;

struct guest_region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr;
	char *host;			/* where guest_addr is mapped here */
	struct guest_mapping *mapping;	/* counted */
};

struct guest_table {
	unsigned int refs;		/* [L:guest_mem.lock] */
	unsigned int n;
	struct guest_region regions[];	/* sorted by guest_addr, never overlapping */
};

struct guest_mem {
	pthread_mutex_t lock;
	struct guest_table *table;	/* [L:lock] never NULL */
	atomic_uint generation;		/* [A] release on change, acquire by readers: a hint to take anew */
};

/* 0 or -ENOMEM. */
int guest_mem_init(struct guest_mem *mem);
/* Every table must have been put back. */
void guest_mem_destroy(struct guest_mem *mem);

/*
 * Replace all regions (SET_MEM_TABLE). The descriptors stay the caller's.
 * -EINVAL for regions that overlap, wrap or are empty; -ENOSPC when too many old
 * ones are still in use; -errno of mmap(2). On an error the old table stays.
 */
int guest_mem_set(struct guest_mem *mem, const struct vhost_user_mem_region *regions,
		  const int *fds, unsigned int n);
/* One more region (ADD_MEM_REG): as above, and -ENOSPC past GUEST_MEM_SLOTS. */
int guest_mem_add(struct guest_mem *mem, const struct vhost_user_mem_region *region, int fd);
/* Take a region away (REM_MEM_REG), named by its addresses and size. -ENOENT if there is none. */
int guest_mem_remove(struct guest_mem *mem, const struct vhost_user_mem_region *region);

/* The current table, counted: give back with guest_table_put(). */
struct guest_table *guest_mem_get(struct guest_mem *mem);
void guest_table_put(struct guest_mem *mem, struct guest_table *table);
/* The same table, counted once more; for one who holds it. */
struct guest_table *guest_table_ref(struct guest_mem *mem, struct guest_table *table);

static inline unsigned int guest_mem_generation(struct guest_mem *mem)
{
	return atomic_load_explicit(&mem->generation, memory_order_acquire);
}

/*
 * The host address of guest-physical `addr`, and in *run how many bytes of the
 * `len` asked for (at least 1) are contiguous there. NULL when `addr` is in no
 * region.
 */
void *guest_table_map(const struct guest_table *table, uint64_t addr, uint64_t len, uint64_t *run);
/* The host address of `len` contiguous bytes at front-end virtual `addr`, or NULL. */
void *guest_table_map_user(const struct guest_table *table, uint64_t addr, uint64_t len);

#endif
