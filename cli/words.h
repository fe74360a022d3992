/* SPDX-License-Identifier: BSD-3-Clause */
/* A command line that is put together word by word. */
#ifndef CASEMENT_CLI_WORDS_H
#define CASEMENT_CLI_WORDS_H

#define WORDS_MAX 256

/* Zero-initialise; words_free() it. */
struct words {
	char *argv[WORDS_MAX + 1];	/* NULL-terminated; owned */
	unsigned int n;
};

/* Add one word, made as by printf. Ends the process when there is no memory or room. */
void words_add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Add an option and its word. */
#define words_option(words, option, ...) \
	do { words_add(words, "%s", option); words_add(words, __VA_ARGS__); } while (0)

/* All words in one line, for people. To be freed. */
char *words_line(const struct words *words);

void words_free(struct words *words);

/* `text` with its commas doubled, as values in QEMU's options want them. To be freed. */
char *words_escape_commas(const char *text);

#endif
