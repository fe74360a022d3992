/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user session: receive a message, find its row, check its size and
 * descriptors, run it, answer. See vu_session.h.
 */
#include "daemon/transport/vu_session.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "common/checked.h"
#include "common/log.h"

struct vu_row {
	const char *name;
	vu_handler handler;
	uint32_t min_size, max_size;	/* of the payload */
	unsigned int max_fds;
	bool replies;			/* has an answer of its own, errors too */
};

#define ROW(n, h, min, max, fds, rep) [VHOST_USER_##n] = { #n, h, min, max, fds, rep }
#define U64 sizeof(uint64_t)
#define STATE sizeof(struct vhost_user_vring_state)
#define REGION sizeof(struct vhost_user_single_mem_region)

static const struct vu_row rows[VHOST_USER_REQUEST_LIMIT] = {
	ROW(GET_FEATURES, vu_get_features, 0, 0, 0, true),
	ROW(SET_FEATURES, vu_set_features, U64, U64, 0, false),
	ROW(SET_OWNER, vu_set_owner, 0, 0, 0, false),
	ROW(RESET_OWNER, vu_reset_owner, 0, 0, 0, false),
	ROW(SET_MEM_TABLE, vu_set_mem_table, 8, sizeof(struct vhost_user_mem_table),
	    VHOST_USER_MEM_REGIONS, false),
	ROW(SET_VRING_NUM, vu_set_vring_num, STATE, STATE, 0, false),
	ROW(SET_VRING_ADDR, vu_set_vring_addr, sizeof(struct vhost_user_vring_addr),
	    sizeof(struct vhost_user_vring_addr), 0, false),
	ROW(SET_VRING_BASE, vu_set_vring_base, STATE, STATE, 0, false),
	ROW(GET_VRING_BASE, vu_get_vring_base, STATE, STATE, 0, true),
	ROW(SET_VRING_KICK, vu_set_vring_kick, U64, U64, 1, false),
	ROW(SET_VRING_CALL, vu_set_vring_call, U64, U64, 1, false),
	ROW(SET_VRING_ERR, vu_set_vring_err, U64, U64, 1, false),
	ROW(GET_PROTOCOL_FEATURES, vu_get_protocol_features, 0, 0, 0, true),
	ROW(SET_PROTOCOL_FEATURES, vu_set_protocol_features, U64, U64, 0, false),
	ROW(GET_QUEUE_NUM, vu_get_queue_num, 0, 0, 0, true),
	ROW(SET_VRING_ENABLE, vu_set_vring_enable, STATE, STATE, 0, false),
	ROW(SET_BACKEND_REQ_FD, vu_set_backend_req_fd, 0, U64, 1, false),
	ROW(GET_CONFIG, vu_get_config, 0, sizeof(struct vhost_user_config), 0, true),
	ROW(SET_CONFIG, vu_set_config, VHOST_USER_CONFIG_HEADER, sizeof(struct vhost_user_config), 0, false),
	ROW(RESET_DEVICE, vu_reset_device, 0, 0, 0, false),
	ROW(GET_MAX_MEM_SLOTS, vu_get_max_mem_slots, 0, 0, 0, true),
	ROW(ADD_MEM_REG, vu_add_mem_reg, REGION, REGION, 1, false),
	ROW(REM_MEM_REG, vu_rem_mem_reg, REGION, REGION, 1, false),
	ROW(GET_SHMEM_CONFIG, vu_get_shmem_config, 0, 0, 0, true),
};

static int pools_new(struct vu_session *session)
{
	const struct job_pool_limits limits = {
		.threads = session->ops.pool_threads, .threads_per_key = session->ops.pool_threads,
		.jobs = UINT_MAX, .what = "a disk",
	};

	session->pools.locks = session->ops.locks;
	session->pools.others = session->ops.others;
	return limits.threads ? job_pool_new(&session->ops, &limits, &session->pools.disk) : 0;
}

static void pools_free(struct vu_session *session)
{
	job_pool_free(session->pools.disk);
}

/*
 * Zeroed, and of pages of its own: what queues the VMM does not use never costs
 * memory, and a session's end gives all of it back, whatever the heap is like.
 */
