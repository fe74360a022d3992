/* SPDX-License-Identifier: BSD-3-Clause */
/* Log lines to standard error or syslog; see log.h. */
#include "common/log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <paths.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/plain.h"

#define LOG_TEXT_MAX 1024
#define LOG_LINE_MAX PIPE_BUF	/* what a pipe takes in one piece */
#define LOG_BUDGET 20

const char *const log_level_names[] = {
	"off", "error", "warn", "info", "debug", "trace", NULL,
};

static const char *const level_prefix[] = {
	"", "error: ", "warning: ", "", "debug: ", "trace: ",
};

static const int level_priority[] = {
	[LOG_LEVEL_ERROR] = LOG_ERR, [LOG_LEVEL_WARN] = LOG_WARNING, [LOG_LEVEL_INFO] = LOG_INFO,
	[LOG_LEVEL_DEBUG] = LOG_DEBUG, [LOG_LEVEL_TRACE] = LOG_DEBUG,
};

static const char *log_program = "casement";		/* [I] */
static enum log_level log_threshold = LOG_LEVEL_INFO;	/* [I] */
static bool log_syslog;					/* [I] */
static char log_ident[64];				/* [I] kept by openlog(3) */

void log_setup(const char *program, enum log_level level)
{
	plain_setup();
	log_program = program;
	log_threshold = level;
}

/* syslog(3) itself never says that nobody listens. */
int log_to_syslog(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = _PATH_LOG };
	cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	/* The process that others know: a child in a pid namespace of its own would say 1. */
	snprintf(log_ident, sizeof(log_ident), "%s[%d]", log_program, (int)getpid());
	/* A sandbox has no /etc/localtime. */
	tzset();
	openlog(log_ident, LOG_NDELAY, LOG_USER);
	log_syslog = true;
	return 0;
}

bool log_enabled(enum log_level level)
{
	return level <= log_threshold;
}

static void log_write(enum log_level level, const char *format, va_list args)
{
	char text[LOG_TEXT_MAX], line[LOG_LINE_MAX];
	int saved = errno;
	size_t len, room = sizeof(line) - 1;
	int n;

	/* Names of others are in it; here nobody can forget them. */
	n = vsnprintf(text, sizeof(text), format, args);
	n = n < 0 ? 0 : n < LOG_TEXT_MAX ? n : LOG_TEXT_MAX - 1;
	if (log_syslog) {
		plain_text(text, (size_t)n, line, sizeof(line));
		syslog(level_priority[level], "%s", line);
		errno = saved;
		return;
	}
	len = (size_t)snprintf(line, room, "%s: %s", log_program, level_prefix[level]);
	len = len < room ? len : room - 1;
	len += plain_text(text, (size_t)n, line + len, room - len);
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
