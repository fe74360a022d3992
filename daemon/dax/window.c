/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DAX window; see window.h. `busy` lets one thread at a time change the
 * table and talk to the VMM; `lock` guards the table for short looks, and is
 * never held over a wait.
 */
#include "daemon/dax/window.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/log.h"
#include "common/stop_token.h"
#include "daemon/dax/mapping_table.h"
#include "daemon/fs/fs.h"

/* MAP_ALIGNMENT that INIT announces: the host's smallest page. */
#define WINDOW_ALIGN 4096u

struct window {
	struct fs *fs;			/* [I] */
	struct window_vmm_ops vmm;	/* [I] */
	struct file_proxy *proxy;	/* [I] or NULL */
	uint64_t size;			/* [I] bytes */
	unsigned int max_mappings;	/* [I] */

	pthread_mutex_t lock;
	pthread_cond_t idle;		/* `busy` fell, or a token fired */
	bool busy;			/* [L:lock] */
	struct mapping_table table;	/* [L:lock] to look; `busy` and [L:lock] to change */
};

int window_new(struct fs *fs, const struct window_vmm_ops *vmm, struct file_proxy *proxy,
	       uint64_t size, unsigned int max_mappings, struct window **out)
{
	struct window *window = calloc(1, sizeof(*window));
	int err;

	if (!window)
		return -ENOMEM;
	window->fs = fs;
	window->vmm = *vmm;
	window->proxy = proxy;
	window->size = size;
	window->max_mappings = max_mappings;
	/* Suspended ranges have entries too, but no mapping at the VMM. */
	err = mapping_table_init(&window->table, 2 * max_mappings + 2);
	if (err) {
		free(window);
		return err;
	}
	pthread_mutex_init(&window->lock, NULL);
	pthread_cond_init(&window->idle, NULL);
	*out = window;
	return 0;
}

void window_free(struct window *window)
{
	mapping_table_destroy(&window->table);
	pthread_cond_destroy(&window->idle);
	pthread_mutex_destroy(&window->lock);
	free(window);
}

bool window_present(struct window *window)
{
	return window->vmm.ready(window->vmm.ctx);
}

void window_wake(struct window *window)
{
	pthread_mutex_lock(&window->lock);
	pthread_cond_broadcast(&window->idle);
	pthread_mutex_unlock(&window->lock);
}

static void window_release(struct window *window)
{
	pthread_mutex_lock(&window->lock);
	window->busy = false;
	pthread_cond_broadcast(&window->idle);
	pthread_mutex_unlock(&window->lock);
}

/* Changes to the table, seen by those who look under the lock alone. */
static struct mapping *window_insert(struct window *window, const struct mapping *mapping)
{
	struct mapping *m;

	pthread_mutex_lock(&window->lock);
	m = mapping_table_insert(&window->table, mapping);
	pthread_mutex_unlock(&window->lock);
	return m;
}

static void window_drop(struct window *window, struct mapping *mapping)
{
	pthread_mutex_lock(&window->lock);
	mapping_table_remove(&window->table, mapping);
	pthread_mutex_unlock(&window->lock);
}

static void window_set_state(struct window *window, struct mapping *mapping, enum mapping_state state)
{
	pthread_mutex_lock(&window->lock);
	mapping->state = state;
	pthread_mutex_unlock(&window->lock);
}

/* A request that was given up may have been answered since: learn how it ended. */
static int window_settle(struct window *window)
{
	struct mapping *m = mapping_table_in_state(&window->table, MAPPING_COMING);
	bool coming = m;
	int err;

	if (!m)
		m = mapping_table_in_state(&window->table, MAPPING_GOING);
	if (!m)
		return 0;
	err = window->vmm.settle(window->vmm.ctx);
	if (err != -EINTR)
		window_set_state(window, m, coming && !err ? MAPPING_LIVE : MAPPING_SUSPENDED);
	return err == -EINTR ? err : 0;
}

