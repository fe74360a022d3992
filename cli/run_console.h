/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between this program's streams and the guest's serial ports. Never waits:
 * the caller polls and hands in what is ready.
 */
#ifndef CASEMENT_CLI_RUN_CONSOLE_H
#define CASEMENT_CLI_RUN_CONSOLE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#include "cli/run_control.h"
#include "common/relay.h"

enum console_relay { CONSOLE_OUT, CONSOLE_ERR, CONSOLE_IN, CONSOLE_RELAYS };

struct console {
	bool terminal;			/* our input and output are one */
	bool raw;			/* and `saved` is how it was before */
	struct termios saved;
	int guest[2];			/* our ends: output port, error port */
	int vmm[2];			/* the VMM's ends, to be inherited */
	int own[3];			/* our streams, opened anew so that none waits; or -1 */
	struct relay relays[CONSOLE_RELAYS];
	unsigned int escapes;		/* Ctrl-] in a row */
};

/* Our three streams are open. */
void console_init(struct console *console);
/* New serial ports, for a QEMU that is to be started. 0, or -errno, logged. */
int console_connect(struct console *console);
/* Give the terminal back and close everything. */
void console_close(struct console *console);

struct run_terminal_size console_size(const struct console *console);

/* QEMU runs: its ends are its own now, and keys go to the guest. */
void console_start(struct console *console);

/* What to poll for. */
void console_poll(const struct console *console, struct pollfd fds[CONSOLE_RELAYS]);

/*
 * Move what is ready. 0; -EPIPE when nobody reads our output any more;
 * -ECANCELED when the escape was typed.
 */
int console_move(struct console *console, const struct pollfd fds[CONSOLE_RELAYS]);

/* True when the guest's output is at its end and written. */
bool console_drained(const struct console *console);

#endif
