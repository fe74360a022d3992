/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of --xattrmap: what parses, what does not, and what becomes of names. */
#include "daemon/fs/xattr_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"

static struct xattr_map map;
static char host[XATTR_MAP_NAME_SIZE];

static void parse(const char *rules)
{
	const char *why = NULL;
	unsigned int at = 99;

	if (xattr_map_parse(&map, rules, &why, &at))
		fail_msg("%s: rule %u: %s", rules, at, why);
	assert_int_equal(at, 0);
	assert_null(why);
}

/* `rule` is the number of the one that is to blame. */
static void check_refused(const char *rules, unsigned int rule, const char *word)
{
	const char *why = NULL;
	unsigned int at = 99;

	assert_int_equal(xattr_map_parse(&map, rules, &why, &at), -EINVAL);
	assert_int_equal(at, rule);
	assert_non_null(why);
	if (!strstr(why, word))
		fail_msg("%s: %s", rules, why);
}

static void check_client(const char *name, const char *expected)
{
	memset(host, 'x', sizeof(host));
	assert_int_equal(xattr_map_to_host(&map, name, host), 0);
	assert_string_equal(host, expected);
}

/* Names are separated by commas here. */
static void check_server(const char *names, const char *expected)
{
	size_t len = strlen(names), size;
	char *list = malloc(len + 2);

	assert_non_null(list);
	memcpy(list, names, len);
	list[len] = len ? ',' : '\0';
	for (size_t i = 0; i < len + 1; i++)
		if (list[i] == ',')
			list[i] = '\0';
	size = xattr_map_list(&map, list, len ? len + 1 : 0);
	assert_true(size <= len + 1);
	for (size_t i = 0; i < size; i++)
		if (!list[i])
			list[i] = ',';
	list[size] = '\0';
	assert_string_equal(list, expected);
	free(list);
}

static void test_none(void **state)
{
	(void)state;
	memset(&map, 0, sizeof(map));
	check_client("user.a", "user.a");
	check_server("user.a,trusted.b", "user.a,trusted.b,");
	check_server("", "");
}

/* The first example of virtiofsd's manual, and its short form. */
static void test_everything_prefixed(void **state)
{
	static const char *const forms[] = {
		":prefix:all::user.virtiofs.::bad:all:::", ":map::user.virtiofs.:",
		"\n\t/prefix/all//user.virtiofs./  |bad|all|||\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		parse(forms[i]);
		check_client("trusted.overlay.opaque", "user.virtiofs.trusted.overlay.opaque");
		check_client("user.virtiofs.x", "user.virtiofs.user.virtiofs.x");
		check_server("user.virtiofs.trusted.a,user.b,security.selinux,user.virtiofs.user.c",
			     "trusted.a,user.c,");
		/* the prefix alone is no name of the guest's */
		check_server("user.virtiofs.", "");
	}
}

/* The second example, and its short form. */
static void test_trusted_prefixed(void **state)
{
	static const char *const forms[] = {
		("/prefix/all/trusted./user.virtiofs./\n/bad/server//trusted./\n"
		 "/bad/client/user.virtiofs.//\n/ok/all///"),
		"/map/trusted./user.virtiofs./", ":map:trusted.:user.virtiofs.:",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		parse(forms[i]);
		check_client("trusted.a", "user.virtiofs.trusted.a");
		check_client("trusted", "trusted");
		check_client("user.a", "user.a");
		/* a guest's user must not forge what its root reads as trusted */
		assert_int_equal(xattr_map_to_host(&map, "user.virtiofs.trusted.a", host), -EPERM);
		check_server("trusted.host,user.virtiofs.trusted.a,user.a,security.b",
			     "trusted.a,user.a,security.b,");
	}
}

/* The third, and the one that hides what is not supported. */
static void test_hidden(void **state)
{
	(void)state;
	parse("/bad/all/security./security./ /ok/all///");
	assert_int_equal(xattr_map_to_host(&map, "security.selinux", host), -EPERM);
	check_client("securit", "securit");
	check_server("security.selinux,user.a,security.", "user.a,");
	parse("/unsupported/all/security.selinux/security.selinux//ok/all///");
	assert_int_equal(xattr_map_to_host(&map, "security.selinux", host), -EOPNOTSUPP);
	assert_int_equal(xattr_map_to_host(&map, "security.selinux2", host), -EOPNOTSUPP);
	check_client("security.capability", "security.capability");
	check_server("security.selinux,security.capability", "security.capability,");
}

/* The first rule that matches decides, and a scope does not see the other side. */
static void test_order_and_scope(void **state)
{
	(void)state;
	parse(":ok:client:user.:: :bad:client::: :ok:server::security.: :bad:server:::");
	check_client("user.a", "user.a");
	assert_int_equal(xattr_map_to_host(&map, "security.a", host), -EPERM);
	check_server("user.a,security.a", "security.a,");
	parse(":prefix:client:trusted.:user.x.: :ok:all:::");
	check_client("trusted.a", "user.x.trusted.a");
	check_server("user.x.trusted.a", "user.x.trusted.a,");
	parse(":prefix:server::user.x.: :ok:all:::");
	check_client("trusted.a", "trusted.a");
	check_server("user.x.trusted.a", "trusted.a,");
}

