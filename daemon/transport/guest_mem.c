/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's memory; see guest_mem.h. Relies on sigbus.c for files that shrink. */
#include "daemon/transport/guest_mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/transport/sigbus.h"

struct guest_mapping {
	unsigned int refs;	/* [L:guest_mem.lock] tables that use it */
	void *base;
	size_t len;
};

static void mapping_free(struct guest_mapping *mapping)
{
	sigbus_unguard(mapping->base, mapping->len);
	munmap(mapping->base, mapping->len);
	free(mapping);
}

/* Called with the lock held, or before the table was published. */
static void table_free(struct guest_table *table)
{
	for (unsigned int i = 0; i < table->n; i++)
		if (--table->regions[i].mapping->refs == 0)
			mapping_free(table->regions[i].mapping);
	free(table);
}

static struct guest_table *table_new(unsigned int room)
{
	struct guest_table *table;

	table = calloc(1, sizeof(*table) + room * sizeof(table->regions[0]));
	if (table)
		table->refs = 1;
	return table;
}

int guest_mem_init(struct guest_mem *mem)
{
	mem->table = table_new(0);
	if (!mem->table)
		return -ENOMEM;
	pthread_mutex_init(&mem->lock, NULL);
	atomic_init(&mem->generation, 0);
	return 0;
}

void guest_mem_destroy(struct guest_mem *mem)
{
	table_free(mem->table);
	pthread_mutex_destroy(&mem->lock);
}

/* A region must not wrap or be empty, in any of its three address spaces. */
static int region_check(const struct vhost_user_mem_region *region)
{
	uint64_t end;

	if (!region->size || region->size > SIZE_MAX / 2 ||
	    !checked_add_u64(region->guest_addr, region->size, &end) ||
	    !checked_add_u64(region->user_addr, region->size, &end) ||
	    !checked_add_u64(region->mmap_offset, region->size, &end) || end > INT64_MAX)
		return -EINVAL;
	return 0;
}

/*
 * Map from the region's own offset. Huge pages want that offset aligned to
 * their size; where it is not, map from the start of the file as all front
 * ends allow.
 */
static int region_map(const struct vhost_user_mem_region *region, int fd, struct guest_region *out)
{
	struct guest_mapping *mapping = calloc(1, sizeof(*mapping));
	size_t skip = 0;

	if (!mapping)
		return -ENOMEM;
	mapping->refs = 1;
	mapping->len = region->size;
	mapping->base = mmap(NULL, mapping->len, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_NORESERVE, fd, (off_t)region->mmap_offset);
	if (mapping->base == MAP_FAILED && errno == EINVAL) {
		skip = region->mmap_offset;
		mapping->len = region->size + skip;
		mapping->base = mmap(NULL, mapping->len, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_NORESERVE, fd, 0);
	}
	if (mapping->base == MAP_FAILED) {
		int err = -errno;

		free(mapping);
		return err;
	}
	/* Memory that may end the process must not be used. */
	if (!sigbus_guard(mapping->base, mapping->len)) {
		munmap(mapping->base, mapping->len);
		free(mapping);
		return -ENOSPC;
	}
	madvise(mapping->base, mapping->len, MADV_DONTDUMP);
	*out = (struct guest_region){
		.guest_addr = region->guest_addr,
		.size = region->size,
		.user_addr = region->user_addr,
		.host = (char *)mapping->base + skip,
		.mapping = mapping,
	};
	return 0;
}

/* Put a region into its place. -EEXIST when it overlaps a neighbour. */
static int table_insert(struct guest_table *table, const struct guest_region *region)
{
	unsigned int at = table->n;

	for (unsigned int i = 0; i < table->n; i++)
		if (ranges_overlap(region->guest_addr, region->size,
				   table->regions[i].guest_addr, table->regions[i].size))
			return -EEXIST;
	while (at > 0 && table->regions[at - 1].guest_addr > region->guest_addr)
		at--;
	memmove(&table->regions[at + 1], &table->regions[at],
		(table->n - at) * sizeof(table->regions[0]));
	table->regions[at] = *region;
	table->n++;
	return 0;
}

static void mem_publish(struct guest_mem *mem, struct guest_table *table)
{
	struct guest_table *old;

	pthread_mutex_lock(&mem->lock);
	old = mem->table;
	mem->table = table;
	atomic_fetch_add_explicit(&mem->generation, 1, memory_order_release);
	if (--old->refs == 0)
		table_free(old);
	pthread_mutex_unlock(&mem->lock);
}

