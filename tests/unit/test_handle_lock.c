/* SPDX-License-Identifier: BSD-3-Clause */
/* Lock requests: to whom they go, who waits, and what the guest hears. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"
#include "tests/unit/share.h"

static struct fuse_lk_in in = {
	.fh = 5, .owner = 0x1234567890abcdef, .lk = { .start = 10, .end = 19, .type = F_WRLCK },
};

static int setup(void **state)
{
	const struct server_config config = { .posix_lock = true, .flock = true };

	(void)state;
	share_restart(&config, 46, SHARE_ALL_FLAGS);
	in.lk_flags = 0;
	return 0;
}

/* SETLKW is in the exchange, to be served so. */
static struct server_queue *queue_of(struct exchange *e, enum server_patience patience)
{
	exchange_start(e, FUSE_SETLKW, 7);
	exchange_add(e, &in, sizeof(in));
	e->impatient = patience == PATIENCE_NONE;
	return sq;
}

static void test_arguments(void **state)
{
	struct fuse_lk_out out;

	(void)state;
	assert_int_equal(ASK(FUSE_GETLK, 7, in), 0);
	ANSWER(out);
	assert_int_equal(out.lk.type, F_UNLCK);
	assert_int_equal(out.lk.pid, 0);
	assert_int_equal(ASK(FUSE_SETLK, 7, in), 0);
	assert_string_equal(fake.last, "fs_setlk");
	assert_int_equal(fake.handle, 5);
	assert_int_equal(fake.owner, in.owner);
	assert_int_equal(fake.unique, EXCHANGE_UNIQUE);
	assert_int_equal(fake.lock.start, 10);
	assert_int_equal(fake.lock.end, 19);
	assert_int_equal(fake.lock.type, F_WRLCK);
	assert_false(fake.bit);
	in.lk_flags = FUSE_LK_FLOCK;
	assert_int_equal(ASK(FUSE_SETLK, 7, in), 0);
	assert_string_equal(fake.last, "fs_flock");
	fake.result = -EAGAIN;
	assert_int_equal(ASK(FUSE_SETLK, 7, in), -EAGAIN);
}

static void test_waits(void **state)
{
	(void)state;
	assert_int_equal(exchange_run(&x, queue_of(&x, PATIENCE_NONE)), 0);
	assert_int_equal(fake.waits, 0);
	fake.result = -EAGAIN;
	assert_int_equal(exchange_run(&x, queue_of(&x, PATIENCE_NONE)), EXCHANGE_WAITS);
	assert_int_equal(x.used, SERVER_WAITS_LOCK);
	assert_int_equal(fake.waits, 1);
	/* the wait itself; an interrupted one is an answer, not a retry */
	fake.result = -EINTR;
	fake.owner = fake.unique = 0;
	assert_int_equal(exchange_resume(&x, sq, PATIENCE_ENOUGH), -EINTR);
	assert_true(fake.bit);
	assert_int_equal(fake.owner, in.owner);
	assert_int_equal(fake.unique, EXCHANGE_UNIQUE);
	assert_int_equal(fake.waits, 0);
	fake.result = -EAGAIN;
	assert_int_equal(exchange_run(&x, queue_of(&x, PATIENCE_NONE)), EXCHANGE_WAITS);
	assert_int_equal(exchange_refuse(&x, sq), -ENOLCK);
	assert_int_equal(fake.waits, 0);
	fake.result = -EAGAIN;
	fake.waits = FS_LOCK_WAITS_MAX;
	assert_int_equal(exchange_run(&x, queue_of(&x, PATIENCE_NONE)), -ENOLCK);
	fake.result = -EDEADLK;
	assert_int_equal(exchange_run(&x, queue_of(&x, PATIENCE_NONE)), -EDEADLK);
	x.impatient = false;
}

static void test_interrupt(void **state)
{
	const struct fuse_interrupt_in interrupt = { .unique = 99 };

	(void)state;
	assert_int_equal(ASK(FUSE_INTERRUPT, 7, interrupt), EXCHANGE_NO_REPLY);
	assert_int_equal(fake.unique, 99);
}

static void test_flush_closes(void **state)
{
	const struct fuse_flush_in flush = { .fh = 9, .lock_owner = 77 };

	(void)state;
	assert_int_equal(ASK(FUSE_FLUSH, 7, flush), 0);
	assert_string_equal(fake.last, "fs_flush");
	assert_int_equal(fake.handle2, 9);
	assert_int_equal(fake.owner, 77);
}

/* A guest that was not given them does not send them; one that does is told so. */
static void test_off(void **state)
{
	const struct server_config config = { .cache = CACHE_AUTO };

	(void)state;
	share_restart(&config, 46, SHARE_ALL_FLAGS);
	assert_int_equal(ASK(FUSE_GETLK, 7, in), -ENOSYS);
	assert_int_equal(ASK(FUSE_SETLK, 7, in), -ENOSYS);
	in.lk_flags = FUSE_LK_FLOCK;
	assert_int_equal(ASK(FUSE_SETLK, 7, in), -ENOSYS);
	assert_int_equal(exchange_run(&x, queue_of(&x, PATIENCE_NONE)), -ENOSYS);
	x.impatient = false;
	assert_int_equal(fake.calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, share_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_arguments), TEST(test_waits), TEST(test_interrupt), TEST(test_flush_closes),
		TEST(test_off),
	};

	log_setup("test_handle_lock", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("handle_lock", tests, NULL, NULL);
}
