/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The workloads of `casement bench`: what one operation asks of the daemon,
 * request by request, and what it would be on the host itself. The engine
 * (bench_run.h) keeps as many lanes going as the depth says; a lane is one
 * operation after another, each a request after another.
 */
#ifndef CASEMENT_CLI_BENCH_WORK_H
#define CASEMENT_CLI_BENCH_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "casement/casement.h"

#define BENCH_QUEUES_MAX 64
#define BENCH_NAME_MAX 16
#define BENCH_DIR_BUFFER 32768u		/* what glibc's readdir(3) asks for */
#define BENCH_DOTS 2u			/* "." and "..", which a directory may name */
#define BENCH_DIR_FILES 40u		/* files in each directory of the tree */
#define BENCH_FILES 1000u
#define BENCH_DIRS 50u

struct bench_local;

/* What there is in the share for workloads to work on, all below one directory of ours. */
struct bench_tree {
	uint64_t top;
	/* For each queue, a directory of its part of the BENCH_FILES small files. */
	uint64_t files[BENCH_QUEUES_MAX];
	uint64_t file_nodes[BENCH_FILES];
	uint64_t many;			/* a directory of n_entries empty files */
	unsigned int n_entries;
	/* For each queue, an empty directory for what is made and removed. */
	uint64_t scratch[BENCH_QUEUES_MAX];
	uint64_t dirs;			/* a directory of BENCH_DIRS with BENCH_DIR_FILES each */
	uint64_t dir_nodes[BENCH_DIRS];
	uint64_t data_nodes[BENCH_QUEUES_MAX];	/* a file of file_size bytes a queue */
	uint64_t data_fhs[BENCH_QUEUES_MAX];
	uint64_t file_size;
	uint64_t stream[BENCH_QUEUES_MAX];	/* where each queue's thread reads or writes next; its own */
	char *window;			/* data file 0 through the window; NULL: there is none */
	uint64_t window_size;		/* bytes of it that are mapped */
};

/* Bits of bench_work.needs: parts of the tree. */
#define NEED_FILES	(1u << 0)
#define NEED_DATA	(1u << 1)
#define NEED_MANY	(1u << 2)
#define NEED_DIRS	(1u << 3)
#define NEED_WINDOW	(1u << 4)

union bench_args {
	struct fuse_create_in create;
	struct fuse_getattr_in getattr;
	struct fuse_open_in open;
	struct fuse_read_in read;
	struct fuse_release_in release;
	struct fuse_flush_in flush;
	struct fuse_rename_in rename;
	struct fuse_setattr_in setattr;
	struct fuse_write_in write;
};

struct bench_answer {
	union {
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;
		struct fuse_write_out write;
		struct fuse_open_out opened;
	};
	struct fuse_open_out open;	/* what follows an entry */
};

/*
 * Ours alone, but for the data: the daemon can write guest memory at any time, so no request, and
 * nothing that is judged, lies there. Its queue's thread's.
 */
struct bench_lane {
	struct casement_request request;
	struct bench_tree *tree;	/* [I] */
	const struct bench_work *work;	/* [I] during a run, as the next three */
	unsigned int queue, queues;	/* number of its request queue, and how many there are */
	unsigned int number;		/* among the lanes of all queues */
	unsigned int lanes;		/* how many those are */
	size_t block;			/* [I] during a run: bytes of a READ or WRITE */
	char *data;			/* [I] guest memory, for at least that many: never looked at */
	uint64_t random;
	uint64_t began;			/* of the operation or request at hand: CLOCK_MONOTONIC, ns */
	unsigned int step;		/* which request of the operation; 0: the first */
	uint64_t turn;			/* operations so far */
	uint64_t node, fh, offset;	/* the workload's own */
	unsigned int at, n_found;
	uint64_t found[BENCH_DIR_FILES];
	uint64_t forget;		/* set by take(): a node to give back; 0: none */
	uint64_t bytes;			/* moved, all in all */
	struct iovec in[3], out[2];
	union bench_args args;
	struct bench_answer answer;
	char name[2][BENCH_NAME_MAX];
	_Alignas(8) char entries[BENCH_DIR_BUFFER]; /* of a directory, as they were answered */
};

struct bench_work {
	const char *name;
	const char *unit;		/* what is counted */
	const char *help;
	unsigned int needs;
	bool moves_blocks;		/* --block-size matters */
	bool each;			/* latency is that of a request, not of an operation */
	uint32_t block;			/* the block size, whatever --block-size says; 0: that */
	/* Before the first operation of a run; NULL: nothing to do. */
	void (*begin)(struct bench_lane *lane);
	/* Put the request of lane->step together. */
	void (*ask)(struct bench_lane *lane);
	/*
	 * The request is answered (request.result is no error, or one that the
	 * workload expects): go to the next step, or to step 0 of the next
	 * operation. How many operations this completes, or -errno.
	 */
	int (*take)(struct bench_lane *lane);
	/* Instead of all three: an operation without a request. Its bytes. */
	size_t (*touch)(struct bench_lane *lane);
	/* The same on the host itself, by one thread: operations done, or -errno. NULL: none. */
	int (*local)(struct bench_local *local);
};

/* The workload of that name, or NULL. */
const struct bench_work *bench_work_find(const char *name);
/* Workload `i`, NULL behind the last. */
const struct bench_work *bench_work_at(unsigned int i);

/* ---- for those who write workloads ---- */

/* Begin a request. */
void lane_ask(struct bench_lane *lane, uint32_t opcode, uint64_t node);
/* Add what it carries and where the answer goes. */
void lane_in(struct bench_lane *lane, const void *p, size_t size);
void lane_in_name(struct bench_lane *lane, const char *name);
void lane_out(struct bench_lane *lane, void *p, size_t size);

/* A letter and six hexadecimal digits; what names in the tree look like. */
void bench_name(char name[BENCH_NAME_MAX], char letter, uint64_t number);

static inline uint64_t bench_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

extern const struct bench_work bench_meta_works[], bench_data_works[], bench_mixed_works[];

#endif
