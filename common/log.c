/* SPDX-License-Identifier: BSD-3-Clause */
/* Log lines to standard error; see log.h. */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024
#define LOG_BUDGET 20

const char *const log_level_names[] = {
	"off", "error", "warn", "info", "debug", "trace", NULL,
};

static const char *const level_prefix[] = {
	"", "error: ", "warning: ", "", "debug: ", "trace: ",
};

static const char *log_program = "casement";		/* [I] */
static enum log_level log_threshold = LOG_LEVEL_INFO;	/* [I] */

void log_setup(const char *program, enum log_level level)
{
	log_program = program;
	log_threshold = level;
}

bool log_enabled(enum log_level level)
{
	return level <= log_threshold;
}

static void log_write(enum log_level level, const char *format, va_list args)
{
	char line[LOG_LINE_MAX];
	int saved = errno;
	size_t len, room = sizeof(line) - 1;
	int n;

	n = snprintf(line, room, "%s: %s", log_program, level_prefix[level]);
	len = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
	n = vsnprintf(line + len, room - len, format, args);
	if (n > 0)
		len += (size_t)n < room - len ? (size_t)n : room - len - 1;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0) {
		/* Nowhere left to say it. */
	}
	errno = saved;
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	if (!log_enabled(level))
		return;
	va_start(args, format);
	log_write(level, format, args);
	va_end(args);
}

void log_budgeted(unsigned int *spent, enum log_level level, const char *format, ...)
{
	unsigned int used;
	va_list args;

	if (!log_enabled(level))
		return;
	used = __atomic_load_n(spent, __ATOMIC_RELAXED);
	if (used > LOG_BUDGET)
		return;
	used = __atomic_fetch_add(spent, 1, __ATOMIC_RELAXED);
	if (used > LOG_BUDGET)
		return;
	if (used == LOG_BUDGET) {
		log_line(level, "more messages of this kind are not shown");
		return;
	}
	va_start(args, format);
	log_write(level, format, args);
	va_end(args);
}
