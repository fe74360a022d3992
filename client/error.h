/* SPDX-License-Identifier: BSD-3-Clause */
/* The text behind a negative errno, one for each thread. */
#ifndef CASEMENT_CLIENT_ERROR_H
#define CASEMENT_CLIENT_ERROR_H

/* Keep the text as this thread's casement_error() and return `err` (negative). */
int error_set(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
