/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket on which the VMM is awaited. */
#ifndef CASEMENT_DAEMON_LISTENER_H
#define CASEMENT_DAEMON_LISTENER_H

#include <stdbool.h>

struct listener {
	int fd;			/* listening; -1 once deaf */
	int lock_fd;		/* locked PATH.pid, or -1 */
	int dir_fd;		/* O_PATH, of what was made; -1 with a socket that was handed to us */
	const char *name;	/* in it; borrowed */
	char lock_name[128];
	bool bound;		/* the name is ours to remove */
};
#define LISTENER_NONE { .fd = -1, .lock_fd = -1, .dir_fd = -1 }

/* Make, lock and listen on the socket at `path`, for `group` too unless NULL. 0, or -errno, logged. */
int listener_open(struct listener *listener, const char *path, const char *group);
/* Take over a listening socket, which is made non-blocking. 0, or -errno, logged. */
int listener_adopt(struct listener *listener, int fd);
/* Close; remove what listener_open() made. */
void listener_close(struct listener *listener);
/* In a forked child: the other process removes what was made; it and its lock are not ours any more. */
void listener_disown(struct listener *listener);
/* Refuse whoever else comes. What was made stays, so that no other daemon takes the place. */
void listener_deafen(struct listener *listener);
/* Accept and close what has come while another VMM is served: it hears of it at once. */
void listener_refuse(struct listener *listener);
/* Wait for a VMM: its socket, or -ECANCELED when `stop_fd` became readable first, or -errno, logged. */
int listener_accept(struct listener *listener, int stop_fd);

#endif
