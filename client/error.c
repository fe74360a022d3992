/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text behind a negative errno. Relies on thread-local storage; never
 * allocates, so that it also works when memory is short.
 */
#include "client/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "casement/casement.h"

static __thread char error_text[256] = "no error";

int error_set(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error_text, sizeof(error_text), format, args);
	va_end(args);
	return err;
}

const char *casement_error(void)
{
	return error_text;
}
