/* SPDX-License-Identifier: BSD-3-Clause */
/* How the guest's end is told to the host: a line through a serial port of its own. */
#ifndef CASEMENT_GUEST_REPORT_H
#define CASEMENT_GUEST_REPORT_H

#include <stdbool.h>
#include <stdint.h>

/* Open the port, when there is /dev, before any device changes its driver (init.c: hold_ports). */
void report_setup(void);

/* A line in the kernel's log. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A line of the host's. */
struct report_word {
	enum { REPORT_SIZE, REPORT_INPUT_END, REPORT_DONE } what;
	unsigned short rows, columns;	/* REPORT_SIZE: of the terminal */
	uint64_t total;			/* REPORT_INPUT_END: bytes that come through the port of the input */
};

/* Read a line. False when there is none for now; lines of no kind that is known are passed over. */
bool report_listen(struct report_word *word);

/* Tell the host COMMAND's exit status, and power off. */
void report_exit(int status) __attribute__((noreturn));

/* Tell the host, in a sentence, why there is none, and power off. */
void report_failure(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
