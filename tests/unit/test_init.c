/* SPDX-License-Identifier: BSD-3-Clause */
/* INIT and DESTROY: versions, flags under every configuration, sessions that follow each other. */
#include "daemon/protocol/init.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/checked.h"
#include "common/log.h"
#include "tests/unit/share.h"

static struct fuse_init_out out;

static int start(void **state)
{
	struct server_config config = { .cache = CACHE_AUTO, .timeout_ms = 1000 };

	(void)state;
	fake_clear();
	share_new(&config, &fake_window_ops);
	return 0;
}

static void run_init(uint32_t minor, uint64_t flags)
{
	assert_int_equal(exchange_init(&x, sq, minor, flags), 0);
	ANSWER(out);
}

static uint64_t accepted(void)
{
	return out.flags | (uint64_t)out.flags2 << 32;
}

/* Is there a session? */
static bool serving(void)
{
	struct fuse_getattr_in in = { .getattr_flags = 0 };
	long rc;

	exchange_start(&x, FUSE_GETATTR, FS_ROOT_NODE);
	exchange_add(&x, &in, sizeof(in));
	rc = exchange_run(&x, sq);
	assert_true(rc == 0 || rc == -EIO);
	return rc == 0;
}

static void test_fields(void **state)
{
	(void)state;
	run_init(41, FUSE_MAX_PAGES | FUSE_INIT_EXT | FUSE_MAP_ALIGNMENT);
	assert_int_equal(out.major, 7);
	assert_int_equal(out.minor, 41);
	assert_int_equal(out.max_readahead, 131072);
	assert_int_equal(out.max_write, 1 << 20);
	assert_int_equal(out.max_pages, 256);
	assert_int_equal(out.map_alignment, 12);
	assert_int_equal(out.time_gran, 1);
	assert_true(out.max_background >= 12);
	assert_int_equal(out.congestion_threshold, out.max_background * 3 / 4);
	for (size_t i = 0; i < ARRAY_SIZE(out.unused); i++)
		assert_int_equal(out.unused[i], 0);
	run_init(60, 0);
	assert_int_equal(out.minor, 46);
	assert_int_equal(out.max_pages, 0);
	assert_int_equal(out.map_alignment, 0);
}

/* An INIT of this version; what comes back. */
static long version(uint32_t major, uint32_t minor)
{
	struct fuse_init_in in = { .major = major, .minor = minor };

	exchange_start(&x, FUSE_INIT, 0);
	exchange_add(&x, &in, sizeof(in));
	return exchange_run(&x, sq);
}

static void test_versions(void **state)
{
	(void)state;
	assert_int_equal(version(6, 46), -EPROTO);
	assert_int_equal(version(7, 30), -EPROTO);
	assert_int_equal(version(0, 0), -EPROTO);
	assert_false(serving());
	assert_int_equal(version(8, 1), 0);
	ANSWER(out);
	assert_int_equal(out.major, 7);
	assert_false(serving());
	assert_int_equal(version(7, 31), 0);
	ANSWER(out);
	assert_int_equal(out.minor, 31);
	assert_true(serving());
	/* nonsense does not end a session */
	assert_int_equal(version(7, 3), -EPROTO);
	assert_true(serving());
}

/* A guest before 7.36 sends 16 bytes: without flags2, whatever lies behind them. */
static void test_short_body(void **state)
{
	struct fuse_init_in in = { .major = 7, .minor = 35, .flags = FUSE_ASYNC_READ };

	(void)state;
	exchange_start(&x, FUSE_INIT, 0);
	exchange_add(&x, &in, 16);
	assert_int_equal(exchange_run(&x, sq), 0);
	ANSWER(out);
	assert_int_equal(accepted(), FUSE_ASYNC_READ);
	/* without INIT_EXT the upper flags are not to be looked at */
	run_init(46, FUSE_HAS_INODE_DAX | FUSE_DIRECT_IO_ALLOW_MMAP);
	assert_int_equal(accepted(), 0);
}

/* Each row once, in order of bits, with a reason; bits 0 to 43 all there. */
static void test_table(void **state)
{
	size_t count;
	const struct init_feature *features = init_features(&count);

	(void)state;
	assert_int_equal(count, 44);
	for (size_t i = 0; i < count; i++) {
		assert_true(features[i].flag == 1ULL << i);
		assert_true(strlen(features[i].name) > 0);
		assert_true(strlen(features[i].why) > 0);
	}
}

#define ALWAYS (FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | \
	FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_INIT_EXT | FUSE_HAS_IOCTL_DIR | FUSE_CREATE_SUPP_GROUP)
#define PLUS (FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO)
#define CACHED (FUSE_AUTO_INVAL_DATA | FUSE_CACHE_SYMLINKS)
#define ACL (FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT)
#define WINDOW (FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX)

