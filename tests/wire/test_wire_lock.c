/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks between two guests and the host: they exclude each other, who waits
 * holds up nobody, and every wait ends: with the lock, an interrupt, a close,
 * a stop of the ring, or the other's end.
 */
#include "daemon_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/queue.h"
#include "client/raw.h"
#include "common/cleanup.h"
#include "proto/fuse_wire.h"
#include "tests/skip.h"

static const struct fixture_config locks = {
	.args = { "--posix-lock", "--flock" }, .options = { .depth = 64 },
};

static const struct fixture_config two_queues = {
	.args = { "--posix-lock", "--queues", "2" }, .options = { .depth = 64, .request_queues = 2 },
};

static struct fuse_lk_in lock_in(uint64_t fh, uint64_t owner, uint32_t type, uint32_t flags)
{
	return (struct fuse_lk_in){
		.fh = fh, .owner = owner, .lk = { .start = 0, .end = 99, .type = type },
		.lk_flags = flags,
	};
}

static long ask(struct fixture *f, uint32_t opcode, uint64_t node, struct fuse_lk_in in)
{
	struct fuse_lk_out out;
	struct iovec iov[2] = { { &in, sizeof(in) }, { &out, sizeof(out) } };

	return casement_call(f->q, opcode, node, iov, 1, iov + 1, opcode == FUSE_GETLK);
}

/* A SETLKW on its way. */
struct wait {
	struct casement_request request;
	struct fuse_lk_in in;
	struct iovec iov;
};

static void wait_start(struct fixture *f, struct wait *wait, uint64_t node, struct fuse_lk_in in)
{
	wait->in = in;
	wait->iov = (struct iovec){ &wait->in, sizeof(wait->in) };
	wait->request = (struct casement_request){
		.opcode = FUSE_SETLKW, .nodeid = node, .in = &wait->iov, .n_in = 1,
	};
	assert_int_equal(ok(casement_submit(f->q, &wait->request, 1)), 1);
}

static long wait_end(struct fixture *f, struct wait *wait)
{
	struct casement_request *done[1];

	assert_int_equal(ok(casement_complete(f->q, done, 1, -1)), 1);
	assert_ptr_equal(done[0], &wait->request);
	return wait->request.result;
}

/* The queue answers others while somebody waits on it. */
static void check_alive(struct fixture *f)
{
	struct fuse_attr_out attr;

	for (int i = 0; i < 3; i++)
		ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
}

static int host_lock(struct fixture *f, const char *name, short type)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET };
	int fd = open(share_path(&f->daemon, name), O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
	return fd;
}

static void test_with_the_host(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	int host = host_lock(f, "file", F_RDLCK);
	struct wait wait;

	refused(ask(f, FUSE_SETLK, node, lock_in(fh, 1, F_WRLCK, 0)), EAGAIN);
	ok(ask(f, FUSE_SETLK, node, lock_in(fh, 1, F_RDLCK, 0)));
	ok(ask(f, FUSE_GETLK, node, lock_in(fh, 1, F_WRLCK, 0)));
	wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, 0));
	check_alive(f);
	close(host);
	assert_int_equal(wait_end(f, &wait), 0);
	refused(ask(f, FUSE_SETLK, node, lock_in(fh, 2, F_RDLCK, 0)), EAGAIN);
	ok(casement_flush(f->q, node, fh));	/* of owner 0, who has none */
	refused(ask(f, FUSE_SETLK, node, lock_in(fh, 2, F_RDLCK, 0)), EAGAIN);
	ok(ask(f, FUSE_SETLK, node, lock_in(fh, 1, F_UNLCK, 0)));
	ok(ask(f, FUSE_SETLK, node, lock_in(fh, 2, F_RDLCK, 0)));
}

static void test_flock(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	cleanup_close int host = open(share_path(&f->daemon, "file"), O_RDONLY | O_CLOEXEC);
	struct wait wait;

	assert_int_equal(flock(host, LOCK_EX), 0);
	refused(ask(f, FUSE_SETLK, node, lock_in(fh, 1, F_RDLCK, FUSE_LK_FLOCK)), EAGAIN);
	wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, FUSE_LK_FLOCK));
	check_alive(f);
	assert_int_equal(flock(host, LOCK_UN), 0);
	assert_int_equal(wait_end(f, &wait), 0);
	assert_int_equal(flock(host, LOCK_SH | LOCK_NB), -1);
	ok(casement_release(f->q, node, fh));
	assert_int_equal(flock(host, LOCK_SH | LOCK_NB), 0);
}