static struct vu_session *session_map(void)
{
	void *at = mmap(NULL, sizeof(struct vu_session), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void session_unmap(struct vu_session *session)
{
	munmap(session, sizeof(*session));
}

int vu_session_new(const struct vu_device *device, const struct request_ops *ops,
		   struct vu_backend *backend, int sock, struct vu_session **out)
{
	struct vu_session *session = session_map();
	int err;

	if (!session)
		return -ENOMEM;
	session->device = device;
	session->ops = *ops;
	session->backend = backend;
	session->sock = sock;
	for (unsigned int i = 0; i < VU_QUEUES_MAX; i++)
		session->queues[i].kick_fd = session->queues[i].err_fd = -1;
	err = pools_new(session);
	if (err)
		goto fail;
	err = guest_mem_init(&session->mem);
	if (err)
		goto fail;
	*out = session;
	return 0;
fail:
	pools_free(session);
	session_unmap(session);
	return err;
}

void vu_session_free(struct vu_session *session)
{
	vu_queues_stop_all(session);
	/* Its threads wake queues until they end. */
	pools_free(session);
	vu_queues_destroy(session);
	guest_mem_destroy(&session->mem);
	session_unmap(session);
}

static const struct vu_row *row_find(const struct vu_message *message)
{
	uint32_t request = message->header.request;

	if (request >= VHOST_USER_REQUEST_LIMIT || !rows[request].handler)
		return NULL;
	return &rows[request];
}

static int session_answer(struct vu_session *session, struct vu_message *message)
{
	message->header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
	return vu_socket_send(session->sock, session->stop_fd, &message->header, &message->payload, -1);
}

static int session_acknowledge(struct vu_session *session, struct vu_message *message, int err)
{
	if (!(message->header.flags & VHOST_USER_NEED_REPLY) ||
	    !vu_session_has(session, VHOST_USER_PROTOCOL_F_REPLY_ACK))
		return 0;
	message->payload.u64 = err ? 1 : 0;
	message->header.size = sizeof(uint64_t);
	return session_answer(session, message);
}

/* 0 to go on, or -errno to end the session. */
static int session_dispatch(struct vu_session *session, struct vu_message *message)
{
	const struct vu_row *row = row_find(message);
	int err;

	if (!row) {
		log_guest(LOG_LEVEL_WARN, "vhost-user request %u is not known here",
			  message->header.request);
		return session_acknowledge(session, message, -ENOSYS);
	}
	if (message->header.size < row->min_size || message->header.size > row->max_size ||
	    message->n_fds > row->max_fds) {
		log_error("%s: %u bytes and %u descriptors are not what vhost-user sends; closing the connection",
			  row->name, message->header.size, message->n_fds);
		return -EPROTO;
	}
	log_trace("%s: %u bytes, %u descriptors", row->name, message->header.size, message->n_fds);
	err = row->handler(session, message);
	if (err == VU_REPLY)
		return session_answer(session, message);
	if (err)
		log_guest(LOG_LEVEL_WARN, "%s: refused: %s", row->name, strerror(-err));
	/* The front end waits for an answer that cannot be given in this request's form. */
	if (err && row->replies)
		return -EPROTO;
	return session_acknowledge(session, message, err);
}

static int session_step(struct vu_session *session)
{
	struct vu_message message;
	int err = vu_socket_receive(session->sock, session->stop_fd, &message);

	if (err <= 0)
		return err ? err : -ECONNRESET;
	err = session_dispatch(session, &message);
	vu_message_close_fds(&message);
	return err;
}

/*
 * Whoever came to the bystander may have come because our VMM left, in between
 * two looks of one poll(2): so look again.
 */
static bool session_has_news(const struct vu_session *session)
{
	struct pollfd pfd = { .fd = session->sock, .events = POLLIN };

	return poll(&pfd, 1, 0) != 0;
}

int vu_session_run(struct vu_session *session, int stop_fd, const struct vu_bystander *other)
{
	struct pollfd fds[3] = {
		{ .fd = session->sock, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
		{ .fd = other->fd, .events = POLLIN },
	};
	int err = 0;

	session->stop_fd = stop_fd;
	while (!err) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
			err = errno == EINTR ? 0 : -errno;
			continue;
		}
		if (fds[1].revents)
			break;
		if (fds[0].revents)
			err = session_step(session);
		else if (fds[2].revents && !session_has_news(session))
			other->ready(other->ctx);
	}
	vu_queues_reset(session);
	vu_backend_reset(session->backend);
	session->ops.reset(session->ops.ctx, true);
	return err == -ECONNRESET || err == -EPIPE || err == -ECANCELED ? 0 : err;
}
