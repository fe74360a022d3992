/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control directory of one machine: its sockets, its kernel's log and the
 * folder it boots from, private to this user and gone when the machine is.
 */
#ifndef CASEMENT_CLI_RUN_CONTROL_H
#define CASEMENT_CLI_RUN_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/run_config.h"
#include "cli/run_parts.h"

/* Files in it. */
#define RUN_KERNEL_LOG "kernel.log"
#define RUN_VMM_LOG "vmm.log"

#define CONTROL_PATH_MAX 90	/* with a file's name it fits a socket's address */

struct run_control {
	char dir[CONTROL_PATH_MAX];
};

/* How the guest ended, by its own word. */
struct run_verdict {
	bool known;
	int status;		/* COMMAND's; valid if `failure` is empty */
	char failure[512];	/* why COMMAND was not run to its end */
};

/* Terminal size for the guest; rows 0: it gets pipes. */
struct run_terminal_size {
	unsigned short rows, columns;
};

/* Make it, with the boot folder, the guest's init and QEMU's orders in it. 0, or -errno, logged. */
int control_open(const struct run_parts *parts, struct run_control *control);
/* Remove it and all that is in it. */
void control_close(struct run_control *control);

/* The path of a file in it. */
void control_path(const struct run_control *control, const char *name, char *path, size_t size);
/* The path of the guest's kernel log, which may be elsewhere. */
void control_log_path(const struct run_control *control, const struct run_config *config, char *path,
		      size_t size);

/* A new listening socket in it, close-on-exec, or -errno, logged. */
int control_listen(const struct run_control *control, const char *name);

/* Tell the guest what to do (guest/params.h). 0, or -errno, logged. */
int control_write_params(const struct run_control *control, const struct run_config *config,
			 const struct run_parts *parts, struct run_terminal_size size);

/* Find the first line with `word` in it, from there on and without its end. */
bool control_find_line(const char *path, const char *word, char *line, size_t size);

/* Read what the guest said at its end. */
void control_read_verdict(const struct run_control *control, struct run_verdict *verdict);

#endif
