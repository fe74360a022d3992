/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casementd's command line as other programs write it: every -o word, the
 * spellings of virtiofsd, what is refused by name, and that the last word
 * counts. What is printed is tests/cli's business.
 */
#include "daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/server.h"

static struct config config;
static char line[2048];		/* the words; they live as long as the configuration */

/* Parse "casementd" and the words of `text`, separated by spaces. */
static enum options_result parse(const char *text)
{
	static char program[] = "casementd";
	char *argv[128] = { program };
	int argc = 1;

	assert_true(strlen(text) < sizeof(line));
	strcpy(line, text);
	for (char *at = strtok(line, " "); at; at = strtok(NULL, " "))
		argv[argc++] = at;
	argv[argc] = NULL;
	return config_parse(argc, argv, &config);
}

static void refused(const char *text)
{
	if (parse(text) != OPTIONS_BAD)
		fail_msg("accepted: %s", text);
}

/* As the rest of a complete command line. */
static void accepted(const char *text)
{
	char all[1024];

	snprintf(all, sizeof(all), "--shared-dir=/srv --fd=3 %s", text);
	if (parse(all) != OPTIONS_GO)
		fail_msg("refused: %s", text);
}

static void test_defaults(void **state)
{
	(void)state;
	accepted("");
	assert_int_equal(config.cache, CACHE_AUTO);
	assert_int_equal(config.timeout_ms, 1000);
	assert_int_equal(config.negative_timeout_ms, 0);
	assert_int_equal(config.readdirplus, READDIRPLUS_AUTO);
	assert_int_equal(config.log_level, LOG_LEVEL_INFO);
	assert_false(config.persist || config.syslog || config.flock || config.posix_lock ||
		     config.writeback || config.no_readdirplus || config.allow_direct_io);
}

static void test_seconds(void **state)
{
	static const struct { const char *text; uint64_t ms; } good[] = {
		{ "0", 0 }, { "1", 1000 }, { "0.5", 500 }, { "2.125", 2125 }, { "7.", 7000 },
		{ "86400", 86400000 }, { "0.001", 1 },
	};
	static const char *const bad[] = {
		".5", "1.2345", "x", "1s", "-1", "1.x", "86401", "86400.001",
		"99999999999999999999999999", "1e3", "1,5",
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(text, sizeof(text), "--timeout %s", good[i].text);
		accepted(text);
		assert_int_equal(config.timeout_ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "--shared-dir=/ --fd=3 --timeout %s", bad[i]);
		refused(text);
	}
}

/* Two words of -o that undo each other, and the member they are about. */
static const struct { const char *on, *off; size_t member; } pairs[] = {
	{ "flock", "no_flock", offsetof(struct config, flock) },
	{ "posix_lock", "no_posix_lock", offsetof(struct config, posix_lock) },
	{ "writeback", "no_writeback", offsetof(struct config, writeback) },
	{ "no_readdirplus", "readdirplus", offsetof(struct config, no_readdirplus) },
	{ "allow_direct_io", "no_allow_direct_io", offsetof(struct config, allow_direct_io) },
};

static bool member(size_t i)
{
	return *(const bool *)((const char *)&config + pairs[i].member);
}

static void test_legacy_flags(void **state)
{
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		snprintf(text, sizeof(text), "-o %s", pairs[i].on);
		accepted(text);
		assert_true(member(i));
		snprintf(text, sizeof(text), "-o %s,%s", pairs[i].on, pairs[i].off);
		accepted(text);
		assert_false(member(i));
		snprintf(text, sizeof(text), "-o %s -o %s", pairs[i].off, pairs[i].on);
		accepted(text);
		assert_true(member(i));
	}
	/* The words of -o come last, wherever they stand, as in virtiofsd. */
	accepted("-o no_writeback --writeback");
	assert_false(config.writeback);
}

