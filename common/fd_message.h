/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A number and at most one descriptor from one process to another of ours,
 * over a SOCK_SEQPACKET pair.
 */
#ifndef CASEMENT_COMMON_FD_MESSAGE_H
#define CASEMENT_COMMON_FD_MESSAGE_H

/* Send `number`, and a copy of `fd` unless it is negative. 0 or -errno (-EPIPE: the other side is gone). */
int fd_message_send(int sock, int number, int fd);
/*
 * Wait for a message. *fd becomes the caller's, or -1 if none came. 0, or
 * -EPIPE when the other side is gone, or -errno.
 */
int fd_message_receive(int sock, int *number, int *fd);

#endif
