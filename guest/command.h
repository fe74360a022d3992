/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command that the guest was started for: its terminal or pipes, its end,
 * and the end of everything it left behind.
 */
#ifndef CASEMENT_GUEST_COMMAND_H
#define CASEMENT_GUEST_COMMAND_H

#include <stdint.h>

#include "guest/params.h"

struct command_end {
	int status;		/* as a shell says it: 128 + N for signal N */
	uint64_t out, err;	/* bytes that went through these ports */
};

/*
 * Run it in the current folder, in a session of its own, and reap every
 * process until it and all others are gone.
 */
struct command_end command_run(const struct guest_params *params);

#endif
