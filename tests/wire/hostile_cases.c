/* SPDX-License-Identifier: BSD-3-Clause */
/* The names of hostile cases; see hostile_cases.h. */
#include "hostile_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CASES_MAX 16384u
#define NAME_SIZE 120

unsigned int hostile_cases_least;

static char (*names)[NAME_SIZE];	/* CASES_MAX places, by hash; "" is free */
static unsigned int cases;
static char current[NAME_SIZE];

static uint32_t hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

void hostile_case(const char *format, ...)
{
	uint32_t at;
	va_list args;

	va_start(args, format);
	vsnprintf(current, sizeof(current), format, args);
	va_end(args);
	if (!names)
		names = calloc(CASES_MAX, sizeof(names[0]));
	assert_non_null(names);
	assert_true(cases < CASES_MAX / 2);
	for (at = hash(current) % CASES_MAX; names[at][0]; at = (at + 1) % CASES_MAX)
		if (!strcmp(names[at], current))
			fail_msg("the case \"%s\" ran twice", current);
	strcpy(names[at], current);
	cases++;
}

const char *hostile_case_name(void)
{
	return current;
}

void test_cases_counted(void **state)
{
	(void)state;
	print_message("             %u distinct cases ran\n", cases);
	if (cases < hostile_cases_least)
		fail_msg("%u cases; at least %u must run", cases, hostile_cases_least);
}