/* One is enough, whether it comes while the request waits, or before it began to. */
static void test_interrupt(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	cleanup_close int host = host_lock(f, "file", F_WRLCK);
	struct wait wait;
	uint64_t unique;

	for (int round = 0; round < 20; round++) {
		wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, 0));
		unique = f->q->unique;
		if (round % 2)
			check_alive(f);
		ok(casement_interrupt(casement_hiprio_queue(f->client), unique));
		assert_int_equal(wait_end(f, &wait), -EINTR);
	}
}

static long flush(struct fixture *f, uint64_t node, uint64_t fh, uint64_t owner)
{
	struct fuse_flush_in in = { .fh = fh, .lock_owner = owner };
	struct iovec iov = { &in, sizeof(in) };

	return casement_call(f->q, FUSE_FLUSH, node, &iov, 1, NULL, 0);
}

/* A close of the file by its owner ends the owner's waits for it; no other close does. */
static void test_flush(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	uint64_t other, other_fh = create_file(f->q, "other", &other);
	int host = host_lock(f, "file", F_WRLCK);
	struct casement_request *done[1];
	struct wait wait;

	wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, 0));
	check_alive(f);
	ok(flush(f, node, fh, 2));
	ok(flush(f, other, other_fh, 1));
	assert_int_equal(casement_complete(f->q, done, 1, TEST_QUIET_MS), 0);
	close(host);
	assert_int_equal(wait_end(f, &wait), 0);
	ok(flush(f, node, fh, 1));
	host = host_lock(f, "file", F_WRLCK);
	wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, 0));
	/* Until the wait has begun a close has nothing to end. */
	do {
		check_alive(f);
		ok(flush(f, node, fh, 1));
	} while (!ok(casement_complete(f->q, done, 1, 1)));
	assert_int_equal(wait.request.result, -EINTR);
	close(host);
}

/* Does a thread of the daemon sleep in this system call? Skips where that cannot be seen. */
static bool daemon_waits_in(const struct fixture *f, long number)
{
	char path[600], text[32];
	const struct dirent *task;
	bool found = false;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)daemon_serving_pid(&f->daemon));
	tasks = opendir(path);
	assert_non_null(tasks);
	while (!found && (task = readdir(tasks))) {
		cleanup_close int fd = -1;
		ssize_t n;

		if (task->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/syscall",
			 (int)daemon_serving_pid(&f->daemon), task->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno == EACCES) {
			closedir(tasks);
			SKIP_BECAUSE("another process's threads are not shown here");
		}
		n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = '\0';
		found = strtol(text, NULL, 10) == number;
	}
	closedir(tasks);
	return found;
}

/* Who waits keeps the file open: its release ends the wait, and then the file is closed. */
static void test_release(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int before = daemon_count_fds(&f->daemon);
	uint64_t node, fh;
	struct wait wait;
	int host;

	for (uint32_t flags = 0; flags <= FUSE_LK_FLOCK; flags += FUSE_LK_FLOCK) {
		fh = create_file(f->q, "file", &node);
		host = open(share_path(&f->daemon, "file"), O_RDWR | O_CLOEXEC);
		assert_int_equal(flock(host, LOCK_EX), 0);
		assert_int_equal(fcntl(host, F_OFD_SETLK, &(struct flock){ .l_type = F_WRLCK }), 0);
		wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, flags));
		while (!daemon_waits_in(f, flags ? SYS_flock : SYS_fcntl))
			check_alive(f);
		ok(casement_release(f->q, node, fh));
		assert_int_equal(wait_end(f, &wait), -EINTR);
		refused(ask(f, FUSE_SETLK, node, lock_in(fh, 1, F_UNLCK, flags)), EBADF);
		ok(casement_unlink(f->q, CASEMENT_ROOT, "file"));
		ok(casement_forget(casement_hiprio_queue(f->client), node, 1));
		close(host);
	}
	assert_int_equal(daemon_count_fds(&f->daemon), before);
}

/* Of an interrupted request that did not wait nothing is left for others. */
static void test_interrupt_of_nothing(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);

	for (int i = 0; i < 200; i++)
		ok(casement_interrupt(casement_hiprio_queue(f->client), f->q->unique));
	ok(ask(f, FUSE_SETLKW, node, lock_in(fh, 1, F_WRLCK, 0)));
	ok(ask(f, FUSE_SETLK, node, lock_in(fh, 1, F_UNLCK, 0)));
}

/* Stop a queue and start it again, until its SETLKW was taken from the ring before a stop. */
static void stop_and_start(struct fixture *f)
{
	bool taken;

	do {
		ok(casement_queue_stop(f->q));
		taken = f->q->base == f->q->next_avail;
		ok(casement_queue_start(f->q));
	} while (!taken);
}

