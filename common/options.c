/* SPDX-License-Identifier: BSD-3-Clause */
/* Command-line options from one table; see options.h. */
#include "common/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/checked.h"
#include "common/log.h"

#define OPTIONS_MAX 96		/* rows a table may have */
#define ROW_BASE 1000		/* getopt values of rows: above every letter */
#define HELP_WIDTH 79
#define HELP_COLUMN 30

enum { VAL_HELP = 900, VAL_VERSION, VAL_HELP_MAN };

int parse_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGT";
	unsigned long long number;
	uint64_t unit = 1;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end) {
		const char *s = strchr(suffixes, toupper((unsigned char)*end));

		if (!s || end[1])
			return -EINVAL;
		unit = 1ULL << (10 * (s - suffixes + 1));
	}
	return checked_mul_u64(number, unit, bytes) ? 0 : -ERANGE;
}

static int set_number(const struct option_row *row, const char *text, uint64_t *number)
{
	int err;

	if (row->kind == OPTION_NUMBER && text[strspn(text, "0123456789")])
		err = -EINVAL;
	else
		err = parse_size(text, number);
	if (!err && (*number < row->min || (row->max && *number > row->max)))
		err = -ERANGE;
	if (err == -ERANGE)
		log_error("--%s %s: out of range, give %llu to %llu", row->name, text,
			  (unsigned long long)row->min,
			  (unsigned long long)(row->max ? row->max : UINT64_MAX));
	else if (err)
		log_error("--%s %s: not a %s, give for example %s", row->name, text,
			  row->kind == OPTION_SIZE ? "size" : "number",
			  row->kind == OPTION_SIZE ? "512M or 1G" : "4");
	return err;
}

static int set_choice(const struct option_row *row, const char *text, int *choice)
{
	char list[256] = "";

	for (int i = 0; row->choices[i]; i++) {
		if (!strcmp(row->choices[i], text)) {
			*choice = i;
			return 0;
		}
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			 i ? ", " : "", row->choices[i]);
	}
	log_error("--%s %s: not known, give one of: %s", row->name, text, list);
	return -EINVAL;
}

static int set_option(const struct option_row *row, const char *text, void *config)
{
	void *member = (char *)config + row->offset;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)member = true;
		return 0;
	case OPTION_STRING:
		*(const char **)member = text;
		return 0;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return set_number(row, text, member);
	case OPTION_CHOICE:
		return set_choice(row, text, member);
	case OPTION_CALL:
		return row->call(config, text);
	}
	return -EINVAL;
}

/* Print `text` wrapped, indented by HELP_COLUMN after the first `used` columns. */
static void print_wrapped(const char *text, int used)
{
	int column = used;

	if (used >= HELP_COLUMN) {
		printf("\n");
		column = 0;
	}
	printf("%*s", HELP_COLUMN - column, "");
	column = HELP_COLUMN;
	while (*text) {
		int word = (int)strcspn(text, " ");

		if (column > HELP_COLUMN && column + 1 + word > HELP_WIDTH) {
			printf("\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		} else if (column > HELP_COLUMN) {
			printf(" ");
			column++;
		}
		printf("%.*s", word, text);
		column += word;
		text += word + strspn(text + word, " ");
	}
	printf("\n");
}

static void print_row(char letter, const char *name, const char *argument, const char *help)
{
	char left[128];
	int n;

	n = snprintf(left, sizeof(left), "  %c%c%s --%s%s%s", letter ? '-' : ' ',
		     letter ? letter : ' ', letter ? "," : " ", name,
		     argument ? " " : "", argument ? argument : "");
	printf("%s", left);
	print_wrapped(help, n);
}

static void print_help(const struct option_table *table)
{
	printf("Usage: %s %s\n%s\n\nOptions:\n", table->program, table->usage, table->summary);
	for (unsigned int i = 0; i < table->n_rows; i++)
		print_row(table->rows[i].letter, table->rows[i].name, table->rows[i].argument,
			  table->rows[i].help);
	print_row('h', "help", NULL, "Show this help.");
	print_row('V', "version", NULL, "Show the version.");
	if (table->epilog)
		printf("\n%s\n", table->epilog);
}

/* Text as roff: hyphens and backslashes are escaped, a leading dot is protected. */
static void print_roff(const char *text)
{
	if (*text == '.' || *text == '\'')
		printf("\\&");
	for (; *text; text++) {
		if (*text == '-')
			printf("\\-");
		else if (*text == '\\')
			printf("\\e");
		else
			putchar(*text);
	}
}

static void print_man(const struct option_table *table)
{
	for (unsigned int i = 0; i < table->n_rows; i++) {
		const struct option_row *row = &table->rows[i];

		printf(".TP\n");
		if (row->letter)
			printf("\\fB\\-%c\\fR, ", row->letter);
		printf("\\fB\\-\\-");
		print_roff(row->name);
		printf("\\fR");
		if (row->argument)
			printf(" \\fI%s\\fR", row->argument);
		printf("\n");
		print_roff(row->help);
		printf("\n");
	}
}

static unsigned int build_getopt(const struct option_table *table, struct option *longs, char *shorts)
{
	unsigned int n = 0;

	*shorts++ = '+';
	*shorts++ = ':';
	for (; n < table->n_rows; n++) {
		const struct option_row *row = &table->rows[n];

		longs[n] = (struct option){ row->name,
			row->argument ? required_argument : no_argument, NULL, ROW_BASE + (int)n };
		if (row->letter) {
			*shorts++ = row->letter;
			if (row->argument)
				*shorts++ = ':';
		}
	}
	memcpy(shorts, "hV", 3);
	longs[n++] = (struct option){ "help", no_argument, NULL, VAL_HELP };
	longs[n++] = (struct option){ "version", no_argument, NULL, VAL_VERSION };
	longs[n++] = (struct option){ "help-man", no_argument, NULL, VAL_HELP_MAN };
	longs[n] = (struct option){ 0 };
	return n;
}

static const struct option_row *find_row(const struct option_table *table, int value)
{
	if (value >= ROW_BASE)
		return &table->rows[value - ROW_BASE];
	for (unsigned int i = 0; i < table->n_rows; i++)
		if (table->rows[i].letter == value)
			return &table->rows[i];
	return NULL;
}

enum options_result options_parse(const struct option_table *table, int argc, char **argv,
				  void *config, int *first)
{
	struct option longs[OPTIONS_MAX + 4];
	char shorts[2 * OPTIONS_MAX + 8];
	int value;

	if (table->n_rows > OPTIONS_MAX)
		abort();
	build_getopt(table, longs, shorts);
	optind = 0;
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_row *row;

		switch (value) {
		case 'h':
		case VAL_HELP:
			print_help(table);
			return OPTIONS_DONE;
		case 'V':
		case VAL_VERSION:
			printf("%s %s\n", table->program, CASEMENT_VERSION);
			return OPTIONS_DONE;
		case VAL_HELP_MAN:
			print_man(table);
			return OPTIONS_DONE;
		case '?':
			log_error("%s: unknown option; see %s --help", argv[optind - 1], table->program);
			return OPTIONS_BAD;
		case ':':
			log_error("%s: needs an argument; see %s --help", argv[optind - 1], table->program);
			return OPTIONS_BAD;
		}
		row = find_row(table, value);
		if (!row || set_option(row, optarg, config))
			return OPTIONS_BAD;
	}
	*first = optind;
	return OPTIONS_GO;
}
