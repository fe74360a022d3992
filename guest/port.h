/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Byte streams between the guest and the host: ports of a virtio console device (virtio 1.3
 * section 5.3), or a User-mode Linux's serial lines.
 */
#ifndef CASEMENT_GUEST_PORT_H
#define CASEMENT_GUEST_PORT_H

#include <stdbool.h>

/* In this order; guest/params.h has their names. */
enum port {
	PORT_OUT,	/* the command's output, or its terminal's */
	PORT_ERR,	/* its errors, where it has no terminal */
	PORT_IN,	/* its input */
	PORT_CONSOLE,	/* a shell's; none with `serial` */
	PORT_INIT,	/* init's lines and the host's */
	PORTS
};

/*
 * Open all, once, before any device changes its driver. Reads and writes of them do not wait; without
 * `serial`, this call does, until the host has opened them. 0, or -errno; -ENODEV: the kernel has no
 * driver for them.
 */
int ports_open(bool serial);

/* The port's descriptor, which stays open; -1 before ports_open(). */
int port_fd(enum port port);

#endif
