/* SPDX-License-Identifier: BSD-3-Clause */
/* --net and --publish: the network of QEMU's user mode, which needs no rights and no set-up. */
#ifndef CASEMENT_CLI_RUN_NET_H
#define CASEMENT_CLI_RUN_NET_H

#include "cli/run_config.h"
#include "cli/words.h"

/* Understand [ADDR:]PORT[:GUESTPORT] and add it to the ports of `config`. 0, or -errno, logged. */
int run_net_publish(struct run_config *config, const char *argument);

/* See that the published ports are free. 0, or -errno, logged. */
int run_net_check(const struct run_config *config);

/* QEMU's words. */
void run_net_words(const struct run_config *config, struct words *words);

#endif
