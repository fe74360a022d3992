/* SPDX-License-Identifier: BSD-3-Clause */
/* Command lines; see words.h. */
#include "cli/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/subcommand.h"
#include "common/log.h"
#include "common/plain.h"

static void *or_die(void *p)
{
	if (!p) {
		log_error("out of memory");
		exit(STATUS_FAILED);
	}
	return p;
}

void words_add(struct words *words, const char *format, ...)
{
	char *word = NULL;
	va_list args;

	if (words->n == WORDS_MAX) {
		log_error("a command line of more than %d words; give fewer shares or arguments", WORDS_MAX);
		exit(STATUS_FAILED);
	}
	va_start(args, format);
	if (vasprintf(&word, format, args) < 0)
		word = NULL;
	va_end(args);
	words->argv[words->n++] = or_die(word);
}

char *words_line(const struct words *words)
{
	size_t size = 1, len = 0;
	char *line;

	for (unsigned int i = 0; i < words->n; i++)
		size += PLAIN_MAX(strlen(words->argv[i]) + 1);
	line = or_die(calloc(1, size));
	for (unsigned int i = 0; i < words->n; i++) {
		const char *word = words->argv[i];

		if (i)
			line[len++] = ' ';
		len += plain_text(word, strlen(word), line + len, size - len);
	}
	return line;
}

void words_free(struct words *words)
{
	while (words->n)
		free(words->argv[--words->n]);
}

char *words_escape_commas(const char *text)
{
	char *escaped = or_die(malloc(2 * strlen(text) + 1)), *to = escaped;

	for (; *text; text++) {
		if (*text == ',')
			*to++ = ',';
		*to++ = *text;
	}
	*to = '\0';
	return escaped;
}
