/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FUSE messages as they pass: what may be agreed on at INIT, and how much room
 * an answer needs. No input or output.
 */
#ifndef CASEMENT_CLI_MOUNT_MESSAGE_H
#define CASEMENT_CLI_MOUNT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/fuse_wire.h"

#define MESSAGE_MAX_DATA (1u << 20)	/* bytes of a READ or WRITE */
#define MESSAGE_SMALL_REPLY 3072u	/* room of every answer whose size the request does not name */

/* Strike from the kernel's offer what cannot pass through here. */
void message_limit_init(struct fuse_init_in *in);
/* Tell the daemon the device number that the mount has on this host, by which it never enters it. */
void message_offer_device(struct fuse_init_in *in, uint32_t device);
/* Hold the daemon's answer to what was offered, and to MESSAGE_MAX_DATA and `requests` in flight. */
void message_limit_init_reply(const struct fuse_init_in *in, unsigned int requests,
			      struct fuse_init_out *out);

/*
 * Bytes of body the answer may have, exactly as much as the request named where
 * it did: virtiofsd fills what it is given. `body` is what follows the header,
 * `size` bytes of it. 0: a request without answer. Foreign numbers: at most 4 GiB.
 */
uint64_t message_reply_room(uint32_t opcode, const void *body, size_t size);

/* FORGET, BATCH_FORGET and INTERRUPT: for the high-priority queue, never answered. */
bool message_is_urgent(uint32_t opcode);

#endif
