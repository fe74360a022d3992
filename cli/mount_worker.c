/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One worker of a mount; see mount_worker.h. Relies on slot.h for messages;
 * never waits for one answer while another could be carried, and leaves no
 * request unanswered at its end.
 */
#include "cli/mount_worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"

#define WORKER_BATCH 32
#define WORKER_EVENTS 5

enum worker_event { EVENT_FUSE, EVENT_CALL, EVENT_DAEMON, EVENT_STOP };

/* ---- slots ---- */

static void put_free(struct mount_worker *worker, struct mount_slot *slot)
{
	slot->unique = 0;
	slot->next = worker->free;
	worker->free = slot;
}

static struct mount_slot *take_free(struct mount_worker *worker)
{
	struct mount_slot *slot = worker->free;

	worker->free = slot->next;
	return slot;
}

/* Take back what the high-priority queue is done with, in its order: the first not done ends it. */
static void take_back(struct mount_worker *worker)
{
	while (worker->lent && __atomic_load_n(&worker->lent->returned, __ATOMIC_ACQUIRE)) {
		struct mount_slot *slot = worker->lent;

		worker->lent = slot->next;
		if (!worker->lent)
			worker->lent_tail = &worker->lent;
		put_free(worker, slot);
	}
}

static void lend(struct mount_worker *worker, struct mount_slot *slot)
{
	slot->next = NULL;
	*worker->lent_tail = slot;
	worker->lent_tail = &slot->next;
}

static int send_urgent(struct mount_worker *worker, struct mount_slot *slot)
{
	int sent = urgent_send(worker->urgent, slot);

	worker->unsent = sent ? NULL : slot;
	if (sent > 0)
		lend(worker, slot);
	return MIN(sent, 0);
}

/* No message can be taken before the high-priority queue gives something back. */
static bool is_starved(const struct mount_worker *worker)
{
	return worker->unsent || (!worker->free && worker->lent);
}

/* Get a slot back where none is free, if one has come; those in the own queue come by themselves. */
static int make_room(struct mount_worker *worker)
{
	int err = 0;

	take_back(worker);
	if (worker->unsent)
		err = send_urgent(worker, worker->unsent);
	else if (!worker->free && worker->lent)
		err = urgent_collect(worker->urgent);
	take_back(worker);
	return err;
}

/* ---- one direction and the other ---- */

static int carry_one(struct mount_worker *worker, struct mount_slot *slot)
{
	int taken;

	if (message_is_urgent(slot->request.opcode))
		return send_urgent(worker, slot);
	taken = casement_submit(worker->queue, &slot->request, 1);
	if (taken <= 0)
		return taken ? taken : -EAGAIN;	/* there are no more slots than the queue takes */
	worker->in_flight++;
	return 0;
}

/*
 * Messages from the kernel to the queue. After the first it looks for more only
 * where there were some lately: a look costs a system call.
 */
static int carry_in(struct mount_worker *worker)
{
	int err = make_room(worker);

	while (!err && worker->free && !worker->unsent) {
		struct mount_slot *slot = take_free(worker);
		int n = slot_read(slot, worker->fuse_fd);

		if (n == 1) {
			err = carry_one(worker, slot);
			if (worker->in_flight < 2 && !worker->lent)
				break;
			continue;
		}
		if (n == -E2BIG)
			slot_fail(slot, worker->fuse_fd, n);
		put_free(worker, slot);
		if (n != -E2BIG)
			return n;
	}
	return err;
}

/* Answers from the queue to the kernel: how many, or -errno. */
static int carry_out(struct mount_worker *worker)
{
	struct casement_request *done[WORKER_BATCH];
	int n = casement_complete(worker->queue, done, WORKER_BATCH, 0);

	for (int i = 0; i < n; i++) {
		struct mount_slot *slot = done[i]->user;

		slot_answer(slot, worker->fuse_fd);
		put_free(worker, slot);
		worker->in_flight--;
	}
	return n;
}

/* ---- the thread ---- */

/* Listen to the kernel only while there is a slot for what it says. */
static int listen_fuse(struct mount_worker *worker, bool on)
{
	struct epoll_event event = { .events = on ? EPOLLIN : 0, .data.u32 = EVENT_FUSE };

	if (worker->listening == on)
		return 0;
	worker->listening = on;
	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, worker->fuse_fd, &event) ? -errno : 0;
}

/* Before a sleep in which something must come back: 0, 1 when something has, or -errno. */
static int wait_urgent(struct mount_worker *worker)
{
	int err = urgent_arm(worker->urgent, worker->unsent ? NULL : worker->lent);

	/* There may have been room since the last try, before we asked to be told. */
	if (err || !worker->unsent)
		return err;
	err = send_urgent(worker, worker->unsent);
	return err ? err : !worker->unsent;
}

