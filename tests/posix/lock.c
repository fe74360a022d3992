/* SPDX-License-Identifier: BSD-3-Clause */
/* POSIX locks, open-file-description locks and flock(2), between processes. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static long lock(int fd, int command, short type, long start, long len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return rc(fcntl(fd, command, &l));
}

/* The lock in the way of such a one: its type, F_UNLCK for none. */
static long blocker(int fd, int command, short type, long start, long len, struct flock *found)
{
	*found = (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
	return fcntl(fd, command, found) < 0 ? -errno : found->l_type;
}

/* In another process: try a lock; its errno as exit status. */
static long try_elsewhere(short type, long start, long len)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit((int)-lock(open("file", O_RDWR), F_SETLK, type, start, len));
	waitpid(pid, &status, 0);
	return -WEXITSTATUS(status);
}

/* We hold [100, 200) of one type; another process wants ... */
static const struct conflict {
	const char *name;
	short held, wanted;
	long start, len;
	long result;
} conflicts[] = {
	{ "write-on-write", F_WRLCK, F_WRLCK, 100, 100, -EAGAIN },
	{ "read-on-write", F_WRLCK, F_RDLCK, 100, 100, -EAGAIN },
	{ "write-on-read", F_RDLCK, F_WRLCK, 100, 100, -EAGAIN },
	{ "read-on-read", F_RDLCK, F_RDLCK, 100, 100, 0 },
	{ "before", F_WRLCK, F_WRLCK, 0, 100, 0 },
	{ "after", F_WRLCK, F_WRLCK, 200, 0, 0 },
	{ "last-byte", F_WRLCK, F_WRLCK, 199, 1, -EAGAIN },
	{ "first-byte", F_WRLCK, F_WRLCK, 0, 101, -EAGAIN },
	{ "whole-file", F_WRLCK, F_WRLCK, 0, 0, -EAGAIN },
};

static void check_conflicts(int fd)
{
	for (size_t i = 0; i < ARRAY_SIZE(conflicts); i++) {
		const struct conflict *c = &conflicts[i];

		check(lock(fd, F_SETLK, c->held, 100, 100), 0, "%s-held", c->name);
		check(try_elsewhere(c->wanted, c->start, c->len), c->result, "%s", c->name);
		lock(fd, F_SETLK, F_UNLCK, 0, 0);
	}
	check(try_elsewhere(F_WRLCK, 0, 0), 0, "unlocked");
}

static void check_ranges(int fd)
{
	lock(fd, F_SETLK, F_WRLCK, 0, 300);
	check(lock(fd, F_SETLK, F_UNLCK, 100, 100), 0, "split");
	check(try_elsewhere(F_WRLCK, 100, 100), 0, "split-middle-is-free");
	check(try_elsewhere(F_WRLCK, 99, 1), -EAGAIN, "split-before-is-held");
	check(try_elsewhere(F_WRLCK, 200, 1), -EAGAIN, "split-after-is-held");
	check(lock(fd, F_SETLK, F_RDLCK, 0, 50), 0, "downgrade");
	check(try_elsewhere(F_RDLCK, 0, 50), 0, "downgrade-may-be-read");
	check(try_elsewhere(F_RDLCK, 50, 1), -EAGAIN, "downgrade-not-the-rest");
	check(lock(fd, F_SETLK, F_UNLCK, 0, 0), 0, "release-all");
	check(lock(fd, F_SETLK, 99, 0, 0), -EINVAL, "unknown-type");
	check(lock(fd, F_SETLK, F_WRLCK, -5, 0), -EINVAL, "negative-start");
	check(lock(fd, F_SETLK, F_WRLCK, 1L << 40, 10), 0, "far-away");
	check(try_elsewhere(F_WRLCK, 1L << 40, 1), -EAGAIN, "far-away-held");
	lock(fd, F_SETLK, F_UNLCK, 0, 0);
}

/* Where nothing interrupts a wait, the end of who holds the lock has to end it. */
#define HOLD_SECONDS 10

/* A child holds a lock until we close the pipe; it is ready when this returns. */
static pid_t hold_elsewhere(int *release, int command, short type)
{
	int ready[2], go[2];
	char byte;
	pid_t pid;

	if (pipe(ready) || pipe(go))
		exit(2);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int fd = open("file", O_RDWR);
		long result = command < 0 ? rc(flock(fd, type)) : lock(fd, command, type, 10, 20);

		close(go[1]);
		alarm(HOLD_SECONDS);
		if (write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) < 0)
			_exit(1);
		_exit(result != 0);
	}
	close(ready[1]);
	close(go[0]);
	if (read(ready[0], &byte, 1) != 1)
		exit(2);
	close(ready[0]);
	*release = go[1];
	return pid;
}

