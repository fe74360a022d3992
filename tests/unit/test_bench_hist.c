/* SPDX-License-Identifier: BSD-3-Clause */
/* Percentiles out of classes: near enough, whatever the size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/bench_hist.h"

static struct bench_hist *hist_new(void)
{
	struct bench_hist *hist = malloc(sizeof(*hist));

	assert_non_null(hist);
	hist_clear(hist);
	return hist;
}

static void assert_near(double value, double wanted)
{
	assert_true(value > wanted * 0.99 && value < wanted * 1.01);
}

static void test_empty(void **state)
{
	struct bench_hist *hist = hist_new();

	(void)state;
	assert_true(hist_percentile(hist, 0.5) == 0);
	free(hist);
}

/* Every magnitude that a latency may have is told within 1 %. */
static void test_one_value(void **state)
{
	struct bench_hist *hist = hist_new();

	(void)state;
	for (uint64_t ns = 100; ns < 10000000000u; ns = ns * 13 / 10) {
		hist_clear(hist);
		hist_add(hist, ns, 3);
		assert_near(hist_percentile(hist, 0.5), (double)ns);
		assert_near(hist_percentile(hist, 0.999), (double)ns);
	}
	free(hist);
}

static void test_percentiles(void **state)
{
	struct bench_hist *hist = hist_new(), *other = hist_new();

	(void)state;
	for (uint64_t ns = 1; ns <= 50000; ns++)
		hist_add(hist, ns, 1);
	for (uint64_t ns = 50001; ns <= 100000; ns++)
		hist_add(other, ns, 1);
	hist_merge(hist, other);
	assert_int_equal(hist->total, 100000);
	assert_near(hist_percentile(hist, 0.5), 50000);
	assert_near(hist_percentile(hist, 0.99), 99000);
	assert_near(hist_percentile(hist, 0.999), 99900);
	free(hist);
	free(other);
}

static void test_longest(void **state)
{
	struct bench_hist *hist = hist_new();

	(void)state;
	hist_add(hist, UINT64_MAX, 1);
	hist_add(hist, 1, 1);
	assert_true(hist_percentile(hist, 0.5) == 1);
	assert_true(hist_percentile(hist, 1) > 1e9);
	free(hist);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_one_value),
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
