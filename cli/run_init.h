/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines from the guest's init and to it (guest/params.h), through a port of their own. The guest's root
 * may write any line: the host takes from it how the command ended, and nothing else. No call waits:
 * the caller polls and hands in what is ready.
 */
#ifndef CASEMENT_CLI_RUN_INIT_H
#define CASEMENT_CLI_RUN_INIT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/run_control.h"
#include "guest/params.h"

/*
 * Ends that are answered. One is true, and a few are a guest's root at play. What is sent without an end
 * fills the guest's line, from which User-mode Linux reads no more then.
 */
#define RUN_INIT_ENDS_MAX 64

struct run_init {
	int fd;			/* our end; -1: none, or at its end */
	int vmm;		/* the VMM's end, until it has it */
	unsigned int starts;	/* how often COMMAND was started: again after a reboot */
	char mark[GUEST_MARK_MAX];	/* that the last start's input begins with; may be empty */
	uint64_t took;		/* bytes of input that the guest has read, since the last start */
	bool known;		/* the guest said how COMMAND ended: */
	int status;		/* COMMAND's; valid if `failure` is empty */
	uint64_t out, err;	/* bytes that it sent through these ports */
	char failure[512];	/* why COMMAND was not run to its end */
	bool answered;		/* `done` was said to that */
	unsigned int ends;	/* how often it was told */
	char line[512];		/* being read; what does not fit is cut off */
	size_t len;
	/* Lines to be sent, in this order. */
	bool say_clock, say_size, say_input, say_done;
	struct run_terminal_size size;
	uint64_t input;
	char told[64];		/* being sent */
	size_t told_len;
};

void run_init_clear(struct run_init *init);
/* A new port, for a VMM that is to be started; lines of an earlier one are forgotten. 0, or -errno, logged. */
int run_init_connect(struct run_init *init);
/* The VMM has its end. */
void run_init_start(struct run_init *init);

void run_init_poll(const struct run_init *init, struct pollfd *fd);
/* What is polled is ready. */
void run_init_move(struct run_init *init, short revents);
/* True when the guest has told of more ends than are answered: it will not end by itself. */
bool run_init_is_flooded(const struct run_init *init);
/* Take what is there, once the VMM has ended. */
void run_init_sweep(struct run_init *init);

/* The terminal's size has changed. */
void run_init_tell_size(struct run_init *init, struct run_terminal_size size);
/* The input has ended; it had `total` bytes. */
void run_init_tell_input(struct run_init *init, uint64_t total);
/* All output is here. Sent once for each end that the guest told of. */
void run_init_tell_done(struct run_init *init);

void run_init_close(struct run_init *init);

#endif
