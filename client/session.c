/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bringing a client up and down; see session.h. Relies on channel, memory,
 * window and queue; never goes on after a step that failed.
 */
#include "client/session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/error.h"
#include "common/checked.h"
#include "common/cleanup.h"

#define BIT(n) (1ull << (n))
#define DEFAULT(value, otherwise) ((value) ? (value) : (otherwise))
#define QUEUES_MAX 256u
#define DEFAULT_TIMEOUT_MS 30000
#define CONNECT_PIECE_US 200000
#define MEMORY_STEP (2ull << 20)

#define WANTED_PROTOCOL_FEATURES \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) | \
	 BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT(VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD) | \
	 BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) | \
	 BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | BIT(VHOST_USER_PROTOCOL_F_SHMEM))

static int resolve_options(struct casement_options *to, const struct casement_options *from)
{
	*to = from ? *from : (struct casement_options){ 0 };
	to->request_queues = DEFAULT(to->request_queues, 1);
	to->queue_size = DEFAULT(to->queue_size, 256);
	to->depth = DEFAULT(to->depth, 32);
	to->max_request = DEFAULT(to->max_request, 1u << 20);
	to->heap_size = DEFAULT(to->heap_size, 16u << 20);
	to->memory_regions = DEFAULT(to->memory_regions, 1);
	to->timeout_ms = DEFAULT(to->timeout_ms, DEFAULT_TIMEOUT_MS);
	if (to->request_queues >= QUEUES_MAX || to->depth > to->queue_size ||
	    !is_power_of_two(to->queue_size) || to->queue_size > VIRTIO_RING_MAX ||
	    to->memory_regions > MEMORY_REGIONS_MAX || to->timeout_ms > INT32_MAX ||
	    !is_aligned(to->memory_gap, 4096))
		return error_set(-EINVAL, "options out of range");
	return 0;
}

/* Memory for every queue and the heap, with a spare piece in each region for what does not fit its end. */
static int open_memory(struct casement *client)
{
	const struct casement_options *o = &client->options;
	size_t spare = o->max_request + MEMORY_STEP;
	size_t need = o->heap_size + spare * o->memory_regions;
	size_t each;

	need += client->n_queues * queue_memory(o->queue_size, o->depth, o->max_request);
	each = (need / o->memory_regions + MEMORY_STEP) & ~(MEMORY_STEP - 1);
	return memory_open(&client->memory, o->memory_regions, each, o->memory_gap);
}

static int open_queues(struct casement *client)
{
	int err = 0;

	client->queues = aligned_alloc(_Alignof(struct casement_queue),
				       client->n_queues * sizeof(client->queues[0]));
	if (!client->queues)
		return error_set(-ENOMEM, "no memory for %u queues", client->n_queues);
	memset(client->queues, 0, client->n_queues * sizeof(client->queues[0]));
	for (unsigned int i = 0; i < client->n_queues; i++)
		client->queues[i].kick = client->queues[i].call = -1;
	for (unsigned int i = 0; !err && i < client->n_queues; i++) {
		struct casement_queue *queue = &client->queues[i];

		queue->channel = &client->channel;
		queue->memory = &client->memory;
		queue->agreed = &client->agreed;
		queue->index = i;
		queue->size = client->options.queue_size;
		queue->depth = client->options.depth;
		queue->poll = client->options.flags & CASEMENT_POLL;
		err = queue_open(queue, client->options.max_request);
	}
	return err;
}

void session_free(struct casement *client)
{
	if (!client)
		return;
	shutdown(client->channel.sock, SHUT_RDWR);
	window_close(&client->window);
	for (unsigned int i = 0; client->queues && i < client->n_queues; i++)
		queue_close(&client->queues[i]);
	free(client->queues);
	memory_close(&client->memory);
	channel_close(&client->channel);
	free(client);
}

int session_new(int sock, const struct casement_options *options, struct casement **out)
{
	struct casement *client = calloc(1, sizeof(*client));
	int err;

	if (!client) {
		close(sock);
		return error_set(-ENOMEM, "no memory");
	}
	client->window.sock = -1;
	client->memory.fd = -1;
	channel_open(&client->channel, sock);
	err = resolve_options(&client->options, options);
	client->channel.timeout_ms = (int)client->options.timeout_ms;
	client->channel.stop_fd = client->options.stop_fd > 0 ? client->options.stop_fd : -1;
	client->n_queues = client->options.request_queues + 1;
	if (!err)
		err = open_memory(client);
	if (!err)
		err = open_queues(client);
	if (err) {
		session_free(client);
		return err;
	}
	*out = client;
	return 0;
}

/* A request without payload that is answered by a number. */
static int get_u64(struct casement *client, uint32_t request, uint64_t *value)
{
	return channel_get(&client->channel, request, NULL, 0, value, sizeof(*value));
}

