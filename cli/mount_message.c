/* SPDX-License-Identifier: BSD-3-Clause */
/* FUSE messages as they pass; see mount_message.h. Never looks at file data. */
#include "cli/mount_message.h"

#include <stddef.h>
#include <string.h>

#include "common/checked.h"
#include "proto/fuse_extension.h"

/*
 * What the kernel offers that is between it and the holder of /dev/fuse: the
 * window (no device memory here), files of ours that it would read itself,
 * splice, and queues by io_uring.
 */
#define NOT_PASSED_ON \
	(FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX | FUSE_PASSTHROUGH | FUSE_SPLICE_WRITE | \
	 FUSE_SPLICE_MOVE | FUSE_SPLICE_READ | FUSE_OVER_IO_URING | FUSE_HAS_RESEND | \
	 FUSE_REQUEST_TIMEOUT)

#define KERNEL_MAX_PAGES (MESSAGE_MAX_DATA / 4096)

/* An answer whose size the request names, in a u32 `at` bytes into its body. */
static const struct room {
	bool named;
	uint8_t at;
	uint8_t more;	/* beside the bytes named */
	uint8_t least;
} rooms[FUSE_OPCODE_LIMIT] = {
	[FUSE_READ] = { true, offsetof(struct fuse_read_in, size), 0, 0 },
	[FUSE_READDIR] = { true, offsetof(struct fuse_read_in, size), 0, 0 },
	[FUSE_READDIRPLUS] = { true, offsetof(struct fuse_read_in, size), 0, 0 },
	[FUSE_GETXATTR] = { true, offsetof(struct fuse_getxattr_in, size), 0,
			    sizeof(struct fuse_getxattr_out) },
	[FUSE_LISTXATTR] = { true, offsetof(struct fuse_getxattr_in, size), 0,
			     sizeof(struct fuse_getxattr_out) },
	[FUSE_IOCTL] = { true, offsetof(struct fuse_ioctl_in, out_size), sizeof(struct fuse_ioctl_out),
			 sizeof(struct fuse_ioctl_out) },
};

#define READLINK_ROOM 4095u	/* a page but for the kernel's NUL */

bool message_is_urgent(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT;
}

uint64_t message_reply_room(uint32_t opcode, const void *body, size_t size)
{
	uint32_t named = 0;
	uint64_t room;

	if (message_is_urgent(opcode))
		return 0;
	if (opcode == FUSE_READLINK)
		return READLINK_ROOM;
	if (opcode >= ARRAY_SIZE(rooms) || !rooms[opcode].named)
		return MESSAGE_SMALL_REPLY;
	if (size >= rooms[opcode].at + sizeof(named))
		memcpy(&named, (const char *)body + rooms[opcode].at, sizeof(named));
	room = (uint64_t)named + rooms[opcode].more;
	return MAX(room, rooms[opcode].least);
}

static uint64_t offered(const struct fuse_init_in *in)
{
	return in->flags | (in->flags & FUSE_INIT_EXT ? (uint64_t)in->flags2 << 32 : 0);
}

void message_limit_init(struct fuse_init_in *in)
{
	uint64_t flags = offered(in) & ~(uint64_t)NOT_PASSED_ON;

	in->flags = (uint32_t)flags;
	in->flags2 = (uint32_t)(flags >> 32);
}

void message_offer_device(struct fuse_init_in *in, uint32_t device)
{
	const struct fuse_extension said = { FUSE_EXTENSION_MAGIC, FUSE_EXTENSION_ON_HOST };

	memcpy((char *)in + FUSE_EXTENSION_DEVICE_AT, &device, sizeof(device));
	memcpy((char *)(in + 1) - sizeof(said), &said, sizeof(said));
}

void message_limit_init_reply(const struct fuse_init_in *in, unsigned int requests,
			      struct fuse_init_out *out)
{
	uint64_t flags = offered(in);

	out->flags &= (uint32_t)flags;
	out->flags2 = out->flags & FUSE_INIT_EXT ? out->flags2 & (uint32_t)(flags >> 32) : 0;
	out->max_write = MIN(out->max_write, MESSAGE_MAX_DATA);
	out->max_pages = MIN(out->max_pages, KERNEL_MAX_PAGES);
	out->map_alignment = 0;
	/* What the kernel cannot send waits with it, not here. */
	out->max_background = (uint16_t)MIN(out->max_background, MIN(requests, UINT16_MAX));
	out->congestion_threshold = (uint16_t)MIN(out->congestion_threshold,
						  MAX(out->max_background * 3 / 4, 1));
	/* The kernel does not see extensions of the protocol. */
	memset((char *)(out + 1) - sizeof(struct fuse_extension), 0, sizeof(struct fuse_extension));
}
