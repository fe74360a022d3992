/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the command starts when the command line does not say: what the user sees here, it sees there. */
#ifndef CASEMENT_CLI_RUN_START_H
#define CASEMENT_CLI_RUN_START_H

#include "cli/run_config.h"

/*
 * With no share: share the current directory, or, where the guest's root has it, start there. 0, or -errno,
 * logged. That it can be neither is only a warning.
 */
int run_start_choose(struct run_config *config);

#endif
