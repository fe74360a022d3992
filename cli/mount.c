/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casement mount: the share of a virtio-fs daemon on this host, without a
 * machine. Connects, mounts, agrees on INIT, lets workers carry messages
 * between /dev/fuse and the queues, and takes everything down again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "casement/casement.h"
#include "cli/connect.h"
#include "cli/exit_timer.h"
#include "cli/mount_config.h"
#include "cli/mount_fuse.h"
#include "cli/mount_message.h"
#include "cli/mount_worker.h"
#include "cli/subcommand.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"

#define BUSY_NOTICE_MS 2000	/* an unmount that takes longer is explained */
#define INIT_WAIT_MS 10000	/* the kernel sends INIT with the mount */
#define RING_A_REQUEST 4	/* descriptors a request takes where the daemon has no indirect ones */

struct mount {
	const struct mount_config *config;
	struct casement *client;
	struct fuse_mount fuse;
	struct mount_urgent urgent;
	struct mount_worker *workers;
	unsigned int n_workers;		/* running */
	int signals;			/* signalfd */
	int stop_fd;			/* eventfd: workers shall end */
	int done_fd;			/* eventfd: a worker has ended */
	int ready_fd;			/* pipe to the process that waits for the mount; -1: none */
};

/* ---- INIT ---- */

/* The kernel's INIT, or -errno; -ECANCELED when there is a signal. */
static int read_init(const struct mount *mount, struct fuse_in_header *header, struct fuse_init_in *in)
{
	struct pollfd pfds[2] = {
		{ .fd = mount->fuse.fd, .events = POLLIN },
		{ .fd = mount->signals, .events = POLLIN },
	};
	size_t size = FUSE_MIN_READ_BUFFER;
	cleanup_free char *message = calloc(1, size);
	ssize_t n;

	if (!message)
		return -ENOMEM;
	if (poll(pfds, 2, INIT_WAIT_MS) <= 0)
		return -ETIMEDOUT;
	if (pfds[1].revents)
		return -ECANCELED;
	n = read(mount->fuse.fd, message, size);
	if (n < 0)
		return -errno;
	memcpy(header, message, sizeof(*header));
	if (header->opcode != FUSE_INIT || (size_t)n < sizeof(*header) + 16)
		return -EPROTO;
	/* An older kernel's is shorter; what it lacks is 0. */
	memcpy(in, message + sizeof(*header), sizeof(*in));
	return 0;
}

static int answer_init(int fd, uint64_t unique, const struct fuse_init_out *out)
{
	struct {
		struct fuse_out_header header;
		struct fuse_init_out out;
	} message = { { sizeof(message), 0, unique }, *out };

	return write(fd, &message, sizeof(message)) < 0 ? -errno : 0;
}

static int negotiate(struct mount *mount)
{
	struct casement_queue *queue = casement_request_queue(mount->client, 0);
	unsigned int requests = (unsigned int)(mount->config->queues * mount->config->depth);
	uint32_t device = fuse_mount_device(mount->config);
	struct fuse_in_header header = { 0 };
	struct fuse_init_out out;
	struct fuse_init_in in;
	int err = read_init(mount, &header, &in);

	if (err) {
		log_error("the kernel does not begin: %s", strerror(-err));
		return err;
	}
	message_limit_init(&in);
	if (device)
		message_offer_device(&in, device);
	err = casement_init(queue, &in, &out);
	if (err) {
		log_error("the daemon does not accept the mount: %s", casement_error());
		return err;
	}
	message_limit_init_reply(&in, requests, &out);
	err = answer_init(mount->fuse.fd, header.unique, &out);
	if (err)
		log_error("the kernel does not accept the daemon's terms: %s", strerror(-err));
	return err;
}

/* ---- workers ---- */

static int start_worker(struct mount *mount, unsigned int i)
{
	int fd = i ? fuse_mount_clone(&mount->fuse) : mount->fuse.fd;
	struct mount_worker *worker = &mount->workers[i];
	int err;

	if (fd < 0)
		return fd;
	*worker = (struct mount_worker){
		.fuse_fd = fd, .stop_fd = mount->stop_fd, .done_fd = mount->done_fd,
		.daemon_fd = casement_fd(mount->client),
		.queue = casement_request_queue(mount->client, i),
		.urgent = &mount->urgent, .n_slots = (unsigned int)mount->config->depth,
	};
	err = worker_start(worker, mount->client);
	if (!err)
		mount->n_workers++;
	else if (i)
		close(fd);
	return err;
}

