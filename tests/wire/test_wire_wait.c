/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of waits: by time, by the caller's stop descriptor. What was waited for may still come, and
 * must not be taken for something else; a daemon that is stopped here stands for one that is slow.
 */
#include "daemon_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/session.h"

#define SOON_MS 100

static const struct fixture_config plain;
static const struct fixture_config polling = { .options = { .flags = CASEMENT_POLL } };
static const struct fixture_config no_client = { .no_client = true };

static bool is_paused(pid_t pid, const char *task)
{
	char path[300], text[512] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)pid, task);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	return n > 0 && strstr(text, ") T ");
}

/* A signal takes its time to reach all threads. */
static void wait_until_paused(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	for (bool all = false; !all; sched_yield()) {
		DIR *tasks = opendir(path);

		assert_non_null(tasks);
		all = true;
		for (struct dirent *entry; (entry = readdir(tasks));)
			all &= entry->d_name[0] == '.' || is_paused(pid, entry->d_name);
		closedir(tasks);
	}
}

static void pause_daemon(struct fixture *f, bool on)
{
	pid_t pid = daemon_serving_pid(&f->daemon);

	assert_int_equal(kill(pid, on ? SIGSTOP : SIGCONT), 0);
	if (on)
		wait_until_paused(pid);
}

/* From now on; while a busy host starts the daemon it may take its time. */
static void be_impatient(struct fixture *f)
{
	f->client->channel.timeout_ms = SOON_MS;
}

/* Two files, the first of which is asked for and not answered in time. */
static void test_a_late_answer_is_not_taken(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t one, two, one_fh, two_fh;
	char *data = casement_alloc(f->client, 4096);

	share_fill(&f->daemon, "one", 4096, 1);
	share_fill(&f->daemon, "two", 4096, 2);
	one_fh = open_file(f->q, "one", O_RDONLY, &one);
	two_fh = open_file(f->q, "two", O_RDONLY, &two);
	assert_int_equal(casement_ended(f->client), 0);
	be_impatient(f);
	pause_daemon(f, true);
	refused(casement_read(f->q, one, one_fh, 0, data, 4096), ETIMEDOUT);
	pause_daemon(f, false);
	assert_int_equal(casement_ended(f->client), -ETIMEDOUT);
	/* Nothing is sent any more, on no queue; the daemon sees the end of the connection. */
	refused(casement_read(f->q, two, two_fh, 0, data, 4096), ETIMEDOUT);
	refused(casement_forget(casement_hiprio_queue(f->client), one, 1), ETIMEDOUT);
	refused(casement_queue_stop(f->q), ETIMEDOUT);
	assert_int_equal(daemon_wait(&f->daemon), 0);
}

static struct casement_request make_getattr(struct iovec iov[2], struct fuse_getattr_in *in,
					    struct fuse_attr_out *out)
{
	*in = (struct fuse_getattr_in){ 0 };
	iov[0] = (struct iovec){ in, sizeof(*in) };
	iov[1] = (struct iovec){ out, sizeof(*out) };
	return (struct casement_request){
		.opcode = FUSE_GETATTR, .nodeid = CASEMENT_ROOT,
		.in = &iov[0], .n_in = 1, .out = &iov[1], .n_out = 1,
	};
}

/* A wait of the caller's own length gives nothing up; one of the usual length does. */
static void test_completions_that_do_not_come(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_request request, *done[1];
	struct fuse_getattr_in in;
	struct fuse_attr_out out;
	struct iovec iov[2];

	request = make_getattr(iov, &in, &out);
	pause_daemon(f, true);
	assert_int_equal(ok(casement_submit(f->q, &request, 1)), 1);
	assert_int_equal(casement_complete(f->q, done, 1, SOON_MS), 0);
	assert_int_equal(casement_ended(f->client), 0);
	pause_daemon(f, false);
	assert_int_equal(ok(casement_complete(f->q, done, 1, TEST_WAIT_MS)), 1);
	assert_int_equal(request.result, sizeof(out));

	be_impatient(f);
	pause_daemon(f, true);
	assert_int_equal(ok(casement_submit(f->q, &request, 1)), 1);
	assert_int_equal(casement_complete(f->q, done, 1, -1), -ETIMEDOUT);
	pause_daemon(f, false);
	assert_int_equal(casement_ended(f->client), -ETIMEDOUT);
	assert_int_equal(casement_complete(f->q, done, 1, 0), -ETIMEDOUT);
	assert_int_equal(casement_submit(f->q, &request, 1), -ETIMEDOUT);
	assert_int_equal(daemon_wait(&f->daemon), 0);
}

/* With a descriptor of the caller's that is readable nothing waits; what is there is taken. */
static void test_the_stop_descriptor(void **state)
{
	struct fixture *f = fixture_of(state);
	int stop = eventfd(0, EFD_CLOEXEC);
	struct casement_options options = { .stop_fd = stop };
	struct casement_request request, *done[1];
	struct fuse_getattr_in in;
	struct fuse_attr_out out;
	struct fuse_init_out init;
	struct casement_queue *q;
	struct iovec iov[2];

	f->client = daemon_connect(&f->daemon, &options);
	q = casement_request_queue(f->client, 0);
	ok(casement_init(q, NULL, &init));
	request = make_getattr(iov, &in, &out);
	pause_daemon(f, true);
	assert_int_equal(eventfd_write(stop, 1), 0);
	assert_int_equal(ok(casement_submit(q, &request, 1)), 1);
	assert_int_equal(casement_complete(q, done, 1, -1), -ECANCELED);
	assert_int_equal(casement_ended(f->client), 0);
	pause_daemon(f, false);
	while (!ok(casement_complete(q, done, 1, 0)))
		continue;
	assert_int_equal(request.result, sizeof(out));
	pause_daemon(f, true);
	refused(casement_getattr(q, CASEMENT_ROOT, CASEMENT_NO_FH, &out), ECANCELED);
	pause_daemon(f, false);
	assert_int_equal(casement_ended(f->client), -ECANCELED);
	assert_int_equal(daemon_wait(&f->daemon), 0);
	close(stop);
}

/* A daemon's own error of that number is an answer like any other. */
static void test_the_end_of_the_daemon(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out out;

	assert_int_equal(kill(f->daemon.pid, SIGTERM), 0);
	assert_int_equal(daemon_wait(&f->daemon), 0);
	assert_int_equal(casement_ended(f->client), -ECONNRESET);
	refused(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &out), ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_a_late_answer_is_not_taken, &plain),
		FIXTURE_TEST(test_a_late_answer_is_not_taken, &polling),
		FIXTURE_TEST(test_completions_that_do_not_come, &plain),
		FIXTURE_TEST(test_completions_that_do_not_come, &polling),
		FIXTURE_TEST(test_the_stop_descriptor, &no_client),
		FIXTURE_TEST(test_the_end_of_the_daemon, &plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
