/* SPDX-License-Identifier: BSD-3-Clause */
/* Connecting to a daemon, with what to do about it when it fails. */
#ifndef CASEMENT_CLI_CONNECT_H
#define CASEMENT_CLI_CONNECT_H

#include "casement/casement.h"

#define CONNECT_TIMEOUT "CASEMENT_TIMEOUT"	/* seconds, in the environment: how long a daemon may take */

/* As casement_connect(), but a failure is logged, with its remedy. */
int connect_daemon(const char *socket, const struct casement_options *options,
		   struct casement **out);

#endif
