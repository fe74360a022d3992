/* SPDX-License-Identifier: BSD-3-Clause */
/* Machines of this user that run just now. */
#ifndef CASEMENT_CLI_RUN_FIND_H
#define CASEMENT_CLI_RUN_FIND_H

#include <stdbool.h>

#define RUN_NAME_MAX 63		/* a host name's part */
#define RUN_NAME_FILE "name"	/* in the control directory, where the run has a name */

/* True for what a machine may be called: letters, digits and dashes, as a host. */
bool run_name_is_valid(const char *name);

/* True when a machine of this user has that name. */
bool run_name_is_taken(const char *name);

/*
 * Connect to `socket` in the control directory of the machine of that name, or of the only one if NULL. The
 * descriptor, or -errno, logged.
 */
int run_find_connect(const char *name, const char *socket);

#endif