static int start_workers(struct mount *mount)
{
	unsigned int n = casement_request_queues(mount->client);
	int err = 0;

	mount->workers = calloc(n, sizeof(mount->workers[0]));
	if (!mount->workers)
		return -ENOMEM;
	for (unsigned int i = 0; !err && i < n; i++)
		err = start_worker(mount, i);
	return err;
}

static void raise_event(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		abort();	/* an eventfd with room cannot fail */
}

/* Wait for all workers: 0, or the first error of one. */
static int join_workers(struct mount *mount)
{
	int result = 0;

	for (unsigned int i = 0; i < mount->n_workers; i++) {
		worker_join(&mount->workers[i]);
		if (mount->workers[i].result && mount->workers[i].result != -ESHUTDOWN)
			result = mount->workers[i].result;
	}
	/* Not before all have ended: with the first descriptor the mount can break. */
	for (unsigned int i = 1; i < mount->n_workers; i++)
		close(mount->workers[i].fuse_fd);
	return result;
}

static void free_workers(struct mount *mount)
{
	for (unsigned int i = 0; i < mount->n_workers; i++)
		worker_free(&mount->workers[i]);
	free(mount->workers);
}

/* ---- the life of a mount ---- */

/* A signal: the first one unmounts, the next ends it for those who still use it. */
static void on_signal(struct mount *mount, bool again)
{
	struct signalfd_siginfo info;

	if (read(mount->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (!again) {
		log_debug("signal %u: unmounting %s", info.ssi_signo, mount->config->dir);
		fuse_mount_detach(&mount->fuse);
		return;
	}
	log_warn("%s: cut off while still in use", mount->config->dir);
	exit_timer_start();
	raise_event(mount->stop_fd);
}

/* Until a worker ends: with the mount, the daemon, or because it was told to. */
static void supervise(struct mount *mount)
{
	struct pollfd pfds[2] = {
		{ .fd = mount->signals, .events = POLLIN },
		{ .fd = mount->done_fd, .events = POLLIN },
	};
	bool leaving = false, explained = false;

	while (!(pfds[1].revents & POLLIN)) {
		int n = poll(pfds, 2, leaving && !explained ? BUSY_NOTICE_MS : -1);

		if (n == 0) {
			explained = true;
			log_info("%s was unmounted, but is in use: waiting until it is not; a second signal cuts it off",
				 mount->config->dir);
		}
		if (n > 0 && pfds[0].revents & POLLIN) {
			on_signal(mount, leaving);
			leaving = true;
		}
	}
}

/* Tell who started us in the background that we are there, and let go of its terminal. */
static int announce(struct mount *mount)
{
	cleanup_close int null = -1;
	char byte = 0;

	log_debug("%s is mounted on %s", mount->config->socket, mount->config->dir);
	if (mount->ready_fd < 0)
		return 0;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
	    chdir("/") || write(mount->ready_fd, &byte, 1) != 1)
		return -errno;
	close_fd(&mount->ready_fd);
	return 0;
}

/* From INIT to the last answer. 0 when it was unmounted. */
static int serve(struct mount *mount)
{
	int err = negotiate(mount);

	if (err)
		return err;
	urgent_open(&mount->urgent, casement_hiprio_queue(mount->client));
	err = start_workers(mount);
	if (!err)
		err = announce(mount);
	if (!err)
		supervise(mount);
	/* A mount that is gone ends each worker by itself; an error of one ends all. */
	if (err)
		raise_event(mount->stop_fd);
	return err;
}

/* A worker that has failed takes the others with it; one whose mount is gone need not. */
static int finish(struct mount *mount, int err)
{
	bool failed = err;
	int result;

	for (unsigned int i = 0; i < mount->n_workers; i++)
		failed |= __atomic_load_n(&mount->workers[i].result, __ATOMIC_ACQUIRE) != 0;
	if (failed)
		raise_event(mount->stop_fd);
	result = join_workers(mount);
	exit_timer_stop();
	urgent_close(&mount->urgent);
	if (result == -ENOTCONN || result == -ECONNRESET)
		log_error("%s: the daemon has gone; %s was unmounted", mount->config->socket,
			  mount->config->dir);
	else if (result)
		log_error("%s: %s; %s was unmounted", mount->config->socket, strerror(-result),
			  mount->config->dir);
	return err ? err : result;
}

static int run(struct mount *mount)
{
	int err = fuse_mount_open(mount->config, &mount->fuse);

	if (err)
		return err;
	err = finish(mount, serve(mount));
	fuse_mount_close(&mount->fuse);
	/* A daemon that serves another client after us shall not keep our state. */
	if (!err)
		casement_destroy(casement_request_queue(mount->client, 0));
	return err;
}

static int open_events(struct mount *mount)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	mount->signals = signalfd(-1, &mask, SFD_CLOEXEC);
	mount->stop_fd = eventfd(0, EFD_CLOEXEC);
	mount->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* It was unmounted by then, and what still uses it gets errors when /dev/fuse is closed. */
	if (mount->signals >= 0 && mount->stop_fd >= 0 && mount->done_fd >= 0 &&
	    !exit_timer_new(STATUS_ERROR))
		return 0;
	log_error("out of descriptors: %s", strerror(errno));
	return -EMFILE;
}