static void test_refused(void **state)
{
	(void)state;
	check_refused("", 0, "no last rule");
	check_refused("  \n", 0, "no last rule");
	check_refused(":", 1, "separator");
	check_refused(":ok:all::", 1, "separator");
	check_refused(":ok", 1, "separator");
	check_refused(":ok:", 1, "separator");
	check_refused(":fine:all:::", 1, "type");
	check_refused("::all:::", 1, "type");
	check_refused(":OK:all:::", 1, "type");
	check_refused(":ok:everybody:::", 1, "scope");
	check_refused(":ok::::", 1, "scope");
	check_refused(":ok:all::: /ok:all:::", 2, "separator");
	check_refused(":map::user.: :ok:all:::", 2, "last");
	check_refused(":map::user.: :map::user.:", 2, "last");
	check_refused(":map:a:", 1, "separator");
	check_refused(":ok:client:::", 0, "no last rule");
	check_refused(":ok:server:::", 0, "no last rule");
	check_refused(":prefix:all::user.virtiofs.:", 0, "no last rule");
	check_refused(":ok:all:user.:user.:", 0, "no last rule");
}

static void test_limit(void **state)
{
	char rules[16 * (XATTR_MAP_RULES_MAX + 2)] = "";

	(void)state;
	for (unsigned int i = 0; i < XATTR_MAP_RULES_MAX; i++)
		strcat(rules, ":ok:all:::");
	parse(rules);
	assert_int_equal(map.n_rules, XATTR_MAP_RULES_MAX);
	strcat(rules, ":ok:all:::");
	check_refused(rules, XATTR_MAP_RULES_MAX + 1, "64");
}

/* A name that grows past what the host takes is refused as setxattr(2) does. */
static void test_long_names(void **state)
{
	char name[XATTR_MAP_NAME_SIZE + 2], rules[700];

	(void)state;
	memset(name, 'n', sizeof(name));
	parse(":map::user.v.:");
	name[248] = '\0';
	assert_int_equal(xattr_map_to_host(&map, name, host), 0);
	assert_int_equal(strlen(host), 255);
	name[248] = 'n';
	name[249] = '\0';
	assert_int_equal(xattr_map_to_host(&map, name, host), -ERANGE);
	memset(&map, 0, sizeof(map));
	name[249] = 'n';
	name[256] = '\0';
	assert_int_equal(xattr_map_to_host(&map, name, host), -ERANGE);
	name[255] = '\0';
	check_client(name, name);
	snprintf(rules, sizeof(rules), ":map::%0600d:", 0);
	parse(rules);
	assert_int_equal(xattr_map_to_host(&map, "a", host), -ERANGE);
	check_server("user.a", "");
}

/* Lists that no kernel gives: without a last NUL, with empty names. */
static void test_odd_lists(void **state)
{
	char cut[] = { 'u', 's', 'e', 'r', '.', 'a', '\0', 'u', 's', 'e', 'r' };
	char empty[] = { '\0', '\0', 'a', '\0' };

	(void)state;
	parse(":ok:all:::");
	assert_int_equal(xattr_map_list(&map, cut, sizeof(cut)), 7);
	assert_int_equal(xattr_map_list(&map, cut, 0), 0);
	assert_int_equal(xattr_map_list(&map, empty, sizeof(empty)), 4);
	parse(":map::user.:");
	assert_int_equal(xattr_map_list(&map, empty, sizeof(empty)), 0);
}

/* Whatever text is given: no crash, and a map that parsed never lets a name slip by. */
static void test_any_text(void **state)
{
	static const char alphabet[] = ":/ okbadprefixallclientserver.m";
	unsigned int seed = 1, parsed = 0;

	(void)state;
	for (unsigned int round = 0; round < 20000; round++) {
		char text[128] = "", list[] = "user.a\0security.b";
		const char *why;
		unsigned int at, n = (unsigned int)rand_r(&seed) % 12;

		for (unsigned int i = 0; i < n; i++) {
			static const char *const words[] = { "ok", "all", "map", "bad", "server", "user." };

			if (rand_r(&seed) % 2)
				strcat(text, ":");
			else if (rand_r(&seed) % 3)
				strcat(text, words[(unsigned int)rand_r(&seed) % ARRAY_SIZE(words)]);
			else
				strncat(text, &alphabet[(unsigned int)rand_r(&seed) % (sizeof(alphabet) - 1)], 1);
		}
		if (xattr_map_parse(&map, text, &why, &at)) {
			assert_non_null(why);
			continue;
		}
		parsed++;
		xattr_map_to_host(&map, "user.a", host);
		assert_true(xattr_map_list(&map, list, sizeof(list)) <= sizeof(list));
	}
	assert_true(parsed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_everything_prefixed),
		cmocka_unit_test(test_trusted_prefixed),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_order_and_scope),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_odd_lists),
		cmocka_unit_test(test_any_text),
	};

	return cmocka_run_group_tests_name("xattr_map", tests, NULL, NULL);
}
