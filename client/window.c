/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end channel and the window; see window.h. Relies on the main
 * channel's lock when it announces a mapping; never holds its own lock then, so
 * that the session may be waiting for the daemon meanwhile.
 */
#include "client/window.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/error.h"
#include "common/checked.h"
#include "common/cleanup.h"

#define WINDOW_PAGE 4096u
#define ANSWER_DONE 0u
#define ANSWER_FAILED 1u

/* Index of the mapping that shares a byte with [at, at + len), or -1. Lock held. */
static int find_overlap(const struct window *window, uint64_t at, uint64_t len)
{
	for (unsigned int i = 0; i < window->n_mappings; i++)
		if (ranges_overlap(at, len, window->mappings[i].at, window->mappings[i].len))
			return (int)i;
	return -1;
}

static bool request_sane(const struct window *window, const struct vhost_user_mmap *map)
{
	return map->shmid == 0 && map->len && range_within(map->shm_offset, map->len, window->size) &&
	       is_aligned(map->shm_offset | map->fd_offset | map->len, WINDOW_PAGE);
}

static bool grow_table(struct window *window)
{
	unsigned int room = window->room ? 2 * window->room : 64;
	struct window_mapping *more;

	if (window->n_mappings < window->room)
		return true;
	more = realloc(window->mappings, room * sizeof(*more));
	if (!more)
		return false;
	window->mappings = more;
	window->room = room;
	return true;
}

/* SHMEM_MAP. Lock held. */
static uint64_t map_range(struct window *window, const struct vhost_user_mmap *map, int fd)
{
	bool writable = map->flags & VHOST_USER_MMAP_WRITABLE;
	int prot = PROT_READ | (writable || window->all_writable ? PROT_WRITE : 0);

	if (window->refuse)
		return window->refuse;
	if (fd < 0 || !request_sane(window, map) ||
	    find_overlap(window, map->shm_offset, map->len) >= 0 || !grow_table(window))
		return ANSWER_FAILED;
	if (mmap(window->base + map->shm_offset, map->len, prot, MAP_SHARED | MAP_FIXED, fd,
		 (off_t)map->fd_offset) == MAP_FAILED)
		return ANSWER_FAILED;
	window->mappings[window->n_mappings++] = (struct window_mapping){
		.at = map->shm_offset, .len = map->len, .offset = map->fd_offset,
		.writable = writable,
		.fd = window->announce == WINDOW_SILENT ? -1 : dup(fd),
	};
	window->peak = MAX(window->peak, window->n_mappings);
	return ANSWER_DONE;
}

/* SHMEM_UNMAP; *gone gets the mapping, its fd with it. Lock held. */
static uint64_t unmap_range(struct window *window, const struct vhost_user_mmap *map,
			    struct window_mapping *gone)
{
	int i = request_sane(window, map) ? find_overlap(window, map->shm_offset, map->len) : -1;

	if (i < 0 || window->mappings[i].at != map->shm_offset ||
	    window->mappings[i].len != map->len)
		return ANSWER_FAILED;
	*gone = window->mappings[i];
	mmap(window->base + gone->at, gone->len, PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	window->mappings[i] = window->mappings[--window->n_mappings];
	return ANSWER_DONE;
}

static struct vhost_user_mem_region describe_mapping(const struct window *window,
						     const struct window_mapping *mapping)
{
	return (struct vhost_user_mem_region){
		.guest_addr = WINDOW_GUEST_BASE + mapping->at,
		.size = mapping->len,
		.user_addr = (uintptr_t)window->base + mapping->at,
		.mmap_offset = mapping->offset,
	};
}

/* The whole memory table with as many mappings as it holds. Only this thread changes mappings. */
static void announce_table(struct window *window)
{
	struct vhost_user_mem_table table = { .nregions = window->memory->n };
	int fds[VHOST_USER_MEM_REGIONS];

	for (unsigned int i = 0; i < table.nregions; i++) {
		table.regions[i] = memory_describe(window->memory, i);
		fds[i] = window->memory->fd;
	}
	for (unsigned int i = 0; i < window->n_mappings; i++) {
		if (table.nregions == VHOST_USER_MEM_REGIONS)
			return;		/* QEMU prints an error and sends nothing */
		table.regions[table.nregions] = describe_mapping(window, &window->mappings[i]);
		fds[table.nregions++] = window->mappings[i].fd;
	}
	channel_set(window->main, VHOST_USER_SET_MEM_TABLE, &table,
		    offsetof(struct vhost_user_mem_table, regions) +
		    table.nregions * sizeof(table.regions[0]), fds, table.nregions);
}

static void announce(struct window *window, uint32_t request, const struct window_mapping *mapping)
{
	struct vhost_user_single_mem_region message = {
		.region = describe_mapping(window, mapping),
	};

	if (!window->mem_slots)
		announce_table(window);
	else if (request == VHOST_USER_BACKEND_SHMEM_MAP)
		channel_set(window->main, VHOST_USER_ADD_MEM_REG, &message, sizeof(message),
			    &mapping->fd, 1);
	else
		channel_set(window->main, VHOST_USER_REM_MEM_REG, &message, sizeof(message),
			    NULL, 0);
}

/* Wait while this request is to be held; then do it and remember it. */
static uint64_t serve_locked(struct window *window, const struct channel_message *message,
			     struct window_mapping *touched)
{
	const struct vhost_user_mmap *map = &message->payload.mmap;
	uint32_t request = message->header.request;
	uint64_t answer = ANSWER_FAILED;

