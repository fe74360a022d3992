/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams to and from the guest; see run_console.h. */
#include "cli/run_console.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"

#define ESCAPE_KEY 0x1d		/* Ctrl-] */
#define ESCAPE_TIMES 3

/* Another job has the terminal's keys: reading them would stop this program. */
static bool in_background(int fd)
{
	pid_t front = tcgetpgrp(fd);

	return front > 0 && front != getpgrp();
}

/*
 * The guest's terminal echoes what is typed, once there is one; until then only keys that send signals have
 * an effect. Not that which stops this program: the shell would have a terminal without echo.
 */
static void set_keys(struct console *console)
{
	struct termios keys = console->saved;

	cfmakeraw(&keys);
	if (!console->begun) {
		keys.c_oflag = console->saved.c_oflag;
		keys.c_lflag |= ISIG;
		keys.c_cc[VSUSP] = _POSIX_VDISABLE;
	}
	if (in_background(STDIN_FILENO) || tcsetattr(STDIN_FILENO, TCSANOW, &keys))
		return;
	console->keys = keys;
	console->quiet = true;
}

void console_init(struct console *console, bool input)
{
	*console = (struct console){ .guest = { -1, -1, -1 }, .vmm = { -1, -1, -1 } };
	console->input = input && !in_background(STDIN_FILENO);
	console->terminal = console->input && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	console->own[STDIN_FILENO] = console->input ? relay_reopen(STDIN_FILENO, O_RDONLY) : -1;
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		console->own[fd] = relay_reopen(fd, O_WRONLY);
	if (console->terminal && !tcgetattr(STDIN_FILENO, &console->saved))
		set_keys(console);
}

/* Output to one of our streams. A terminal that we may not open takes one byte without waiting. */
static struct relay output(const struct console *console, int from, int fd)
{
	bool waits = console->own[fd] < 0;

	return (struct relay){ .from = from, .to = waits ? fd : console->own[fd],
			       .most = !waits ? 0 : isatty(fd) ? 1 : RELAY_PIPE_MOST };
}

static void close_ports(struct console *console)
{
	for (int i = 0; i < CONSOLE_RELAYS; i++) {
		close_fd(&console->guest[i]);
		close_fd(&console->vmm[i]);
	}
}

int console_connect(struct console *console)
{
	close_ports(console);
	for (int i = 0; i < CONSOLE_RELAYS; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
			int err = -errno;

			log_error("cannot make the guest's ports: %s", strerror(-err));
			return err;
		}
		console->guest[i] = pair[0];
		console->vmm[i] = pair[1];
	}
	console->relays[CONSOLE_OUT] = output(console, console->guest[CONSOLE_OUT], STDOUT_FILENO);
	console->relays[CONSOLE_ERR] = output(console, console->guest[CONSOLE_ERR], STDERR_FILENO);
	console->relays[CONSOLE_IN] = (struct relay){ .from = -1, .to = console->guest[CONSOLE_IN] };
	return 0;
}

/* True when the terminal's flags are as set_keys() left them: no shell has changed them for another job. */
static bool has_our_keys(const struct console *console)
{
	struct termios now;

	return !tcgetattr(STDIN_FILENO, &now) && now.c_iflag == console->keys.c_iflag &&
	       now.c_oflag == console->keys.c_oflag && now.c_lflag == console->keys.c_lflag;
}

static void give_back(const struct console *console)
{
	sigset_t background;

	if (!in_background(STDIN_FILENO))
		/* A terminal's answers to what the guest asked it are no commands for the shell. */
		tcflush(STDIN_FILENO, TCIFLUSH);
	else if (!has_our_keys(console))
		return;
	/* A job in the background would be stopped. */
	sigemptyset(&background);
	sigaddset(&background, SIGTTOU);
	sigprocmask(SIG_BLOCK, &background, NULL);
	/* Not when its output is out: a stopped terminal would be waited for. */
	tcsetattr(STDIN_FILENO, TCSANOW, &console->saved);
	sigprocmask(SIG_UNBLOCK, &background, NULL);
}

void console_close(struct console *console)
{
	if (console->quiet)
		give_back(console);
	console->quiet = false;
	close_ports(console);
	for (int i = 0; i < 3; i++)
		close_fd(&console->own[i]);
}

struct run_terminal_size console_size(const struct console *console)
{
	struct run_terminal_size size = { 0, 0 };
	struct winsize ws;

