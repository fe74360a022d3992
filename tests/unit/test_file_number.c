/* SPDX-License-Identifier: BSD-3-Clause */
/* Inode numbers of several file systems in one: no two files have the same. */
#include "daemon/fs/file_number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/checked.h"

#define DEVICES 64u
#define NUMBERS 4096u

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* A device number in the kernel's form: anonymous ones, of disks, and the highest. */
static uint32_t device(unsigned int i)
{
	switch (i % 6) {
	case 0: return i;
	case 1: return 259u << 20 | i;
	case 2: return UINT32_MAX - i;
	case 3: return 65530 + i;			/* anonymous, past 16 bits */
	case 4: return 253u << 20 | (500 + i);		/* minors past 9 bits */
	default: return (1000u + i) << 20;		/* majors past 10 bits */
	}
}

/* Numbers as file systems have them: small, in steps, near each border, with the high bits of a union. */
static uint64_t number(unsigned int i)
{
	static const uint64_t bases[] = {
		0, 1ULL << 31, (1ULL << 31) - NUMBERS / 16, 1ULL << 32, 1ULL << 40, 1ULL << 52,
		1ULL << 62, 1ULL << 63, UINT64_MAX - NUMBERS, (1ULL << 63) - NUMBERS, 1ULL << 53,
		3ULL << 62, (1ULL << 32) - NUMBERS / 16, 3ULL << 51, (1ULL << 35) - NUMBERS / 16, 1ULL << 35,
	};

	return bases[i % ARRAY_SIZE(bases)] + i / ARRAY_SIZE(bases);
}

static void no_two_have_the_same(void **state)
{
	uint64_t *all = calloc(DEVICES * NUMBERS, sizeof(*all));

	(void)state;
	assert_non_null(all);
	for (unsigned int d = 0; d < DEVICES; d++) {
		for (unsigned int i = 0; i < NUMBERS; i++)
			all[d * NUMBERS + i] = file_number_mixed(12345, device(d), number(i));
	}
	qsort(all, DEVICES * NUMBERS, sizeof(*all), compare);
	for (unsigned int i = 1; i < DEVICES * NUMBERS; i++)
		assert_true(all[i - 1] < all[i]);
	free(all);
}

/* A file's own number is given beside mixed ones only where it cannot be one. */
static void own_numbers_are_others(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < NUMBERS; i++) {
		assert_true(file_number_is_like_mixed(file_number_mixed(7, device(i), number(i))));
		assert_int_equal(file_number_is_like_mixed(number(i)),
				 number(i) >= 1ULL << 62 || number(i) >> 52 == 1);
	}
}

/* The usual ones do not depend on the seed, so that a guest sees them again after a restart. */
static void small_numbers_stay(void **state)
{
	(void)state;
	for (uint64_t ino = 1; ino < 1ULL << 31; ino = 2 * ino + 1) {
		for (unsigned int d = 0; d < DEVICES; d++)
			assert_int_equal(file_number_mixed(1, device(d), ino), file_number_mixed(2, device(d), ino));
	}
	assert_int_not_equal(file_number_mixed(1, 46, 1ULL << 35), file_number_mixed(2, 46, 1ULL << 35));
	/* A double tells these apart. */
	assert_true(file_number_mixed(1, 46, 2) < 1ULL << 53);
	assert_true(file_number_mixed(1, 259u << 20 | 3, 1 << 30) < 1ULL << 53);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_have_the_same),
		cmocka_unit_test(own_numbers_are_others),
		cmocka_unit_test(small_numbers_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
