/* SPDX-License-Identifier: BSD-3-Clause */
/* The lines of the output; see check.h. */
#include "tests/posix/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 96
#define NAMES_MAX 4096

static struct {
	const char *subject;
	unsigned int failures;
	unsigned int n_names;
	char *names[NAMES_MAX];
} state;

void check_begin(const struct subject *subject)
{
	state.subject = subject->name;
}

/* Two assertions of one name could hide each other in a comparison. */
static void remember(const char *name)
{
	for (unsigned int i = 0; i < state.n_names; i++) {
		if (!strcmp(state.names[i], name)) {
			fprintf(stderr, "posix-check: two assertions are named %s\n", name);
			exit(2);
		}
	}
	if (state.n_names < NAMES_MAX)
		state.names[state.n_names++] = strdup(name);
}

static void __attribute__((format(printf, 2, 0)))
make_name(char *full, const char *name, va_list args)
{
	int n = snprintf(full, NAME_SIZE, "%s.", state.subject);

	vsnprintf(full + n, NAME_SIZE - (size_t)n, name, args);
	remember(full);
}

static const char *show(long value, char *buf, size_t size)
{
	const char *error = value < 0 && value > -4096 ? strerrorname_np((int)-value) : NULL;

	if (error)
		return error;
	snprintf(buf, size, "%ld", value);
	return buf;
}

void check(long got, long want, const char *name, ...)
{
	char full[NAME_SIZE], got_text[24], want_text[24];
	va_list args;

	va_start(args, name);
	make_name(full, name, args);
	va_end(args);
	if (got == want) {
		printf("ok %s\n", full);
		return;
	}
	state.failures++;
	printf("FAIL %s: got %s want %s\n", full, show(got, got_text, sizeof(got_text)),
	       show(want, want_text, sizeof(want_text)));
}

void check_skip(const char *why, const char *name, ...)
{
	char full[NAME_SIZE];
	va_list args;

	va_start(args, name);
	make_name(full, name, args);
	va_end(args);
	printf("skip %s: %s\n", full, why);
}

unsigned int check_failures(void)
{
	return state.failures;
}

unsigned int check_count(void)
{
	return state.n_names;
}
