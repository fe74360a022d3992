/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mount on which stand-ins lie (file_proxy.h says what they are for), and
 * the thread that answers the kernel's questions about them. Lives in a
 * process of its own (file_proxy.c); one thread of it uses these functions.
 */
#ifndef CASEMENT_DAEMON_DAX_STAND_IN_SERVER_H
#define CASEMENT_DAEMON_DAX_STAND_IN_SERVER_H

struct stand_in_server;

/* Mount it, with no thread yet. -EPERM without CAP_SYS_ADMIN, -errno. */
int stand_in_server_mount(struct stand_in_server **out);
/* The mount's directory, borrowed. */
int stand_in_server_root(const struct stand_in_server *server);
/* Start the thread. -EOPNOTSUPP when the kernel has no FUSE passthrough, -errno; free it in any case. */
int stand_in_server_start(struct stand_in_server *server);
/* Unmount, and end the thread. Stand-ins that are mapped stay mapped. */
void stand_in_server_free(struct stand_in_server *server);

/* See file_proxy_open(). Needs CAP_SYS_ADMIN each time. */
int stand_in_open(struct stand_in_server *server, int fd);

#endif
