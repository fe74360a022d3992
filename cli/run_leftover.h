/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a killed `casement run` leaves: its control directory. The next run removes it. A run holds a lock in
 * its directory for as long as it lives: process ids are used again, and in another pid namespace mean nothing.
 */
#ifndef CASEMENT_CLI_RUN_LEFTOVER_H
#define CASEMENT_CLI_RUN_LEFTOVER_H

#include <stdbool.h>

#define LEFTOVER_NAME "casement-"	/* six more letters or digits follow */

/* Hold a directory that was just made, for this process's life. 0, or -ESTALE: another run has swept it; else -errno. */
int leftover_hold(const char *dir);

/* True when the entry of the directory `base` is a run's, of this user, that still lives. */
bool leftover_is_held(int base, const char *name);

/* Remove those in `base` that are this user's and that no process holds. */
void leftover_sweep(const char *base);

/* Remove a file, or a directory with all that is in it. 0 or -errno. */
int leftover_remove(int above, const char *name);

#endif