	if (!console->terminal)
		return size;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) || !ws.ws_row)
		return (struct run_terminal_size){ 24, 80 };
	return (struct run_terminal_size){ ws.ws_row, ws.ws_col };
}

void console_start(struct console *console)
{
	/* With no copy of them here, the ports end when the VMM does. */
	for (int i = 0; i < CONSOLE_RELAYS; i++)
		close_fd(&console->vmm[i]);
	console->begun = false;
	/* After a reboot, too. */
	if (console->quiet)
		set_keys(console);
}

void console_begin(struct console *console, const char *mark)
{
	struct relay *in = &console->relays[CONSOLE_IN];
	int own = console->own[STDIN_FILENO];

	in->total = in->done = 0;
	in->len = strlen(mark);
	memcpy(in->buf, mark, in->len);
	console->begun = true;
	if (console->ended || !console->input) {
		console->ended = true;
		return;
	}
	in->from = own < 0 ? STDIN_FILENO : own;
	if (console->quiet)
		set_keys(console);
}

void console_resume(struct console *console)
{
	if (console->quiet)
		set_keys(console);
}

void console_limit(struct console *console, uint64_t took, uint64_t room)
{
	struct relay *in = &console->relays[CONSOLE_IN];

	/* The guest's root may say anything. */
	in->limit = MIN(took, in->total) + room;
}

void console_poll(const struct console *console, struct pollfd fds[CONSOLE_RELAYS])
{
	for (int i = 0; i < CONSOLE_RELAYS; i++)
		relay_poll(&console->relays[i], &fds[i]);
}

/* True when the escape is complete. */
static bool watch_escape(struct console *console, const struct relay *in)
{
	for (size_t i = 0; i < in->len; i++) {
		console->escapes = in->buf[i] == ESCAPE_KEY ? console->escapes + 1 : 0;
		if (console->escapes == ESCAPE_TIMES)
			return true;
	}
	return false;
}

/*
 * A descriptor that is not open for reading, as nohup(1) makes it, is empty; so is a terminal that was
 * hung up, whose reader gets EIO, unless it is the command's terminal. 0 or -errno.
 */
static int end_input(struct console *console, const struct relay *in)
{
	console->ended = true;
	if (console->terminal)
		return -ENXIO;
	if (in->read_error == -EBADF || isatty(STDIN_FILENO))
		return 0;
	return in->read_error;
}

static int move_input(struct console *console, struct relay *in)
{
	if (!relay_is_full(in)) {
		if (relay_read(in))
			return console->terminal && watch_escape(console, in) ? -ECANCELED : 0;
		return in->from < 0 ? end_input(console, in) : 0;
	}
	if (relay_write(in)) {
		/* The machine has just ended: the input has no reader. */
		in->from = -1;
		in->len = in->done = 0;
	}
	return 0;
}

static int move_output(struct relay *relay)
{
	if (relay_is_full(relay))
		return relay_write(relay);
	relay_read(relay);
	return 0;
}

int console_move(struct console *console, const struct pollfd fds[CONSOLE_RELAYS])
{
	static const int streams[] = {
		[CONSOLE_OUT] = STDOUT_FILENO, [CONSOLE_ERR] = STDERR_FILENO, [CONSOLE_IN] = STDIN_FILENO,
	};

	for (int i = 0; i < CONSOLE_RELAYS; i++) {
		struct relay *relay = &console->relays[i];
		int err = 0;

		if (fds[i].revents)
			err = i == CONSOLE_IN ? move_input(console, relay) : move_output(relay);
		if (!err)
			continue;
		if (console->terminal && err == -EIO)
			return -ENXIO;
		console->broken = streams[i];
		return err;
	}
	return 0;
}

bool console_input_ended(const struct console *console, uint64_t *total)
{
	*total = console->relays[CONSOLE_IN].total;
	return console->ended;
}

static bool has(const struct relay *relay, uint64_t total)
{
	return relay->total >= total || relay->from < 0;
}

bool console_has(const struct console *console, uint64_t out, uint64_t err)
{
	return has(&console->relays[CONSOLE_OUT], out) && has(&console->relays[CONSOLE_ERR], err);
}

bool console_drained(const struct console *console)
{
	return relay_is_done(&console->relays[CONSOLE_OUT]) &&
	       relay_is_done(&console->relays[CONSOLE_ERR]);
}
