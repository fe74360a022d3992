/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tree of a target; see bench_tree.h. Relies on queue 0 of the target,
 * one request at a time; names come from bench_name(), so that removal needs
 * no listing.
 */
#include "cli/bench_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cli/bench_stop.h"
#include "common/checked.h"
#include "common/log.h"
#include "proto/virtio_fs.h"

#define FILL (1u << 20)

static struct casement_queue *queue_of(const struct bench_target *target)
{
	return casement_request_queue(target->client, 0);
}

static int make_dir(struct bench_target *target, uint64_t parent, const char *name, uint64_t *node)
{
	struct fuse_entry_out entry;
	int err = casement_mkdir(queue_of(target), parent, name, 0755, &entry);

	*node = err ? 0 : entry.nodeid;
	return err;
}

/* An empty file; its node is the caller's in *node, or given back when that is NULL. */
static int make_file(struct bench_target *target, uint64_t parent, const char *name, uint64_t *node)
{
	struct casement_queue *queue = queue_of(target);
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	int err = casement_create(queue, parent, name, O_RDWR | O_EXCL, 0100644, &entry, &open);

	if (!err)
		err = casement_release(queue, entry.nodeid, open.fh);
	if (!err && !node)
		err = target_forget(target, entry.nodeid);
	if (!err && node)
		*node = entry.nodeid;
	return err;
}

static int make_files(struct bench_target *target, uint64_t parent, unsigned int n, uint64_t *nodes)
{
	char name[BENCH_NAME_MAX];
	int err = 0;

	for (unsigned int i = 0; i < n && !err; i++) {
		bench_name(name, 'f', i);
		err = make_file(target, parent, name, nodes ? &nodes[i] : NULL);
		if (!err && atomic_load(stop_flag()))
			err = -ECANCELED;
	}
	return err;
}

static int make_dirs(struct bench_target *target)
{
	struct bench_tree *tree = &target->tree;
	int err = 0;

	for (unsigned int i = 0; i < BENCH_DIRS && !err; i++) {
		char name[BENCH_NAME_MAX];

		bench_name(name, 'd', i);
		err = make_dir(target, tree->dirs, name, &tree->dir_nodes[i]);
		if (!err)
			err = make_files(target, tree->dir_nodes[i], BENCH_DIR_FILES, NULL);
	}
	return err;
}

/* A file with data in all of it, left open. */
static int make_data(struct bench_target *target, unsigned int i)
{
	struct casement_queue *queue = queue_of(target);
	struct bench_tree *tree = &target->tree;
	char *fill = target->lanes[0]->data;
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char name[BENCH_NAME_MAX];
	int err;

	bench_name(name, 'b', i);
	err = casement_create(queue, tree->top, name, O_RDWR | O_EXCL, 0100644, &entry, &open);
	if (err)
		return err;
	tree->data_nodes[i] = entry.nodeid;
	tree->data_fhs[i] = open.fh;
	memset(fill, 'a' + (int)i % 26, FILL);
	for (uint64_t at = 0; at < tree->file_size; at += FILL) {
		size_t n = MIN(FILL, tree->file_size - at);
		ssize_t put = casement_write(queue, entry.nodeid, open.fh, at, fill, n);

		if (atomic_load(stop_flag()))
			return -ECANCELED;
		if (put != (ssize_t)n)
			return put < 0 ? (int)put : -EIO;
	}
	return 0;
}

/* Map the beginning of data file 0, as much as fits; without a window this is no error. */
static int map_window(struct bench_target *target)
{
	struct bench_tree *tree = &target->tree;
	uint64_t size = 0;
	char *window = casement_window(target->client, &size);
	int err = 0;

	size = MIN(size, tree->file_size) / VIRTIO_FS_RANGE_SIZE * VIRTIO_FS_RANGE_SIZE;
	for (uint64_t at = 0; window && at < size && !err; at += VIRTIO_FS_RANGE_SIZE) {
		err = casement_setupmapping(queue_of(target), tree->data_nodes[0], tree->data_fhs[0],
					    at, VIRTIO_FS_RANGE_SIZE, FUSE_SETUPMAPPING_FLAG_READ, at);
		if (!err)
			tree->window_size = at + VIRTIO_FS_RANGE_SIZE;
	}
	/* As many ranges as the daemon has room for will do. */
	tree->window = tree->window_size ? window : NULL;
	return tree->window ? 0 : err;
}

/* What a queue has for itself: a directory to make things in, and its part of the files. */
static int make_own(struct bench_target *target, unsigned int queue)
{
	struct bench_tree *tree = &target->tree;
	unsigned int share = BENCH_FILES / target->queues;
	char name[BENCH_NAME_MAX];
	int err;

	bench_name(name, 's', queue);
	err = make_dir(target, tree->top, name, &tree->scratch[queue]);
	if (err || !(target->needs & NEED_FILES))
		return err;
	bench_name(name, 'f', queue);
	err = make_dir(target, tree->top, name, &tree->files[queue]);
	if (!err)
		err = make_files(target, tree->files[queue], share, &tree->file_nodes[queue * share]);
	return err;
}

