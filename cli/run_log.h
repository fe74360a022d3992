/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest's kernel or its VMM says, of which the host keeps little: whether some words were
 * in it, and its end. It comes through a pipe and is bounded, as a guest may say as much as it likes.
 */
#ifndef CASEMENT_CLI_RUN_LOG_H
#define CASEMENT_CLI_RUN_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/relay.h"

#define RUN_LOG_FILE_MAX (256ULL << 20)	/* bytes of a --log file */
#define RUN_LOG_TAIL 4096			/* bytes of its end that are kept */

/* What is looked for. */
enum run_log_word {
	RUN_LOG_LINUX,		/* a kernel speaks */
	RUN_LOG_INIT,		/* it runs the first process */
	RUN_LOG_PANIC,		/* it gives up */
	RUN_LOG_FAILED,		/* the guest's init gives up, and has no port to say why */
	RUN_LOG_WORDS
};

struct run_log {
	int pipe[2];		/* -1 when closed; [1] is the VMM's end, until it has it */
	const char *name;	/* of the file that it goes to, too; borrowed; NULL: none */
	int file;		/* which is ours, or -1 */
	uint64_t room;		/* bytes that the file may still get */
	int64_t rest;		/* monotonic ms until when it is not looked at */
	struct relay relay;
	bool said[RUN_LOG_WORDS];
	char panic[256];	/* the line of RUN_LOG_PANIC, from the word on */
	char failure[256];	/* that of RUN_LOG_FAILED, after the word */
	char line[1024];	/* the one that is being read */
	size_t len;
	char tail[RUN_LOG_TAIL];	/* a ring */
	uint64_t total;		/* bytes so far */
};

/* With a file's name: it is emptied and gets at most `room` bytes. 0, or -errno, logged. */
int run_log_open(struct run_log *log, const char *name, uint64_t room);
/* A new pipe, for a VMM that is to be started. 0, or -errno, logged. */
int run_log_connect(struct run_log *log);
/* The VMM has its end. */
void run_log_start(struct run_log *log);

/* What to poll for. Then how many ms the poll may last at most; -1: as it likes. */
int run_log_poll(const struct run_log *log, struct pollfd *fd);
/* What is polled is ready. */
void run_log_move(struct run_log *log);
/* Take what is there; the VMM has ended. What a file does not take at once is lost. */
void run_log_sweep(struct run_log *log);
/* True when there is nothing to be read just now. */
bool run_log_is_empty(const struct run_log *log);
/* True when it is at its end and in the file. */
bool run_log_is_done(const struct run_log *log);

/* The last lines, indented, on standard error. */
void run_log_show_tail(const struct run_log *log);

void run_log_close(struct run_log *log);

#endif
