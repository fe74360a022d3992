/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command's input, output and errors: a terminal where the host has one, else pipes, so that
 * isatty(3) answers as on the host. Relays carry their bytes from and to the ports. No call waits:
 * the caller polls and hands in what is ready.
 */
#ifndef CASEMENT_GUEST_STREAMS_H
#define CASEMENT_GUEST_STREAMS_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/relay.h"
#include "guest/params.h"
#include "guest/report.h"

enum { STREAM_OUT, STREAM_ERR, STREAM_IN, STREAMS };

struct streams {
	int terminal;			/* the terminal's master; -1: pipes */
	int child[3];			/* the command's descriptors 0 to 2 */
	struct relay relays[STREAMS];
	char mark[GUEST_MARK_MAX];	/* what comes before it is for the command of an earlier boot; may be empty */
	size_t marked;			/* bytes of it that have come */
	bool serial;			/* the ports are serial lines */
	uint64_t took;			/* bytes of input that the host was told we read */
	bool input_known;		/* the host's input has ended, */
	uint64_t input;			/* and had this many bytes */
};

/* 0, or -errno. */
int streams_open(struct streams *streams, const struct guest_params *params);

/* Make them descriptors 0 to 2 of the command's process, which leads a session and calls this. 0, or -errno. */
int streams_enter(const struct streams *streams);

/* The command has its ends, which are closed here. */
void streams_start(struct streams *streams);

/* What to poll for. */
void streams_poll(const struct streams *streams, struct pollfd fds[STREAMS]);
void streams_move(struct streams *streams, const struct pollfd fds[STREAMS]);

/* Act on a line of the host's. */
void streams_told(struct streams *streams, const struct report_word *word);

/* True when no process of the guest can write any more, and the ports have taken all. */
bool streams_drained(const struct streams *streams);

#endif
