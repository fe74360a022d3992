/* SPDX-License-Identifier: BSD-3-Clause */
/* Log lines to standard error or syslog; see log.h. */
#include "common/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
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
/* How long a line of a program that serves waits for its reader, milliseconds: a busy one is back by then. */
#define LOG_WAIT_MS 100

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
static int log_socket = -1;				/* to syslog; -1: standard error it is [A] relaxed */
static char log_ident[64];				/* [I] */

static bool log_serving;				/* log_while_serving() was called: the next four are in use; [I] */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;	/* held while a line is written */
static bool syslog_is_full, stderr_is_full;		/* [L:log_lock] the last line found no room: the next does not wait */
static unsigned int lines_lost;				/* [L:log_lock] since stderr_is_full */

void log_setup(const char *program, enum log_level level)
{
	plain_setup();
	log_program = program;
	log_threshold = level;
}

/*
 * Not by syslog(3): it does not report errors, and it connects to /dev/log again when a
 * message fails; in a sandbox that path is in the guest's tree.
 */
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
	log_socket = take_fd(&fd);
	return 0;
}

void log_while_serving(void)
{
	log_serving = true;
}

/* True when a line can be written without waiting for its reader. */
static bool has_room(int fd, bool *full)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	if (!log_serving)
		return true;
	*full = poll(&pfd, 1, *full ? 0 : LOG_WAIT_MS) <= 0;
	return !*full;
}

/* True when syslog has taken the line. After an error other than a full queue all lines go to standard error. */
static bool say_to_syslog(int fd, enum log_level level, const char *line)
{
	char message[LOG_LINE_MAX + 128], when[32];
	struct iovec iov = { .iov_base = message };
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	time_t now = time(NULL);
	struct tm tm;
	ssize_t n;

	if (!has_room(fd, &syslog_is_full))
		return false;
	strftime(when, sizeof(when), "%b %e %T", localtime_r(&now, &tm));
	iov.iov_len = (size_t)snprintf(message, sizeof(message), "<%d>%s %s: %s",
				       LOG_USER | level_priority[level], when, log_ident, line);
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | (log_serving ? MSG_DONTWAIT : 0));
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != ENOBUFS && errno != EAGAIN)
		__atomic_store_n(&log_socket, -1, __ATOMIC_RELAXED);
	return n >= 0;
}

/* A line; while nothing reads standard error it is lost. */
static void say_to_stderr(enum log_level level, const char *text, size_t n)
{
	char line[LOG_LINE_MAX], lost[64] = "";
	size_t len, room = sizeof(line) - 1;

	if (!has_room(STDERR_FILENO, &stderr_is_full)) {
		lines_lost++;
		return;
	}
	if (lines_lost)
		snprintf(lost, sizeof(lost), "(%u lines before this one were lost) ", lines_lost);
	lines_lost = 0;
	len = (size_t)snprintf(line, room, "%s: %s%s", log_program, level_prefix[level], lost);
	len = len < room ? len : room - 1;
	len += plain_text(text, n, line + len, room - len);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0) {
		/* Nowhere left to say it. */
	}
}

bool log_enabled(enum log_level level)
{
	return level <= log_threshold;
}

static void log_write(enum log_level level, const char *format, va_list args)
{
	char text[LOG_TEXT_MAX], line[LOG_LINE_MAX];
	int n, fd, saved = errno;
	bool said = false;

	/* Names of others are in it; here nobody can forget them. */
	n = vsnprintf(text, sizeof(text), format, args);
	n = n < 0 ? 0 : n < LOG_TEXT_MAX ? n : LOG_TEXT_MAX - 1;
	if (log_serving)
		pthread_mutex_lock(&log_lock);
	fd = __atomic_load_n(&log_socket, __ATOMIC_RELAXED);
	if (fd >= 0) {
		plain_text(text, (size_t)n, line, sizeof(line));
		said = say_to_syslog(fd, level, line);
	}
	if (!said)
		say_to_stderr(level, text, (size_t)n);
	if (log_serving)
		pthread_mutex_unlock(&log_lock);
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