/* A machine that stands still and goes on: the wait goes on as well, and then has the lock. */
static void test_stop(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	struct casement_request *done[1];
	struct wait wait;

	for (int round = 0; round < 20; round++) {
		int host = host_lock(f, "file", F_WRLCK);

		wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, 0));
		if (round % 2)
			check_alive(f);
		stop_and_start(f);
		if (!round)
			assert_int_equal(casement_complete(f->q, done, 1, TEST_QUIET_MS), 0);
		check_alive(f);
		close(host);
		assert_int_equal(wait_end(f, &wait), 0);
		ok(ask(f, FUSE_SETLK, node, lock_in(fh, 1, F_UNLCK, 0)));
	}
}

/* The lock is given while the ring stands still: the guest hears of it when it goes on. */
static void test_lock_during_stop(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	int host = host_lock(f, "file", F_WRLCK), probe;
	struct flock fl = { .l_type = F_WRLCK };
	struct wait wait;

	wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, 0));
	do
		check_alive(f);
	while (!daemon_waits_in(f, SYS_fcntl));
	ok(casement_queue_stop(f->q));
	probe = open(share_path(&f->daemon, "file"), O_RDWR | O_CLOEXEC);
	close(host);
	do {
		fl.l_type = F_WRLCK;
		assert_int_equal(fcntl(probe, F_OFD_GETLK, &fl), 0);
	} while (fl.l_type == F_UNLCK);
	ok(casement_queue_start(f->q));
	assert_int_equal(wait_end(f, &wait), 0);
	close(probe);
}

/* The stop of one ring is nothing to those that wait on another. */
static void test_stop_of_another(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	int host = host_lock(f, "file", F_WRLCK);
	struct casement_queue *other = casement_request_queue(f->client, 1);
	struct casement_request *done[1];
	struct wait wait;

	wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, 0));
	do
		check_alive(f);
	while (!daemon_waits_in(f, SYS_fcntl));
	for (int round = 0; round < 20; round++) {
		ok(casement_queue_stop(other));
		if (round % 2)
			casement_queue_reset(other);
		ok(casement_queue_start(other));
	}
	assert_int_equal(casement_complete(f->q, done, 1, TEST_QUIET_MS), 0);
	close(host);
	assert_int_equal(wait_end(f, &wait), 0);
}

/* More waits than there are threads for: the rest hears ENOLCK, nobody is held up. */
#define MOST_WAITS 32

static unsigned int count_waits(struct fixture *f, uint64_t node, uint64_t fh)
{
	enum { N = MOST_WAITS + 8 };
	int host = host_lock(f, "file", F_WRLCK);
	struct casement_request *done[N];
	static struct wait waits[N];
	unsigned int granted = 0, denied = 0;

	for (unsigned int i = 0; i < N; i++)
		wait_start(f, &waits[i], node, lock_in(fh, i, F_RDLCK, 0));
	check_alive(f);
	close(host);
	while (granted + denied < N) {
		long n = ok(casement_complete(f->q, done, N, -1));

		for (long i = 0; i < n; i++) {
			if (done[i]->result == -ENOLCK)
				denied++;
			else
				assert_int_equal(done[i]->result, 0);
			granted += !done[i]->result;
		}
	}
	for (unsigned int i = 0; i < N; i++)
		ok(ask(f, FUSE_SETLK, node, lock_in(fh, i, F_UNLCK, 0)));
	return granted;
}

static void test_too_many(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);

	assert_int_equal(count_waits(f, node, fh), MOST_WAITS);
}

/* A ring that begins anew knows nothing of what was taken from it before: the wait is given up. */
static void test_reset(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	cleanup_close int host = host_lock(f, "file", F_WRLCK);
	struct fuse_attr_out attr;
	struct wait wait;

	for (int round = 0; round < 20; round++) {
		wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, 0));
		do
			check_alive(f);
		while (round % 2 && !daemon_waits_in(f, SYS_fcntl));
		ok(casement_queue_stop(f->q));
		casement_queue_reset(f->q);
		ok(casement_queue_start(f->q));
		for (int i = 0; i < 3; i++)
			ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
		while (daemon_waits_in(f, SYS_fcntl))
			ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	}
	close(take_fd(&host));
	assert_int_equal(count_waits(f, node, fh), MOST_WAITS);
}

/* A guest that writes other opcodes over a request while it is served. */
struct flipper {
	volatile uint32_t *opcode;
	uint32_t opcodes[2];
	bool stop;	/* [A] relaxed */
};

static void *flip(void *arg)
{
	struct flipper *flipper = arg;

	for (unsigned int i = 0; !__atomic_load_n(&flipper->stop, __ATOMIC_RELAXED); i++)
		*flipper->opcode = flipper->opcodes[i / 1024 % 2];
	return NULL;
}

