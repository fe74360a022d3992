/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control directory of one machine: its sockets and the folder it boots from, private to this
 * user and gone when the machine is. The guest changes nothing in it.
 */
#ifndef CASEMENT_CLI_RUN_CONTROL_H
#define CASEMENT_CLI_RUN_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/run_config.h"
#include "cli/run_parts.h"

#define CONTROL_PATH_MAX 90	/* with a file's name it fits a socket's address */

struct run_control {
	char dir[CONTROL_PATH_MAX];
};

/* Terminal size for the guest; rows 0: it gets pipes. */
struct run_terminal_size {
	unsigned short rows, columns;
};

/* Make it, with the boot folder and the guest's init in it. 0, or -errno, logged. */
int control_open(const struct run_parts *parts, struct run_control *control);
/* Remove it and all that is in it. */
void control_close(struct run_control *control);

/* The path of a file in it. */
void control_path(const struct run_control *control, const char *name, char *path, size_t size);
/* A new listening socket in it, close-on-exec, or -errno, logged. */
int control_listen(const struct run_control *control, const char *name);
/* The same elsewhere, in the place of a socket that may be there. */
int control_listen_at(const char *path);

/* Tell the guest what to do (guest/params.h). 0, or -errno, logged. */
int control_write_params(const struct run_control *control, const struct run_config *config,
			 const struct run_parts *parts, struct run_terminal_size size);

#endif
