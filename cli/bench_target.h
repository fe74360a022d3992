/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One daemon under test: the connection, what was made in its share for the
 * workloads, and the lanes that will speak to it. One a daemon, as a daemon
 * serves one connection and then ends.
 */
#ifndef CASEMENT_CLI_BENCH_TARGET_H
#define CASEMENT_CLI_BENCH_TARGET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "casement/casement.h"
#include "cli/bench_work.h"

#define FORGET_BATCH 64u

/* Nodes to be given back, as a guest does: many at a time, on the high-priority queue. */
struct bench_forgets {
	pthread_mutex_t lock;
	struct fuse_forget_one ones[FORGET_BATCH]; /* [L:lock] */
	unsigned int n;			/* [L:lock] of `ones` */
	bool flying;			/* [L:lock] `request` is under way, with what follows */
	struct casement_request request;	/* [L:lock] */
	struct fuse_batch_forget_in head;	/* [L:lock] */
	struct fuse_forget_one sent[FORGET_BATCH]; /* [L:lock] */
	struct iovec in[2];		/* [L:lock] */
};

struct bench_target {
	char label;			/* 'A', 'B' */
	const char *socket;
	struct casement *client;
	pid_t pid;			/* the daemon's; 0: not known */
	unsigned int queues;
	unsigned int depth_max;
	struct bench_lane **lanes;	/* queues * depth_max, those of queue 0 first */
	struct bench_tree tree;
	struct bench_forgets forgets;
	char name[40];			/* our directory in the share */
	unsigned int needs;		/* NEED_*: what was made */
	atomic_bool failed;		/* [A] relaxed: a queue's thread met an error, and the run is over */
};

struct bench_plan {
	unsigned int queues;
	unsigned int depth_max;		/* lanes a queue has */
	size_t block_max;
	uint64_t file_size;
	unsigned int n_entries;
	unsigned int needs;		/* NEED_*: parts of the tree */
	bool window;			/* offer the daemon a window */
	bool poll;			/* look for answers instead of waiting to be told */
};

/*
 * Connect, begin a session, make the tree. 0, or -errno, logged. After either,
 * target_close() removes what was made and ends the session.
 */
int target_open(struct bench_target *target, char label, const char *socket,
		const struct bench_plan *plan);
void target_close(struct bench_target *target);

/* Give a node back, soon. Any queue's thread. 0 or -errno. */
int target_forget(struct bench_target *target, uint64_t node);
/* Send what is left. 0 or -errno. */
int target_forget_flush(struct bench_target *target);

#endif