static int set_u64(struct casement *client, uint32_t request, uint64_t value)
{
	return channel_set(&client->channel, request, &value, sizeof(value), NULL, 0);
}

static uint64_t unwanted_protocol(const struct casement *client)
{
	uint64_t no = 0;

	if (client->options.flags & CASEMENT_NO_MEM_SLOTS)
		no |= BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	if (client->options.flags & CASEMENT_NO_WINDOW)
		no |= BIT(VHOST_USER_PROTOCOL_F_SHMEM);
	return no;
}

static int negotiate_features(struct casement *client)
{
	uint64_t must = BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	uint64_t want = must;
	int err;

	if (!(client->options.flags & CASEMENT_NO_EVENT_IDX))
		want |= BIT(VIRTIO_RING_F_EVENT_IDX);
	if (!(client->options.flags & CASEMENT_NO_INDIRECT))
		want |= BIT(VIRTIO_RING_F_INDIRECT_DESC);
	err = get_u64(client, VHOST_USER_GET_FEATURES, &client->offered);
	if (!err && (client->offered & must) != must)
		err = error_set(-EOPNOTSUPP, "the daemon offers features %#llx only",
				(unsigned long long)client->offered);
	if (!err)
		err = get_u64(client, VHOST_USER_GET_PROTOCOL_FEATURES, &client->protocol_offered);
	if (err)
		return err;
	client->features = client->offered & want;
	client->protocol = client->protocol_offered & WANTED_PROTOCOL_FEATURES &
			   ~unwanted_protocol(client);
	err = set_u64(client, VHOST_USER_SET_PROTOCOL_FEATURES, client->protocol);
	client->channel.reply_ack = client->protocol & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK);
	if (!err)
		err = channel_set(&client->channel, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0);
	if (!err)
		err = set_u64(client, VHOST_USER_SET_FEATURES, client->features);
	for (unsigned int i = 0; i < client->n_queues; i++) {
		client->queues[i].event_idx = client->features & BIT(VIRTIO_RING_F_EVENT_IDX);
		client->queues[i].use_indirect =
			client->features & BIT(VIRTIO_RING_F_INDIRECT_DESC);
	}
	return err;
}

static int read_config(struct casement *client)
{
	struct vhost_user_config request = { .size = sizeof(client->config) }, reply;
	size_t size = VHOST_USER_CONFIG_HEADER + sizeof(client->config);
	int err = channel_get(&client->channel, VHOST_USER_GET_CONFIG, &request, size, &reply, size);

	if (err)
		return err;
	if (reply.size != sizeof(client->config))
		return error_set(-EPROTO, "config space of %u bytes", reply.size);
	memcpy(&client->config, reply.region, sizeof(client->config));
	memcpy(client->tag, client->config.tag, VIRTIO_FS_TAG_MAX);
	return 0;
}

int session_negotiate(struct casement *client)
{
	int err = negotiate_features(client);

	client->max_queues = 1;
	client->max_slots = VHOST_USER_MEM_REGIONS;
	if (!err && (client->protocol & BIT(VHOST_USER_PROTOCOL_F_MQ)))
		err = get_u64(client, VHOST_USER_GET_QUEUE_NUM, &client->max_queues);
	if (!err && client->max_queues < client->n_queues)
		err = error_set(-EOPNOTSUPP, "the daemon serves %llu queues, %u were asked for",
				(unsigned long long)client->max_queues, client->n_queues);
	if (!err && (client->protocol & BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)))
		err = get_u64(client, VHOST_USER_GET_MAX_MEM_SLOTS, &client->max_slots);
	if (!err && (client->protocol & BIT(VHOST_USER_PROTOCOL_F_CONFIG)))
		err = read_config(client);
	return err;
}

/* Bytes of the window, after a look at all regions of shared memory. */
static int window_size(struct casement *client, uint64_t *size)
{
	struct vhost_user_shmem_config config;
	int err;

	*size = 0;
	if (!(client->protocol & BIT(VHOST_USER_PROTOCOL_F_SHMEM)))
		return 0;
	err = channel_get(&client->channel, VHOST_USER_GET_SHMEM_CONFIG, NULL, 0, &config,
			  sizeof(config));
	if (!err)
		*size = config.sizes[VIRTIO_FS_SHMID_CACHE];
	return err;
}