	while (request < 32 && (window->hold & (1u << request)) && !window->stopping) {
		window->held = true;
		pthread_cond_broadcast(&window->changed);
		pthread_cond_wait(&window->changed, &window->lock);
	}
	window->held = false;
	if (message->header.size == sizeof(*map) && request == VHOST_USER_BACKEND_SHMEM_MAP) {
		answer = map_range(window, map, message->n_fds == 1 ? message->fds[0] : -1);
		if (answer == ANSWER_DONE)
			*touched = window->mappings[window->n_mappings - 1];
	} else if (message->header.size == sizeof(*map) &&
		   request == VHOST_USER_BACKEND_SHMEM_UNMAP) {
		answer = unmap_range(window, map, touched);
	}
	if (window->n_events < WINDOW_EVENTS)
		window->events[window->n_events++] = (struct window_event){ request, *map, answer };
	return answer;
}

static int answer_message(struct window *window, const struct channel_message *message,
			  uint64_t answer)
{
	struct {
		struct vhost_user_header header;
		uint64_t answer;
	} __attribute__((packed)) reply = {
		{ message->header.request, VHOST_USER_VERSION | VHOST_USER_REPLY,
		  sizeof(answer) }, answer };
	struct limit limit;

	if (!(message->header.flags & VHOST_USER_NEED_REPLY))
		return 0;
	limit = limit_in(window->main->timeout_ms, window->stop);
	return channel_send(window->sock, &reply, sizeof(reply), NULL, 0, &limit);
}

static int serve(struct window *window, struct channel_message *message)
{
	struct window_mapping touched = { .fd = -1 };
	uint32_t request = message->header.request;
	enum window_announce how;
	uint64_t answer;
	int err;

	if (message->header.size < sizeof(message->payload.mmap))
		memset((char *)&message->payload + message->header.size, 0,
		       sizeof(message->payload.mmap) - message->header.size);
	pthread_mutex_lock(&window->lock);
	answer = serve_locked(window, message, &touched);
	how = answer == ANSWER_DONE ? window->announce : WINDOW_SILENT;
	pthread_mutex_unlock(&window->lock);

	if (how == WINDOW_ANNOUNCE_FIRST)
		announce(window, request, &touched);
	err = answer_message(window, message, answer);
	if (how == WINDOW_ANNOUNCE)
		announce(window, request, &touched);
	if (request == VHOST_USER_BACKEND_SHMEM_UNMAP)
		close_fd(&touched.fd);
	return err;
}

/* The thread: one message after another until it is told to stop or the daemon goes. */
static void *window_run(void *arg)
{
	struct window *window = arg;
	struct pollfd pfds[2] = {
		{ .fd = window->sock, .events = POLLIN },
		{ .fd = window->stop, .events = POLLIN },
	};
	int err = 0;

	while (!err) {
		struct channel_message message;
		struct limit limit;

		if (poll(pfds, 2, -1) < 0)
			continue;
		if (pfds[1].revents)
			break;
		limit = limit_in(window->main->timeout_ms, window->stop);
		err = channel_receive_within(window->sock, &message, &limit);
		if (err)
			break;
		err = serve(window, &message);
		channel_message_clear(&message);
	}
	return NULL;
}

void window_close(struct window *window)
{
	uint64_t one = 1;

	if (window->sock < 0)
		return;
	pthread_mutex_lock(&window->lock);
	window->stopping = true;
	pthread_cond_broadcast(&window->changed);
	pthread_mutex_unlock(&window->lock);
	if (write(window->stop, &one, sizeof(one)) < 0)
		abort();	/* an eventfd with room cannot fail */
	pthread_join(window->thread, NULL);
	for (unsigned int i = 0; i < window->n_mappings; i++)
		close_fd(&window->mappings[i].fd);
	if (window->base)
		munmap(window->base, window->size);
	free(window->mappings);
	free(window->events);
	close_fd(&window->sock);
	close_fd(&window->stop);
	pthread_cond_destroy(&window->changed);
	pthread_mutex_destroy(&window->lock);
}

static int reserve(struct window *window, uint64_t size)
{
	void *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return error_set(-errno, "cannot reserve a window of %llu bytes: %s",
				 (unsigned long long)size, strerror(errno));
	window->base = base;
	window->size = size;
	return 0;
}

int window_open(struct window *window, int sock, uint64_t size)
{
	int err = size ? reserve(window, size) : 0;

	if (err)
		goto fail_sock;
	window->events = calloc(WINDOW_EVENTS, sizeof(window->events[0]));
	window->stop = eventfd(0, EFD_CLOEXEC);
	if (!window->events || window->stop < 0) {
		err = error_set(-ENOMEM, "cannot set up the back-end channel");
		goto fail_parts;
	}
	window->sock = sock;
	pthread_mutex_init(&window->lock, NULL);
	pthread_cond_init(&window->changed, NULL);
	err = -pthread_create(&window->thread, NULL, window_run, window);
	if (!err)
		return 0;
	error_set(err, "cannot start the back-end channel's thread: %s", strerror(-err));
	pthread_cond_destroy(&window->changed);
	pthread_mutex_destroy(&window->lock);
fail_parts:
	free(window->events);
	close_fd(&window->stop);
	if (window->base)
		munmap(window->base, window->size);
fail_sock:
	close(sock);
	window->base = NULL;
	window->sock = -1;
	return err;
}