static const struct {
	struct server_config config;
	bool window;
	uint64_t flags;
} agreements[] = {
	{ { .cache = CACHE_AUTO }, false, ALWAYS | CACHED },
	{ { .cache = CACHE_AUTO }, true, ALWAYS | CACHED | WINDOW },
	{ { .cache = CACHE_AUTO, .readdirplus = READDIRPLUS_AUTO }, false, ALWAYS | CACHED | PLUS },
	{ { .cache = CACHE_AUTO, .readdirplus = READDIRPLUS_ALWAYS }, false,
	  ALWAYS | CACHED | FUSE_DO_READDIRPLUS },
	{ { .cache = CACHE_NEVER, .readdirplus = READDIRPLUS_AUTO }, false,
	  ALWAYS | FUSE_AUTO_INVAL_DATA },
	{ { .cache = CACHE_NEVER, .readdirplus = READDIRPLUS_ALWAYS }, false,
	  ALWAYS | FUSE_AUTO_INVAL_DATA },
	{ { .cache = CACHE_NEVER, .allow_mmap = true }, true,
	  ALWAYS | FUSE_AUTO_INVAL_DATA | WINDOW | FUSE_DIRECT_IO_ALLOW_MMAP },
	{ { .cache = CACHE_ALWAYS }, false, ALWAYS | FUSE_CACHE_SYMLINKS },
	{ { .cache = CACHE_METADATA, .readdirplus = READDIRPLUS_AUTO }, false,
	  ALWAYS | CACHED | PLUS },
	{ { .cache = CACHE_AUTO, .writeback = true }, false, ALWAYS | CACHED | FUSE_WRITEBACK_CACHE },
	{ { .cache = CACHE_AUTO, .posix_acl = DEMAND_AUTO }, false, ALWAYS | CACHED | ACL },
	{ { .cache = CACHE_AUTO, .security_label = DEMAND_AUTO, .killpriv_v2 = true }, false,
	  ALWAYS | CACHED | FUSE_SECURITY_CTX | FUSE_HANDLE_KILLPRIV_V2 },
};

static void test_agreements(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(agreements); i++) {
		share_free();
		fake_window.present = agreements[i].window;
		share_new(&agreements[i].config, &fake_window_ops);
		run_init(46, UINT64_MAX);
		assert_true(accepted() == agreements[i].flags);
		/* nothing is taken that was not offered */
		run_init(46, 0);
		assert_true(accepted() == 0);
		run_init(46, FUSE_INIT_EXT | FUSE_HAS_INODE_DAX);
		assert_true((accepted() & ~(FUSE_INIT_EXT | FUSE_HAS_INODE_DAX)) == 0);
	}
}

/* ACLs come with all that they need or not at all; what is demanded must be had. */
static void test_demands(void **state)
{
	static const uint64_t parts[] = { FUSE_POSIX_ACL, FUSE_DONT_MASK, FUSE_SETXATTR_EXT };
	struct server_config config = { .cache = CACHE_AUTO, .posix_acl = DEMAND_AUTO };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		config.posix_acl = DEMAND_AUTO;
		share_restart(&config, 46, 0);
		run_init(46, UINT64_MAX & ~parts[i]);
		assert_true((accepted() & ACL) == 0);
		config.posix_acl = DEMAND_ALWAYS;
		share_free();
		share_new(&config, &fake_window_ops);
		assert_int_equal(exchange_init(&x, sq, 46, UINT64_MAX & ~parts[i]), -EPROTO);
		assert_false(serving());
		run_init(46, UINT64_MAX);
		assert_true((accepted() & ACL) == ACL);
		assert_true(serving());
	}
	/* a host whose threads cannot have umasks */
	fake.no_umask = true;
	assert_int_equal(exchange_init(&x, sq, 46, UINT64_MAX), -EPROTO);
	config = (struct server_config){ .cache = CACHE_AUTO, .security_label = DEMAND_ALWAYS };
	share_free();
	share_new(&config, &fake_window_ops);
	assert_int_equal(exchange_init(&x, sq, 46, UINT64_MAX & ~FUSE_SECURITY_CTX), -EPROTO);
	run_init(46, UINT64_MAX);
	assert_true(accepted() & FUSE_SECURITY_CTX);
}

static void test_no_window_at_all(void **state)
{
	struct server_config config = { .cache = CACHE_AUTO };

	(void)state;
	share_free();
	share_new(&config, NULL);
	run_init(46, UINT64_MAX);
	assert_true((accepted() & WINDOW) == 0);
	assert_int_equal(out.map_alignment, 0);
}

static void test_sessions(void **state)
{
	(void)state;
	assert_false(serving());
	run_init(46, 0);
	assert_true(serving());
	assert_int_equal(fake_window.clears, 1);
	/* a second INIT: the guest was killed and has come back */
	run_init(46, 0);
	assert_true(serving());
	assert_int_equal(fake.resets, 2);
	assert_int_equal(fake_window.clears, 2);
	exchange_start(&x, FUSE_DESTROY, 0);
	assert_int_equal(exchange_run(&x, sq), 0);
	assert_int_equal(x.used, 16);
	assert_int_equal(fake.resets, 3);
	assert_int_equal(fake_window.clears, 3);
	assert_false(serving());
	run_init(46, 0);
	server_reset(server, true);
	assert_int_equal(fake.resets, 5);
	assert_int_equal(fake_window.clears, 4);
	assert_false(serving());
}

/* A window that cannot be cleared must not be taken for an empty one. */
static void test_clear_fails(void **state)
{
	(void)state;
	fake_window.result = -EIO;
	assert_int_equal(exchange_init(&x, sq, 46, 0), -EIO);
	assert_false(serving());
	fake_window.result = -EINTR;
	assert_int_equal(exchange_init(&x, sq, 46, 0), EXCHANGE_AGAIN);
	fake_window.result = 0;
	run_init(46, 0);
	assert_true(serving());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fields, start, share_teardown),
		cmocka_unit_test_setup_teardown(test_versions, start, share_teardown),
		cmocka_unit_test_setup_teardown(test_short_body, start, share_teardown),
		cmocka_unit_test(test_table),
		cmocka_unit_test_setup_teardown(test_agreements, start, share_teardown),
		cmocka_unit_test_setup_teardown(test_demands, start, share_teardown),
		cmocka_unit_test_setup_teardown(test_no_window_at_all, start, share_teardown),
		cmocka_unit_test_setup_teardown(test_sessions, start, share_teardown),
		cmocka_unit_test_setup_teardown(test_clear_fails, start, share_teardown),
	};

	log_setup("test_init", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
