/* SPDX-License-Identifier: BSD-3-Clause */
/* Child processes: those of a machine, which never outlive this one, and short helpers. */
#ifndef CASEMENT_CLI_CHILD_H
#define CASEMENT_CLI_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHILD_KEEP_MAX 8
#define CHILD_NULL (-2)

/* What a child gets besides its words. */
struct child_setup {
	int out;			/* its standard output; -1: /dev/null */
	int err;			/* its standard error; -1: ours, CHILD_NULL: /dev/null */
	int keep[CHILD_KEEP_MAX];	/* descriptors it has under the same number */
	unsigned int n_keep;
	/*
	 * It leads a process group of its own, so that the terminal's Ctrl-C is
	 * ours alone, and is killed when this process ends, however it ends.
	 */
	bool bound;
	bool guarded;			/* bound, but for the end: child_guard() sees to its whole group */
};

/* Start argv[0] (searched in PATH if it has no slash). The pid, or -errno. */
pid_t child_start(char *const argv[], const struct child_setup *setup);

/*
 * Start a process that joins the process group `group`, and kills all of it at once when this
 * process ends, however it ends. It is waited for like any other of the group. 0 or -errno.
 */
int child_guard(pid_t group);

/*
 * Run argv to its end, with `err` as child_setup has it, and keep what it prints, cut to size - 1 bytes and
 * NUL-terminated. Its exit status, or -errno; -EINTR if a signal ended it.
 */
int child_capture(char *const argv[], int err, char *output, size_t size);

#endif
