/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Command-line options from one table: getopt_long(3), --help and the OPTIONS
 * section of the man page are all made from the same rows.
 */
#ifndef CASEMENT_COMMON_OPTIONS_H
#define CASEMENT_COMMON_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
	OPTION_FLAG,	/* bool: true when given */
	OPTION_UNFLAG,	/* bool: false when given */
	OPTION_STRING,	/* const char *: borrowed from argv */
	OPTION_NUMBER,	/* uint64_t, decimal, within [min, max] */
	OPTION_SIZE,	/* uint64_t bytes: a number with an optional K, M, G or T (powers of 1024) */
	OPTION_SECONDS,	/* uint64_t milliseconds: seconds, with up to three digits after a point */
	OPTION_CHOICE,	/* int: index into `choices` */
	OPTION_CALL,	/* `call` gets the argument and the whole config */
};

struct option_row {
	const char *name;		/* long name, without dashes; NULL: only a letter */
	char letter;			/* short form, or 0 */
	enum option_kind kind;
	size_t offset;			/* of the member in the config struct */
	const char *argument;		/* what the argument is called in the help; NULL: takes none */
	const char *help;		/* one or more sentences, plain text */
	const char *const *choices;	/* OPTION_CHOICE: NULL-terminated */
	uint64_t min, max;		/* OPTION_NUMBER, _SIZE and _SECONDS (whole ones); max 0 = no limit */
	/* OPTION_CALL: 0, 1 (all is done: exit 0), or -errno after having logged what is wrong. */
	int (*call)(void *config, const char *argument);
	/* The argument may be left out (--name, else --name=ARGUMENT), and then is this. */
	const char *bare;
	const char *instead;		/* deprecated: what to write, named in a warning */
	const char *old_choice, *new_choice;	/* OPTION_CHOICE: a deprecated word, and the one for it */
	const char *no_effect;		/* its value is checked, and a warning says why it does nothing */
};

/* An option of another program's that is known here and not served. */
struct option_refusal {
	const char *name;		/* long name, without dashes */
	const char *why;		/* the reason and the remedy, to follow a colon */
};

struct option_table {
	const char *program;		/* "casementd", "casement run" */
	const char *usage;		/* "--shared-dir DIR --socket-path SOCKET [OPTION]..." */
	const char *summary;		/* a sentence or two */
	const char *epilog;		/* printed after the options, or NULL */
	const struct option_row *rows;
	unsigned int n_rows;
	const struct option_refusal *refusals;	/* for names that have no row; ends with no name; or NULL */
};

/* What options_parse() found. */
enum options_result {
	OPTIONS_GO,	/* parsed; carry on */
	OPTIONS_DONE,	/* --help or the like was served; exit 0 */
	OPTIONS_BAD,	/* a line naming what is wrong was logged; exit 2 */
};

/*
 * Parse argv into `config`. Options end at the first other word or at "--";
 * *first gets the index of what follows. --help/-h, --version/-V, and the roff
 * sections for the build (--help-man, --help-man-refused) are served here.
 */
enum options_result options_parse(const struct option_table *table, int argc, char **argv,
				  void *config, int *first);

/* The row of a long name, or NULL. */
const struct option_row *options_find(const struct option_table *table, const char *name);
/* Why a long name is refused, or NULL. */
const char *options_refusal(const struct option_table *table, const char *name);
/* As if the row were given with this argument (NULL: without one): 0, or -errno, logged. */
int options_set(const struct option_row *row, const char *argument, void *config);

/*
 * The same where options may stand among the other words, up to a "--": these
 * are put into `words`, *n of them. More than `max` are an error.
 */
enum options_result options_parse_mixed(const struct option_table *table, int argc, char **argv,
					void *config, const char **words, unsigned int max,
					unsigned int *n);

/* "64M" -> 67108864. 0, or -EINVAL / -ERANGE. */
int parse_size(const char *text, uint64_t *bytes);

#endif
