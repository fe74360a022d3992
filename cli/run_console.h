/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Relays between this program's streams and the guest's ports. No call waits: the caller polls and
 * hands in what is ready.
 */
#ifndef CASEMENT_CLI_RUN_CONSOLE_H
#define CASEMENT_CLI_RUN_CONSOLE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include "cli/run_control.h"
#include "common/relay.h"

enum console_relay { CONSOLE_OUT, CONSOLE_ERR, CONSOLE_IN, CONSOLE_RELAYS };

struct console {
	bool terminal;			/* our input and output are terminals */
	bool quiet;			/* the terminal echoes nothing, by what we set */
	bool begun;			/* the guest's command runs, and has all keys */
	struct termios saved, keys;	/* before, and as we set it */
	bool input;			/* the guest gets our input; else it has none */
	bool ended;			/* our input is at its end */
	int guest[CONSOLE_RELAYS];	/* our ends of the ports */
	int vmm[CONSOLE_RELAYS];	/* the VMM's ends, to be inherited */
	int broken;			/* number of our stream that failed, after console_move() failed */
	int own[3];			/* our streams, opened anew so that none waits; or -1 */
	struct relay relays[CONSOLE_RELAYS];
	unsigned int escapes;		/* Ctrl-] in a row */
};

/*
 * Descriptors 0 to 2 are open. Without `input` the guest's input is empty. Until the command runs, our
 * terminal keeps what is typed for it, and keys that send signals send them to this program.
 */
void console_init(struct console *console, bool input);
/* New ports, for a VMM that is to be started. 0, or -errno, logged. */
int console_connect(struct console *console);
/* Give the terminal back and close everything. */
void console_close(struct console *console);

struct run_terminal_size console_size(const struct console *console);

/* The VMM runs, and its ends are closed here. Keys that send signals are for this program again. */
void console_start(struct console *console);

/* The guest's command runs: it gets our input, behind `mark`, and all keys where that is a terminal. */
void console_begin(struct console *console, const char *mark);

/* The guest has read `took` bytes of its input; it may have `room` more. */
void console_limit(struct console *console, uint64_t took, uint64_t room);

/* This program goes on after a stop (SIGCONT): the shell may have changed the terminal. */
void console_resume(struct console *console);

/* What to poll for. */
void console_poll(const struct console *console, struct pollfd fds[CONSOLE_RELAYS]);

/*
 * Move what is ready. 0; -ECANCELED when the escape was typed; -ENXIO when our terminal was hung up;
 * else the -errno of one of our streams.
 */
int console_move(struct console *console, const struct pollfd fds[CONSOLE_RELAYS]);

/* True when our input has ended; *total is how many bytes it had since console_begin(). */
bool console_input_ended(const struct console *console, uint64_t *total);

/* True when `out` and `err` bytes came through the ports of output and errors, or these are at their ends. */
bool console_has(const struct console *console, uint64_t out, uint64_t err);

/* True when the guest's output is at its end and written. */
bool console_drained(const struct console *console);

#endif
