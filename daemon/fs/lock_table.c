/* SPDX-License-Identifier: BSD-3-Clause */
/* POSIX lock owners; see lock_table.h. */
#include "daemon/fs/lock_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "daemon/fs/handle_table.h"
#include "daemon/fs/inode_table.h"
#include "daemon/fs/safe_open.h"

void lock_table_init(struct lock_table *table, const struct safe_open *open, struct fd_budget *budget)
{
	*table = (struct lock_table){ .open = open, .budget = budget };
	pthread_mutex_init(&table->lock, NULL);
}

void lock_table_fini(struct lock_table *table)
{
	lock_table_clear(table);
	pthread_mutex_destroy(&table->lock);
}

static struct lock_owner **bucket_of(struct lock_table *table, const struct inode *inode, uint64_t owner)
{
	uint64_t hash = ((uintptr_t)inode ^ owner) * 0x9e3779b97f4a7c15u;

	return &table->buckets[hash >> 32 & (LOCK_BUCKETS - 1)];
}

/* Called with the lock. The place of the owner in its bucket, or the bucket's end. */
static struct lock_owner **find_link(struct lock_table *table, const struct inode *inode, uint64_t owner)
{
	struct lock_owner **link = bucket_of(table, inode, owner);

	while (*link && ((*link)->inode != inode || (*link)->owner != owner))
		link = &(*link)->next;
	return link;
}

struct lock_owner *lock_table_find(struct lock_table *table, const struct handle *handle, uint64_t owner)
{
	struct lock_owner *found;

	/* Most files are closed without ever having been locked. The guest orders its own requests. */
	if (!__atomic_load_n(&table->count, __ATOMIC_RELAXED))
		return NULL;
	pthread_mutex_lock(&table->lock);
	found = *find_link(table, handle->inode, owner);
	if (found)
		found->users++;
	pthread_mutex_unlock(&table->lock);
	return found;
}

static void owner_free(struct lock_table *table, struct lock_owner *owner)
{
	close_fd(&owner->fd);
	fd_budget_give(table->budget);
	inode_put(owner->inode);
	free(owner);
}

/* A write lock wants a writable file, which the handle at hand need not be. */
static int owner_open(const struct lock_table *table, const struct handle *handle, bool readonly)
{
	int fd = readonly ? -EROFS : safe_open_again(table->open, handle->fd, O_RDWR);

	return fd < 0 ? safe_open_again(table->open, handle->fd, O_RDONLY) : fd;
}

static int owner_new(struct lock_table *table, const struct handle *handle, uint64_t id, bool readonly,
		     struct lock_owner **out)
{
	struct lock_owner *owner = malloc(sizeof(*owner));
	int fd;

	if (!owner)
		return -ENOMEM;
	if (!fd_budget_take(table->budget)) {
		free(owner);
		return -ENOLCK;
	}
	fd = owner_open(table, handle, readonly);
	if (fd < 0) {
		fd_budget_give(table->budget);
		free(owner);
		return fd;
	}
	inode_ref(handle->inode);
	*owner = (struct lock_owner){ .inode = handle->inode, .owner = id, .through = handle,
				       .fd = fd, .users = 2 };
	*out = owner;
	return 0;
}

int lock_table_get(struct lock_table *table, const struct handle *handle, uint64_t owner, bool readonly,
		   struct lock_owner **out)
{
	struct lock_owner *new, **link;
	int err;

	*out = lock_table_find(table, handle, owner);
	if (*out)
		return 0;
	err = owner_new(table, handle, owner, readonly, &new);
	if (err)
		return err;
	pthread_mutex_lock(&table->lock);
	link = find_link(table, handle->inode, owner);
	*out = *link;
	if (*link) {
		(*link)->users++;
	} else {
		new->next = NULL;
		*link = *out = new;
		__atomic_store_n(&table->count, table->count + 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&table->lock);
	/* Two threads of one guest process: the other was quicker. */
	if (*out != new)
		owner_free(table, new);
	return 0;
}

void lock_table_put(struct lock_table *table, struct lock_owner *owner)
{
	bool last;

	if (!owner)
		return;
	pthread_mutex_lock(&table->lock);
	last = !--owner->users;
	pthread_mutex_unlock(&table->lock);
	if (last)
		owner_free(table, owner);
}

/* Called with the lock. */
static struct lock_owner *unlink_owner(struct lock_table *table, struct lock_owner **link)
{
	struct lock_owner *owner = *link;

	*link = owner->next;
	__atomic_store_n(&table->count, table->count - 1, __ATOMIC_RELAXED);
	return owner;
}

void lock_table_drop(struct lock_table *table, const struct handle *handle, uint64_t owner)
{
	struct lock_owner *found = NULL, **link;

	if (!__atomic_load_n(&table->count, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&table->lock);
	link = find_link(table, handle->inode, owner);
	if (*link)
		found = unlink_owner(table, link);
	pthread_mutex_unlock(&table->lock);
	lock_table_put(table, found);
}

/* Called with the lock. The place of some owner that came by the handle, or NULL. */
static struct lock_owner **find_through(struct lock_table *table, const struct handle *handle)
{
	for (unsigned int i = 0; i < LOCK_BUCKETS; i++)
		for (struct lock_owner **link = &table->buckets[i]; *link; link = &(*link)->next)
			if ((*link)->through == handle)
				return link;
	return NULL;
}

void lock_table_drop_handle(struct lock_table *table, const struct handle *handle)
{
	struct lock_owner *owner;

	if (!__atomic_load_n(&table->count, __ATOMIC_RELAXED))
		return;
	do {
		struct lock_owner **link;

		pthread_mutex_lock(&table->lock);
		link = find_through(table, handle);
		owner = link ? unlink_owner(table, link) : NULL;
		pthread_mutex_unlock(&table->lock);
		lock_table_put(table, owner);
	} while (owner);
}

void lock_table_clear(struct lock_table *table)
{
	for (unsigned int i = 0; i < LOCK_BUCKETS; i++) {
		struct lock_owner *owner;

		do {
			pthread_mutex_lock(&table->lock);
			owner = table->buckets[i] ? unlink_owner(table, &table->buckets[i]) : NULL;
			pthread_mutex_unlock(&table->lock);
			lock_table_put(table, owner);
		} while (owner);
	}
}
