/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks of the file system: who excludes whom, what gives them back, how waits end. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/stop_token.h"
#include "daemon/fs/lock_ranges.h"
#include "tests/skip.h"
#include "tests/unit/fs_fixture.h"

#define A 0xaaaaaaaaaaaaaaaau	/* two lock owners */
#define B 1u
#define TO_END INT64_MAX
#define QUIET_NS 60000000	/* to see that something does not happen */

static struct fixture *f;
static struct fs *fs;
static uint64_t file;

static int setup(void **state)
{
	(void)state;
	f = fixture_new(NULL);
	fs = f->fs;
	must_create(fs, FS_ROOT_NODE, "a", &file);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static int set(uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	return fs_setlk(fs, file, owner, &(struct fs_lock){ start, end, type }, 1, false);
}

static struct fs_lock get(uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	struct fs_lock lock = { start, end, type };

	assert_int_equal(fs_getlk(fs, file, owner, &lock), 0);
	return lock;
}

/* What another program of the host can have of the file now. */
static int host_can(short type, off_t start, off_t len)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
	cleanup_close int fd = open(host_path(f, "a"), O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fcntl(fd, F_OFD_SETLK, &fl) ? -errno : 0;
}

static void owners_exclude_each_other(void **state)
{
	struct fs_lock lock;

	(void)state;
	assert_int_equal(set(A, F_WRLCK, 10, 19), 0);
	assert_int_equal(set(A, F_WRLCK, 10, 12), 0);
	assert_int_equal(set(B, F_RDLCK, 19, 19), -EAGAIN);
	assert_int_equal(set(B, F_WRLCK, 20, TO_END), 0);
	assert_int_equal(host_can(F_RDLCK, 0, 10), 0);
	assert_int_equal(host_can(F_RDLCK, 0, 11), -EAGAIN);
	assert_int_equal(host_can(F_RDLCK, 1 << 30, 1), -EAGAIN);
	lock = get(B, F_RDLCK, 0, 100);
	assert_int_equal(lock.type, F_WRLCK);
	assert_int_equal(lock.start, 10);
	assert_int_equal(lock.end, 19);
	lock = get(A, F_RDLCK, 30, 30);
	assert_int_equal(lock.start, 20);
	assert_int_equal(lock.end, TO_END);
	assert_int_equal(get(A, F_WRLCK, 0, 19).type, F_UNLCK);
	assert_int_equal(set(A, F_UNLCK, 15, 19), 0);
	assert_int_equal(set(B, F_RDLCK, 15, 19), 0);
	assert_int_equal(set(A, F_RDLCK, 15, 19), 0);
	assert_int_equal(set(A, F_WRLCK, 15, 19), -EAGAIN);
}

static void a_close_gives_all_back(void **state)
{
	uint64_t again;

	(void)state;
	again = must_open(fs, must_lookup(fs, FS_ROOT_NODE, "a"), O_RDONLY);
	assert_int_equal(set(A, F_WRLCK, 0, TO_END), 0);
	assert_int_equal(fs_lock_closed(fs, again, B), 0);
	assert_int_equal(host_can(F_RDLCK, 0, 0), -EAGAIN);
	/* POSIX: any close of the file by its owner does it */
	assert_int_equal(fs_lock_closed(fs, again, A), 0);
	assert_int_equal(host_can(F_WRLCK, 0, 0), 0);
	assert_int_equal(fs_lock_closed(fs, 12345, A), -EBADF);
}

/* An owner that is one open file of the guest's: nothing but its release tells that it is gone. */
static void a_release_gives_back_what_came_by_it(void **state)
{
	uint64_t one = must_open(fs, must_lookup(fs, FS_ROOT_NODE, "a"), O_RDWR);
	uint64_t two = must_open(fs, must_lookup(fs, FS_ROOT_NODE, "a"), O_RDWR);
	struct fs_lock low = { .start = 0, .end = 9, .type = F_WRLCK };
	struct fs_lock high = { .start = 10, .end = 19, .type = F_WRLCK };

	(void)state;
	assert_int_equal(fs_setlk(fs, one, A, &low, 1, false), 0);
	assert_int_equal(fs_setlk(fs, two, B, &high, 1, false), 0);
	assert_int_equal(fs_release(fs, one), 0);
	assert_int_equal(host_can(F_WRLCK, 0, 10), 0);
	assert_int_equal(host_can(F_WRLCK, 10, 10), -EAGAIN);
	assert_int_equal(fs_release(fs, two), 0);
	assert_int_equal(host_can(F_WRLCK, 0, 0), 0);
}

static void a_reset_gives_all_back(void **state)
{
	unsigned int before = open_fds();

	(void)state;
	for (uint64_t owner = 0; owner < 100; owner++)
		assert_int_equal(set(owner, F_RDLCK, 0, 0), 0);
	assert_int_equal(open_fds(), before + 100);
	assert_int_equal(fs_flock(fs, file, A, F_WRLCK, 1, false), 0);
	fs_reset(fs);
	assert_int_equal(host_can(F_WRLCK, 0, 0), 0);
	assert_true(open_fds() < before);
}

static void nonsense_is_refused(void **state)
{
	struct fs_lock lock = { .start = 5, .end = 4, .type = F_RDLCK };

	(void)state;
	assert_int_equal(set(A, F_RDLCK, 5, 4), -EINVAL);
	assert_int_equal(set(A, F_RDLCK, 0, UINT64_MAX), -EINVAL);
	assert_int_equal(set(A, F_RDLCK, 1ull << 63, UINT64_MAX), -EINVAL);
	assert_int_equal(set(A, 77, 0, 0), -EINVAL);
	assert_int_equal(set(A, F_UNLCK, 0, TO_END), 0);
	assert_int_equal(fs_getlk(fs, file, A, &lock), -EINVAL);
	assert_int_equal(fs_getlk(fs, file + 1, A, &lock), -EBADF);
	assert_int_equal(fs_flock(fs, file, A, 77, 1, false), -EINVAL);
	assert_int_equal(fs_flock(fs, file + 1, A, F_RDLCK, 1, false), -EBADF);
}

static void flocks_are_the_handles(void **state)
{
	uint64_t other = must_open(fs, must_lookup(fs, FS_ROOT_NODE, "a"), O_RDONLY), dir;
	cleanup_close int host = open(host_path(f, "a"), O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(fs_flock(fs, file, A, F_WRLCK, 1, false), 0);
	assert_int_equal(fs_flock(fs, other, A, F_RDLCK, 1, false), -EAGAIN);
	assert_int_equal(flock(host, LOCK_SH | LOCK_NB), -1);
	assert_int_equal(fs_flock(fs, file, A, F_RDLCK, 1, false), 0);
	assert_int_equal(flock(host, LOCK_SH | LOCK_NB), 0);
	assert_int_equal(fs_flock(fs, other, B, F_WRLCK, 1, false), -EAGAIN);
	assert_int_equal(fs_release(fs, file), 0);
	assert_int_equal(flock(host, LOCK_UN), 0);
	assert_int_equal(fs_flock(fs, other, B, F_WRLCK, 1, false), 0);
	assert_int_equal(fs_flock(fs, other, B, F_UNLCK, 1, false), 0);
	assert_int_equal(fs_opendir(fs, FS_ROOT_NODE, &dir), 0);
	assert_int_equal(fs_flock(fs, dir, B, F_WRLCK, 1, false), 0);
}

static void a_readonly_share_locks_for_reading(void **state)
{
	const struct fs_config config = { .readonly = true };
	struct fs *reader = fixture_serve(f, &config);
	struct fs_lock lock = { 0, 9, F_RDLCK };
	uint64_t handle = must_open(reader, must_lookup(reader, FS_ROOT_NODE, "a"), O_RDONLY);

	(void)state;
	assert_int_equal(fs_setlk(reader, handle, A, &lock, 1, false), 0);
	assert_int_equal(set(B, F_WRLCK, 0, 0), -EAGAIN);
	lock.type = F_WRLCK;
	assert_int_equal(fs_setlk(reader, handle, A, &lock, 1, false), -EBADF);
	fs_free(reader);
}

static uint64_t reader(void)
{
	return must_open(fs, must_lookup(fs, FS_ROOT_NODE, "a"), O_RDONLY);
}

static int set_by(uint64_t handle, uint32_t type, uint64_t start, uint64_t end)
{
	return fs_setlk(fs, handle, A, &(struct fs_lock){ start, end, type }, 1, false);
}

/* True when the host may run it: nobody has it open for writing. */
static bool can_be_run(const char *path)
{
	char *const argv[] = { (char *)(uintptr_t)"true", NULL };
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		execv(path, argv);
		_exit(errno == ETXTBSY ? 1 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

/* Who may only read a program, and asks for its locks or takes one, leaves it one. */
static void a_reader_does_not_write(void **state)
{
	struct fs_lock lock = { 0, 9, F_WRLCK };
	char command[600];
	uint64_t handle;

	(void)state;
	snprintf(command, sizeof(command), "cp /bin/true %s", host_path(f, "b"));
	if (system(command))
		SKIP_BECAUSE("needs /bin/true");
	handle = must_open(fs, must_lookup(fs, FS_ROOT_NODE, "b"), O_RDONLY);
	assert_int_equal(fs_getlk(fs, handle, A, &lock), 0);
	assert_int_equal(set_by(handle, F_RDLCK, 0, 9), 0);
	assert_true(can_be_run(host_path(f, "b")));
	assert_int_equal(set_by(handle, F_WRLCK, 0, 9), -EBADF);
	assert_true(can_be_run(host_path(f, "b")));
}

/* A program has a file open for reading, and once more for writing: its locks are one owner's. */
static void locks_for_reading_are_taken_along(void **state)
{
	uint64_t handle = reader();
	unsigned int before = open_fds();

	(void)state;
	assert_int_equal(set_by(handle, F_RDLCK, 0, 9), 0);
	assert_int_equal(set_by(handle, F_RDLCK, 20, 29), 0);
	assert_int_equal(set_by(handle, F_RDLCK, 8, 21), 0);
	assert_int_equal(set_by(handle, F_UNLCK, 10, 19), 0);
	assert_int_equal(set_by(handle, F_UNLCK, 5, 5), 0);
	assert_int_equal(set_by(file, F_WRLCK, 100, TO_END), 0);
	assert_int_equal(host_can(F_WRLCK, 0, 5), -EAGAIN);
	assert_int_equal(host_can(F_RDLCK, 0, 30), 0);
	assert_int_equal(host_can(F_WRLCK, 5, 1), 0);
	assert_int_equal(host_can(F_WRLCK, 10, 10), 0);
	assert_int_equal(host_can(F_WRLCK, 29, 1), -EAGAIN);
	assert_int_equal(host_can(F_WRLCK, 30, 70), 0);
	assert_int_equal(host_can(F_RDLCK, 1000, 1), -EAGAIN);
	/* None of them is in its own way. */
	assert_int_equal(set_by(file, F_WRLCK, 0, TO_END), 0);
	assert_int_equal(set_by(handle, F_UNLCK, 0, TO_END), 0);
	assert_int_equal(host_can(F_WRLCK, 0, 0), 0);
	assert_int_equal(fs_lock_closed(fs, handle, A), 0);
	assert_int_equal(open_fds(), before);
}

static void too_many_ranges(void **state)
{
	uint64_t handle = reader();

	(void)state;
	for (uint64_t i = 0; i < LOCK_RANGES_MAX; i++)
		assert_int_equal(set_by(handle, F_RDLCK, i * 2, i * 2), 0);
	assert_int_equal(set_by(handle, F_RDLCK, 1 << 20, 1 << 20), -ENOLCK);
	assert_int_equal(host_can(F_WRLCK, 1 << 20, 1), 0);
	assert_int_equal(host_can(F_WRLCK, 0, 1), -EAGAIN);
	/* All that touch each other are one. */
	assert_int_equal(set_by(handle, F_RDLCK, 0, 1 << 21), 0);
	assert_int_equal(set_by(handle, F_RDLCK, 1 << 22, 1 << 22), 0);
}

/* The locks of all owners are counted together, those for writing too; who closes the file gives back. */
static void too_many_ranges_of_all(void **state)
{
	uint64_t handle = must_open(fs, must_lookup(fs, FS_ROOT_NODE, "a"), O_RDWR);
	uint64_t owner = 1000, n = 0, last = 0;
	struct fs_lock lock = { .type = F_WRLCK };

	(void)state;
	for (; n <= LOCK_RANGES_ALL; n++) {
		lock.start = lock.end = n * 2;
		if (fs_setlk(fs, handle, owner + n / 1000, &lock, 0, false))
			break;
		last = owner + n / 1000;
	}
	/* one for writing counts twice: it may be cut out of one for reading */
	assert_in_range(n, LOCK_RANGES_ALL / 2 - 2, LOCK_RANGES_ALL / 2 + 2);
	assert_int_equal(fs_setlk(fs, handle, owner, &lock, 0, false), -ENOLCK);
	/* what is released or made larger is no more than it was */
	lock.start = lock.end = 0;
	assert_int_equal(fs_setlk(fs, handle, owner, &lock, 0, false), 0);
	assert_int_equal(fs_lock_closed(fs, handle, last), 0);
	lock.start = lock.end = n * 2;
	assert_int_equal(fs_setlk(fs, handle, owner, &lock, 0, false), 0);
	for (uint64_t i = 0; i <= n / 1000; i++)
		assert_int_equal(fs_lock_closed(fs, handle, owner + i), 0);
	/* nothing is left of them in the account */
	for (n = 0; n < LOCK_RANGES_ALL / 2; n++) {
		lock.start = lock.end = n * 2;
		assert_int_equal(fs_setlk(fs, handle, owner + n / 1000, &lock, 0, false), 0);
	}
}

/* ---- waits ---- */

/* A thread that waits for a lock held by A, as owner B and request 7. */
struct waiter {
	pthread_t thread;
	struct stop_token *token;
	bool flock;
	uint64_t reader;	/* as owner A, for reading, by this handle; 0: not */
	pid_t tid;
	int result;
};

/* True when the thread sleeps in its system call. */
static bool waits_in_the_kernel(const struct waiter *w)
{
	long number;

	char path[64], text[64] = "";
	cleanup_close int fd = -1;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", __atomic_load_n(&w->tid, __ATOMIC_ACQUIRE));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return false;
	number = strtol(text, NULL, 10);
	return number == (w->flock ? SYS_flock : SYS_fcntl);
}

static void *waiter_main(void *arg)
{
	struct waiter *w = arg;
	struct fs_lock lock = { 0, 9, F_WRLCK };

	__atomic_store_n(&w->tid, gettid(), __ATOMIC_RELEASE);
	stop_token_set_current(w->token);
	assert_true(fs_lock_may_wait(fs));
	if (w->reader)
		w->result = fs_setlk(fs, w->reader, A, &(struct fs_lock){ 0, 9, F_RDLCK }, 7, true);
	else
		w->result = w->flock ? fs_flock(fs, file, B, F_WRLCK, 7, true)
			     : fs_setlk(fs, file, B, &lock, 7, true);
	fs_lock_waited(fs);
	return NULL;
}

static void waiter_start(struct waiter *w)
{
	sigset_t all, old;

	/* As the daemon's threads are. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	assert_int_equal(pthread_create(&w->thread, NULL, waiter_main, w), 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void waits_end_with_the_lock(void **state)
{
	struct waiter w = { .result = 1 };

	(void)state;
	assert_int_equal(set(A, F_RDLCK, 0, 0), 0);
	waiter_start(&w);
	assert_int_equal(set(A, F_UNLCK, 0, 0), 0);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.result, 0);
	assert_int_equal(set(A, F_RDLCK, 0, 0), -EAGAIN);
}

/* Who waits to read while his owner comes to write gets the lock where the owner's others are. */
static void a_wait_outlives_the_change_to_writing(void **state)
{
	struct waiter w = { .result = 1, .reader = reader() };

	(void)state;
	assert_int_equal(set(B, F_WRLCK, 0, 9), 0);
	waiter_start(&w);
	while (!__atomic_load_n(&w.tid, __ATOMIC_ACQUIRE) || !waits_in_the_kernel(&w))
		sched_yield();
	assert_int_equal(set(A, F_WRLCK, 20, 29), 0);
	assert_int_equal(set(B, F_UNLCK, 0, 9), 0);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.result, 0);
	assert_int_equal(host_can(F_WRLCK, 0, 10), -EAGAIN);
	assert_int_equal(set(A, F_WRLCK, 0, 9), 0);
	assert_int_equal(set(A, F_UNLCK, 0, TO_END), 0);
	assert_int_equal(host_can(F_WRLCK, 0, 0), 0);
}

/* Cancelled at any moment of its life, until it ends: there is one in which it works. */
static void cancel_until_done(struct waiter *w, void (*cancel)(void))
{
	waiter_start(w);
	for (;;) {
		struct timespec soon;
		int rc;

		cancel();
		clock_gettime(CLOCK_REALTIME, &soon);
		soon.tv_nsec += 1000000;
		if (soon.tv_nsec >= 1000000000) {
			soon.tv_sec++;
			soon.tv_nsec -= 1000000000;
		}
		rc = pthread_timedjoin_np(w->thread, NULL, &soon);
		if (!rc)
			break;
		assert_int_equal(rc, ETIMEDOUT);
	}
	assert_int_equal(w->result, -EINTR);
}

static void cancel_by_request(void)
{
	fs_lock_interrupt(fs, 8);
	fs_lock_interrupt(fs, 7);
}

static void cancel_by_close(void)
{
	assert_int_equal(fs_lock_closed(fs, file, B), 0);
}

static void waits_can_be_given_up(void **state)
{
	struct waiter w = { .result = 1 };

	(void)state;
	assert_int_equal(set(A, F_RDLCK, 0, 0), 0);
	cancel_until_done(&w, cancel_by_request);
	cancel_until_done(&w, cancel_by_close);
	assert_int_equal(set(A, F_UNLCK, 0, 0), 0);
	assert_int_equal(host_can(F_WRLCK, 0, 0), 0);
}

/* A process waits in one thread and closes another file in the next: that ends no wait. */
static void a_close_of_another_file_ends_no_wait(void **state)
{
	struct waiter w = { .result = 1 };
	struct timespec soon;
	uint64_t other;

	(void)state;
	must_create(fs, FS_ROOT_NODE, "other", &other);
	assert_int_equal(set(A, F_RDLCK, 0, 0), 0);
	waiter_start(&w);
	while (!waits_in_the_kernel(&w))
		sched_yield();
	assert_int_equal(fs_lock_closed(fs, other, B), 0);
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += QUIET_NS;
	soon.tv_sec += soon.tv_nsec / 1000000000;
	soon.tv_nsec %= 1000000000;
	assert_int_equal(pthread_timedjoin_np(w.thread, NULL, &soon), ETIMEDOUT);
	assert_int_equal(set(A, F_UNLCK, 0, 0), 0);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.result, 0);
}

/* The last user of a handle closes it; a wait is one, so a release ends the wait. */
static void a_release_ends_its_waits(void **state)
{
	struct waiter w = { .flock = true, .result = 1 };
	cleanup_close int host = open(host_path(f, "a"), O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(flock(host, LOCK_SH), 0);
	waiter_start(&w);
	/* until it is seen to wait, or the release would come before it */
	while (!waits_in_the_kernel(&w))
		sched_yield();
	assert_int_equal(fs_release(fs, file), 0);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.result, -EINTR);
}

static void a_fired_token_forbids_to_wait(void **state)
{
	struct stop_token token;
	struct waiter w = { .token = &token, .result = 1 };

	(void)state;
	assert_int_equal(stop_token_open(&token), 0);
	stop_token_fire(&token);
	assert_int_equal(set(A, F_RDLCK, 0, 0), 0);
	waiter_start(&w);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.result, -EINTR);
	stop_token_close(&token);
}

static void only_so_many_wait(void **state)
{
	(void)state;
	for (int i = 0; i < FS_LOCK_WAITS_MAX; i++)
		assert_true(fs_lock_may_wait(fs));
	assert_false(fs_lock_may_wait(fs));
	fs_lock_waited(fs);
	assert_true(fs_lock_may_wait(fs));
	for (int i = 0; i < FS_LOCK_WAITS_MAX; i++)
		fs_lock_waited(fs);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(owners_exclude_each_other), TEST(a_close_gives_all_back),
		TEST(a_release_gives_back_what_came_by_it),
		TEST(a_reset_gives_all_back), TEST(nonsense_is_refused),
		TEST(flocks_are_the_handles), TEST(a_readonly_share_locks_for_reading),
		TEST(a_reader_does_not_write), TEST(locks_for_reading_are_taken_along),
		TEST(too_many_ranges), TEST(too_many_ranges_of_all), TEST(a_wait_outlives_the_change_to_writing),
		TEST(waits_end_with_the_lock), TEST(waits_can_be_given_up), TEST(a_release_ends_its_waits),
		TEST(a_close_of_another_file_ends_no_wait),
		TEST(a_fired_token_forbids_to_wait), TEST(only_so_many_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
