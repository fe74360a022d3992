/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A shell for `casement console`; see console.h. Its end is told, and the end of the host's program ends it. A
 * port without a program on the host's side is always ready by poll(2): epoll(7) tells of changes alone.
 */
#include "guest/console.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/stuffed.h"
#include "guest/params.h"
#include "guest/port.h"
#include "guest/report.h"

#define CHUNK 4096

static struct {
	int changes;			/* of the port; -1: there is none */
	int terminal;			/* the shell's, its master; -1: no shell */
	pid_t shell;			/* 0: it has ended, */
	bool ending;			/* which is to be told when all that it wrote is sent */
	int status;
	bool waits;			/* for the host to have the last output */
	struct stuffed_reader reader;
	char in[CHUNK];			/* from the host */
	size_t in_len, in_done;
	char out[3 * CHUNK];		/* to the host */
	size_t out_len, out_done;
} console = { .changes = -1, .terminal = -1 };

void console_init(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	int port = port_fd(PORT_CONSOLE);

	if (port < 0)
		return;
	console.changes = epoll_create1(EPOLL_CLOEXEC);
	if (console.changes < 0 || epoll_ctl(console.changes, EPOLL_CTL_ADD, port, &event))
		report_note("no console: %s", strerror(errno));
}

/* ---- the shell ---- */

static void __attribute__((noreturn)) exec_shell(int slave, const char *term)
{
	char *const bash[] = { (char *)"-bash", NULL }, *const sh[] = { (char *)"-sh", NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	for (int fd = 0; fd < 3; fd++)
		dup2(slave, fd);
	setenv("TERM", *term ? term : "linux", 1);
	/* A shell that has one of its own takes that. */
	setenv("PS1", "# ", 0);
	execv("/bin/bash", bash);
	execv("/bin/sh", sh);
	_exit(127);
}

static void hang_up(void)
{
	/* Its jobs are told by the kernel and by the shell. */
	close_fd(&console.terminal);
	if (console.shell)
		kill(console.shell, SIGHUP);
	console.shell = 0;
	console.ending = console.waits = false;
}

static void say_end(int status)
{
	console.out_len += stuffed_put_word(console.out + console.out_len, sizeof(console.out) - console.out_len,
					    GUEST_CONSOLE_END "%d", status);
}

static void say_sent(void)
{
	console.out_len += stuffed_put_word(console.out + console.out_len, sizeof(console.out) - console.out_len, "%s",
					    GUEST_CONSOLE_SENT);
	console.waits = true;
}

static int start_shell(struct winsize size, const char *term)
{
	int locked = 0, slave;

	console.terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (console.terminal < 0 || ioctl(console.terminal, TIOCSPTLCK, &locked))
		return -errno;
	slave = ioctl(console.terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	ioctl(slave, TIOCSWINSZ, &size);
	console.shell = fork();
	if (!console.shell)
		exec_shell(slave, term);
	close(slave);
	return console.shell < 0 ? -errno : 0;
}

/* ---- the host's words ---- */

static void open_session(const char *word)
{
	char nonce[20], term[40] = "";
	struct winsize size = { 0 };

	if (sscanf(word, GUEST_CONSOLE_OPEN "%19s %hux%hu %39s", nonce, &size.ws_row, &size.ws_col, term) < 3)
		return;
	hang_up();
	/* What is left was for another program. */
	console.out_done = 0;
	console.out_len = stuffed_put_word(console.out, sizeof(console.out), GUEST_CONSOLE_OPEN "%s", nonce);
	if (start_shell(size, term)) {
		hang_up();
		say_end(126);
	}
}

static void take_word(const char *word)
{
	struct winsize size = { 0 };

	if (!strncmp(word, GUEST_CONSOLE_OPEN, strlen(GUEST_CONSOLE_OPEN)))
		open_session(word);
	else if (!strcmp(word, GUEST_CONSOLE_GOT))
		console.waits = false;
	else if (sscanf(word, GUEST_CONSOLE_SIZE "%hux%hu", &size.ws_row, &size.ws_col) == 2 && console.terminal >= 0)
		ioctl(console.terminal, TIOCSWINSZ, &size);
}

/* ---- bytes ---- */

/* False when the shell's terminal takes no more for now. */
static bool take_input(void)
{
	while (console.in_done < console.in_len) {
		struct stuffed_reader before = console.reader;
		char byte = console.in[console.in_done];
		enum stuffed what = stuffed_take(&console.reader, &byte);

		if (what == STUFFED_BYTE && console.terminal >= 0 && write(console.terminal, &byte, 1) < 0 && errno == EAGAIN) {
			console.reader = before;
			return false;
		}
		console.in_done++;
		if (what == STUFFED_WORD)
			take_word(console.reader.word);
	}
	return true;
}

static void put_output(void)
{
	ssize_t n = 1;

	while (console.out_done < console.out_len && n > 0) {
		n = write(port_fd(PORT_CONSOLE), console.out + console.out_done, console.out_len - console.out_done);
		console.out_done += n > 0 ? (size_t)n : 0;
	}
	if (console.out_done == console.out_len)
		console.out_done = console.out_len = 0;
}

/* Some of the shell's, or its end. True when there is something to be sent. */
static bool take_output(void)
{
	char bytes[CHUNK];
	ssize_t n;

	if (console.out_len || console.waits || console.terminal < 0)
		return false;
	n = read(console.terminal, bytes, sizeof(bytes));
	if (n > 0) {
		console.out_len = stuffed_put(console.out, bytes, (size_t)n);
		say_sent();
	} else if (console.ending) {
		say_end(console.status);
		hang_up();
	}
	return console.out_len;
}

/* The host's program has left. */
static bool is_left(void)
{
	struct pollfd port = { .fd = port_fd(PORT_CONSOLE) };

	return poll(&port, 1, 0) > 0 && port.revents & POLLHUP;
}

static void move_all(void)
{
	ssize_t n;

	do {
		put_output();
		if (!take_input())
			break;
		n = read(port_fd(PORT_CONSOLE), console.in, sizeof(console.in));
		console.in_done = 0;
		console.in_len = n > 0 ? (size_t)n : 0;
	} while (n > 0 || take_output());
	/* A word may have been added. */
	put_output();
	if (!is_left())
		return;
	hang_up();
	console.out_len = console.out_done = 0;
	console.in_done = console.in_len;
}

void console_poll(struct pollfd fds[CONSOLE_POLLS])
{
	bool waits = console.in_done < console.in_len, takes = !console.out_len && !console.waits;

	fds[CONSOLE_PORT] = (struct pollfd){ .fd = console.changes, .events = POLLIN };
	fds[CONSOLE_TERMINAL] = (struct pollfd){
		/* A terminal that no process has open is always ready, too. */
		.fd = console.shell && (waits || takes) ? console.terminal : -1,
		.events = (short)((waits ? POLLOUT : 0) | (takes ? POLLIN : 0)),
	};
}

void console_move(const struct pollfd fds[CONSOLE_POLLS])
{
	struct epoll_event event;

	if (fds[CONSOLE_PORT].revents)
		epoll_wait(console.changes, &event, 1, 0);
	if (fds[CONSOLE_PORT].revents || fds[CONSOLE_TERMINAL].revents)
		move_all();
}

void console_reaped(pid_t pid, int status)
{
	if (!console.shell || pid != console.shell)
		return;
	console.shell = 0;
	console.ending = true;
	console.status = status;
	move_all();
}
