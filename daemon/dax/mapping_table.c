/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of mappings in a window; see mapping_table.h. */
#include "daemon/dax/mapping_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "daemon/dax/file_proxy.h"
#include "daemon/fs/fs.h"

int mapping_table_init(struct mapping_table *table, unsigned int room)
{
	*table = (struct mapping_table){ .room = room };
	table->entries = calloc(room, sizeof(*table->entries));
	return table->entries ? 0 : -ENOMEM;
}

void mapping_table_clear(struct mapping_table *table)
{
	while (table->n)
		mapping_table_remove(table, &table->entries[table->n - 1]);
}

void mapping_table_destroy(struct mapping_table *table)
{
	mapping_table_clear(table);
	free(table->entries);
}

struct mapping *mapping_table_overlap(struct mapping_table *table, uint64_t at, uint64_t len)
{
	for (unsigned int i = 0; i < table->n; i++) {
		struct mapping *m = &table->entries[i];

		if (ranges_overlap(at, len, m->at, m->len))
			return m;
	}
	return NULL;
}

struct mapping *mapping_table_in_state(struct mapping_table *table, enum mapping_state state)
{
	for (unsigned int i = 0; i < table->n; i++)
		if (table->entries[i].state == state)
			return &table->entries[i];
	return NULL;
}

unsigned int mapping_table_count(const struct mapping_table *table, enum mapping_state state)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < table->n; i++)
		count += table->entries[i].state == state;
	return count;
}

struct mapping *mapping_table_insert(struct mapping_table *table, const struct mapping *mapping)
{
	unsigned int i = table->n;

	if (table->n == table->room)
		return NULL;
	while (i > 0 && table->entries[i - 1].at > mapping->at)
		i--;
	memmove(&table->entries[i + 1], &table->entries[i], (table->n - i) * sizeof(*mapping));
	table->entries[i] = *mapping;
	table->n++;
	return &table->entries[i];
}

void mapping_table_remove(struct mapping_table *table, struct mapping *mapping)
{
	unsigned int i = (unsigned int)(mapping - table->entries);

	mapping_file_put(table, mapping->file);
	table->n--;
	memmove(mapping, mapping + 1, (table->n - i) * sizeof(*mapping));
}

bool mapping_file_is(const struct mapping_file *file, const struct fs_file_id *id)
{
	return file->node == id->node || (file->ino == id->ino && file->device == id->device);
}

/* Each file has two entries: one found by its node id, one by its device and inode number on the host. */
static uint32_t *known(struct mapping_table *table, uint64_t number)
{
	return &table->known[(number ^ number >> 8 ^ number >> 32) % MAPPING_KNOWN];
}

static void file_count(struct mapping_table *table, const struct mapping_file *file, uint32_t by)
{
	__atomic_fetch_add(known(table, file->node), by, __ATOMIC_RELAXED);
	__atomic_fetch_add(known(table, file->ino), by, __ATOMIC_RELAXED);
}

bool mapping_table_may_know(const struct mapping_table *table, const struct fs_file_id *id)
{
	struct mapping_table *t = (struct mapping_table *)(uintptr_t)table;

	return __atomic_load_n(known(t, id->node), __ATOMIC_RELAXED) ||
	       __atomic_load_n(known(t, id->ino), __ATOMIC_RELAXED);
}

static struct mapping_file *file_find(struct mapping_table *table, const struct fs_file_id *id)
{
	struct mapping_file *file = table->files;

	while (file && !mapping_file_is(file, id))
		file = file->next;
	return file;
}

static struct mapping_file *file_by_node(struct mapping_table *table, uint64_t node)
{
	struct mapping_file *file = table->files;

	while (file && file->node != node)
		file = file->next;
	return file;
}

int mapping_file_get(struct mapping_table *table, struct fs *fs, struct file_proxy *proxy,
		     uint64_t node, struct mapping_file **out)
{
	struct mapping_file *file = file_by_node(table, node);
	struct fs_file_id id;
	int fd;

	if (file) {
		file->refs++;
		*out = file;
		return 0;
	}
	fd = fs_open_dax(fs, node, &id);
	if (fd < 0)
		return fd;
	file = file_find(table, &id);
	if (file) {
		fs_close_dax(fs, fd);
		file->refs++;
		*out = file;
		return 0;
	}
	file = malloc(sizeof(*file));
	if (!file) {
		fs_close_dax(fs, fd);
		return -ENOMEM;
	}
	*file = (struct mapping_file){
		.fs = fs, .node = node, .ino = id.ino, .device = id.device, .fd = fd,
		.stand_in = proxy ? file_proxy_open(proxy, fd) : -1,
		.refs = 1, .next = table->files,
	};
	table->files = file;
	/* Before a mapping exists: who cuts the file from now on tells the window. */
	file_count(table, file, 1);
	*out = file;
	return 0;
}

void mapping_file_put(struct mapping_table *table, struct mapping_file *file)
{
	struct mapping_file **link = &table->files;

	if (--file->refs)
		return;
	while (*link != file)
		link = &(*link)->next;
	*link = file->next;
	file_count(table, file, (uint32_t)-1);
	close_fd(&file->stand_in);
	fs_close_dax(file->fs, file->fd);
	free(file);
}
