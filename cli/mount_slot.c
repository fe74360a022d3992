/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One message on its way; see mount_slot.h. Relies on the kernel for what it
 * sends and on the library for what the daemon answers; a write that the kernel
 * refuses is followed by one that it takes, so that no process waits for ever.
 */
#include "cli/mount_slot.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/log.h"

#define SLOT_PAGE 4096u
#define SLOT_DATA (MESSAGE_MAX_DATA + 2 * 65536u)	/* data, and a name or value beside it */

_Static_assert(sizeof(struct fuse_write_in) == sizeof(struct fuse_read_in), "one head for both");

size_t slot_memory(void)
{
	return SLOT_DATA;
}

bool slot_init(struct mount_slot *slot, struct casement *client)
{
	*slot = (struct mount_slot){ .data = casement_alloc(client, SLOT_DATA) };
	return slot->data;
}

/* Where the answer's body goes, if there is room for it. */
static bool place_reply(struct mount_slot *slot, uint64_t room, size_t spilled)
{
	/* Behind what the message itself has there. */
	size_t at = (spilled + SLOT_PAGE - 1) & ~(size_t)(SLOT_PAGE - 1);

	slot->request.n_out = 1;
	slot->out[0] = (struct iovec){ &slot->reply, sizeof(slot->reply.header) };
	if (room <= MESSAGE_SMALL_REPLY) {
		slot->out[0].iov_len += room;
		return true;
	}
	if (!range_within(at, room, SLOT_DATA))
		return false;
	slot->out[1] = (struct iovec){ slot->data + at, room };
	slot->request.n_out = 2;
	return true;
}

/* `size` bytes of a message are in the slot, from the kernel. */
static int make_request(struct mount_slot *slot, size_t size)
{
	const struct fuse_in_header *header = &slot->head.header;
	size_t spilled = size > sizeof(slot->head) ? size - sizeof(slot->head) : 0;
	size_t in_head = size - spilled;
	uint64_t room;

	room = message_reply_room(header->opcode, slot->head.body, in_head - sizeof(*header));
	slot->unique = header->unique;
	slot->in[0] = (struct iovec){ &slot->head, in_head };
	slot->in[1] = (struct iovec){ slot->data, spilled };
	slot->request = (struct casement_request){
		.opcode = header->opcode, .flags = CASEMENT_WHOLE_MESSAGE,
		.nodeid = header->nodeid, .in = slot->in, .n_in = spilled ? 2 : 1,
		.out = slot->out, .user = slot,
	};
	if (message_is_urgent(header->opcode))
		return 1;
	return place_reply(slot, room, spilled) ? 1 : -E2BIG;
}

int slot_read(struct mount_slot *slot, int fuse_fd)
{
	struct iovec iov[2] = { { &slot->head, sizeof(slot->head) }, { slot->data, SLOT_DATA } };
	ssize_t n = readv(fuse_fd, iov, 2);

	if (n >= (ssize_t)sizeof(struct fuse_in_header))
		return make_request(slot, (size_t)n);
	if (n >= 0)
		return -EIO;
	/* ENOENT: the message's process was killed before we had it. */
	return errno == EAGAIN || errno == EINTR || errno == ENOENT ? 0 : -errno;
}

void slot_fail(const struct mount_slot *slot, int fuse_fd, int error)
{
	struct fuse_out_header header = {
		.len = sizeof(header), .error = error, .unique = slot->unique,
	};

	if (write(fuse_fd, &header, sizeof(header)) < 0)
		log_debug("an error reply was not taken: %s", strerror(errno));
}

void slot_answer(struct mount_slot *slot, int fuse_fd)
{
	ssize_t left = slot->request.result;
	struct iovec iov[2];
	int n = 0;

	for (unsigned int i = 0; i < slot->request.n_out && left > 0; i++) {
		iov[n] = slot->out[i];
		iov[n].iov_len = MIN(iov[n].iov_len, (size_t)left);
		left -= (ssize_t)iov[n++].iov_len;
	}
	if (!n) {
		log_warn("opcode %u: the daemon's answer makes no sense: %s", slot->request.opcode,
			 strerror(-(int)slot->request.result));
		slot_fail(slot, fuse_fd, -EIO);
		return;
	}
	/* ENOENT: its process was killed meanwhile, and nobody waits. */
	if (writev(fuse_fd, iov, n) < 0 && errno != ENOENT && errno != ENODEV) {
		log_debug("opcode %u: the kernel does not take the answer: %s",
			  slot->request.opcode, strerror(errno));
		slot_fail(slot, fuse_fd, -EIO);
	}
}