int session_open_window(struct casement *client)
{
	uint64_t needs = BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
			 BIT(VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD);
	cleanup_close int theirs = -1;
	uint64_t size;
	int pair[2];
	int err;

	if ((client->protocol & needs) != needs)
		return 0;
	err = window_size(client, &size);
	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return error_set(-errno, "back-end channel: %s", strerror(errno));
	theirs = pair[1];
	client->window.main = &client->channel;
	client->window.memory = &client->memory;
	client->window.mem_slots =
		client->protocol & BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	client->window.all_writable = client->options.flags & CASEMENT_MAP_ALL_WRITABLE;
	client->window.announce = client->options.flags & CASEMENT_ANNOUNCE_MAPPINGS ?
				  WINDOW_ANNOUNCE : WINDOW_SILENT;
	err = window_open(&client->window, pair[0], size);
	client->memory.window = client->window.base;
	client->memory.window_size = client->window.size;
	if (!err)
		err = channel_set(&client->channel, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0,
				  &theirs, 1);
	return err;
}

static int add_region(struct casement *client, unsigned int i)
{
	struct vhost_user_single_mem_region message = {
		.region = memory_describe(&client->memory, i),
	};

	return channel_set(&client->channel, VHOST_USER_ADD_MEM_REG, &message, sizeof(message),
			   &client->memory.fd, 1);
}

static int set_table(struct casement *client)
{
	struct vhost_user_mem_table table = { .nregions = client->memory.n };
	int fds[VHOST_USER_MEM_REGIONS];

	for (unsigned int i = 0; i < table.nregions; i++) {
		table.regions[i] = memory_describe(&client->memory, i);
		fds[i] = client->memory.fd;
	}
	return channel_set(&client->channel, VHOST_USER_SET_MEM_TABLE, &table,
			   offsetof(struct vhost_user_mem_table, regions) +
			   table.nregions * sizeof(table.regions[0]), fds, table.nregions);
}

int session_tell_memory(struct casement *client)
{
	int err = 0;

	if (!(client->protocol & BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)))
		return set_table(client);
	for (unsigned int i = 0; !err && i < client->memory.n; i++)
		err = add_region(client, i);
	return err;
}

int session_start_queues(struct casement *client)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < client->n_queues; i++)
		err = casement_queue_start(&client->queues[i]);
	return err;
}

int casement_fd(const struct casement *client)
{
	return client->channel.sock;
}

int casement_ended(const struct casement *client)
{
	struct pollfd pfd = { .fd = client->channel.sock, .events = POLLRDHUP };
	int err = channel_ended(&client->channel);

	if (!err && poll(&pfd, 1, 0) > 0)
		err = error_set(-ECONNRESET, "the daemon closed the connection");
	return err;
}

const char *casement_tag(const struct casement *client)
{
	return client->tag;
}

unsigned int casement_request_queues(const struct casement *client)
{
	return client->n_queues - 1;
}

struct casement_queue *casement_request_queue(struct casement *client, unsigned int index)
{
	return index < client->n_queues - 1 ?
	       &client->queues[VIRTIO_FS_QUEUE_REQUEST + index] : NULL;
}

struct casement_queue *casement_hiprio_queue(struct casement *client)
{
	return &client->queues[VIRTIO_FS_QUEUE_HIPRIO];
}

void *casement_alloc(struct casement *client, size_t size)
{
	return memory_alloc(&client->memory, size);
}

void *casement_window(const struct casement *client, uint64_t *size)
{
	*size = client->window.size;
	return client->window.base;
}

void casement_close(struct casement *client)
{
	session_free(client);
}

int casement_connect_fd(int fd, const struct casement_options *options, struct casement **out)
{
	struct casement *client;
	int err = session_new(fd, options, &client);

	if (err)
		return err;
	err = session_negotiate(client);
	if (!err)
		err = session_open_window(client);
	if (!err)
		err = memory_seal(&client->memory);
	if (!err)
		err = session_tell_memory(client);
	if (!err)
		err = session_start_queues(client);
	if (err)
		session_free(client);
	else
		*out = client;
	return err;
}

/* connect(2) waits where the daemon takes nobody in; a piece at a time, as it knows no other end. */
static int connect_within(int sock, const struct sockaddr_un *address, const struct limit *limit)
{
	struct pollfd pfd = { .fd = limit->stop_fd, .events = POLLIN };
	struct timeval piece = { .tv_usec = CONNECT_PIECE_US };

	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &piece, sizeof(piece));
	while (connect(sock, (const struct sockaddr *)address, sizeof(*address))) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (poll(&pfd, 1, 0) > 0)
			return -ECANCELED;
		if (!limit_left(limit))
			return -ETIMEDOUT;
	}
	return 0;
}

int casement_connect(const char *path, const struct casement_options *options,
		     struct casement **out)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_close int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned int ms = options && options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
	struct limit limit = limit_in((int)ms, options && options->stop_fd ? options->stop_fd : -1);
	int err;

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(-ENAMETOOLONG, "%s: too long for a socket", path);
	strcpy(address.sun_path, path);
	err = sock < 0 ? -errno : connect_within(sock, &address, &limit);
	if (err)
		return error_set(err, "%s: %s", path, strerror(-err));
	return casement_connect_fd(take_fd(&sock), options, out);
}
