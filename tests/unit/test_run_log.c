/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest's log: words that are looked for, an end that is kept, a file that does not grow for ever. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/run_log.h"

#define ROOM 1000

struct fixture {
	struct run_log log;
	char name[32];
};

static void open_with(struct fixture *f, bool file)
{
	strcpy(f->name, "/tmp/casement-log-XXXXXX");
	close(mkstemp(f->name));
	assert_int_equal(run_log_open(&f->log, file ? f->name : NULL, ROOM), 0);
	assert_int_equal(run_log_connect(&f->log), 0);
}

static void close_all(struct fixture *f)
{
	run_log_close(&f->log);
	unlink(f->name);
}

static void say(struct fixture *f, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(write(f->log.pipe[1], text, len), len);
}

/* All that is in the pipe. */
static void take(struct fixture *f)
{
	f->log.rest = 0;
	do
		run_log_move(&f->log);
	while (relay_is_full(&f->log.relay));
}

static void words_are_found(void **state)
{
	struct fixture f;

	(void)state;
	open_with(&f, false);
	say(&f, "Linux ver");
	take(&f);
	say(&f, "sion 6\r\nKernel panic - not ");
	take(&f);
	assert_true(f.log.said[RUN_LOG_LINUX]);
	assert_false(f.log.said[RUN_LOG_INIT] || f.log.said[RUN_LOG_PANIC]);
	say(&f, "syncing\r\n[1] Kernel panic: another\n");
	take(&f);
	assert_string_equal(f.log.panic, "Kernel panic - not syncing");
	say(&f, "[2] casement-init: no loopback\n[2] casement-init: failed for a reason\n");
	take(&f);
	assert_string_equal(f.log.failure, "for a reason");
	close_all(&f);
}

/* Lines without an end, and many of them. */
static void much_is_taken(void **state)
{
	static char text[RELAY_SIZE];
	struct fixture f;

	(void)state;
	open_with(&f, false);
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 1000; i++) {
		say(&f, text);
		take(&f);
	}
	say(&f, "\n[2] run as init process\n");
	take(&f);
	assert_true(f.log.said[RUN_LOG_INIT]);
	assert_int_equal(f.log.total, 1000 * (sizeof(text) - 1) + 25);
	close_all(&f);
}

static size_t file_size(const struct fixture *f)
{
	struct stat st;

	assert_int_equal(stat(f->name, &st), 0);
	return (size_t)st.st_size;
}

static void the_file_is_bounded(void **state)
{
	static char text[RELAY_SIZE];
	struct fixture f;
	char got[2 * ROOM] = "";
	int fd;

	(void)state;
	open_with(&f, true);
	say(&f, "first\n");
	take(&f);
	assert_int_equal(file_size(&f), 6);
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 10; i++) {
		say(&f, text);
		take(&f);
	}
	assert_in_range(file_size(&f), 6, ROOM + 100);
	fd = open(f.name, O_RDONLY);
	assert_true(read(fd, got, sizeof(got) - 1) > 0);
	close(fd);
	assert_non_null(strstr(got, "longer than this file may be"));
	say(&f, "\nKernel panic\n");
	take(&f);
	assert_true(f.log.said[RUN_LOG_PANIC]);
	close_all(&f);
}

/* A log that gives single bytes is looked at now and then; its end is taken whole. */
static void bytes_gather(void **state)
{
	struct pollfd fd;
	struct fixture f;

	(void)state;
	open_with(&f, true);
	assert_int_equal(run_log_poll(&f.log, &fd), -1);
	assert_int_equal(fd.fd, f.log.pipe[0]);
	say(&f, "a");
	run_log_move(&f.log);
	assert_in_range(run_log_poll(&f.log, &fd), 1, 1000);
	assert_int_equal(fd.fd, -1);
	say(&f, "b\nlast");
	run_log_start(&f.log);
	run_log_sweep(&f.log);
	assert_int_equal(file_size(&f), 7);
	assert_true(run_log_is_done(&f.log));
	close_all(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_found),
		cmocka_unit_test(much_is_taken),
		cmocka_unit_test(the_file_is_bounded),
		cmocka_unit_test(bytes_gather),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
