/* SPDX-License-Identifier: BSD-3-Clause */
/* Child processes; see child.h. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"

/* In the child. Signals that we blocked or ignored are not its concern. */
static void reset_signals(void)
{
	sigset_t none;

	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: where its three streams go, and what else it keeps. */
static void set_descriptors(const struct child_setup *setup)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, STDIN_FILENO);
	dup2(setup->out >= 0 ? setup->out : null, STDOUT_FILENO);
	if (setup->err != -1)
		dup2(setup->err == CHILD_NULL ? null : setup->err, STDERR_FILENO);
	/* The machine does not inherit what our caller had open. */
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	for (unsigned int i = 0; i < setup->n_keep; i++)
		fcntl(setup->keep[i], F_SETFD, 0);
}

static void __attribute__((noreturn))
exec_child(char *const argv[], const struct child_setup *setup, pid_t parent, int report)
{
	int err;

	if (setup->bound) {
		setpgid(0, 0);
		if (!setup->guarded)
			prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The parent may have died before prctl(2). */
		if (getppid() != parent)
			_exit(1);
	}
	reset_signals();
	set_descriptors(setup);
	execvp(argv[0], argv);
	err = errno;
	if (write(report, &err, sizeof(err)) < 0)
		_exit(1);
	_exit(127);
}

pid_t child_start(char *const argv[], const struct child_setup *setup)
{
	cleanup_close int report_in = -1, report_out = -1;
	int report[2], err = 0;
	pid_t parent = getpid(), pid;

	if (pipe2(report, O_CLOEXEC))
		return -errno;
	report_in = report[0];
	report_out = report[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		exec_child(argv, setup, parent, report_out);
	/* A successful exec closes the pipe; a failed one says why through it. */
	close_fd(&report_out);
	if (read(report_in, &err, sizeof(err)) == sizeof(err)) {
		waitpid(pid, NULL, 0);
		return -err;
	}
	return pid;
}

/* Nobody writes into `pipe`: it ends when our parent does. */
static void __attribute__((noreturn)) guard(int pipe, pid_t group)
{
	sigset_t all;
	char byte;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setpgid(0, group);
	/* Copies of the parent's other descriptors would keep their streams from ending. */
	dup2(pipe, 0);
	close_range(1, ~0U, 0);
	while (read(0, &byte, 1) < 0 && errno == EINTR)
		continue;
	kill(0, SIGKILL);
	_exit(0);
}

int child_guard(pid_t group)
{
	int fds[2], err;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(fds[1]);
		guard(fds[0], group);
	}
	close(fds[0]);
	/* Here as well: it is in the group when we return. fds[1] stays open for good. */
	if (pid > 0 && !setpgid(pid, group))
		return 0;
	err = -errno;
	close(fds[1]);
	return err;
}

/* Read to the end; what does not fit is thrown away, so that the writer can finish. */
static void read_all(int fd, char *output, size_t size)
{
	char rest[1024];
	size_t len = 0;

	for (;;) {
		bool full = len + 1 >= size;
		ssize_t n = full ? read(fd, rest, sizeof(rest)) : read(fd, output + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (!full)
			len += (size_t)n;
	}
	output[len] = '\0';
}

int child_capture(char *const argv[], int err, char *output, size_t size)
{
	cleanup_close int in = -1, out = -1;
	struct child_setup setup = { .err = err };
	int pipe_fds[2], status;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	in = pipe_fds[0];
	out = pipe_fds[1];
	setup.out = out;
	pid = child_start(argv, &setup);
	if (pid < 0)
		return pid;
	close_fd(&out);
	read_all(in, output, size);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}
