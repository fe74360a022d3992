/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server above the fake file system, with one queue and one exchange: what
 * the tests of daemon/protocol have in common.
 */
#ifndef CASEMENT_TESTS_UNIT_SHARE_H
#define CASEMENT_TESTS_UNIT_SHARE_H

#include "tests/unit/exchange.h"
#include "tests/unit/fake_fs.h"

#define SHARE_ALL_FLAGS UINT64_MAX

extern struct server *server;
extern struct server_queue *sq;
extern struct exchange x;

/* A server without a session. */
void share_new(const struct server_config *config, const struct window_ops *window);
void share_free(void);

/* Free the old server, make one with a window and this configuration, and start a session. */
void share_restart(const struct server_config *config, uint32_t minor, uint64_t flags);

/* Set-up and tear-down for cmocka: cache=auto, 1.5 s, locks, a session of 7.46 with every flag. */
int share_setup(void **state);
int share_teardown(void **state);

/* Run a request of one struct and up to two names in x; what exchange_run() returns. */
long share_ask(uint32_t opcode, uint64_t node, const void *args, size_t size,
	       const char *first, const char *second);
#define ASK(opcode, node, args) share_ask(opcode, node, &(args), sizeof(args), NULL, NULL)
#define ASK_NAMED(opcode, node, args, first, second) \
	share_ask(opcode, node, &(args), sizeof(args), first, second)
#define ASK_BARE(opcode, node, first, second) share_ask(opcode, node, "", 0, first, second)

/* Copy the answer into a local of exactly its size. */
#define ANSWER(local) \
	do { \
		assert_int_equal(x.answer_len, sizeof(local)); \
		memcpy(&(local), x.answer, sizeof(local)); \
	} while (0)

/* The caller that every exchange names. */
void share_check_caller(void);

#endif
