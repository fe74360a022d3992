/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a guest ended, by its own word: lines that its init sends through a serial port of their
 * own. A guest's root may send there what it likes; nothing else comes of it than this word.
 */
#ifndef CASEMENT_CLI_RUN_VERDICT_H
#define CASEMENT_CLI_RUN_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

struct run_verdict {
	int fd;			/* our end; -1: none, or at its end */
	int vmm;		/* the VMM's end, until it has it */
	bool known;
	int status;		/* COMMAND's; valid if `failure` is empty */
	char failure[512];	/* why COMMAND was not run to its end */
	char line[512];		/* the one that is being read, as far as there is room */
	size_t len;
};

void verdict_init(struct run_verdict *verdict);
/* A new port, for a VMM that is to be started; what was said before is forgotten. 0, or -errno, logged. */
int verdict_connect(struct run_verdict *verdict);
/* The VMM has its end. */
void verdict_start(struct run_verdict *verdict);
/* `fd` is ready. */
void verdict_move(struct run_verdict *verdict);
/* Take what is there; the VMM has ended. */
void verdict_sweep(struct run_verdict *verdict);
void verdict_close(struct run_verdict *verdict);

#endif
