/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines to and from the host; see report.h. */
#include "guest/report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
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

	/* Of level 3, an error: the kernel's argument `quiet` hides what is less. */
	n = snprintf(line, sizeof(line), "<3>" GUEST_LOG_PREFIX);
	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	va_end(args);
	if (fd < 0 || write(fd, line, strlen(line)) < 0) {
		/* No other place to say it; the host shows the log's end anyway. */
	}
}

/* ---- to the host ---- */

/* A line of its own, whatever the command wrote to the port. */
static int say(const char *text)
{
	int port = port_fd(PORT_INIT);
	char line[600];
	size_t done = 0, len = (size_t)snprintf(line, sizeof(line), "\n%s\n", text);

	if (port < 0)
		return -ENODEV;
	while (done < len) {
		struct pollfd fd = { .fd = port, .events = POLLOUT };
		ssize_t n = poll(&fd, 1, -1) < 0 ? -1 : write(port, line + done, len - done);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

void report_started(const char *mark)
{
	char line[sizeof(GUEST_STATUS_STARTED) + GUEST_MARK_MAX + 1];
	int err;

	snprintf(line, sizeof(line), GUEST_STATUS_STARTED "%s%s", *mark ? " " : "", mark);
	err = say(line);

	if (err)
		report_note("cannot tell that the command runs: %s", strerror(-err));
}

void report_took(uint64_t total)
{
	char line[64];
	int err;

	snprintf(line, sizeof(line), GUEST_STATUS_TOOK "%llu", (unsigned long long)total);
	err = say(line);
	if (err)
		report_note("cannot tell how much was read: %s", strerror(-err));
}

/* ---- from the host ---- */

static char heard[64];		/* the line that is being read, as far as there is room */
static size_t heard_len;

static bool understand(const char *line, struct report_word *word)
{
	unsigned long long total;
	long long seconds;
	long ns;

	if (sscanf(line, GUEST_TOLD_CLOCK "%lld %ld", &seconds, &ns) == 2) {
		word->what = REPORT_CLOCK;
		word->clock = (struct timespec){ .tv_sec = seconds, .tv_nsec = ns };
	} else if (sscanf(line, GUEST_TOLD_SIZE "%hux%hu", &word->rows, &word->columns) == 2) {
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

/* False when the host is gone. */
static bool wait_for(int what, struct report_word *word)
{
	struct pollfd fd = { .fd = port_fd(PORT_INIT), .events = POLLIN };

	for (;;) {
		while (report_listen(word))
			if ((int)word->what == what)
				return true;
		if (poll(&fd, 1, -1) > 0 && fd.revents & (POLLHUP | POLLERR | POLLNVAL))
			return false;
	}
}

int report_ask_clock(struct timespec *clock)
{
	struct report_word word;
	int err = say(GUEST_STATUS_CLOCK);

	if (err)
		return err;
	if (!wait_for(REPORT_CLOCK, &word))
		return -EPIPE;
	*clock = word.clock;
	return 0;
}

/* ---- the end ---- */

static void __attribute__((noreturn)) finish(const char *text)
{
	struct report_word word;
	int err;

	/* What the command changed is the host's before the host is told that it has ended. */
	sync();
	err = say(text);
	if (err)
		report_note("cannot tell the status: %s", strerror(-err));
	else
		wait_for(REPORT_DONE, &word);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void report_exit(int status, uint64_t out, uint64_t err)
{
	char line[64];

	snprintf(line, sizeof(line), GUEST_STATUS_EXIT "%d %llu %llu", status, (unsigned long long)out,
		 (unsigned long long)err);
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
