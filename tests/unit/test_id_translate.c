/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of --translate-uid and --translate-gid. */
#include "daemon/protocol/id_translate.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"

static struct id_translation map;

static int start(void **state)
{
	(void)state;
	memset(&map, 0, sizeof(map));
	return 0;
}

static void add(const char *rule)
{
	const char *why = NULL;

	if (id_translation_add(&map, rule, &why))
		fail_msg("%s: %s", rule, why);
}

static void check_refused(const char *rule, const char *word)
{
	struct id_translation before = map;
	const char *why = NULL;

	assert_int_equal(id_translation_add(&map, rule, &why), -EINVAL);
	assert_non_null(why);
	if (!strstr(why, word))
		fail_msg("%s: %s", rule, why);
	assert_memory_equal(&map, &before, sizeof(map));
}

static void check_host(uint32_t guest, uint32_t host)
{
	uint32_t id = 77777;

	assert_true(id_to_host(&map, guest, &id));
	assert_int_equal(id, host);
}

static void check_guest(uint32_t host, uint32_t guest)
{
	assert_int_equal(id_to_guest(&map, host), guest);
}

static void test_empty(void **state)
{
	(void)state;
	assert_true(id_translation_empty(&map));
	check_host(0, 0);
	check_host(UINT32_MAX, UINT32_MAX);
	check_guest(1000, 1000);
	add("host:1:2:1");
	assert_false(id_translation_empty(&map));
}

static void test_guest(void **state)
{
	(void)state;
	add("guest:1000:5000:10");
	check_host(999, 999);
	check_host(1000, 5000);
	check_host(1009, 5009);
	check_host(1010, 1010);
	check_guest(5000, 5000);
	check_guest(1000, 1000);
}

static void test_host(void **state)
{
	(void)state;
	add("host:1001:1000:1");
	check_guest(1001, 1000);
	check_guest(1002, 1002);
	check_host(1000, 1000);
}

static void test_map(void **state)
{
	(void)state;
	add("map:0:100000:65536");
	check_host(0, 100000);
	check_host(65535, 165535);
	check_host(65536, 65536);
	check_guest(100000, 0);
	check_guest(165535, 65535);
	check_guest(165536, 165536);
	check_guest(0, 0);
}

/* The example of virtiofsd's manual: one user on the host, shown as another. */
static void test_squash(void **state)
{
	(void)state;
	add("squash-guest:0:1001:4294967295");
	add("host:1001:1000:1");
	check_host(0, 1001);
	check_host(4294967294, 1001);
	check_guest(1001, 1000);
	check_guest(0, 0);
	start(NULL);
	add("squash-host:0:65534:1000");
	check_guest(0, 65534);
	check_guest(999, 65534);
	check_guest(1000, 1000);
	check_host(65534, 65534);
}

static void test_forbid(void **state)
{
	uint32_t id;

	(void)state;
	add("forbid-guest:0:1000");
	add("map:1000:1000:1");
	add("forbid-guest:1001:4294966294");
	assert_false(id_to_host(&map, 0, &id));
	assert_false(id_to_host(&map, 999, &id));
	check_host(1000, 1000);
	assert_false(id_to_host(&map, 1001, &id));
	assert_false(id_to_host(&map, 4294967294, &id));
	check_guest(0, 0);
}

static void test_no_ids(void **state)
{
	(void)state;
	add("map:0:1000000:65536");
	add("forbid-guest:0:0");
	add("forbid-guest:4294967295:0");
	add("guest:1:2:0");
	add("host:4294967295:4294967295:0");
	add("squash-guest:7:4294967295:0");
	check_host(0, 1000000);
	check_guest(1000000, 0);
	check_refused("forbid-guest:0:0:0", "give ");
}

static void test_refused(void **state)
{
	static const char *const shapes[] = {
		"guest", "guest:", "guest:1", "guest:1:2", "guest:1:2:", "guest:1:2:3:", "guest:1:2:3:4",
		"guest::2:3", "guest:-1:2:3", "guest: 1:2:3", "guest:0x1:2:3", "guest:1:2:3 ",
		"guest:4294967296:0:1", "guest:99999999999:0:1", "guest:1,2,3", "forbid-guest:1:2:3",
		"forbid-guest:1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		check_refused(shapes[i], "give ");
	check_refused("", "type");
	check_refused("1000:1000:1", "type");
	check_refused("guests:1:2:3", "type");
	check_refused("squash:1:2:3", "type");
	check_refused("guest:4294967295:0:1", "last id");
	check_refused("guest:2:0:4294967294", "last id");
	check_refused("guest:0:2:4294967294", "becomes");
	check_refused("map:0:4294967295:1", "becomes");
	check_refused("squash-guest:0:4294967295:1", "no id");
}

static void test_overlap(void **state)
{
	(void)state;
	add("guest:100:0:10");
	check_refused("guest:109:50:1", "earlier");
	check_refused("guest:100:50:1", "earlier");
	check_refused("forbid-guest:95:6", "earlier");
	check_refused("squash-guest:0:5:4294967295", "earlier");
	check_refused("map:105:900:2", "earlier");
	add("guest:110:50:1");
	add("guest:90:50:10");
	/* the other direction is another matter, and both ends of a map count */
	add("host:100:0:10");
	check_refused("map:200:105:1", "earlier");
	check_host(200, 200);
	check_host(90, 50);
	check_host(99, 59);
	check_host(100, 0);
	check_host(110, 50);
}

static void test_limit(void **state)
{
	char rule[64];

	(void)state;
	/* out of order, so that each is put in its place */
	for (unsigned int i = 0; i < ID_RULES_MAX; i++) {
		snprintf(rule, sizeof(rule), "guest:%u:%u:5", (i * 37 % ID_RULES_MAX) * 10,
			 (i * 37 % ID_RULES_MAX) * 1000);
		add(rule);
	}
	check_refused("guest:5000:0:1", "64");
	for (uint32_t id = 0; id < ID_RULES_MAX * 10; id++)
		check_host(id, id % 10 < 5 ? id / 10 * 1000 + id % 10 : id);
}

/* Any text is a rule or is refused, and what is accepted stays without overlaps. */
static void test_any_text(void **state)
{
	static const char *const words[] = { "guest", "host", "map", "squash-guest", "forbid-guest", ":",
		":", ":", "0", "1", "9", "4294967295", " ", "-" };
	unsigned int seed = 7;

	(void)state;
	for (unsigned int round = 0; round < 20000; round++) {
		char text[160] = "";
		const char *why;

		for (unsigned int i = (unsigned int)rand_r(&seed) % 8; i; i--)
			strcat(text, words[(unsigned int)rand_r(&seed) % ARRAY_SIZE(words)]);
		if (id_translation_add(&map, text, &why))
			continue;
		for (unsigned int i = 1; i < map.to_host.n; i++)
			assert_true(map.to_host.ranges[i - 1].first + map.to_host.ranges[i - 1].count <=
				    map.to_host.ranges[i].first);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty, start),
		cmocka_unit_test_setup(test_guest, start),
		cmocka_unit_test_setup(test_host, start),
		cmocka_unit_test_setup(test_map, start),
		cmocka_unit_test_setup(test_squash, start),
		cmocka_unit_test_setup(test_forbid, start),
		cmocka_unit_test_setup(test_no_ids, start),
		cmocka_unit_test_setup(test_refused, start),
		cmocka_unit_test_setup(test_overlap, start),
		cmocka_unit_test_setup(test_limit, start),
		cmocka_unit_test_setup(test_any_text, start),
	};

	return cmocka_run_group_tests_name("id_translate", tests, NULL, NULL);
}
