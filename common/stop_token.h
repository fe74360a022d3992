/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a thread is asked to stop what it waits for. A queue's thread has one
 * token; whoever makes it wait for the other side (the window, which waits for
 * the VMM) gives up with -EINTR as soon as the token fires. Without it a VMM
 * that waits for the queue to stop and a queue that waits for the VMM would
 * wait for ever.
 */
#ifndef CASEMENT_COMMON_STOP_TOKEN_H
#define CASEMENT_COMMON_STOP_TOKEN_H

#include <stdatomic.h>
#include <stdbool.h>

struct stop_token {
	atomic_bool fired;	/* [A] relaxed; the eventfd and thread joins order it */
	int event_fd;		/* [I] readable once fired */
};

/* 0 or -errno; close with stop_token_close(). */
int stop_token_open(struct stop_token *token);
void stop_token_close(struct stop_token *token);
/* Any thread. */
void stop_token_fire(struct stop_token *token);
/* Make it usable again; nobody may be waiting on it. */
void stop_token_rearm(struct stop_token *token);

/* The calling thread's own token: set by the thread, NULL at first. */
void stop_token_set_current(struct stop_token *token);
struct stop_token *stop_token_current(void);
/* True when the calling thread has a token and it fired. */
bool stop_token_current_fired(void);

/*
 * Wait until `fd` is readable: 0, -EINTR when the calling thread's token fired
 * first, -errno.
 */
int stop_token_wait_readable(int fd);

#endif