static void test_legacy_values(void **state)
{
	(void)state;
	assert_int_equal(parse("--fd 3 -o source=/srv/data,cache=none,timeout=2.5"), OPTIONS_GO);
	assert_string_equal(config.shared_dir, "/srv/data");
	assert_int_equal(config.cache, CACHE_NEVER);
	assert_int_equal(config.timeout_ms, 2500);
	assert_int_equal(parse("--fd 3 -osource=/a,,b,cache=always"), OPTIONS_GO);
	assert_string_equal(config.shared_dir, "/a,b");
	assert_int_equal(config.cache, CACHE_ALWAYS);
	assert_int_equal(parse("--fd 3 -o source=/a\\,b=c,"), OPTIONS_GO);
	assert_string_equal(config.shared_dir, "/a,b=c");
	assert_int_equal(parse("--fd 3 -o source=/one -o source=/two"), OPTIONS_GO);
	assert_string_equal(config.shared_dir, "/two");
	accepted("-o cache=never");
	assert_int_equal(config.cache, CACHE_NEVER);
	accepted("-o log_level=err");
	assert_int_equal(config.log_level, LOG_LEVEL_ERROR);
	accepted("-o loglevel=warn");
	assert_int_equal(config.log_level, LOG_LEVEL_WARN);
	accepted("-o debug");
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
}

static void test_legacy_without_meaning(void **state)
{
	static const char *const words[] = {
		"allow_root", "norace", "max_idle_threads=10", "", ",",
		"no_xattr,no_posix_acl,no_security_label,no_killpriv_v2",
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(text, sizeof(text), "-o%s%s", *words[i] ? "" : ",", words[i]);
		accepted(text);
	}
}

static void test_legacy_refused(void **state)
{
	static const char *const words[] = {
		"foo", "foo=1", "=", "=x", "source", "cache", "cache=sometimes", "flock=1",
		"writeback=on", "timeout=soon", "log_level=loud", "max_idle_threads", "flock,foo",
		"xattr=", "cache=none,,x",
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(text, sizeof(text), "--shared-dir=/ --fd=3 -o %s", words[i]);
		refused(text);
	}
}

static void test_legacy_too_many(void **state)
{
	char text[1024] = "--shared-dir=/ --fd=3";

	(void)state;
	for (size_t i = 0; i < CONFIG_LEGACY_MAX; i++)
		strcat(text, " -o flock");
	assert_int_equal(parse(text), OPTIONS_GO);
	strcat(text, " -o flock");
	refused(text);
}

static void test_letters(void **state)
{
	(void)state;
	accepted("-f -d --log-level warn");
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
	accepted("-d --log-level trace");
	assert_int_equal(config.log_level, LOG_LEVEL_TRACE);
	assert_int_equal(parse("--shared-dir=/ --socket /run/s"), OPTIONS_GO);
	assert_string_equal(config.socket_path, "/run/s");
	accepted("--inode-file-handles=fallback");
	assert_int_equal(config.inode_file_handles, FS_HANDLES_PREFER);
}

/* Nothing migrates, but a guest that never does must start. */
static void test_migration(void **state)
{
	static const char *const modes[] = { "find-paths", "file-handles" }, *const errors[] = { "abort", "guest-error" };
	char text[128];

	(void)state;
	for (int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "--migration-mode=%s --migration-on-error=%s", modes[i / 2], errors[i % 2]);
		accepted(text);
	}
	accepted("--migration-verify-handles --migration-confirm-paths --migration-mode find-paths");
	refused("--shared-dir=/ --fd=3 --migration-mode=by-hand");
	refused("--shared-dir=/ --fd=3 --migration-on-error=continue");
	refused("--shared-dir=/ --fd=3 --migration-verify-handles=yes");
	refused("--shared-dir=/ --fd=3 --migration-mode=file-handles --migration-verify-handles");
	refused("--shared-dir=/ --fd=3 --migration-confirm-paths --migration-mode=file-handles");
}

/* Known, and refused by name whether or not a value follows. */
static void test_refused_by_name(void **state)
{
	static const char *const options[] = { "--daemonize", "--daemonize=yes" };
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		snprintf(text, sizeof(text), "--shared-dir=/ --fd=3 %s", options[i]);
		refused(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_legacy_flags),
		cmocka_unit_test(test_legacy_values),
		cmocka_unit_test(test_legacy_without_meaning),
		cmocka_unit_test(test_legacy_refused),
		cmocka_unit_test(test_legacy_too_many),
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_migration),
		cmocka_unit_test(test_refused_by_name),
	};

	log_setup("test_config", LOG_LEVEL_OFF);
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
