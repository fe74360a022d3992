/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's end, told to the host; see report.h. */
#include "guest/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "guest/params.h"
#include "guest/port.h"

void report_note(const char *format, ...)
{
	cleanup_close int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	char line[512];
	va_list args;
	int n;

	n = snprintf(line, sizeof(line), "casement-init: ");
	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	va_end(args);
	if (fd < 0 || write(fd, line, strlen(line)) < 0) {
		/* No other place to say it; the host shows the log's end anyway. */
	}
}

static int port = -1;	/* [I] */

void report_setup(void)
{
	port = port_open(GUEST_TTY_STATUS);
	if (port < 0)
		report_note("%s: %s", GUEST_TTY_STATUS, strerror(-port));
}

/* A line of its own, whatever the command wrote to the port. */
static int write_status(const char *text)
{
	char line[600];
	size_t done = 0, len = (size_t)snprintf(line, sizeof(line), "\n%s\n", text);

	if (port < 0)
		return port;
	while (done < len) {
		ssize_t n = write(port, line + done, len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return tcdrain(port) ? -errno : 0;
}

/* ---- from the host ---- */

static char heard[64];		/* the line that is being read, as far as there is room */
static size_t heard_len;

static bool understand(const char *line, struct report_word *word)
{
	unsigned long long total;

	if (sscanf(line, GUEST_TOLD_SIZE "%hux%hu", &word->rows, &word->columns) == 2) {
		word->what = REPORT_SIZE;
	} else if (sscanf(line, GUEST_TOLD_INPUT_END "%llu", &total) == 1) {
		word->what = REPORT_INPUT_END;
		word->total = total;
	} else if (!strcmp(line, GUEST_TOLD_DONE)) {
		word->what = REPORT_DONE;
	} else {
		return false;
	}
	return true;
}

bool report_listen(struct report_word *word)
{
	char byte;

	/* The host says little. */
	while (read(port_fd(PORT_INIT), &byte, 1) == 1) {
		if (byte != '\n') {
			if (heard_len < sizeof(heard) - 1)
				heard[heard_len++] = byte;
			continue;
		}
		heard[heard_len] = '\0';
		heard_len = 0;
		if (understand(heard, word))
			return true;
	}
	return false;
}

/* ---- the end ---- */

static void __attribute__((noreturn)) finish(const char *text)
{
	int err;

	/* What the command changed is the host's before the host is told that it has ended. */
	sync();
	err = write_status(text);
	if (err)
		report_note("cannot tell the status: %s", strerror(-err));
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void report_exit(int status)
{
	char line[32];

	snprintf(line, sizeof(line), GUEST_STATUS_EXIT "%d", status);
	finish(line);
}

void report_failure(const char *format, ...)
{
	char line[512] = GUEST_STATUS_FAILED;
	size_t start = strlen(line);
	va_list args;

	va_start(args, format);
	vsnprintf(line + start, sizeof(line) - start, format, args);
	va_end(args);
	report_note("%s", line);
	finish(line);
}
