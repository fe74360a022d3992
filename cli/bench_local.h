/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the machine itself can do, without a daemon: each workload's system
 * calls in a bare loop of one thread, in a directory of our own.
 */
#ifndef CASEMENT_CLI_BENCH_LOCAL_H
#define CASEMENT_CLI_BENCH_LOCAL_H

#include <stddef.h>
#include <stdint.h>

struct bench_local {
	int parent;		/* the directory that was named */
	int top;		/* ours in it; its name is `name` */
	char name[64];
	int files, many, scratch, dirs;	/* directories, as in struct bench_tree */
	int data;		/* a file of file_size bytes */
	uint64_t file_size;
	unsigned int n_entries;
	char *from, *to;	/* room_size bytes each */
	size_t room_size;
	size_t block;		/* of the run at hand */
	uint64_t random, turn, offset;
};

/*
 * Make the directory and what is in it. 0, or -errno, logged. local_close()
 * removes all of it; it may be called whatever local_open() returned.
 */
int local_open(const char *dir, uint64_t file_size, unsigned int n_entries, size_t block_max,
	       struct bench_local *local);
void local_close(struct bench_local *local);

/* One operation, or several: their number, or -errno. */
int local_getattr(struct bench_local *local);
int local_lookup(struct bench_local *local);
int local_miss(struct bench_local *local);
int local_open_file(struct bench_local *local);
int local_create(struct bench_local *local);
int local_rename(struct bench_local *local);
int local_readdir(struct bench_local *local);
int local_read(struct bench_local *local);
int local_write(struct bench_local *local);
int local_randread(struct bench_local *local);
int local_randwrite(struct bench_local *local);
int local_memcpy(struct bench_local *local);
int local_status(struct bench_local *local);
int local_untar(struct bench_local *local);

#endif
