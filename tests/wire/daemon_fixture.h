/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The real daemon for a test: started on a scratch tree of its own, driven
 * through the client, stopped and looked at afterwards. A test fails when the
 * daemon died, hung or printed a sanitizer's report. Nothing is left behind.
 *
 * CASEMENTD names the program (default build/casementd); options it
 * does not know (asked of its --help) are not given to it. CASEMENTD_ARGS are
 * more arguments for each. Daemons run in their default sandbox, but for those
 * of a build with a sanitizer, which run without. With
 * CASEMENT_TEST_CLIENT=poll the client polls instead of sleeping.
 */
#ifndef CASEMENT_TESTS_DAEMON_FIXTURE_H
#define CASEMENT_TESTS_DAEMON_FIXTURE_H

/* cmocka wants these before its own header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <sys/types.h>

#include "casement/casement.h"

#define TEST_WAIT_MS 20000	/* longest wait for something that must happen */
#define TEST_QUIET_MS 60	/* wait to see that something does not happen */

struct daemon {
	pid_t pid;		/* what was started, and is waited for */
	bool confined;		/* its child serves, in a sandbox */
	int pidfd;		/* -1 once its end was seen */
	int status;		/* as waitpid(2) gives it, then */
	int log;		/* its stderr: a file in memory */
	char dir[64];		/* scratch directory */
	char share[80];		/* the shared directory in it */
	char socket[80];
};

/* What a test wants of its daemon and its client. */
struct fixture_config {
	const char *args[12];	/* more arguments; NULL-terminated */
	struct casement_options options;
	const char *needs;	/* skip where the daemon has no such option ("window-size") */
	bool no_client;		/* do not connect */
	bool no_init;		/* connect, but send no INIT */
};

struct fixture {
	struct daemon daemon;
	struct casement *client;	/* NULL with no_client */
	struct casement_queue *q;	/* request queue 0 */
	struct fuse_init_out init;
};

/*
 * Later daemons run in their default sandbox also where they have a sanitizer,
 * which then cannot look for leaks. For tests of the sandbox.
 */
void daemons_are_as_shipped(void);
/* Start a daemon; fails the test when it does not come up. args may be NULL. */
void daemon_start(struct daemon *daemon, const char *const *args);
/* The same on the tree of another, which must be stopped after this one. */
void daemon_start_beside(struct daemon *daemon, const struct daemon *first, const char *const *args);
/* Connect a client; NULL options allowed. Fails the test, showing the daemon's log. */
struct casement *daemon_connect(struct daemon *daemon, const struct casement_options *options);
/* A connected socket to it. */
int daemon_socket(struct daemon *daemon);
/* Fail unless the daemon is running. */
void daemon_check(struct daemon *daemon);
/* Wait for its end: the exit status; fails on a signal, a sanitizer report, or after TEST_WAIT_MS. */
int daemon_wait(struct daemon *daemon);
/* Wait for its end: was it by this signal? It counts as stopped then. */
bool daemon_ended_by(struct daemon *daemon, int number);
/* End it if it still runs, check its log, remove the tree. 0, or -1 when something was wrong. */
int daemon_stop(struct daemon *daemon);
/* True when its log has this text by now. */
bool daemon_logged(struct daemon *daemon, const char *text);
/* The process that serves: known once a client is connected. */
pid_t daemon_serving_pid(const struct daemon *daemon);
/* Open descriptors that one has. */
unsigned int daemon_count_fds(const struct daemon *daemon);
/* True when the daemon's --help knows the option. */
bool daemon_has_option(const char *name);

/* cmocka's setup and teardown; *state is a struct fixture_config or NULL, then a struct fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
/* The fixture of a test; skips it where the daemon lacks what the test needs. */
struct fixture *fixture_of(void **state);
/* Reset the device, as a guest that starts anew does, and start its queues again. */
void fixture_reset_device(struct fixture *f);
#define FIXTURE_TEST(test, config) \
	cmocka_unit_test_prestate_setup_teardown(test, fixture_setup, fixture_teardown, \
						 (void *)(uintptr_t)(config))

/* The path of a name in the share; each thread has four that are valid at a time. */
const char *share_path(const struct daemon *daemon, const char *name);
/* Make a file of `size` bytes, byte i being pattern(seed, i). */
void share_fill(const struct daemon *daemon, const char *name, size_t size, unsigned int seed);
unsigned char pattern(unsigned int seed, size_t i);
/* Fail unless size bytes at p are the pattern from `offset` on. */
void check_pattern(const void *p, size_t size, unsigned int seed, size_t offset);

/* Fail with the client's error text when `result` is negative; returns it else. */
#define ok(call) expect_ok((call), #call, __FILE__, __LINE__)
long expect_ok(long result, const char *what, const char *file, int line);
/* Fail unless `call` gives -error. */
#define refused(call, error) expect_error((call), -(error), #call, __FILE__, __LINE__)
void expect_error(long result, long error, const char *what, const char *file, int line);

/* Look up a name in the root. */
uint64_t lookup_node(struct casement_queue *q, const char *name);
/* Open a file of the root: node and handle. */
uint64_t open_file(struct casement_queue *q, const char *name, uint32_t flags, uint64_t *node);
/* Make and open a file of the root. */
uint64_t create_file(struct casement_queue *q, const char *name, uint64_t *node);

#endif
