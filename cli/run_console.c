/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams to and from the guest; see run_console.h. */
#include "cli/run_console.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

#define ESCAPE_KEY 0x1d		/* Ctrl-] */
#define ESCAPE_TIMES 3

void console_init(struct console *console)
{
	*console = (struct console){ .guest = { -1, -1 }, .vmm = { -1, -1 } };
	console->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static void close_ports(struct console *console)
{
	for (int i = 0; i < 2; i++) {
		close_fd(&console->guest[i]);
		close_fd(&console->vmm[i]);
	}
}

int console_connect(struct console *console)
{
	close_ports(console);
	for (int i = 0; i < 2; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
			int err = -errno;

			log_error("cannot make the guest's serial ports: %s", strerror(-err));
			return err;
		}
		console->guest[i] = pair[0];
		console->vmm[i] = pair[1];
	}
	console->relays[CONSOLE_OUT] = (struct relay){ .from = console->guest[0], .to = STDOUT_FILENO };
	console->relays[CONSOLE_ERR] = (struct relay){ .from = console->guest[1], .to = STDERR_FILENO };
	console->relays[CONSOLE_IN] = (struct relay){ .from = -1, .to = console->guest[0] };
	return 0;
}

void console_close(struct console *console)
{
	if (console->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &console->saved);
	console->raw = false;
	close_ports(console);
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
	struct termios raw;

	/* Only QEMU may hold its ends: that it is gone shows as their end here. */
	for (int i = 0; i < 2; i++)
		close_fd(&console->vmm[i]);
	if (!console->terminal)
		return;
	console->relays[CONSOLE_IN].from = STDIN_FILENO;
	if (console->raw || tcgetattr(STDIN_FILENO, &console->saved))
		return;
	raw = console->saved;
	cfmakeraw(&raw);
	console->raw = !tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

void console_poll(const struct console *console, struct pollfd fds[CONSOLE_RELAYS])
{
	for (int i = 0; i < CONSOLE_RELAYS; i++) {
		const struct relay *relay = &console->relays[i];

		if (relay->done < relay->len)
			fds[i] = (struct pollfd){ .fd = relay->to, .events = POLLOUT };
		else
			fds[i] = (struct pollfd){ .fd = relay->from, .events = POLLIN };
	}
}

/* A socket to QEMU, or one of our own streams. 0 or -errno. */
static int relay_write(struct relay *relay)
{
	ssize_t n = write(relay->to, relay->buf + relay->done, relay->len - relay->done);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	relay->done += (size_t)n;
	return 0;
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

static int relay_read(struct console *console, struct relay *relay)
{
	ssize_t n = read(relay->from, relay->buf, sizeof(relay->buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	relay->done = 0;
	relay->len = n > 0 ? (size_t)n : 0;
	if (n <= 0)
		relay->from = -1;
	if (relay == &console->relays[CONSOLE_IN] && watch_escape(console, relay))
		return -ECANCELED;
	return 0;
}

int console_move(struct console *console, const struct pollfd fds[CONSOLE_RELAYS])
{
	for (int i = 0; i < CONSOLE_RELAYS; i++) {
		struct relay *relay = &console->relays[i];
		int err;

		if (!fds[i].revents)
			continue;
		err = relay->done < relay->len ? relay_write(relay) : relay_read(console, relay);
		if (err == -ECANCELED)
			return err;
		if (err && i == CONSOLE_IN) {
			/* The machine has just ended; nobody is there to read keys. */
			relay->from = -1;
			relay->len = relay->done = 0;
		} else if (err) {
			return -EPIPE;
		}
	}
	return 0;
}

bool console_drained(const struct console *console)
{
	for (int i = CONSOLE_OUT; i <= CONSOLE_ERR; i++) {
		const struct relay *relay = &console->relays[i];

		if (relay->from >= 0 || relay->done < relay->len)
			return false;
	}
	return true;
}
