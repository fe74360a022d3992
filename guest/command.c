/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's command; see command.h. Without a terminal its output goes into
 * pipes, which init copies to the serial ports: a program that asks isatty(3)
 * then gets the answer that is true on the host.
 */
#include "guest/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>

#include "common/cleanup.h"
#include "guest/mounts.h"
#include "guest/port.h"
#include "guest/report.h"
#include "guest/user.h"

#define COPY_SIZE 4096

/* One way of output: from the command's pipe to a serial port. */
struct relay {
	int from;	/* -1: closed */
	int to;
};

static int open_output(const char *path)
{
	int fd = port_open(path);

	if (fd < 0)
		report_failure("the guest has no %s: %s", path, strerror(-fd));
	return fd;
}

/* The command's end: the port as controlling terminal, with line editing. */
static int child_terminal(const struct guest_params *params)
{
	struct winsize size = { .ws_row = params->rows, .ws_col = params->columns };
	struct termios t;
	int fd;

	fd = open(GUEST_TTY_OUT, O_RDWR);
	if (fd < 0 || ioctl(fd, TIOCSCTTY, 1) || tcgetattr(fd, &t))
		return -errno;
	t.c_iflag = BRKINT | ICRNL | IXON | IUTF8;
	t.c_oflag = OPOST | ONLCR;
	t.c_cflag = CREAD | CS8 | HUPCL | CLOCAL;
	t.c_lflag = ISIG | ICANON | IEXTEN | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE;
	cfsetspeed(&t, B115200);
	tcsetattr(fd, TCSANOW, &t);
	ioctl(fd, TIOCSWINSZ, &size);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	return 0;
}

static void child_pipes(int out, int err)
{
	int null = open("/dev/null", O_RDONLY);

	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
}

static void __attribute__((noreturn)) child_exec(const struct guest_params *params, int out, int err)
{
	sigset_t none;
	const char *where;
	int code;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (!params->terminal)
		child_pipes(out, err);
	else if (child_terminal(params))
		_exit(126);
	code = user_become(params);
	if (code) {
		dprintf(STDERR_FILENO, "casement: cannot become %s: %s\n", params->user.name, strerror(-code));
		_exit(126);
	}
	for (char **e = params->env; *e; e++)
		putenv(*e);
	code = mounts_enter(params, &where);
	if (code) {
		dprintf(STDERR_FILENO, "casement: %s: cannot be entered: %s\n", where, strerror(-code));
		_exit(126);
	}
	execvp(params->argv[0], params->argv);
	code = errno == ENOENT ? 127 : 126;
	dprintf(STDERR_FILENO, "casement: %s: %s\n", params->argv[0],
		code == 127 ? "not found in the guest" : strerror(errno));
	_exit(code);
}

static pid_t start(const struct guest_params *params, struct relay *out, struct relay *err)
{
	int out_pipe[2], err_pipe[2];
	pid_t pid;

	if (pipe2(out_pipe, O_CLOEXEC) || pipe2(err_pipe, O_CLOEXEC))
		report_failure("the guest cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		report_failure("the guest cannot start a process: %s", strerror(errno));
	if (pid == 0)
		child_exec(params, out_pipe[1], err_pipe[1]);
	close(out_pipe[1]);
	close(err_pipe[1]);
	*out = (struct relay){ out_pipe[0], -1 };
	*err = (struct relay){ err_pipe[0], -1 };
	if (!params->terminal) {
		out->to = open_output(GUEST_TTY_OUT);
		err->to = open_output(GUEST_TTY_ERR);
	}
	return pid;
}

/* Copy what is there; at the end of the pipe wait until the host has it all. */
static void relay_copy(struct relay *relay)
{
	char buf[COPY_SIZE];
	ssize_t n, done = 0;

	n = read(relay->from, buf, sizeof(buf));
	if (n <= 0) {
		close_fd(&relay->from);
		if (relay->to >= 0)
			tcdrain(relay->to);
		return;
	}
	while (done < n) {
		ssize_t w = write(relay->to, buf + done, (size_t)(n - done));

		if (w < 0)
			return;
		done += w;
	}
}

/* Reap whoever ended. True once `pid` is among them, with its status as a shell says it. */
static bool reap(pid_t pid, int *status)
{
	bool found = false;
	int raw;

	for (;;) {
		pid_t ended = waitpid(-1, &raw, WNOHANG);

		if (ended <= 0)
			return found;
		if (ended == pid) {
			*status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
			found = true;
		}
	}
}

/*
 * Until the command is gone, then also everything it left running: those hold
 * the pipes open, and the shares busy.
 */
static int supervise(pid_t pid, int signals, struct relay *out, struct relay *err)
{
	int status = 0;
	bool gone = false;

	while (!gone || out->from >= 0 || err->from >= 0) {
		struct pollfd fds[] = {
			{ signals, POLLIN, 0 }, { out->from, POLLIN, 0 }, { err->from, POLLIN, 0 },
		};
		struct signalfd_siginfo info;

		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[0].revents && read(signals, &info, sizeof(info)) > 0 && reap(pid, &status)) {
			gone = true;
			kill(-1, SIGKILL);
		}
		if (fds[1].revents)
			relay_copy(out);
		if (fds[2].revents)
			relay_copy(err);
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	return status;
}

int command_run(const struct guest_params *params)
{
	cleanup_close int signals = -1;
	struct relay out, err;
	sigset_t child;
	pid_t pid;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signals = signalfd(-1, &child, SFD_CLOEXEC);
	if (signals < 0)
		report_failure("the guest has no signalfd: %s", strerror(errno));
	pid = start(params, &out, &err);
	return supervise(pid, signals, &out, &err);
}
