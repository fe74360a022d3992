/* SPDX-License-Identifier: BSD-3-Clause */
/* One mapping of the window; see window_private.h. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/dax/window_private.h"

struct mapping *window_insert(struct window *window, const struct mapping *mapping)
{
	struct mapping *m;

	pthread_mutex_lock(&window->lock);
	m = mapping_table_insert(&window->table, mapping);
	pthread_mutex_unlock(&window->lock);
	return m;
}

void window_drop(struct window *window, struct mapping *mapping)
{
	pthread_mutex_lock(&window->lock);
	mapping_table_remove(&window->table, mapping);
	pthread_mutex_unlock(&window->lock);
}

void window_set_state(struct window *window, struct mapping *mapping, enum mapping_state state)
{
	pthread_mutex_lock(&window->lock);
	mapping->state = state;
	pthread_mutex_unlock(&window->lock);
}

int mapping_file_size(const struct mapping_file *file, uint64_t *size)
{
	struct stat st;

	if (fstat(file->fd, &st))
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

/*
 * Give blocks to [from, to) so that a store there cannot fail for want of
 * space. A file system without fallocate(2) is as good when it has no hole
 * there.
 */
static int blocks_give(int fd, uint64_t from, uint64_t to)
{
	off_t hole;

	if (from >= to || !fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)))
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	hole = lseek(fd, (off_t)from, SEEK_HOLE);
	return hole >= 0 && (uint64_t)hole >= to ? 0 : -EOPNOTSUPP;
}

int mapping_give_blocks(struct window *window, struct mapping *mapping, uint64_t size)
{
	uint64_t end = MIN(size, mapping->offset + mapping->len);
	int err = blocks_give(mapping->file->fd, MAX(mapping->offset, mapping->blocks_to), end);

	if (err)
		return err;
	pthread_mutex_lock(&window->lock);
	mapping->writable = true;
	mapping->blocks_to = MAX(mapping->blocks_to, end);
	pthread_mutex_unlock(&window->lock);
	return 0;
}

void mapping_lose_blocks(struct window *window, struct mapping *mapping, uint64_t size)
{
	pthread_mutex_lock(&window->lock);
	mapping->blocks_to = MIN(mapping->blocks_to, size);
	pthread_mutex_unlock(&window->lock);
}

static bool vmm_would_refuse(const struct mapping *mapping, uint64_t size)
{
	return mapping->file->stand_in < 0 && mapping->offset + mapping->len > size;
}

int mapping_bring(struct window *window, struct mapping *mapping, uint64_t size)
{
	int fd = mapping->file->stand_in >= 0 ? mapping->file->stand_in : mapping->file->fd;
	int err;

	if (vmm_would_refuse(mapping, size)) {
		log_guest(LOG_LEVEL_DEBUG,
			  "without FUSE passthrough (Linux 6.9, root) a file of %llu bytes cannot be mapped past its end",
			  (unsigned long long)size);
		return -EIO;
	}
	if (mapping_table_count(&window->table, MAPPING_LIVE) >= window->max_mappings) {
		log_guest(LOG_LEVEL_WARN,
			  "the window has its %u mappings; raise --window-mappings if the VMM takes more",
			  window->max_mappings);
		return -ENFILE;
	}
	err = window->vmm.map(window->vmm.ctx, fd, mapping->offset, mapping->at, mapping->len, true);
	if (!err)
		window_set_state(window, mapping, MAPPING_LIVE);
	else if (err == -EINTR)
		window_set_state(window, mapping, MAPPING_COMING);
	else if (err == -EIO)
		log_guest(LOG_LEVEL_ERROR, "the VMM refused to map %llu bytes at 0x%llx of the window",
			  (unsigned long long)mapping->len, (unsigned long long)mapping->at);
	return err;
}

int mapping_send_away(struct window *window, struct mapping *mapping, bool barrier)
{
	int err;

	if (mapping->state != MAPPING_LIVE)
		return 0;
	err = window->vmm.unmap(window->vmm.ctx, mapping->at, mapping->len, barrier);
	if (err == -EINTR) {
		window_set_state(window, mapping, MAPPING_GOING);
		return err;
	}
	if (err == -EIO)
		log_guest(LOG_LEVEL_WARN, "the VMM knows no mapping at 0x%llx of the window",
			  (unsigned long long)mapping->at);
	window_set_state(window, mapping, MAPPING_SUSPENDED);
	return 0;
}

/* An entry that is suspended becomes two, the second from `offset` of the file on; false without room. */
static bool mapping_split(struct window *window, struct mapping *mapping, uint64_t offset)
{
	uint64_t len = offset - mapping->offset;
	struct mapping rest = *mapping;

	rest.at += len;
	rest.offset += len;
	rest.len -= len;
	rest.file->refs++;
	if (!window_insert(window, &rest)) {
		mapping_file_put(&window->table, rest.file);
		return false;
	}
	pthread_mutex_lock(&window->lock);
	mapping->len = len;
	pthread_mutex_unlock(&window->lock);
	return true;
}

int mapping_trim(struct window *window, struct mapping *mapping, uint64_t size)
{
	uint64_t end = (size + WINDOW_ALIGN - 1) & ~(uint64_t)(WINDOW_ALIGN - 1);
	bool was_there = mapping->state == MAPPING_LIVE;
	int err;

	if (mapping->offset + mapping->len <= end)
		return 0;
	err = mapping_send_away(window, mapping, true);
	if (err || mapping->offset >= end || !mapping_split(window, mapping, end) || !was_there)
		return err;
	/* What stays may be mapped at once: the file is still as long as it was. */
	err = mapping_bring(window, mapping, end);
	return err == -EINTR ? err : 0;
}