static int table_map_into(struct guest_table *table, const struct vhost_user_mem_region *region, int fd)
{
	struct guest_region mapped;
	int err = region_check(region);

	if (!err)
		err = region_map(region, fd, &mapped);
	if (err)
		return err;
	err = table_insert(table, &mapped);
	if (err)
		mapping_free(mapped.mapping);
	return err;
}

int guest_mem_set(struct guest_mem *mem, const struct vhost_user_mem_region *regions,
		  const int *fds, unsigned int n)
{
	struct guest_table *table = table_new(n);

	if (!table)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++) {
		int err = table_map_into(table, &regions[i], fds[i]);

		if (err) {
			table_free(table);
			return err;
		}
	}
	mem_publish(mem, table);
	return 0;
}

/* A copy with room for `extra` more; only the session thread changes tables, so the old one stays put. */
static struct guest_table *table_copy(struct guest_mem *mem, unsigned int extra)
{
	struct guest_table *old = mem->table;
	struct guest_table *table = table_new(old->n + extra);

	if (!table)
		return NULL;
	pthread_mutex_lock(&mem->lock);
	table->n = old->n;
	memcpy(table->regions, old->regions, old->n * sizeof(old->regions[0]));
	for (unsigned int i = 0; i < table->n; i++)
		table->regions[i].mapping->refs++;
	pthread_mutex_unlock(&mem->lock);
	return table;
}

static void table_drop(struct guest_mem *mem, struct guest_table *table)
{
	pthread_mutex_lock(&mem->lock);
	table_free(table);
	pthread_mutex_unlock(&mem->lock);
}

int guest_mem_add(struct guest_mem *mem, const struct vhost_user_mem_region *region, int fd)
{
	struct guest_table *table;
	int err;

	if (mem->table->n >= GUEST_MEM_SLOTS)
		return -ENOSPC;
	table = table_copy(mem, 1);
	if (!table)
		return -ENOMEM;
	err = table_map_into(table, region, fd);
	if (err)
		table_drop(mem, table);
	else
		mem_publish(mem, table);
	return err;
}

int guest_mem_remove(struct guest_mem *mem, const struct vhost_user_mem_region *region)
{
	struct guest_table *table = table_copy(mem, 0);
	struct guest_region gone;
	unsigned int i = 0;

	if (!table)
		return -ENOMEM;
	while (i < table->n && !(table->regions[i].guest_addr == region->guest_addr &&
				 table->regions[i].user_addr == region->user_addr &&
				 table->regions[i].size == region->size))
		i++;
	if (i == table->n) {
		table_drop(mem, table);
		return -ENOENT;
	}
	gone = table->regions[i];
	memmove(&table->regions[i], &table->regions[i + 1],
		(table->n - i - 1) * sizeof(table->regions[0]));
	table->n--;
	pthread_mutex_lock(&mem->lock);
	gone.mapping->refs--;	/* the published table still counts it: never the last */
	pthread_mutex_unlock(&mem->lock);
	mem_publish(mem, table);
	return 0;
}

struct guest_table *guest_mem_get(struct guest_mem *mem)
{
	struct guest_table *table;

	pthread_mutex_lock(&mem->lock);
	table = mem->table;
	table->refs++;
	pthread_mutex_unlock(&mem->lock);
	return table;
}

struct guest_table *guest_table_ref(struct guest_mem *mem, struct guest_table *table)
{
	pthread_mutex_lock(&mem->lock);
	table->refs++;
	pthread_mutex_unlock(&mem->lock);
	return table;
}

void guest_table_put(struct guest_mem *mem, struct guest_table *table)
{
	pthread_mutex_lock(&mem->lock);
	if (--table->refs == 0)
		table_free(table);
	pthread_mutex_unlock(&mem->lock);
}

void *guest_table_map(const struct guest_table *table, uint64_t addr, uint64_t len, uint64_t *run)
{
	unsigned int low = 0, high = table->n;

	while (low < high) {
		unsigned int mid = (low + high) / 2;
		const struct guest_region *region = &table->regions[mid];

		if (addr < region->guest_addr) {
			high = mid;
		} else if (addr - region->guest_addr >= region->size) {
			low = mid + 1;
		} else {
			uint64_t offset = addr - region->guest_addr;

			*run = MIN(len, region->size - offset);
			return region->host + offset;
		}
	}
	return NULL;
}

void *guest_table_map_user(const struct guest_table *table, uint64_t addr, uint64_t len)
{
	for (unsigned int i = 0; i < table->n; i++) {
		const struct guest_region *region = &table->regions[i];

		if (addr >= region->user_addr &&
		    range_within(addr - region->user_addr, len, region->size))
			return region->host + (addr - region->user_addr);
	}
	return NULL;
}