static long let_go(pid_t pid, int release)
{
	int status = -1;

	close(release);
	waitpid(pid, &status, 0);
	return status;
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void check_waiting(int fd)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct flock found;
	int release;
	pid_t pid = hold_elsewhere(&release, F_SETLK, F_WRLCK);

	check(blocker(fd, F_GETLK, F_WRLCK, 0, 0, &found), F_WRLCK, "getlk");
	check(found.l_start, 10, "getlk-start");
	check(found.l_len, 20, "getlk-len");
	check(found.l_pid == pid, 1, "getlk-pid");
	check(blocker(fd, F_GETLK, F_WRLCK, 100, 5, &found), F_UNLCK, "getlk-free");
	sigaction(SIGALRM, &action, NULL);
	alarm(1);
	check(lock(fd, F_SETLKW, F_WRLCK, 0, 0), -EINTR, "wait-interrupted");
	alarm(0);
	check(let_go(pid, release), 0, "holder-ended");
	check(lock(fd, F_SETLKW, F_WRLCK, 0, 0), 0, "wait-then-got");
	check(try_elsewhere(F_RDLCK, 0, 1), -EAGAIN, "then-held");
	/* Any close of the file in this process gives its locks back. */
	close(open("file", O_RDONLY));
	check(try_elsewhere(F_WRLCK, 0, 0), 0, "gone-at-any-close");
}

static void check_ofd(void)
{
	int first = open("file", O_RDWR), second = open("file", O_RDWR), copy = dup(first);
	struct flock found;

	check(lock(first, F_OFD_SETLK, F_WRLCK, 0, 10), 0, "ofd");
	check(lock(second, F_OFD_SETLK, F_WRLCK, 5, 10), -EAGAIN, "ofd-of-another-description");
	check(lock(second, F_OFD_SETLK, F_WRLCK, 10, 10), 0, "ofd-beside");
	check(lock(copy, F_OFD_SETLK, F_WRLCK, 0, 5), 0, "ofd-of-dup");
	check(blocker(second, F_OFD_GETLK, F_RDLCK, 0, 5, &found), F_WRLCK, "ofd-getlk");
	check(found.l_pid, -1, "ofd-getlk-pid");
	check(try_elsewhere(F_WRLCK, 0, 1), -EAGAIN, "ofd-against-posix");
	close(open("file", O_RDONLY));
	check(lock(second, F_OFD_SETLK, F_WRLCK, 0, 5), -EAGAIN, "ofd-survives-a-close");
	close(first);
	check(lock(second, F_OFD_SETLK, F_WRLCK, 0, 5), -EAGAIN, "ofd-survives-while-dup");
	close(copy);
	check(lock(second, F_OFD_SETLK, F_WRLCK, 0, 5), 0, "ofd-gone-at-last-close");
	close(second);
}

static void check_flock(void)
{
	int first = open("file", O_RDWR), second = open("file", O_RDONLY), copy = dup(first), release;
	pid_t pid;

	check(rc(flock(first, LOCK_EX | LOCK_NB)), 0, "flock-ex");
	check(rc(flock(second, LOCK_EX | LOCK_NB)), -EAGAIN, "flock-ex-twice");
	check(rc(flock(second, LOCK_SH | LOCK_NB)), -EAGAIN, "flock-sh-on-ex");
	check(rc(flock(copy, LOCK_EX | LOCK_NB)), 0, "flock-of-dup");
	check(rc(flock(first, LOCK_SH | LOCK_NB)), 0, "flock-downgrade");
	check(rc(flock(second, LOCK_SH | LOCK_NB)), 0, "flock-sh-twice");
	check(rc(flock(first, LOCK_EX | LOCK_NB)), -EAGAIN, "flock-upgrade-blocked");
	check(rc(flock(second, LOCK_UN)), 0, "flock-unlock");
	check(rc(flock(first, LOCK_EX | LOCK_NB)), 0, "flock-upgrade");
	check(rc(flock(copy, LOCK_UN)), 0, "flock-unlock-by-dup");
	check(rc(flock(second, LOCK_EX | LOCK_NB)), 0, "flock-after-unlock-by-dup");
	close(second);
	check(rc(flock(first, LOCK_EX | LOCK_NB)), 0, "flock-gone-at-close");
	flock(first, LOCK_UN);
	pid = hold_elsewhere(&release, -1, LOCK_EX);
	check(rc(flock(first, LOCK_SH | LOCK_NB)), -EAGAIN, "flock-of-another-process");
	check(let_go(pid, release), 0, "flock-holder-ended");
	check(rc(flock(first, LOCK_SH)), 0, "flock-of-ended-process");
	check(rc(flock(first, 0)), -EINVAL, "flock-nothing");
	close(first);
	close(copy);
}

static void check_rights(void)
{
	int ro = open("file", O_RDONLY), wo = open("file", O_WRONLY), dir = open(".", O_RDONLY);

	check(lock(ro, F_SETLK, F_WRLCK, 0, 0), -EBADF, "write-lock-of-read-only");
	check(lock(wo, F_SETLK, F_RDLCK, 0, 0), -EBADF, "read-lock-of-write-only");
	check(lock(ro, F_SETLK, F_RDLCK, 0, 0), 0, "read-lock-of-read-only");
	check(rc(flock(dir, LOCK_EX | LOCK_NB)), 0, "flock-of-dir");
	check(rc(lockf(wo, F_TLOCK, 0)), 0, "lockf");
	check(rc(lockf(wo, F_ULOCK, 0)), 0, "lockf-unlock");
	close(ro);
	close(wo);
	close(dir);
}

static void run(void)
{
	int fd = open("file", O_CREAT | O_RDWR, 0600);

	check_conflicts(fd);
	check_ranges(fd);
	check_waiting(fd);
	close(fd);
	check_ofd();
	check_flock();
	check_rights();
}

const struct subject subject_lock = { "lock", false, run };
