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

enum { VAL_HELP = 900, VAL_VERSION, VAL_HELP_MAN, VAL_HELP_REFUSED };

static const char suffixes[] = "KMGT";	/* each 1,024 times the one before */

int parse_size(const char *text, uint64_t *bytes)
{
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

/* As it would be given: a size in the largest unit that it is a multiple of. */
static void write_amount(char text[32], const struct option_row *row, uint64_t amount)
{
	int unit = -1;

	while (row->kind == OPTION_SIZE && amount && !(amount % 1024) && unit < (int)strlen(suffixes) - 1) {
		amount /= 1024;
		unit++;
	}
	snprintf(text, 32, "%llu%.*s", (unsigned long long)amount, unit >= 0, unit >= 0 ? &suffixes[unit] : "");
}

static void tell_range(const struct option_row *row, const char *text)
{
	char min[32], max[32];

	write_amount(min, row, row->min);
	write_amount(max, row, row->max);
	log_error("--%s %s: out of range, give %s %s %s", row->name, text, min, row->max ? "to" : "or", row->max ? max : "more");
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
		tell_range(row, text);
	else if (err)
		log_error("--%s %s: not a %s, give for example %s", row->name, text,
			  row->kind == OPTION_SIZE ? "size" : "number",
			  row->kind == OPTION_SIZE ? "512M or 1G" : "4");
	return err;
}

/* "1", "0.5", "2.125": the last digit is a thousandth. */
static int set_seconds(const struct option_row *row, const char *text, uint64_t *milliseconds)
{
	size_t whole = strspn(text, "0123456789");
	size_t digits = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
	uint64_t seconds = 0, thousandths = 0;

	for (size_t i = 0; i < whole && seconds <= row->max; i++)
		seconds = seconds * 10 + (uint64_t)(text[i] - '0');
	for (size_t i = 0; i < 3; i++)
		thousandths = thousandths * 10 + (i < digits ? (uint64_t)(text[whole + 1 + i] - '0') : 0);
	if (!whole || digits > 3 || text[whole + (text[whole] == '.') + digits]) {
		log_error("--%s %s: not a number of seconds, give for example 1 or 0.5", row->name, text);
		return -EINVAL;
	}
	*milliseconds = seconds * 1000 + thousandths;
	if (*milliseconds > row->max * 1000) {
		log_error("--%s %s: out of range, give 0 to %llu", row->name, text,
			  (unsigned long long)row->max);
		return -ERANGE;
	}
	return 0;
}

static int set_choice(const struct option_row *row, const char *text, int *choice)
{
	char list[256] = "";

	if (row->old_choice && !strcmp(text, row->old_choice)) {
		log_warn("--%s %s: deprecated: write %s", row->name, text, row->new_choice);
		text = row->new_choice;
	}
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

int options_set(const struct option_row *row, const char *argument, void *config)
{
	const char *text = argument ? argument : row->bare;
	void *member = (char *)config + row->offset;

	switch (row->kind) {
	case OPTION_FLAG:
	case OPTION_UNFLAG:
		*(bool *)member = row->kind == OPTION_FLAG;
		return 0;
	case OPTION_STRING:
		*(const char **)member = text;
		return 0;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return set_number(row, text, member);
	case OPTION_SECONDS:
		return set_seconds(row, text, member);
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

/* "-l, --name ARGUMENT", or what of that there is. */
static int format_left(char *left, size_t size, const struct option_row *row)
{
	const char *argument = row->argument ? row->argument : "";

	if (!row->name)
		return snprintf(left, size, "  -%c%s%s", row->letter, *argument ? " " : "", argument);
	return snprintf(left, size, "  %c%c%s --%s%s%s%s", row->letter ? '-' : ' ',
			row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
			!row->argument ? "" : row->bare ? "[=" : " ", argument, row->bare ? "]" : "");
}

static void print_row(const struct option_row *row)
{
	char left[128];
	int n = format_left(left, sizeof(left), row);

	printf("%s", left);
	print_wrapped(row->help, n);
}

static void print_help(const struct option_table *table)
{
	static const struct option_row help = { "help", 'h', .help = "Show this help." };
	static const struct option_row version = { "version", 'V', .help = "Show the version." };

	printf("Usage: %s %s\n%s\n\nOptions:\n", table->program, table->usage, table->summary);
	for (unsigned int i = 0; i < table->n_rows; i++)
		print_row(&table->rows[i]);
	print_row(&help);
	print_row(&version);
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

const struct option_row *options_find(const struct option_table *table, const char *name)
{
	for (unsigned int i = 0; i < table->n_rows; i++)
		if (table->rows[i].name && !strcmp(table->rows[i].name, name))
			return &table->rows[i];
	return NULL;
}

const char *options_refusal(const struct option_table *table, const char *name)
{
	for (const struct option_refusal *r = table->refusals; r && r->name; r++)
		if (!strcmp(r->name, name))
			return r->why;
	return NULL;
}

static void print_man(const struct option_table *table)
{
	for (unsigned int i = 0; i < table->n_rows; i++) {
		const struct option_row *row = &table->rows[i];

		printf(".TP\n");
		if (row->letter)
			printf("\\fB\\-%c\\fR%s", row->letter, row->name ? ", " : "");
		if (row->name) {
			printf("\\fB\\-\\-");
			print_roff(row->name);
			printf("\\fR");
		}
		if (row->argument)
			printf(row->bare ? "[=\\fI%s\\fR]" : " \\fI%s\\fR", row->argument);
		printf("\n");
		print_roff(row->help);
		printf("\n");
	}
}

static void print_man_refused(const struct option_table *table)
{
	for (const struct option_refusal *r = table->refusals; r && r->name; r++) {
		if (options_find(table, r->name))
			continue;
		printf(".TP\n\\fB\\-\\-");
		print_roff(r->name);
		printf("\\fR\nRefused: ");
		print_roff(r->why);
		printf("\n");
	}
}

static int argument_of(const struct option_row *row)
{
	if (!row->argument)
		return no_argument;
	return row->bare ? optional_argument : required_argument;
}

static void build_getopt(const struct option_table *table, struct option *longs, char *shorts)
{
	unsigned int n = 0;

	*shorts++ = '+';
	*shorts++ = ':';
	for (unsigned int i = 0; i < table->n_rows; i++) {
		const struct option_row *row = &table->rows[i];

		if (row->name)
			longs[n++] = (struct option){ row->name, argument_of(row), NULL,
						      ROW_BASE + (int)i };
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
	longs[n++] = (struct option){ "help-man-refused", no_argument, NULL, VAL_HELP_REFUSED };
	longs[n] = (struct option){ 0 };
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

/* `word` is not an option, or not one of this form. */
static enum options_result complain(const struct option_table *table, const char *word)
{
	char name[64] = "";
	const char *why;

	if (word[0] == '-' && word[1] == '-')
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	why = options_refusal(table, name);
	if (why)
		log_error("--%s: not supported: %s", name, why);
	else if (options_find(table, name))
		log_error("%s: takes no argument; see %s --help", word, table->program);
	else
		log_error("%s: unknown option; see %s --help", word, table->program);
	return OPTIONS_BAD;
}

/* What getopt_long(3) found is not a row's: serve it, or say what is wrong. */
static enum options_result serve_value(const struct option_table *table, int value, const char *word)
{
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
	case VAL_HELP_REFUSED:
		print_man_refused(table);
		return OPTIONS_DONE;
	case ':':
		log_error("%s: needs an argument; see %s --help", word, table->program);
		return OPTIONS_BAD;
	default:
		return complain(table, word);
	}
}

static void warn_of(const struct option_row *row)
{
	const char *dashes = row->name ? "--" : "-", *name = row->name ? row->name : &row->letter;
	int length = row->name ? (int)strlen(row->name) : 1;

	if (row->instead)
		log_warn("%s%.*s: deprecated: %s", dashes, length, name, row->instead);
	if (row->no_effect)
		log_warn("%s%.*s: has no effect: %s", dashes, length, name, row->no_effect);
}

enum options_result options_parse(const struct option_table *table, int argc, char **argv,
				  void *config, int *first)
{
	struct option longs[OPTIONS_MAX + 5];
	char shorts[2 * OPTIONS_MAX + 8];
	int value;

	if (table->n_rows > OPTIONS_MAX)
		abort();
	build_getopt(table, longs, shorts);
	optind = 0;
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_row *row = find_row(table, value);
		int done;

		if (!row)
			return serve_value(table, value, argv[optind - 1]);
		done = options_set(row, optarg, config);
		if (done)
			return done > 0 ? OPTIONS_DONE : OPTIONS_BAD;
		warn_of(row);
	}
	*first = optind;
	return OPTIONS_GO;
}

enum options_result options_parse_mixed(const struct option_table *table, int argc, char **argv,
					void *config, const char **words, unsigned int max,
					unsigned int *n)
{
	bool only_words = false;

	*n = 0;
	while (argc > 1) {
		int first = 1;

		if (!only_words) {
			enum options_result result = options_parse(table, argc, argv, config, &first);

			if (result != OPTIONS_GO)
				return result;
			only_words = first > 1 && !strcmp(argv[first - 1], "--");
		}
		if (first >= argc)
			break;
		if (*n == max) {
			log_error("%s: one word too many; see %s --help", argv[first], table->program);
			return OPTIONS_BAD;
		}
		words[(*n)++] = argv[first];
		/* The word takes the place of the program's name. */
		argc -= first;
		argv += first;
	}
	return OPTIONS_GO;
}