static int window_acquire(struct window *window)
{
	int err = 0;

	pthread_mutex_lock(&window->lock);
	while (window->busy && !stop_token_current_fired())
		pthread_cond_wait(&window->idle, &window->lock);
	if (window->busy)
		err = -EINTR;
	else
		window->busy = true;
	pthread_mutex_unlock(&window->lock);
	if (err)
		return err;
	err = window_settle(window);
	if (err)
		window_release(window);
	return err;
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

static int file_size(int fd, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

/* Make a mapping writable for the guest, as far as the file goes. */
static int mapping_give_blocks(struct window *window, struct mapping *mapping, uint64_t size)
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

/*
 * Without a stand-in, QEMU maps a range only if the file goes on behind it, in
 * whole pages. Cut the entry where the file ends; the rest stays suspended.
 */
static int mapping_fit(struct window *window, struct mapping *mapping, uint64_t size)
{
	struct mapping rest = *mapping;
	uint64_t len = size - mapping->offset;

	if (mapping->file->stand_in >= 0 || mapping->len <= len)
		return 0;
	if (!is_aligned(size, WINDOW_ALIGN)) {
		log_guest(LOG_LEVEL_ERROR,
			  "a file of %llu bytes, no whole pages, cannot be mapped to its end without FUSE passthrough (Linux 6.9, root)",
			  (unsigned long long)size);
		return -EIO;
	}
	rest.at += len;
	rest.offset += len;
	rest.len -= len;
	rest.file->refs++;
	if (!window_insert(window, &rest)) {
		mapping_file_put(&window->table, rest.file);
		return -ENOSPC;
	}
	pthread_mutex_lock(&window->lock);
	mapping->len = len;
	pthread_mutex_unlock(&window->lock);
	return 0;
}

/* Ask the VMM for an entry that is in the table as suspended; on failure it stays so. */
static int mapping_bring(struct window *window, struct mapping *mapping, uint64_t size)
{
	int fd = mapping->file->stand_in >= 0 ? mapping->file->stand_in : mapping->file->fd;
	int err = mapping_fit(window, mapping, size);

	if (err)
		return err;
	if (mapping_table_count(&window->table, MAPPING_LIVE) >= window->max_mappings) {
		log_guest(LOG_LEVEL_WARN,
			  "the window has its %u mappings; raise --window-mappings if the VMM takes more",
			  window->max_mappings);
		return -ENOSPC;
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

/*
 * Bring an entry up to a file of `size` bytes: blocks where the guest writes,
 * and the mapping itself once the file reaches into it. A range wholly behind
 * the end of the file must not be touched: it waits until the file grows.
 */
static int mapping_refresh(struct window *window, struct mapping *mapping, uint64_t size, bool writable)
{
	int err = 0;

	if (writable || mapping->writable)
		err = mapping_give_blocks(window, mapping, size);
	if (!err && mapping->state == MAPPING_SUSPENDED && mapping->offset < size)
		err = mapping_bring(window, mapping, size);
	return err;
}

/* Have the VMM unmap a live entry, and leave it in the table as suspended. */
static int mapping_send_away(struct window *window, struct mapping *mapping, bool barrier)
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

/* Put the part [at, at + len) of what was mapped as `whole` back. */
static int remnant_restore(struct window *window, const struct mapping *whole, uint64_t at, uint64_t len)
{
	struct mapping part = *whole, *m;
	int err;

	if (!len)
		return 0;
	part.at = at;
	part.len = len;
	part.offset = whole->offset + (at - whole->at);
	part.state = MAPPING_SUSPENDED;
	part.file->refs++;
	m = window_insert(window, &part);
	if (!m) {
		mapping_file_put(&window->table, part.file);
		return -ENOSPC;
	}
	/* What was mapped as part of the whole lies within the file as far as we know. */
	err = whole->state == MAPPING_LIVE ? mapping_bring(window, m, UINT64_MAX) : 0;
	return err == -EINTR ? err : 0;
}

/*
 * A mapping that loses its middle becomes two. Where there is no room for that
 * it must be said before the mapping goes: the guest believes in both ends.
 */
static int punch_check(struct window *window, const struct mapping *m, uint64_t at, uint64_t len)
{
	if (m->at >= at || m->at + m->len <= at + len)
		return 0;
	if (window->table.n == window->table.room)
		return -ENOSPC;
	if (m->state == MAPPING_LIVE &&
	    mapping_table_count(&window->table, MAPPING_LIVE) >= window->max_mappings)
		return -ENOSPC;
	return 0;
}

/* Make [at, at + len) free; what sticks out of it on either side is mapped again. */
static int window_punch(struct window *window, uint64_t at, uint64_t len)
{
	struct mapping *m;
	int err = 0;

	while (!err && (m = mapping_table_overlap(&window->table, at, len))) {
		struct mapping whole = *m;
		uint64_t end = whole.at + whole.len;

		err = punch_check(window, m, at, len);
		if (!err)
			err = mapping_send_away(window, m, false);
		if (err)
			break;
		whole.file->refs++;
		window_drop(window, m);
		if (whole.at < at)
			err = remnant_restore(window, &whole, whole.at, at - whole.at);
		if (!err && end > at + len)
			err = remnant_restore(window, &whole, at + len, end - (at + len));
		mapping_file_put(&window->table, whole.file);
	}
	return err;
}

/* True when entries show just this already, piece by piece, mapped or suspended. */
static bool window_covers(struct window *window, uint64_t node, uint64_t offset, uint64_t len,
			  uint64_t at)
{
	uint64_t pos = at;

	while (pos < at + len) {
		const struct mapping *m = mapping_table_overlap(&window->table, pos, 1);

		if (!m || m->file->node != node || m->offset + (pos - m->at) != offset + (pos - at))
			return false;
		pos = m->at + m->len;
	}
	return true;
}

/* The guest is about to hear that these are there: from now on they follow their file. */
static void window_promise(struct window *window, uint64_t at, uint64_t len)
{
	pthread_mutex_lock(&window->lock);
	for (unsigned int i = 0; i < window->table.n; i++) {
		struct mapping *m = &window->table.entries[i];

		if (ranges_overlap(at, len, m->at, m->len))
			m->promised = true;
	}
	pthread_mutex_unlock(&window->lock);
}

/* Bring all entries within [at, at + len) up to their file, which is one file. */
static int window_refresh(struct window *window, uint64_t at, uint64_t len, bool writable)
{
	uint64_t pos = at, size = 0;
	int err = 0;

	while (!err && pos < at + len) {
		struct mapping *m = mapping_table_overlap(&window->table, pos, 1);

		err = file_size(m->file->fd, &size);
		if (!err)
			err = mapping_refresh(window, m, size, writable);
		pos = m->at + m->len;
	}
	return err;
}

static void window_drop_range(struct window *window, uint64_t at, uint64_t len)
{
	struct mapping *m;

	while ((m = mapping_table_overlap(&window->table, at, len)))
		window_drop(window, m);
}

static int window_map_new(struct window *window, uint64_t node, uint64_t offset, uint64_t len,
			  bool writable, uint64_t at)
{
	struct mapping new = { .at = at, .len = len, .offset = offset, .state = MAPPING_SUSPENDED };
	int err = mapping_file_get(&window->table, window->fs, window->proxy, node, &new.file);

	if (err)
		return err;
	err = window_punch(window, at, len);
	if (!err && !window_insert(window, &new))
		err = -ENOSPC;
	if (err) {
		mapping_file_put(&window->table, new.file);
		return err;
	}
	/* One new entry, of which at most the first piece is brought: a failure leaves none mapped. */
	err = window_refresh(window, at, len, writable);
	if (err && err != -EINTR)
		window_drop_range(window, at, len);
	return err;
}

int window_setup(struct window *window, uint64_t node, uint64_t offset, uint64_t len,
		 bool writable, uint64_t at)
{
	uint64_t end;
	int err;

	if (!len || !is_aligned(at | len | offset, WINDOW_ALIGN) ||
	    !range_within(at, len, window->size) ||
	    !checked_add_u64(offset, len, &end) || end > INT64_MAX)
		return -EINVAL;
	err = window_acquire(window);
	if (err)
		return err;
	/* Every mapping is writable for the VMM: the guest's upgrade only needs its blocks. */
	if (window_covers(window, node, offset, len, at))
		err = window_refresh(window, at, len, writable);
	else
		err = window_map_new(window, node, offset, len, writable, at);
	if (!err)
		window_promise(window, at, len);
	window_release(window);
	return err;
}

int window_remove(struct window *window, uint64_t at, uint64_t len)
{
	int err;

	if (!len || !range_within(at, len, window->size))
		return -EINVAL;
	err = window_acquire(window);
	if (err)
		return err;
	err = window_punch(window, at, len);
	window_release(window);
	return err;
}

int window_clear(struct window *window)
{
	int err = window_acquire(window);

	if (err)
		return err;
	while (!err && window->table.n) {
		struct mapping *last = &window->table.entries[window->table.n - 1];

		err = mapping_send_away(window, last, window->table.n == 1);
		if (!err)
			window_drop(window, last);
	}
	window_release(window);
	return err;
}

void window_forget(struct window *window)
{
	pthread_mutex_lock(&window->lock);
	mapping_table_clear(&window->table);
	pthread_mutex_unlock(&window->lock);
}

/* What is cut loses its blocks: they are given again when the file grows. */
static void mapping_lose_blocks(struct window *window, struct mapping *mapping, uint64_t size)
{
	pthread_mutex_lock(&window->lock);
	mapping->blocks_to = MIN(mapping->blocks_to, size);
	pthread_mutex_unlock(&window->lock);
}

int window_before_cut(struct window *window, uint64_t node, uint64_t size)
{
	int err = window_acquire(window);

	if (err)
		return err;
	for (unsigned int i = 0; !err && i < window->table.n; i++) {
		struct mapping *m = &window->table.entries[i];

		if (m->file->node == node && m->offset >= size)
			err = mapping_send_away(window, m, true);
		if (!err && m->file->node == node)
			mapping_lose_blocks(window, m, size);
	}
	window_release(window);
	return err;
}

/* True when a size calls for work: a suspended range is inside the file again, or blocks are missing. */
static bool mapping_needs(const struct mapping *m, uint64_t size)
{
	/* What the guest was not told of yet waits for its own request, not for this one. */
	if (m->offset >= size || !m->promised)
		return false;
	return m->state == MAPPING_SUSPENDED ||
	       (m->writable && m->blocks_to < MIN(size, m->offset + m->len));
}

static struct mapping *window_needs(struct window *window, uint64_t node, uint64_t size)
{
	for (unsigned int i = 0; i < window->table.n; i++) {
		struct mapping *m = &window->table.entries[i];

		if (m->file->node == node && mapping_needs(m, size))
			return m;
	}
	return NULL;
}

int window_size_seen(struct window *window, uint64_t node, uint64_t size)
{
	struct mapping *m;
	int err;

	pthread_mutex_lock(&window->lock);
	m = window_needs(window, node, size);
	pthread_mutex_unlock(&window->lock);
	if (!m)
		return 0;
	err = window_acquire(window);
	if (err)
		return err;
	while (!err && (m = window_needs(window, node, size)))
		err = mapping_refresh(window, m, size, false);
	window_release(window);
	return err;
}

bool window_maps_writable(struct window *window, uint64_t node, uint64_t offset, uint64_t len)
{
	bool found = false;

	pthread_mutex_lock(&window->lock);
	for (unsigned int i = 0; i < window->table.n && !found; i++) {
		const struct mapping *m = &window->table.entries[i];

		found = m->file->node == node && m->writable &&
			ranges_overlap(offset, len, m->offset, m->len);
	}
	pthread_mutex_unlock(&window->lock);
	return found;
}
