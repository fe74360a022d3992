/* SPDX-License-Identifier: BSD-3-Clause */
/* casement mount's command line. */
#ifndef CASEMENT_CLI_MOUNT_CONFIG_H
#define CASEMENT_CLI_MOUNT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/options.h"

#define MOUNT_OPTIONS_MAX 16	/* -o given so often at most */

struct mount_config {
	const char *socket;
	const char *dir;
	const char *options[MOUNT_OPTIONS_MAX];	/* what -o had, each maybe a list */
	unsigned int n_options;
	uint64_t queues;	/* request queues, each with a thread */
	uint64_t depth;		/* requests in flight in each */
	bool background;	/* return when the mount is there */
	bool foreground;	/* the default, said */
	bool verbose;
};

/* Parse argv. As options_parse(): OPTIONS_BAD has been logged. */
enum options_result mount_config_parse(int argc, char **argv, struct mount_config *config);

#endif
