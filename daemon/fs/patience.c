/* SPDX-License-Identifier: BSD-3-Clause */
/* What threads may wait for; see patience.h. */
#include "daemon/fs/patience.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/deadline.h"

static __thread struct {
	enum fs_patience patience;
	bool disk;		/* the request waits for a disk by its nature */
	uint64_t awaited;
	uint32_t session;	/* 0: one that the request does not outlive */
} self;

void fs_set_patience(enum fs_patience patience, bool disk)
{
	self.patience = patience;
	self.disk = disk;
}

uint64_t fs_awaited(void)
{
	return self.awaited;
}

void fs_set_session(uint32_t session)
{
	self.session = session;
}

bool patience_outlived(const uint32_t *now)
{
	return self.session && self.session != __atomic_load_n(now, __ATOMIC_SEQ_CST);
}

bool patience_is_endless(void)
{
	return self.patience == FS_PATIENCE_ENDLESS;
}

int patience_ask_mount(uint32_t mount, uint32_t device)
{
	if (patience_is_endless())
		return 0;
	self.awaited = (uint64_t)mount << 32 | device;
	return FS_WAITS_OTHERS;
}

int patience_ask(const struct inode *inode)
{
	if (patience_is_endless())
		return 0;
	if (inode_has(inode, INODE_WAITS))
		return patience_ask_mount(inode->key.mount, inode->key.device);
	return self.disk && self.patience == FS_PATIENCE_NONE ? FS_WAITS_DISK : 0;
}

int patience_await_file(const struct inode *inode)
{
	/* Node ids and mounts are told apart well enough: it only decides who shares a few threads. */
	self.awaited = ~inode_id(inode);
	return FS_WAITS_OTHERS;
}

enum fs_patience patience_swap(enum fs_patience patience)
{
	enum fs_patience old = self.patience;

	self.patience = patience;
	return old;
}

/* ---- descriptors closed elsewhere ---- */

struct closing {
	struct closing *next;
	int fd;
	struct fd_budget *budget;	/* that it is counted in, until it is closed */
};

/* A thread that closes files of one file system, since one of them may keep it for ever. */
struct closer {
	pthread_cond_t work;
	struct closing *first, **last;	/* [L:closing_lock], as all that follows */
	uint64_t key;			/* which file system, while there is something to close */
	bool started, busy;
};

/* File systems that may hang before others have to wait for them. */
#define CLOSERS 16

static pthread_mutex_t closing_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t closing_none = PTHREAD_COND_INITIALIZER;
static struct closer closers[CLOSERS];
static unsigned int closing_count;	/* [L:closing_lock] not closed yet */

static void *close_all(void *arg)
{
	struct closer *mine = arg;

	pthread_setname_np(pthread_self(), "close");
	pthread_mutex_lock(&closing_lock);
	for (;;) {
		struct closing *at = mine->first;

		mine->busy = at;
		if (!at) {
			pthread_cond_wait(&mine->work, &closing_lock);
			continue;
		}
		mine->first = at->next;
		if (!mine->first)
			mine->last = &mine->first;
		pthread_mutex_unlock(&closing_lock);
		close(at->fd);
		fd_budget_give(at->budget);
		free(at);
		pthread_mutex_lock(&closing_lock);
		if (!--closing_count)
			pthread_cond_broadcast(&closing_none);
	}
	return NULL;
}

static bool start_locked(struct closer *closer)
{
	sigset_t all, old;
	pthread_t thread;

	if (closer->started)
		return true;
	pthread_cond_init(&closer->work, NULL);
	closer->last = &closer->first;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	closer->started = !pthread_create(&thread, NULL, close_all, closer);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (closer->started)
		pthread_detach(thread);
	return closer->started;
}

/* The thread that closes files of this file system now; else an idle one; else one that others use, too. */
static struct closer *find_closer_locked(uint64_t key)
{
	struct closer *unused = NULL;

	for (unsigned int i = 0; i < CLOSERS; i++) {
		bool used = closers[i].busy || closers[i].first;

		if (used && closers[i].key == key)
			return &closers[i];
		if (!used && !unused)
			unused = &closers[i];
	}
	if (unused)
		unused->key = key;
	return unused ? unused : &closers[key % CLOSERS];
}

static bool hand_over(struct closing *new, uint64_t key)
{
	struct closer *closer;
	bool taken;

	pthread_mutex_lock(&closing_lock);
	closer = find_closer_locked(key);
	taken = start_locked(closer);
	if (taken) {
		new->next = NULL;
		*closer->last = new;
		closer->last = &new->next;
		closing_count++;
		pthread_cond_signal(&closer->work);
	}
	pthread_mutex_unlock(&closing_lock);
	return taken;
}

void patience_close(const struct inode *inode, int fd, struct fd_budget *budget)
{
	struct closing *new = NULL;

	if (!patience_is_endless() && inode_has(inode, INODE_WAITS))
		new = malloc(sizeof(*new));
	if (new) {
		*new = (struct closing){ .fd = fd, .budget = budget };
		if (hand_over(new, (uint64_t)inode->key.mount << 32 | inode->key.device))
			return;
		free(new);
	}
	close(fd);
	fd_budget_give(budget);
}

bool fs_await_closed(unsigned int ms)
{
	struct timespec until = deadline_in(ms);
	bool all;

	pthread_mutex_lock(&closing_lock);
	while (closing_count &&
	       pthread_cond_clockwait(&closing_none, &closing_lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
		continue;
	all = !closing_count;
	pthread_mutex_unlock(&closing_lock);
	return all;
}
