/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes from one descriptor to another, one way, without ever waiting: the caller polls and
 * says when something is ready.
 */
#ifndef CASEMENT_CLI_RUN_RELAY_H
#define CASEMENT_CLI_RUN_RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

/* A pipe takes this much without blocking once it polls writable (PIPE_BUF). */
#define RELAY_SIZE 4096

/* One way. It reads when empty, writes when not. */
struct relay {
	int from;		/* -1: at its end */
	int to;			/* -1: what is read is thrown away */
	size_t most;		/* bytes of one write; 0: all */
	size_t len, done;	/* in buf, and of it written */
	char buf[RELAY_SIZE];
};

/*
 * A descriptor of what `fd` is open for, that never waits: nobody can then keep a full pipe or a
 * stopped terminal from ending this process. It is opened anew, as others have `fd` in common
 * with us. -1 where it cannot be: not a pipe and not a terminal, or somebody else's.
 */
int relay_reopen(int fd, int flags);

/* What to poll for. */
void relay_poll(const struct relay *relay, struct pollfd *fd);

/* True when there is something to be written. */
bool relay_is_full(const struct relay *relay);
/* Write some of it. 0 or -errno. */
int relay_write(struct relay *relay);
/* Read when there is nothing to be written. True when there is something in buf now. */
bool relay_read(struct relay *relay);
/* True when it is at its end and all is written. */
bool relay_is_done(const struct relay *relay);

#endif
