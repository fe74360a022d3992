/* SPDX-License-Identifier: BSD-3-Clause */
/* A server above the fake file system; see share.h. */
#include "tests/unit/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct server *server;
struct server_queue *sq;
struct exchange x;

void share_new(const struct server_config *config, const struct window_ops *window)
{
	assert_int_equal(server_new(NULL, config, window, &server), 0);
	assert_int_equal(server_queue_new(server, &sq), 0);
}

void share_free(void)
{
	server_queue_free(sq);
	server_free(server);
	sq = NULL;
	server = NULL;
}

void share_restart(const struct server_config *config, uint32_t minor, uint64_t flags)
{
	share_free();
	fake_clear();
	share_new(config, &fake_window_ops);
	assert_int_equal(exchange_init(&x, sq, minor, flags), 0);
}

int share_setup(void **state)
{
	struct server_config config = { .cache = CACHE_AUTO, .timeout_ms = 1500,
		.readdirplus = true, .posix_lock = true, .flock = true, .xattr = true };

	(void)state;
	share_restart(&config, 46, SHARE_ALL_FLAGS);
	return 0;
}

int share_teardown(void **state)
{
	(void)state;
	share_free();
	return 0;
}

long share_ask(uint32_t opcode, uint64_t node, const void *args, size_t size,
	       const char *first, const char *second)
{
	exchange_start(&x, opcode, node);
	exchange_add(&x, args, size);
	if (first)
		exchange_add_name(&x, first);
	if (second)
		exchange_add_name(&x, second);
	return exchange_run(&x, sq);
}

void share_check_caller(void)
{
	assert_int_equal(fake.caller.uid, 1000);
	assert_int_equal(fake.caller.gid, 100);
	assert_int_equal(fake.caller.pid, 4321);
}