/*
 * Sleep until there is something to do; *fuse: the kernel has a message.
 * -ENODEV: the mount is gone; -ESHUTDOWN: told to stop; -ENOTCONN: the daemon has gone.
 */
static int wait_for_work(struct mount_worker *worker, bool *fuse)
{
	struct epoll_event events[WORKER_EVENTS];
	int n, err = listen_fuse(worker, worker->free && !worker->unsent);

	*fuse = false;
	if (!err && is_starved(worker))
		err = wait_urgent(worker);
	if (err)
		return MIN(err, 0);	/* or 1: go and see what came back */
	n = epoll_wait(worker->epoll_fd, events, WORKER_EVENTS, -1);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (events[i].data.u32 == EVENT_FUSE && events[i].events & EPOLLERR)
			return -ENODEV;
		if (events[i].data.u32 == EVENT_FUSE)
			*fuse = true;
		if (events[i].data.u32 == EVENT_STOP)
			return -ESHUTDOWN;
		if (events[i].data.u32 == EVENT_DAEMON)
			err = -ENOTCONN;
	}
	return err;
}

static int serve(struct mount_worker *worker)
{
	bool fuse = false;
	int err = 0;

	while (!err) {
		int n = carry_out(worker);

		if (n < 0)
			return n;
		if (fuse || is_starved(worker))
			err = carry_in(worker);
		fuse = false;
		if (!err && !n && !casement_queue_arm(worker->queue))
			err = wait_for_work(worker, &fuse);
	}
	return err;
}

/* The daemon will not answer any more: each waiting process gets an error. */
static void fail_rest(struct mount_worker *worker)
{
	for (unsigned int i = 0; i < worker->n_slots; i++) {
		struct mount_slot *slot = &worker->slots[i];

		if (slot->unique && !message_is_urgent(slot->request.opcode))
			slot_fail(slot, worker->fuse_fd, -ENOTCONN);
	}
}

static void *worker_run(void *arg)
{
	struct mount_worker *worker = arg;
	uint64_t one = 1;
	int err = serve(worker);

	/* ECONNABORTED: unmounted by force. */
	worker->result = err == -ENODEV || err == -ECONNABORTED ? 0 : err;
	if (worker->result)
		fail_rest(worker);
	if (write(worker->done_fd, &one, sizeof(one)) < 0)
		abort();	/* an eventfd with room cannot fail */
	return NULL;
}

static int watch(struct mount_worker *worker, int fd, uint32_t events, enum worker_event what)
{
	struct epoll_event event = { .events = events, .data.u32 = what };

	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int watch_all(struct mount_worker *worker)
{
	int err = watch(worker, worker->fuse_fd, EPOLLIN, EVENT_FUSE);

	worker->listening = true;
	if (!err)	/* edge-triggered: the calls need not be read */
		err = watch(worker, casement_queue_fd(worker->queue), EPOLLIN | EPOLLET, EVENT_CALL);
	if (!err)
		err = watch(worker, urgent_fd(worker->urgent), EPOLLIN | EPOLLET, EVENT_CALL);
	if (!err)
		err = watch(worker, worker->daemon_fd, EPOLLRDHUP, EVENT_DAEMON);
	if (!err)
		err = watch(worker, worker->stop_fd, EPOLLIN, EVENT_STOP);
	return err;
}

static bool init_slots(struct mount_worker *worker, struct casement *client)
{
	worker->lent_tail = &worker->lent;
	worker->slots = calloc(worker->n_slots, sizeof(worker->slots[0]));
	for (unsigned int i = 0; worker->slots && i < worker->n_slots; i++) {
		if (!slot_init(&worker->slots[i], client))
			return false;
		put_free(worker, &worker->slots[i]);
	}
	return worker->slots;
}

void worker_free(struct mount_worker *worker)
{
	free(take_ptr(worker->slots));
}

void worker_join(struct mount_worker *worker)
{
	pthread_join(worker->thread, NULL);
	close_fd(&worker->epoll_fd);
}

int worker_start(struct mount_worker *worker, struct casement *client)
{
	int err = 0;

	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll_fd < 0)
		err = -errno;
	else if (!init_slots(worker, client))
		err = -ENOMEM;
	if (!err)
		err = watch_all(worker);
	if (!err)
		err = -pthread_create(&worker->thread, NULL, worker_run, worker);
	if (err) {
		log_error("cannot start a thread for a queue: %s", strerror(-err));
		close_fd(&worker->epoll_fd);
		worker_free(worker);
	}
	return err;
}
