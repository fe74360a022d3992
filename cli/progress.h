/* SPDX-License-Identifier: BSD-3-Clause */
/* How far a long copy has come, in one line on a terminal; nothing elsewhere. */
#ifndef CASEMENT_CLI_PROGRESS_H
#define CASEMENT_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;		/* standard error is a terminal */
	bool drawn;		/* there is a line to wipe */
	const char *name;	/* of the file; borrowed */
	uint64_t total, done;	/* bytes of this file */
	int64_t begun, last;	/* monotonic milliseconds */
};

/* `quiet`: say nothing, whatever standard error is. */
void progress_init(struct progress *progress, bool quiet);
/* Another file of about `total` bytes begins. */
void progress_begin(struct progress *progress, const char *name, uint64_t total);
void progress_add(struct progress *progress, uint64_t bytes);
/* Wipe the line, as before something else is printed. */
void progress_wipe(struct progress *progress);

#endif
