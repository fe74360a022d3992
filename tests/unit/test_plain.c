/* SPDX-License-Identifier: BSD-3-Clause */
/* Text of others for people: letters are kept, what a terminal or a reader would obey is not. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "common/plain.h"

#define ROOM 256

static const struct {
	const char *text, *utf8, *ascii;
} rows[] = {
	{ "a plain name.txt", "a plain name.txt", "a plain name.txt" },
	{ "back\\slash", "back\\slash", "back\\slash" },
	{ "", "", "" },
	/* C0, DEL */
	{ "a\nb\tc\rd", "a\\012b\\011c\\015d", "a\\012b\\011c\\015d" },
	{ "\033[2J\a\177", "\\033[2J\\007\\177", "\\033[2J\\007\\177" },
	/* letters of two, three and four bytes */
	{ "gr\303\274n", "gr\303\274n", "gr\\303\\274n" },
	{ "\342\202\254\346\227\245", "\342\202\254\346\227\245", "\\342\\202\\254\\346\\227\\245" },
	{ "\360\237\246\212", "\360\237\246\212", "\\360\\237\\246\\212" },
	/* C1: CSI and OSC as one character, and as a bare byte */
	{ "\302\23331m\302\235", "\\302\\23331m\\302\\235", "\\302\\23331m\\302\\235" },
	{ "\23331m", "\\23331m", "\\23331m" },
	/* right to left override, isolate, mark, line separator, tag */
	{ "\342\200\256gpj", "\\342\\200\\256gpj", "\\342\\200\\256gpj" },
	{ "\342\201\247", "\\342\\201\\247", "\\342\\201\\247" },
	{ "\342\200\217\330\234", "\\342\\200\\217\\330\\234", "\\342\\200\\217\\330\\234" },
	{ "\342\200\250", "\\342\\200\\250", "\\342\\200\\250" },
	{ "\363\240\201\201", "\\363\\240\\201\\201", "\\363\\240\\201\\201" },
	/* longer than needed: ESC in two bytes, CSI in three */
	{ "\300\233", "\\300\\233", "\\300\\233" },
	{ "\340\202\233", "\\340\\202\\233", "\\340\\202\\233" },
	/* half of UTF-16; past the last character; no first byte */
	{ "\355\240\200", "\\355\\240\\200", "\\355\\240\\200" },
	{ "\364\220\200\200", "\\364\\220\\200\\200", "\\364\\220\\200\\200" },
	{ "\370\210\200\200\200", "\\370\\210\\200\\200\\200", "\\370\\210\\200\\200\\200" },
	/* cut short, by the end and by another character */
	{ "\342\202", "\\342\\202", "\\342\\202" },
	{ "\342\202\033\342\202\254", "\\342\\202\\033\342\202\254", "\\342\\202\\033\\342\\202\\254" },
};

static void set_locale(const char *name)
{
	setenv("LC_ALL", name, 1);
	plain_setup();
}

static void shows_what_is_harmless(void **state)
{
	char got[ROOM];

	(void)state;
	for (int utf8 = 0; utf8 < 2; utf8++) {
		set_locale(utf8 ? "C.UTF-8" : "C");
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			const char *wanted = utf8 ? rows[i].utf8 : rows[i].ascii;

			assert_int_equal(plain_text(rows[i].text, strlen(rows[i].text), got, ROOM),
					 strlen(wanted));
			assert_string_equal(got, wanted);
		}
	}
}

/* Every byte that text may be made of, and a NUL within it. */
static void leaves_no_control(void **state)
{
	char text[ROOM], got[PLAIN_MAX(ROOM) + 1];

	(void)state;
	set_locale("C.UTF-8");
	for (int i = 0; i < ROOM; i++)
		text[i] = (char)i;
	plain_text(text, ROOM, got, sizeof(got));
	for (const unsigned char *p = (unsigned char *)got; *p; p++)
		assert_true(*p >= ' ' && *p < 0x7f);
}

/* Whole characters, or none; the NUL is always there. */
static void stops_at_the_room(void **state)
{
	char got[ROOM];

	(void)state;
	set_locale("C.UTF-8");
	for (size_t size = 1; size < 10; size++) {
		size_t n = plain_text("\303\274\n\342\202\254x", 7, got, size);

		assert_int_equal(n, size <= 2 ? 0 : size <= 6 ? 2 : size <= 9 ? 6 : 9);
		assert_int_equal(strlen(got), n);
	}
}

static void a_stream_gets_all(void **state)
{
	char *got = NULL, text[3000];
	size_t size = 0;
	FILE *file = open_memstream(&got, &size);

	(void)state;
	set_locale("C.UTF-8");
	memset(text, '\033', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	plain_put(text, file);
	plain_put("", file);
	plain_put("end", file);
	fclose(file);
	assert_int_equal(size, PLAIN_MAX(sizeof(text) - 1) + 3);
	assert_string_equal(got + size - 7, "\\033end");
	free(got);
}

/* What log_line() writes, read back. */
static void a_log_line_is_one_line(void **state)
{
	char got[8192], bells[2000];
	int pipe_fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	(void)state;
	setenv("LC_ALL", "C.UTF-8", 1);
	memset(bells, '\a', sizeof(bells) - 1);
	bells[sizeof(bells) - 1] = '\0';
	assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
	dup2(pipe_fds[1], STDERR_FILENO);
	log_setup("test", LOG_LEVEL_INFO);
	log_error("%s: %s", "\033]0;t\a\ntest: all is well\302\233", "gr\303\274n");
	n = read(pipe_fds[0], got, sizeof(got) - 1);
	got[n > 0 ? n : 0] = '\0';
	log_info("%s", bells);
	n = read(pipe_fds[0], bells, sizeof(bells));
	dup2(saved, STDERR_FILENO);
	assert_string_equal(got, "test: error: \\033]0;t\\007\\012test: all is well\\302\\233: gr\303\274n\n");
	assert_int_equal(n, sizeof(bells));
	assert_memory_equal(bells, "test: \\007\\007", 14);
	n = read(pipe_fds[0], got, sizeof(got));
	assert_true(n > 0 && got[n - 1] == '\n' && !memchr(got, '\n', (size_t)n - 1));
	close(saved);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_what_is_harmless),
		cmocka_unit_test(leaves_no_control),
		cmocka_unit_test(stops_at_the_room),
		cmocka_unit_test(a_stream_gets_all),
		cmocka_unit_test(a_log_line_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
