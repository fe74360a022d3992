/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What several do to one file at once. `data-check WHAT` works in the current directory, and
 * ends with status 0, or 1 after saying what was wrong.
 *
 * A race is made, not waited for: it is in two steps. When the file is prepared `ready` is
 * said, and a line awaited; meanwhile the daemon is stopped. Then one thread begins what waits
 * for the daemon, another stores to a mapping beside it, and when that has ended or waits, too,
 * `stored` is said. With the daemon going on both end, and what is in the file is looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 64
#define MANY 8

static bool failed;

static void __attribute__((format(printf, 2, 3))) expect(bool right, const char *format, ...)
{
	va_list args;

	if (right)
		return;
	failed = true;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void must(bool done, const char *what)
{
	if (done)
		return;
	printf("%s: %s\n", what, strerror(errno));
	exit(2);
}

/* ---- many who ask, one who writes ---- */

static off_t size_of(int fd)
{
	struct stat stat;

	must(!fstat(fd, &stat), "fstat");
	return stat.st_size;
}

/* A file is as long as what was written to it, whoever asks for its size meanwhile. */
static void appends(void)
{
	int fd = open("appends", O_RDWR | O_CREAT, 0644);
	pid_t children[MANY];
	char bytes[1000] = "";
	off_t at;

	must(fd >= 0, "open");
	for (int i = 0; i < MANY; i++) {
		children[i] = fork();
		while (!children[i])
			size_of(fd);
	}
	for (at = 0; at < (off_t)sizeof(bytes) && !failed; at++) {
		char byte = (char)('a' + at % 26);

		must(pwrite(fd, &byte, 1, at) == 1, "pwrite");
		/* Between two writes those who ask go on, and the daemon's replies come. */
		sched_yield();
		if (at % 16)
			continue;
		expect(size_of(fd) == at + 1, "%ld bytes after %ld were written", (long)size_of(fd), (long)at + 1);
	}
	for (int i = 0; i < MANY; i++)
		kill(children[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	must(pread(fd, bytes, sizeof(bytes), 0) >= 0, "pread");
	for (off_t i = 0; i < at && !failed; i++)
		expect(bytes[i] == 'a' + i % 26, "byte %ld is %#x", (long)i, bytes[i]);
}

/* ---- table ---- */

static const struct {
	const char *name;
	void (*run)(void);
} checks[] = {
	{ "appends", appends },
};

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc == 2 && i < sizeof(checks) / sizeof(*checks); i++) {
		if (!strcmp(argv[1], checks[i].name)) {
			checks[i].run();
			return failed;
		}
	}
	return 2;
}