static int make_parts(struct bench_target *target, unsigned int n_entries, uint64_t file_size)
{
	struct bench_tree *tree = &target->tree;
	int err = 0;

	tree->file_size = file_size;
	for (unsigned int i = 0; i < target->queues && !err; i++)
		err = make_own(target, i);
	if (!err && target->needs & NEED_MANY) {
		tree->n_entries = n_entries;
		err = make_dir(target, tree->top, "many", &tree->many);
	}
	if (!err && target->needs & NEED_MANY)
		err = make_files(target, tree->many, n_entries, NULL);
	if (!err && target->needs & NEED_DIRS)
		err = make_dir(target, tree->top, "dirs", &tree->dirs);
	if (!err && target->needs & NEED_DIRS)
		err = make_dirs(target);
	for (unsigned int i = 0; !err && target->needs & NEED_DATA && i < target->queues; i++)
		err = make_data(target, i);
	if (!err && target->needs & NEED_WINDOW)
		err = map_window(target);
	return err;
}

int tree_make(struct bench_target *target, unsigned int n_entries, uint64_t file_size)
{
	int err = make_dir(target, CASEMENT_ROOT, target->name, &target->tree.top);

	if (!err)
		err = make_parts(target, n_entries, file_size);
	if (err && err != -ECANCELED)
		log_error("%s: the files to work on cannot be made: %s", target->socket,
			  casement_error());
	return err;
}

/* Most names that a run can have left in one directory; a directory with more is not ours to empty. */
static unsigned int names_most(const struct bench_target *target)
{
	return target->tree.n_entries + BENCH_FILES + 2 * target->queues * target->depth_max;
}

/* Unlink what one READDIR answered; how many went, or -EPROTO. */
static int remove_entries(struct bench_target *target, uint64_t node, const char *entries, size_t size)
{
	int n = 0;

	while (size && !stop_insisted()) {
		const struct fuse_dirent *entry = (const void *)entries;
		char name[256] = "";
		size_t bytes;

		if (size < FUSE_NAME_OFFSET || entry->namelen >= sizeof(name))
			return -EPROTO;
		bytes = FUSE_DIRENT_SIZE(entry);
		if (bytes > size)
			return -EPROTO;
		memcpy(name, entry->name, entry->namelen);
		if (strcmp(name, ".") && strcmp(name, ".."))
			n += !casement_unlink(queue_of(target), node, name);
		stop_grant();
		entries += bytes;
		size -= bytes;
	}
	return n;
}

/* What a run that failed left behind is not known by name: list it. */
static void remove_all(struct bench_target *target, uint64_t node)
{
	struct casement_queue *queue = queue_of(target);
	char *entries = target->lanes[0]->entries;
	unsigned int left = names_most(target);
	struct fuse_open_out dir;
	int gone = 1;

	if (casement_opendir(queue, node, &dir))
		return;
	while (gone > 0 && left) {
		ssize_t size = casement_readdir(queue, node, dir.fh, 0, entries, BENCH_DIR_BUFFER);

		gone = size > 0 ? remove_entries(target, node, entries, (size_t)size) : 0;
		left -= MIN(left, (unsigned int)MAX(gone, 0));
	}
	casement_releasedir(queue, node, dir.fh);
}

static void remove_dir(struct bench_target *target, uint64_t parent, const char *name, uint64_t node)
{
	if (!node)
		return;
	remove_all(target, node);
	casement_rmdir(queue_of(target), parent, name);
}

void tree_remove(struct bench_target *target)
{
	struct bench_tree *tree = &target->tree;
	char name[BENCH_NAME_MAX];

	if (!tree->top)
		return;
	for (unsigned int i = 0; i < BENCH_DIRS; i++) {
		bench_name(name, 'd', i);
		remove_dir(target, tree->dirs, name, tree->dir_nodes[i]);
	}
	for (unsigned int i = 0; i < target->queues; i++) {
		bench_name(name, 'b', i);
		if (!tree->data_nodes[i])
			continue;
		casement_release(queue_of(target), tree->data_nodes[i], tree->data_fhs[i]);
		casement_unlink(queue_of(target), tree->top, name);
	}
	for (unsigned int i = 0; i < target->queues; i++) {
		bench_name(name, 's', i);
		remove_dir(target, tree->top, name, tree->scratch[i]);
		bench_name(name, 'f', i);
		remove_dir(target, tree->top, name, tree->files[i]);
	}
	remove_dir(target, tree->top, "dirs", tree->dirs);
	remove_dir(target, tree->top, "many", tree->many);
	if (casement_rmdir(queue_of(target), CASEMENT_ROOT, target->name))
		log_warn("%s: %s could not be removed from the share: %s", target->socket,
			 target->name, casement_error());
	tree->top = 0;
}
