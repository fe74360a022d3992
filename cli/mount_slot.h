/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The place of one message on its way, in memory that the daemon sees: read(2)
 * from /dev/fuse puts it there, the daemon answers there, write(2) takes the
 * answer from there. Nothing is copied in between.
 */
#ifndef CASEMENT_CLI_MOUNT_SLOT_H
#define CASEMENT_CLI_MOUNT_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "casement/casement.h"
#include "cli/mount_message.h"

struct mount_slot {
	struct casement_request request;
	struct iovec in[2], out[2];	/* of request */
	/* Of the message; 0 in a free slot. What the daemon sees it can change, so this is ours. */
	uint64_t unique;
	char *head;			/* [I] a page: the message's start, the answer's header */
	char *data;			/* [I] MESSAGE_MAX_DATA and some: what is large, on a page's start */
	struct mount_slot *next;	/* in its worker's list of free or lent slots */
	bool returned;			/* [A] a lent slot that the daemon is done with; release, acquire */
};

/* Bytes of the client's heap that one slot takes. */
size_t slot_memory(void);
/* Give it its memory. False when the client's heap is used up. */
bool slot_init(struct mount_slot *slot, struct casement *client);

/*
 * Read one message into the slot and make a request of it. Returns 1; 0 when
 * there is none now; -ENODEV when the mount is gone; -E2BIG, and the slot holds
 * only `unique`, when it has no room for the answer; -errno.
 */
int slot_read(struct mount_slot *slot, int fuse_fd);
/* Write the answer of a completed request, or -EIO where the daemon gave none that makes sense. */
void slot_answer(struct mount_slot *slot, int fuse_fd);
/* Write an error (negative) as its answer. */
void slot_fail(const struct mount_slot *slot, int fuse_fd, int error);

#endif
