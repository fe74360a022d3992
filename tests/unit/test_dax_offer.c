/* SPDX-License-Identifier: BSD-3-Clause */
/* Which files are offered for the window, and when an offer goes to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/fs/dax_offer.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define LATER (DAX_OFFER_KEPT_S + 100)

static struct dax_offers *offers;
static enum dax_offer_user users[4096];

static enum dax_offer_user user_of(void *ctx, uint64_t node)
{
	assert_ptr_equal(ctx, users);
	return users[(uint32_t)node];
}

static int setup(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4096; i++)
		users[i] = DAX_OFFER_BUSY;
	return dax_offers_new(64 * MIB, 64 * KIB, user_of, users, &offers);
}

static int teardown(void **state)
{
	(void)state;
	dax_offers_free(offers);
	return 0;
}

/* Nodes differ in their generations, too. */
static uint64_t node_of(unsigned int i)
{
	return (uint64_t)(i % 7) << 32 | i;
}

static bool begin(unsigned int i, uint64_t size, uint64_t now)
{
	return dax_offers_has(offers, node_of(i), size, true, now);
}

static bool has(unsigned int i, uint64_t size, uint64_t now)
{
	return dax_offers_has(offers, node_of(i), size, false, now);
}

static void offers_fit_together(void **state)
{
	(void)state;
	assert_false(has(1, 32 * MIB, 100));
	for (unsigned int i = 1; i <= 8; i++)
		assert_int_equal(begin(i, 32 * MIB, 100), i <= 2);
	for (unsigned int i = 1; i <= 8; i++) {
		assert_int_equal(has(i, 32 * MIB, LATER), i <= 2);
		assert_int_equal(begin(i, 32 * MIB, LATER), i <= 2);
	}
	assert_false(begin(9, 64 * KIB, 100));
	dax_offers_clear(offers);
	assert_false(begin(1, 65 * MIB, 100));
	assert_true(begin(1, 64 * MIB, 100));
}

static void as_many_as_there_is_room_for(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 1; i <= 1100; i++)
			assert_int_equal(begin(i, 64 * KIB, 100), i <= 1024);
		for (unsigned int i = 1; i <= 1100; i++)
			assert_int_equal(has(i, 64 * KIB, 100), i <= 1024);
		dax_offers_clear(offers);
	}
}

static void closed_files_give_way_in_time(void **state)
{
	(void)state;
	assert_true(begin(1, 32 * MIB, 100));
	assert_true(begin(2, 32 * MIB, 100));
	users[1] = DAX_OFFER_IDLE;
	assert_false(begin(3, MIB, 100 + DAX_OFFER_KEPT_S - 1));
	/* It was asked for meanwhile. */
	assert_true(has(1, 32 * MIB, 105));
	assert_false(begin(3, MIB, 100 + DAX_OFFER_KEPT_S));
	assert_true(begin(3, MIB, 105 + DAX_OFFER_KEPT_S));
	assert_false(has(1, 32 * MIB, LATER));
	assert_true(has(2, 32 * MIB, LATER));
	/* What the guest forgot goes at once. */
	assert_false(begin(4, 32 * MIB, LATER));
	users[2] = DAX_OFFER_GONE;
	assert_true(begin(4, 32 * MIB, LATER));
	assert_false(has(2, 32 * MIB, LATER));
}

static void growth_has_room_or_ends_the_offer(void **state)
{
	(void)state;
	assert_true(begin(1, 20 * MIB, 100));
	assert_true(begin(2, 20 * MIB, 100));
	assert_true(has(1, 40 * MIB, 100));
	assert_false(begin(3, 5 * MIB, 100));
	/* A shorter one keeps its room: it may grow again. */
	assert_true(has(2, MIB, 100));
	assert_false(begin(3, 5 * MIB, 100));
	assert_false(has(1, 45 * MIB, 100));
	assert_true(begin(3, 5 * MIB, 100));
	assert_true(begin(1, 39 * MIB, 100));
	assert_false(begin(4, 64 * KIB, 100));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(offers_fit_together), TEST(as_many_as_there_is_room_for),
		TEST(closed_files_give_way_in_time), TEST(growth_has_room_or_ends_the_offer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
