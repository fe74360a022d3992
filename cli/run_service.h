/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemons of one machine: of what it boots from, its root, and its shares. */
#ifndef CASEMENT_CLI_RUN_SERVICE_H
#define CASEMENT_CLI_RUN_SERVICE_H

#include "cli/run_machine.h"

/* What is to be told of windows, once here instead of once by each daemon. */
void services_announce(const struct machine *machine);

/* Start all of them, into machine->daemons. 0, or -errno, logged. */
int services_start(struct machine *machine);

#endif
