/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines from init to the host, and back (guest/params.h), through a port of their own. */
#ifndef CASEMENT_GUEST_REPORT_H
#define CASEMENT_GUEST_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A line in the kernel's log. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The command runs now: the host may send its input. */
void report_started(const char *mark);

/* How much of the input was read from its port. */
void report_took(uint64_t total);

/* A line of the host's. */
struct report_word {
	enum { REPORT_CLOCK, REPORT_SIZE, REPORT_INPUT_END, REPORT_DONE } what;
	struct timespec clock;		/* REPORT_CLOCK: the host's */
	unsigned short rows, columns;	/* REPORT_SIZE: of the terminal */
	uint64_t total;			/* REPORT_INPUT_END: bytes that come through the port of the input */
};

/* Read a line. False when there is none for now; lines of no kind that is known are passed over. */
bool report_listen(struct report_word *word);

/* Ask the host for its clock, before the command runs, and wait for the answer. 0, or -errno. */
int report_ask_clock(struct timespec *clock);

/*
 * Tell the host COMMAND's exit status and how many bytes of output and errors it wrote, wait until the
 * host has them, and power off.
 */
void report_exit(int status, uint64_t out, uint64_t err) __attribute__((noreturn));

/* Tell the host, in a sentence, why there is none, and power off. */
void report_failure(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
