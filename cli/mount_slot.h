/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The place of one message on its way. What is large, as the data of a READ or
 * WRITE, is in memory that the daemon sees: read(2) from /dev/fuse puts it there,
 * or the daemon does, and nothing is copied. Headers and small bodies are ours
 * alone: what was judged once stays as it was.
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
	uint64_t unique;		/* of the message; 0 in a free slot */
	struct {
		struct fuse_in_header header;
		char body[sizeof(struct fuse_write_in)];
	} head;				/* the message's start: what follows a WRITE's is its data */
	struct {
		struct fuse_out_header header;
		char body[MESSAGE_SMALL_REPLY];
	} reply;			/* with its body, where that is small */
	char *data;			/* [I] guest memory: what is large, on a page's start */
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
