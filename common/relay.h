/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes from one descriptor to another, one way, without ever waiting: the caller polls and
 * says when something is ready.
 */
#ifndef CASEMENT_COMMON_RELAY_H
#define CASEMENT_COMMON_RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_SIZE 32768	/* bytes */
/* Bytes that a pipe takes without blocking once it polls writable (PIPE_BUF): `most` for one that may block. */
#define RELAY_PIPE_MOST 4096

/* One way. It reads when empty, writes when not. */
struct relay {
	int from;		/* -1: at its end */
	int to;			/* -1: none; the caller throws away what is read */
	size_t most;		/* bytes of one write; 0: all */
	size_t len, done;	/* in buf, and of it written */
	uint64_t total;		/* bytes read so far */
	uint64_t limit;		/* of `total`, for now; 0: none */
	int read_error;		/* -errno that ended it; 0: an end of file */
	char buf[RELAY_SIZE];
};

/*
 * A descriptor of the same file as `fd` whose reads and writes do not wait, so that a full pipe or a
 * stopped terminal cannot keep this process from ending. It is opened anew, since O_NONBLOCK on `fd`
 * would change it for other processes, too. -1 where this cannot be: the file is neither a pipe nor a
 * terminal, or this user may not open it.
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
