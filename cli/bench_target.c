/* SPDX-License-Identifier: BSD-3-Clause */
/* A daemon under test; see bench_target.h. */
#include "cli/bench_target.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/bench_stop.h"
#include "cli/bench_tree.h"
#include "cli/connect.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"

#define PAGE 4096u
#define PAGE_UP(n) (((n) + PAGE - 1) & ~(size_t)(PAGE - 1))

/* Called with the lock: wait until the batch that is under way has been taken. */
static int forgets_wait(struct bench_target *target)
{
	struct casement_request *done;
	int n = 1;

	if (target->forgets.flying)
		n = casement_complete(casement_hiprio_queue(target->client), &done, 1, -1);
	if (n < 0)
		return n;	/* it may still come back: its request is not ours yet */
	target->forgets.flying = false;
	return 0;
}

/* Called with the lock. */
static int forgets_send(struct bench_target *target)
{
	struct bench_forgets *forgets = &target->forgets;
	int err = forgets_wait(target);

	if (err || !forgets->n)
		return err;
	memcpy(forgets->sent, forgets->ones, forgets->n * sizeof(forgets->ones[0]));
	forgets->head = (struct fuse_batch_forget_in){ .count = forgets->n };
	forgets->in[0] = (struct iovec){ &forgets->head, sizeof(forgets->head) };
	forgets->in[1] = (struct iovec){ forgets->sent, forgets->n * sizeof(forgets->sent[0]) };
	forgets->request = (struct casement_request){
		.opcode = FUSE_BATCH_FORGET, .in = forgets->in, .n_in = 2,
	};
	forgets->n = 0;
	forgets->flying = casement_submit(casement_hiprio_queue(target->client), &forgets->request, 1) == 1;
	return forgets->flying ? 0 : -EAGAIN;
}

int target_forget(struct bench_target *target, uint64_t node)
{
	struct bench_forgets *forgets = &target->forgets;
	int err = 0;

	pthread_mutex_lock(&forgets->lock);
	/* A batch that cannot be sent stays: other answers of the same moment come here after it. */
	if (forgets->n == FORGET_BATCH)
		err = forgets_send(target);
	if (!err)
		forgets->ones[forgets->n++] = (struct fuse_forget_one){ .nodeid = node, .nlookup = 1 };
	pthread_mutex_unlock(&forgets->lock);
	return err;
}

int target_forget_flush(struct bench_target *target)
{
	int err;

	pthread_mutex_lock(&target->forgets.lock);
	err = forgets_send(target);
	if (!err)
		err = forgets_wait(target);
	pthread_mutex_unlock(&target->forgets.lock);
	return err;
}

/* Who listens on the other end, as this process sees it; 0 when that is not known. */
static pid_t listener_pid(int sock)
{
	struct ucred peer = { .pid = 0 };
	socklen_t size = sizeof(peer);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) ? 0 : peer.pid;
}

static unsigned int count_threads(pid_t pid)
{
	unsigned int n = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

/*
 * A daemon that shuts itself in has a parent outside, which made the socket
 * and does nothing but wait: it has one thread, and the child that serves.
 */
static pid_t serving_pid(pid_t pid)
{
	cleanup_fclose FILE *children = NULL;
	char path[64];
	int child;

	if (!pid || count_threads(pid) != 1)
		return pid;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	children = fopen(path, "re");
	return children && fscanf(children, "%d", &child) == 1 ? child : pid;
}

static int connect_to(struct bench_target *target, const struct bench_plan *plan)
{
	struct casement_options options = {
		.request_queues = plan->queues,
		.queue_size = 512,
		.depth = plan->depth_max,
		.max_request = MAX(plan->block_max, 1u << 20),
		.heap_size = plan->queues * plan->depth_max * PAGE_UP(plan->block_max),
		.stop_fd = stop_fd(),
		.flags = (plan->window ? 0 : CASEMENT_NO_WINDOW) | (plan->poll ? CASEMENT_POLL : 0),
	};
	struct fuse_init_out init;
	int err = connect_daemon(target->socket, &options, &target->client);

	if (err)
		return err;
	err = casement_init(casement_request_queue(target->client, 0), NULL, &init);
	if (err)
		log_error("%s: no session: %s", target->socket, casement_error());
	target->pid = serving_pid(listener_pid(casement_fd(target->client)));
	return err;
}

static int alloc_lanes(struct bench_target *target, const struct bench_plan *plan)
{
	unsigned int n = target->queues * target->depth_max;

	target->lanes = calloc(n, sizeof(target->lanes[0]));
	for (unsigned int i = 0; target->lanes && i < n; i++) {
		struct bench_lane *lane = target->lanes[i] = calloc(1, sizeof(*lane));

		if (!lane)
			return -ENOMEM;
		lane->data = casement_alloc(target->client, plan->block_max);
		if (!lane->data)
			return -ENOMEM;
		lane->tree = &target->tree;
		lane->queue = i / target->depth_max;
		lane->queues = target->queues;
		lane->number = i;
		lane->random = 88172645463325252u + i * 7919;
	}
	return target->lanes ? 0 : -ENOMEM;
}

int target_open(struct bench_target *target, char label, const char *socket,
		const struct bench_plan *plan)
{
	int err;

	*target = (struct bench_target){
		.label = label, .socket = socket, .queues = plan->queues,
		.depth_max = plan->depth_max, .needs = plan->needs,
	};
	pthread_mutex_init(&target->forgets.lock, NULL);
	snprintf(target->name, sizeof(target->name), "casement-bench-%d-%c", (int)getpid(), label);
	err = connect_to(target, plan);
	if (err)
		return err;
	err = alloc_lanes(target, plan);
	if (err) {
		log_error("%s: no memory for %u requests of %zu bytes", socket,
			  plan->queues * plan->depth_max, plan->block_max);
		return err;
	}
	return tree_make(target, plan->n_entries, plan->file_size);
}

void target_close(struct bench_target *target)
{
	if (target->client && target->lanes) {
		target_forget_flush(target);
		tree_remove(target);
		casement_destroy(casement_request_queue(target->client, 0));
	}
	casement_close(target->client);
	target->client = NULL;
	for (unsigned int i = 0; target->lanes && i < target->queues * target->depth_max; i++)
		free(target->lanes[i]);
	free(target->lanes);
	target->lanes = NULL;
	pthread_mutex_destroy(&target->forgets.lock);
}
