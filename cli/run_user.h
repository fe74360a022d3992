/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose the files are, and as whom the command runs. A daemon of an ordinary user makes files as this user alone, so
 * one user of the guest has to be this one: root, or the user that the command runs as (--user).
 */
#ifndef CASEMENT_CLI_RUN_USER_H
#define CASEMENT_CLI_RUN_USER_H

#include <stdio.h>

#include "cli/run_config.h"
#include "cli/words.h"

/* Look --user's name up. 0, or -errno, logged. */
int run_user_find(struct run_config *config);

/* Tell the guest (guest/params.h). */
void run_user_put(FILE *file, const struct run_config *config);

/* Words for the daemon of a share, or with NULL of the root. */
void run_user_words(const struct run_config *config, const struct run_share *share, struct words *words);

#endif
