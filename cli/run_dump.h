/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's memory in a file (--dump): at its kernel's panic, or when this program is asked for it. */
#ifndef CASEMENT_CLI_RUN_DUMP_H
#define CASEMENT_CLI_RUN_DUMP_H

#include <stdbool.h>

#include "cli/run_config.h"

struct machine;

struct run_dump {
	bool asked;	/* for that of the running guest */
	bool writing;	/* QEMU is at it */
	bool quits;	/* QEMU was told to end */
	bool of_panic;	/* what is in the file, or was to be */
};

/* 0, or -errno, logged: the file that is named can be none. */
int run_dump_check(const struct run_config *config);

/* Do what there is to do by now; called whenever something has happened. */
void run_dump_move(struct machine *machine);

/* QEMU has ended. */
void run_dump_close(struct machine *machine);

#endif
