/* SPDX-License-Identifier: BSD-3-Clause */
/* The words of --modcaps and --uid-map, and which capabilities stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "common/checked.h"
#include "daemon/sandbox/caps.h"
#include "daemon/sandbox/id_map.h"

static void id_ranges_are_read(void **state)
{
	struct id_map map = { 0 };

	(void)state;
	assert_int_equal(id_map_add(&map, ":0:100000:65536:"), 0);
	assert_int_equal(id_map_add(&map, "/65536/1000/1/"), 0);
	assert_int_equal(map.n, 2);
	assert_int_equal(map.ranges[0].inside, 0);
	assert_int_equal(map.ranges[0].outside, 100000);
	assert_int_equal(map.ranges[0].count, 65536);
	assert_true(id_map_has(&map, 0));
	assert_true(id_map_has(&map, 65535));
	assert_true(id_map_has(&map, 65536));
	assert_false(id_map_has(&map, 65537));
	assert_false(id_map_is_own(&map, 1000));
}

static void the_last_id_is_no_id(void **state)
{
	struct id_map map = { 0 };

	(void)state;
	assert_int_equal(id_map_add(&map, ":0:0:4294967295:"), 0);
	assert_true(id_map_has(&map, 4294967294));
	map.n = 0;
	assert_int_equal(id_map_add(&map, ":1:0:4294967295:"), -EINVAL);
	assert_int_equal(id_map_add(&map, ":4294967295:0:1:"), -EINVAL);
}

static void bad_id_ranges_are_refused(void **state)
{
	static const char *const bad[] = {
		"", ":", "::::", "0:1:2:", ":0:1:2", ":0:1:2:3:", ":0:1:0:", ":-1:1:1:", ":0:1:x:",
		": 0:1:1:", ":0:4294967296:1:", ":0:99999999999999999999:1:", ":0x0:1:1:", "a0a1a2a",
	};
	struct id_map map = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(id_map_add(&map, bad[i]), -EINVAL);
	assert_int_equal(map.n, 0);
}

static void id_ranges_do_not_overlap(void **state)
{
	struct id_map map = { 0 };
	char text[40];

	(void)state;
	assert_int_equal(id_map_add(&map, ":10:1000:10:"), 0);
	assert_int_equal(id_map_add(&map, ":19:2000:1:"), -EEXIST);
	assert_int_equal(id_map_add(&map, ":1:2000:10:"), -EEXIST);
	assert_int_equal(id_map_add(&map, ":30:1009:1:"), -EEXIST);
	assert_int_equal(id_map_add(&map, ":20:1010:1:"), 0);
	assert_int_equal(id_map_add(&map, ":9:999:1:"), 0);
	for (unsigned int i = map.n; i < ID_MAP_MAX; i++) {
		snprintf(text, sizeof(text), ":%u:%u:1:", 100 + i, 5000 + i);
		assert_int_equal(id_map_add(&map, text), 0);
	}
	assert_int_equal(id_map_add(&map, ":500:9000:1:"), -E2BIG);
}

static void one_id_is_ones_own(void **state)
{
	struct id_map map = { 0 };

	(void)state;
	assert_int_equal(id_map_add(&map, ":0:1000:1:"), 0);
	assert_true(id_map_is_own(&map, 1000));
	assert_false(id_map_is_own(&map, 1001));
}

static void modcaps_are_read(void **state)
{
	struct modcaps modcaps;
	char bad[32];

	(void)state;
	assert_int_equal(modcaps_parse("+sys_admin:-chown:+CAP_Lease", &modcaps, bad, sizeof(bad)), 0);
	assert_int_equal(modcaps.add, CAPS_BIT(CAP_SYS_ADMIN) | CAPS_BIT(CAP_LEASE));
	assert_int_equal(modcaps.remove, CAPS_BIT(CAP_CHOWN));
	assert_int_equal(modcaps_parse("+mknod:-mknod", &modcaps, bad, sizeof(bad)), 0);
	assert_int_equal(modcaps.add, 0);
	assert_int_equal(modcaps.remove, CAPS_BIT(CAP_MKNOD));
}

static void bad_modcaps_are_named(void **state)
{
	static const struct { const char *text, *bad; } rows[] = {
		{ "", "" }, { "chown", "chown" }, { "+chown:", "" }, { "+chown:+nonsense", "+nonsense" },
		{ "+", "+" }, { "+:+chown", "+" }, { "-chown,-mknod", "-chown,-mknod" },
		{ "+a_name_longer_than_any_capability_has", "+a_name_longer_than_any_capabil" },
	};
	struct modcaps modcaps;
	char bad[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(modcaps_parse(rows[i].text, &modcaps, bad, sizeof(bad)), -EINVAL);
		assert_string_equal(bad, rows[i].bad);
	}
}

static void few_capabilities_are_wanted(void **state)
{
	struct modcaps none = { 0 };
	struct modcaps some = { .add = CAPS_BIT(CAP_SYS_NICE), .remove = CAPS_BIT(CAP_MKNOD) };
	uint64_t serving = CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_FOWNER) |
		CAPS_BIT(CAP_FSETID) | CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_SETUID) |
		CAPS_BIT(CAP_MKNOD) | CAPS_BIT(CAP_SETFCAP) | CAPS_BIT(CAP_LEASE);

	(void)state;
	assert_int_equal(caps_wanted(&none, false), serving);
	assert_int_equal(caps_wanted(&none, true), serving | CAPS_BIT(CAP_DAC_READ_SEARCH));
	assert_int_equal(caps_wanted(&some, false),
			 (serving | CAPS_BIT(CAP_SYS_NICE)) & ~CAPS_BIT(CAP_MKNOD));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(id_ranges_are_read), cmocka_unit_test(the_last_id_is_no_id),
		cmocka_unit_test(bad_id_ranges_are_refused), cmocka_unit_test(id_ranges_do_not_overlap),
		cmocka_unit_test(one_id_is_ones_own), cmocka_unit_test(modcaps_are_read),
		cmocka_unit_test(bad_modcaps_are_named), cmocka_unit_test(few_capabilities_are_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
