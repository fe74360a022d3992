/* SPDX-License-Identifier: BSD-3-Clause */
/* What threads may wait for; see patience.h. */
#include "daemon/fs/patience.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

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
};

static pthread_mutex_t closing_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t closing_work = PTHREAD_COND_INITIALIZER;
static struct closing *closing_first;	/* [L:closing_lock] as the next */
static bool closing_started;

static void *close_all(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "close");
	for (;;) {
		struct closing *at;

		pthread_mutex_lock(&closing_lock);
		while (!closing_first)
			pthread_cond_wait(&closing_work, &closing_lock);
		at = closing_first;
		closing_first = at->next;
		pthread_mutex_unlock(&closing_lock);
		close(at->fd);
		free(at);
	}
	return NULL;
}

static bool start_locked(void)
{
	sigset_t all, old;
	pthread_t thread;

	if (closing_started)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	closing_started = !pthread_create(&thread, NULL, close_all, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (closing_started)
		pthread_detach(thread);
	return closing_started;
}

void patience_close(const struct inode *inode, int fd)
{
	struct closing *new = NULL;

	if (!patience_is_endless() && inode_has(inode, INODE_WAITS))
		new = malloc(sizeof(*new));
	if (new) {
		pthread_mutex_lock(&closing_lock);
		*new = (struct closing){ .next = closing_first, .fd = fd };
		if (start_locked()) {
			closing_first = new;
			fd = -1;
			new = NULL;
			pthread_cond_signal(&closing_work);
		}
		pthread_mutex_unlock(&closing_lock);
		free(new);
	}
	if (fd >= 0)
		close(fd);
}