static void flip_requests(struct fixture *f, uint64_t node, uint64_t fh, uint32_t first, uint32_t second)
{
	struct {
		struct fuse_in_header head;
		struct fuse_lk_in lk;
	} *sent = (void *)raw_scratch(f->q);
	const struct raw_piece pieces[2] = {
		{ raw_guest(f->q, sent), sizeof(*sent), 0 },
		{ raw_guest(f->q, (char *)sent + 4096), 4096, VRING_DESC_F_WRITE },
	};
	struct flipper flipper = { .opcode = &sent->head.opcode, .opcodes = { first, second } };
	static const uint16_t head;
	struct vring_used_elem elem;
	pthread_t thread;

	sent->head = (struct fuse_in_header){ .len = sizeof(*sent), .nodeid = node, .opcode = first };
	sent->lk = lock_in(fh, 99, F_RDLCK, 0);
	assert_int_equal(pthread_create(&thread, NULL, flip, &flipper), 0);
	for (unsigned int i = 0; i < 1000; i++) {
		sent->head.unique = 2000000 + 2 * i;
		raw_chain(f->q, pieces, 2);
		raw_post(f->q, &head, 1);
		/* one that waits does so until it is interrupted */
		while (raw_wait_used(f->q, &elem, 1) != 1)
			ok(casement_interrupt(casement_hiprio_queue(f->client), sent->head.unique));
	}
	__atomic_store_n(&flipper.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ok(raw_restart(f->q));
	ok(ask(f, FUSE_SETLK, node, lock_in(fh, 99, F_UNLCK, 0)));
}

/* What a request was when it was taken decides; what was reserved for its wait is given back. */
static void test_memory_that_changes(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);

	flip_requests(f, node, fh, FUSE_FSYNC, FUSE_SETLKW);
	assert_int_equal(count_waits(f, node, fh), MOST_WAITS);
	ok(ask(f, FUSE_SETLK, node, lock_in(fh, 1, F_WRLCK, 0)));
	flip_requests(f, node, fh, FUSE_SETLKW, FUSE_SETLK);
	ok(ask(f, FUSE_SETLK, node, lock_in(fh, 1, F_UNLCK, 0)));
	assert_int_equal(count_waits(f, node, fh), MOST_WAITS);
}

/* Another guest, by another daemon; when its VMM dies, its locks go. */
static void test_two_guests(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	const char *const args[] = { "--posix-lock", "--shared-dir", f->daemon.share, NULL };
	struct casement *other;
	struct casement_queue *q;
	struct fuse_init_out init;
	struct fuse_lk_in in;
	struct iovec iov = { &in, sizeof(in) };
	struct daemon daemon;
	struct wait wait;
	uint64_t node2;

	daemon_start(&daemon, args);
	other = daemon_connect(&daemon, NULL);
	q = casement_request_queue(other, 0);
	ok(casement_init(q, NULL, &init));
	in = lock_in(open_file(q, "file", O_RDWR, &node2), 1, F_WRLCK, 0);
	ok(casement_call(q, FUSE_SETLK, node2, &iov, 1, NULL, 0));
	refused(ask(f, FUSE_SETLK, node, lock_in(fh, 1, F_WRLCK, 0)), EAGAIN);
	wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, 0));
	check_alive(f);
	casement_close(other);
	assert_int_equal(wait_end(f, &wait), 0);
	assert_int_equal(daemon_wait(&daemon), 0);
	assert_int_equal(daemon_stop(&daemon), 0);
}

/* The VMM leaves while its guest waits: the daemon ends all the same. */
static void test_leave(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "file", &node);
	cleanup_close int host = host_lock(f, "file", F_WRLCK);
	struct wait wait;

	wait_start(f, &wait, node, lock_in(fh, 1, F_WRLCK, 0));
	check_alive(f);
	casement_close(f->client);
	f->client = NULL;
	assert_int_equal(daemon_wait(&f->daemon), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_with_the_host, &locks),
		FIXTURE_TEST(test_flock, &locks),
		FIXTURE_TEST(test_interrupt, &locks),
		FIXTURE_TEST(test_interrupt_of_nothing, &locks),
		FIXTURE_TEST(test_flush, &locks),
		FIXTURE_TEST(test_release, &locks),
		FIXTURE_TEST(test_stop, &locks),
		FIXTURE_TEST(test_lock_during_stop, &locks),
		FIXTURE_TEST(test_stop_of_another, &two_queues),
		FIXTURE_TEST(test_too_many, &locks),
		FIXTURE_TEST(test_reset, &locks),
		FIXTURE_TEST(test_memory_that_changes, &locks),
		FIXTURE_TEST(test_two_guests, &locks),
		FIXTURE_TEST(test_leave, &locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
