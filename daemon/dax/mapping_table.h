/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of mappings in a window: kept sorted by place, never overlapping.
 * Not locked: its owner, window.c, sees to that. At most a few hundred entries
 * (the VMM's limit), so plain arrays and scans are cheap beside one mapping,
 * which costs the VMM about a millisecond.
 */
#ifndef CASEMENT_DAEMON_DAX_MAPPING_TABLE_H
#define CASEMENT_DAEMON_DAX_MAPPING_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct fs;
struct fs_file_id;
struct file_proxy;

#define MAPPING_KNOWN 256u	/* power of two */

enum mapping_state {
	MAPPING_LIVE,		/* the VMM has it */
	MAPPING_SUSPENDED,	/* the guest believes in it, the file ends before it: not mapped */
	MAPPING_COMING,		/* the VMM was asked, its answer is still to come */
	MAPPING_GOING,		/* asked to unmap, the answer is still to come */
};

/* An open file of mappings; one for all ranges of it, whatever node they were asked for by. */
struct mapping_file {
	struct fs *fs;		/* which opened it */
	uint64_t node;		/* the first that it was opened by */
	uint64_t ino;
	uint32_t device;
	int fd;
	int stand_in;		/* what the VMM maps (file_proxy.h); -1: the file, whole pages of it only */
	unsigned int refs;
	struct mapping_file *next;
};

struct mapping {
	uint64_t node;			/* whose user takes care not to touch what is past its end */
	uint64_t at, len;
	uint64_t offset;		/* in the file */
	uint64_t blocks_to;		/* writable: file offset up to which blocks are there */
	struct mapping_file *file;	/* counted */
	enum mapping_state state;
	bool writable;			/* the guest asked to write */
	bool promised;			/* the guest was told that it is there */
};

struct mapping_table {
	struct mapping *entries;
	unsigned int n, room;
	struct mapping_file *files;
	uint32_t known[MAPPING_KNOWN];	/* [A] relaxed; files by a hash of their numbers */
};

/* 0 or -ENOMEM. */
int mapping_table_init(struct mapping_table *table, unsigned int room);
/* Closes every file. */
void mapping_table_clear(struct mapping_table *table);
void mapping_table_destroy(struct mapping_table *table);

/* The first mapping that overlaps [at, at + len), or NULL. */
struct mapping *mapping_table_overlap(struct mapping_table *table, uint64_t at, uint64_t len);
/* The first mapping in `state`, or NULL. */
struct mapping *mapping_table_in_state(struct mapping_table *table, enum mapping_state state);
unsigned int mapping_table_count(const struct mapping_table *table, enum mapping_state state);

/* Insert a mapping that overlaps none; takes its file reference. NULL when the table is full. */
struct mapping *mapping_table_insert(struct mapping_table *table, const struct mapping *mapping);
/* Remove it and put its file. Pointers to other entries become invalid. */
void mapping_table_remove(struct mapping_table *table, struct mapping *mapping);

/* True when it is that file: by the node, or because it is the same on the host. */
bool mapping_file_is(const struct mapping_file *file, const struct fs_file_id *id);
/* False when no mapping is of that file; true may be wrong. Any thread, no lock. */
bool mapping_table_may_know(const struct mapping_table *table, const struct fs_file_id *id);

/*
 * The node's open file, counted; opened through the file system, and with a
 * stand-in where `proxy` (or NULL) can make one, if need be. 0 or -errno.
 */
int mapping_file_get(struct mapping_table *table, struct fs *fs, struct file_proxy *proxy,
		     uint64_t node, struct mapping_file **out);
void mapping_file_put(struct mapping_table *table, struct mapping_file *file);

#endif