static unsigned int ring_size(uint64_t depth)
{
	unsigned int size = 64;

	while (size < RING_A_REQUEST * depth)
		size *= 2;
	return size;
}

/* All of it, in this process. The exit status. */
static int mount_here(const struct mount_config *config, int ready_fd)
{
	struct casement_options options = {
		.request_queues = (unsigned int)config->queues,
		.depth = (unsigned int)config->depth,
		.queue_size = ring_size(config->depth),
		.max_request = 65536,	/* messages are in slots: what is copied is ours alone */
		.heap_size = config->queues * config->depth * slot_memory(),
		.flags = CASEMENT_NO_WINDOW,
	};
	struct mount mount = { .config = config, .signals = -1, .stop_fd = -1, .done_fd = -1,
			       .ready_fd = ready_fd };
	int err = open_events(&mount);

	/* A signal ends what is waited for before the mount, and after it. */
	options.stop_fd = mount.signals;
	if (!err)
		err = connect_daemon(config->socket, &options, &mount.client);
	if (!err)
		err = run(&mount);
	casement_close(mount.client);
	free_workers(&mount);
	close_fd(&mount.signals);
	close_fd(&mount.stop_fd);
	close_fd(&mount.done_fd);
	close_fd(&mount.ready_fd);
	return err ? STATUS_ERROR : 0;
}

/* What our caller had open is not ours to keep: a mount may stay for years. */
static void close_inherited(const struct mount_config *config, int ready_fd)
{
	unsigned int from = STDERR_FILENO + 1;
	int given = -1, keep[2];

	/* libfuse mounts on a descriptor of /dev/fuse that it is given by this name. */
	if (sscanf(config->dir, "/dev/fd/%d", &given) != 1)
		given = -1;
	keep[0] = MIN(given, ready_fd);
	keep[1] = MAX(given, ready_fd);
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		if (keep[i] < (int)from)
			continue;
		if (keep[i] > (int)from)
			close_range(from, (unsigned int)keep[i] - 1, 0);
		from = (unsigned int)keep[i] + 1;
	}
	close_range(from, ~0U, 0);
}

/* In a child; the exit status is known when the mount is there or the child has failed. */
static int mount_in_background(const struct mount_config *config)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) || (pid = fork()) < 0) {
		log_error("cannot go into the background: %s", strerror(errno));
		return STATUS_ERROR;
	}
	if (!pid) {
		setsid();
		close_inherited(config, ready[1]);
		exit(mount_here(config, ready[1]));
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1)
		return 0;
	if (waitpid(pid, &status, 0) != pid)
		return STATUS_ERROR;
	if (WIFSIGNALED(status))
		log_error("the process in the background was ended by signal %d", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_ERROR;
}

int mount_main(int argc, char **argv)
{
	struct mount_config config;

	log_setup("casement mount", LOG_LEVEL_INFO);
	switch (mount_config_parse(argc, argv, &config)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return STATUS_USAGE;
	case OPTIONS_GO:
		break;
	}
	if (config.verbose)
		log_setup("casement mount", LOG_LEVEL_DEBUG);
	log_while_serving();
	return config.background ? mount_in_background(&config) : mount_here(&config, -1);
}
