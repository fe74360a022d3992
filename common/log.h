/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines to standard error: "casementd: warning: text", or to syslog. A fact is logged
 * once, where it is known. Any thread may log; a line is one write(2), so
 * lines of several threads never mix. What a name in it could do to a terminal
 * or to the log's lines is shown, not done (plain.h).
 */
#ifndef CASEMENT_COMMON_LOG_H
#define CASEMENT_COMMON_LOG_H

#include <stdbool.h>

/* The names, in this order, are virtiofsd's: off error warn info debug trace. */
enum log_level {
	LOG_LEVEL_OFF,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_TRACE,
};

/* NULL-terminated names, indexed by enum log_level: a choice list for options. */
extern const char *const log_level_names[];

/* Set the program's name (borrowed, for ever) and the highest level that is printed. Before threads. */
void log_setup(const char *program, enum log_level level);

/*
 * Log to syslog from here on instead of standard error, with the facility user, until the socket fails.
 * 0, or -errno when no process listens at /dev/log. Call before a change of root.
 */
int log_to_syslog(void);

/*
 * For a program that serves others, before threads: from here on a line waits a tenth of a second at
 * most for the reader of standard error or for syslog. If nothing reads, it is lost; a line that syslog
 * does not take goes to standard error. The next line that is read says how many were lost.
 */
void log_while_serving(void);

/* True when a line of this level would be printed; guards costly arguments. */
bool log_enabled(enum log_level level);

/* Print one line, without a newline in the text. errno is kept. */
void log_line(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) \
	do { if (log_enabled(LOG_LEVEL_DEBUG)) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); } while (0)
#define log_trace(...) \
	do { if (log_enabled(LOG_LEVEL_TRACE)) log_line(LOG_LEVEL_TRACE, __VA_ARGS__); } while (0)

/*
 * What a guest or VMM can provoke at will is logged through a budget, so that
 * it cannot fill a disk: after 20 lines the place goes quiet, having said so.
 */
#define log_guest(level, ...) \
	do { \
		static unsigned int log_budget_; \
		log_budgeted(&log_budget_, level, __VA_ARGS__); \
	} while (0)
void log_budgeted(unsigned int *spent, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
