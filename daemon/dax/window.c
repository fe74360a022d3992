/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DAX window; see window.h. `busy` lets one thread at a time change the
 * table and talk to the VMM; `lock` guards the table for short looks, and is
 * never held over a wait.
 */
#include "daemon/dax/window.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/checked.h"
#include "common/log.h"
#include "common/stop_token.h"
#include "daemon/dax/window_private.h"
#include "daemon/fs/fs.h"

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
		return -ENFILE;
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
		return -ENFILE;
	if (m->state == MAPPING_LIVE &&
	    mapping_table_count(&window->table, MAPPING_LIVE) >= window->max_mappings)
		return -ENFILE;
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

		if (!m || m->node != node || m->offset + (pos - m->at) != offset + (pos - at))
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
	if (!err && mapping->state == MAPPING_SUSPENDED &&
	    (mapping->offset < size || mapping->file->stand_in < 0))
		err = mapping_bring(window, mapping, size);
	return err;
}

/* Bring all entries within [at, at + len) up to their file, which is one file. */
static int window_refresh(struct window *window, uint64_t at, uint64_t len, bool writable)
{
	uint64_t pos = at, size = 0;
	int err = 0;

	while (!err && pos < at + len) {
		struct mapping *m = mapping_table_overlap(&window->table, pos, 1);

		err = mapping_file_size(m->file, &size);
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
	struct mapping new = { .node = node, .at = at, .len = len, .offset = offset, .state = MAPPING_SUSPENDED };
	int err = mapping_file_get(&window->table, window->fs, window->proxy, node, &new.file);

	if (err)
		return err;
	err = window_punch(window, at, len);
	if (!err && !window_insert(window, &new))
		err = -ENFILE;
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

bool window_maps(struct window *window, const struct fs_file_id *file)
{
	return mapping_table_may_know(&window->table, file);
}

/*
 * The node's own guest stops using what is past the cut before it asks for it. By another node
 * of the file it does not know of this mapping.
 */
static int mapping_before_cut(struct window *window, struct mapping *m, uint64_t node, uint64_t size)
{
	if (m->node != node)
		return mapping_trim(window, m, size);
	/* Without a stand-in it could not come back before the file is as long as it was. */
	if (m->offset >= size && m->file->stand_in >= 0)
		return mapping_send_away(window, m, true);
	return 0;
}

int window_before_cut(struct window *window, const struct fs_file_id *file, uint64_t size)
{
	int err = window_acquire(window);

	if (err)
		return err;
	/* What a trim adds comes right behind, and is past the cut. */
	for (unsigned int i = 0; !err && i < window->table.n; i++) {
		struct mapping *m = &window->table.entries[i];

		if (!mapping_file_is(m->file, file))
			continue;
		mapping_lose_blocks(window, m, size);
		err = mapping_before_cut(window, m, file->node, size);
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

static bool window_needs(struct window *window, const struct fs_file_id *file, uint64_t size)
{
	bool needs = false;

	pthread_mutex_lock(&window->lock);
	for (unsigned int i = 0; i < window->table.n && !needs; i++) {
		const struct mapping *m = &window->table.entries[i];

		needs = mapping_file_is(m->file, file) && mapping_needs(m, size);
	}
	pthread_mutex_unlock(&window->lock);
	return needs;
}

/* Blocks for what the file is about to be. Where they cannot be given in advance, nothing is better than that. */
static int mapping_before_growth(struct window *window, struct mapping *m, uint64_t size)
{
	int err = 0;

	if (m->promised && m->writable && m->offset < size)
		err = mapping_give_blocks(window, m, size);
	return err == -EOPNOTSUPP ? 0 : err;
}

/* With each mapping of a file whose size matters to one of them, until one fails. */
static int each_of_file(struct window *window, const struct fs_file_id *file, uint64_t size,
			int (*act)(struct window *window, struct mapping *m, uint64_t size))
{
	int err;

	if (!window_needs(window, file, size))
		return 0;
	err = window_acquire(window);
	if (err)
		return err;
	for (unsigned int i = 0; !err && i < window->table.n; i++) {
		struct mapping *m = &window->table.entries[i];

		if (mapping_file_is(m->file, file))
			err = act(window, m, size);
	}
	window_release(window);
	return err;
}

int window_before_growth(struct window *window, const struct fs_file_id *file, uint64_t size)
{
	return each_of_file(window, file, size, mapping_before_growth);
}

/* As far as it can be: the file has grown, and whoever made it grow is not to blame for the window. */
static int mapping_follow(struct window *window, struct mapping *m, uint64_t size)
{
	int err;

	if (!mapping_needs(m, size))
		return 0;
	err = m->writable ? mapping_give_blocks(window, m, size) : 0;
	if (err)
		log_guest(LOG_LEVEL_WARN, "a file that grew below its mapping got no blocks: %s", strerror(-err));
	if (m->state != MAPPING_SUSPENDED || m->offset >= size)
		return 0;
	err = mapping_bring(window, m, size);
	return err == -EINTR ? err : 0;
}

int window_size_seen(struct window *window, const struct fs_file_id *file, uint64_t size)
{
	return each_of_file(window, file, size, mapping_follow);
}

bool window_maps_writable(struct window *window, const struct fs_file_id *file, uint64_t offset, uint64_t len)
{
	bool found = false;

	pthread_mutex_lock(&window->lock);
	for (unsigned int i = 0; i < window->table.n && !found; i++) {
		const struct mapping *m = &window->table.entries[i];

		found = m->writable && ranges_overlap(offset, len, m->offset, m->len) &&
			mapping_file_is(m->file, file);
	}
	pthread_mutex_unlock(&window->lock);
	return found;
}
