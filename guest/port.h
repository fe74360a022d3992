/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's serial ports. */
#ifndef CASEMENT_GUEST_PORT_H
#define CASEMENT_GUEST_PORT_H

/*
 * A serial port for output, without line editing: bytes pass as they are. A descriptor of the
 * caller's, or -errno.
 */
int port_open(const char *path);

#endif
