/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A casementd that is late, for a guest's driver under test: it serves requests out of order, and
 * answers those of one kind when it is told to. Linked in front of virtqueue_pop(), server_handle()
 * and virtqueue_push().
 *
 * The file .late in the shared directory says what is kept: "request OPCODE NUMBER", the next NUMBER
 * requests of that opcode, before they are served; or "reply OPCODE NUMBER", their replies, when they
 * have been served. Without the file nothing is kept, and what was is served, or sent, with the next
 * request of the same queue. The file .kept appears when something is kept.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/iov_cursor.h"
#include "daemon/protocol/server.h"
#include "daemon/transport/virtqueue.h"
#include "proto/fuse_wire.h"

/* The sandbox has the shared directory for its root. */
#define LATE_FILE "/.late"
#define KEPT_FILE "/.kept"
#define KEPT_MOST 16

int __real_virtqueue_pop(struct virtqueue *vq, const struct guest_table *table, struct vq_chain *chain);
int __wrap_virtqueue_pop(struct virtqueue *vq, const struct guest_table *table, struct vq_chain *chain);
long __real_server_handle(struct server_queue *sq, struct iov_cursor *in, struct iov_cursor *out,
			  enum server_patience patience);
long __wrap_server_handle(struct server_queue *sq, struct iov_cursor *in, struct iov_cursor *out,
			  enum server_patience patience);
void __real_virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);
void __wrap_virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);

struct reply {
	uint16_t head;
	uint32_t len;
};

/* Each queue has a thread of its own. */
static _Thread_local struct vq_chain requests[KEPT_MOST];
static _Thread_local struct reply replies[KEPT_MOST];
static _Thread_local unsigned int n_requests, n_replies;
static _Thread_local unsigned int n_kept;	/* since the file is there */
static _Thread_local uint32_t served;		/* opcode of the request whose reply comes next */

static bool is_kept_now(void)
{
	if (!access(LATE_FILE, F_OK))
		return true;
	n_kept = 0;
	return false;
}

static bool tell_kept(void)
{
	cleanup_close int fd = open(KEPT_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return fd >= 0;
}

/* Is what the file names to be kept? Then it is counted. */
static bool keep(const char *what, uint32_t opcode)
{
	cleanup_close int fd = open(LATE_FILE, O_RDONLY | O_CLOEXEC);
	char text[64] = "", name[16];
	unsigned int of, most;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0 || sscanf(text, "%15s %u %u", name, &of, &most) != 3)
		return false;
	if (strcmp(name, what) || of != opcode || n_kept >= most || n_kept == KEPT_MOST)
		return false;
	n_kept++;
	return tell_kept();
}

static uint32_t opcode_of(struct iov_cursor in)
{
	struct fuse_in_header header;

	return iov_cursor_read(&in, &header, sizeof(header)) ? header.opcode : 0;
}

static uint32_t opcode_of_chain(const struct vq_chain *chain)
{
	struct iov_cursor in;

	iov_cursor_init(&in, chain->iov, chain->n_read);
	return opcode_of(in);
}

static void copy_chain(struct vq_chain *to, const struct vq_chain *from)
{
	to->head = from->head;
	to->n_read = from->n_read;
	to->n_write = from->n_write;
	memcpy(to->iov, from->iov, (from->n_read + from->n_write) * sizeof(*from->iov));
}

int __wrap_virtqueue_pop(struct virtqueue *vq, const struct guest_table *table, struct vq_chain *chain)
{
	int got;

	if (n_requests && !is_kept_now()) {
		copy_chain(chain, &requests[--n_requests]);
		free(requests[n_requests].iov);
		return 1;
	}
	while ((got = __real_virtqueue_pop(vq, table, chain)) == 1 && keep("request", opcode_of_chain(chain))) {
		requests[n_requests].iov = calloc(chain->n_read + chain->n_write, sizeof(*chain->iov));
		copy_chain(&requests[n_requests++], chain);
	}
	return got;
}

long __wrap_server_handle(struct server_queue *sq, struct iov_cursor *in, struct iov_cursor *out,
			  enum server_patience patience)
{
	served = opcode_of(*in);
	return __real_server_handle(sq, in, out, patience);
}

void __wrap_virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	uint32_t opcode = served;

	served = 0;
	if (keep("reply", opcode)) {
		replies[n_replies++] = (struct reply){ head, len };
		return;
	}
	while (n_replies && !is_kept_now()) {
		n_replies--;
		__real_virtqueue_push(vq, replies[n_replies].head, replies[n_replies].len);
	}
	__real_virtqueue_push(vq, head, len);
}
