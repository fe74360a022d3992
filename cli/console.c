/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casement console: a shell in a machine that runs already. Bytes and words (common/stuffed.h) go to the
 * guest's init and come from it. What the guest sends goes to the terminal as it is, as with any remote
 * shell; of its words two are known.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "cli/run_find.h"
#include "cli/run_qemu.h"
#include "cli/subcommand.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/options.h"
#include "common/relay.h"
#include "common/stuffed.h"
#include "guest/params.h"

#define CHUNK 4096
#define ESCAPE_KEY 0x1d		/* Ctrl-] */
#define ESCAPE_TIMES 3
#define WAIT_MS 2000		/* for the guest, until a line is said */
#define RUNNING (-1)

static const struct option_table table = {
	.program = "casement console",
	.usage = "[NAME]",
	.summary = "A shell of root's in a machine of `casement run` that runs already: that of NAME (casement run --name),\n"
		   "or the only one of this user. Ctrl-] three times in a row leaves it.",
	.epilog = "Exit status: that of the shell; 0 after Ctrl-]; 1 there is no such machine, 2 the command line is\n"
		  "wrong, 125 the machine ended or does not answer, 128 + N when signal N ended this program.",
};

struct session {
	int guest, screen;		/* the screen's descriptor does not wait where that can be had */
	char nonce[17];
	bool answered;			/* what the guest says is for us */
	int status;			/* of the shell; RUNNING: not known */
	unsigned int escapes;
	struct stuffed_reader reader;
	char out[3 * CHUNK];		/* to the guest */
	size_t out_len, out_done;
	char in[CHUNK];			/* to the screen */
	size_t in_len, in_done;
	bool resized, owes;		/* the guest waits for our word that its output is shown */
	struct termios saved;
};

static void put_word(struct session *session, const char *what, const char *first, const char *last)
{
	struct winsize ws;
	size_t room = sizeof(session->out) - session->out_len;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) || !ws.ws_row)
		ws = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	session->out_len += stuffed_put_word(session->out + session->out_len, room, "%s%s%hux%hu%s", what, first, ws.ws_row,
					     ws.ws_col, last);
}

static void ask_for_shell(struct session *session)
{
	const char *term = getenv("TERM");
	unsigned long long random = 0;
	char first[24], last[48];

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = (unsigned long long)getpid();
	snprintf(session->nonce, sizeof(session->nonce), "%016llx", random);
	snprintf(first, sizeof(first), "%s ", session->nonce);
	snprintf(last, sizeof(last), " %.39s", term ? term : "");
	put_word(session, GUEST_CONSOLE_OPEN, first, last);
}

/* ---- from the guest ---- */

static void take_word(struct session *session)
{
	const char *word = session->reader.word;
	size_t open = strlen(GUEST_CONSOLE_OPEN), end = strlen(GUEST_CONSOLE_END);

	if (session->answered && !strcmp(word, GUEST_CONSOLE_SENT))
		session->owes = true;
	else if (!strncmp(word, GUEST_CONSOLE_OPEN, open) && !strcmp(word + open, session->nonce))
		session->answered = true;
	else if (session->answered && !strncmp(word, GUEST_CONSOLE_END, end))
		session->status = (int)(strtoul(word + end, NULL, 10) & 0xff);
}

static void take_bytes(struct session *session, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n && session->status == RUNNING; i++) {
		char byte = bytes[i];
		enum stuffed what = stuffed_take(&session->reader, &byte);

		if (what == STUFFED_WORD)
			take_word(session);
		else if (what == STUFFED_BYTE && session->answered)
			session->in[session->in_len++] = byte;
	}
}

/* 0, or -errno; -ECONNRESET: the machine has ended. */
static int move_from_guest(struct session *session)
{
	char bytes[CHUNK];
	ssize_t n = recv(session->guest, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		take_bytes(session, bytes, (size_t)n);
	return !n || (n < 0 && errno != EAGAIN && errno != EINTR) ? -ECONNRESET : 0;
}

static int move_to_screen(struct session *session)
{
	ssize_t n = write(session->screen, session->in + session->in_done, session->in_len - session->in_done);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	session->in_done += (size_t)n;
	if (session->in_done == session->in_len)
		session->in_done = session->in_len = 0;
	return 0;
}

/* ---- to the guest ---- */

/* -ECANCELED: the user leaves. */
static int move_keys(struct session *session)
{
	char keys[CHUNK];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EIO;
	for (ssize_t i = 0; i < n; i++) {
		session->escapes = keys[i] == ESCAPE_KEY ? session->escapes + 1 : 0;
		if (session->escapes == ESCAPE_TIMES)
			return -ECANCELED;
	}
	session->out_len += stuffed_put(session->out + session->out_len, keys, (size_t)n);
	return 0;
}

static int move_to_guest(struct session *session)
{
	ssize_t n = send(session->guest, session->out + session->out_done, session->out_len - session->out_done,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -ECONNRESET;
	session->out_done += (size_t)n;
	if (session->out_done == session->out_len)
		session->out_done = session->out_len = 0;
	return 0;
}

/* ---- the session ---- */

enum { POLL_SIGNALS, POLL_GUEST, POLL_KEYS, POLL_SCREEN, POLLS };

static void set_raw(const struct session *session)
{
	struct termios raw = session->saved;

	cfmakeraw(&raw);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static void poll_for(const struct session *session, int signals, struct pollfd fds[POLLS])
{
	fds[POLL_SIGNALS] = (struct pollfd){ .fd = signals, .events = POLLIN };
	fds[POLL_GUEST] = (struct pollfd){ .fd = session->guest, .events = (short)((session->in_len ? 0 : POLLIN) |
					   (session->out_len ? POLLOUT : 0)) };
	/* Until there is a shell, Ctrl-C is for this program. */
	fds[POLL_KEYS] = (struct pollfd){ .fd = session->answered && !session->out_len ? STDIN_FILENO : -1, .events = POLLIN };
	fds[POLL_SCREEN] = (struct pollfd){ .fd = session->in_len ? session->screen : -1, .events = POLLOUT };
}

/* The number of a signal that ends this program, or 0. */
static int take_signal(struct session *session, int signals)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo != SIGWINCH)
		return (int)info.ssi_signo;
	session->resized = true;
	return 0;
}

static int move(struct session *session, const struct pollfd fds[POLLS])
{
	bool answered = session->answered;
	int err = 0;

	if (fds[POLL_GUEST].revents & POLLOUT)
		err = move_to_guest(session);
	if (!err && fds[POLL_GUEST].revents & ~POLLOUT)
		err = move_from_guest(session);
	if (!err && fds[POLL_KEYS].revents)
		err = move_keys(session);
	if (!err && fds[POLL_SCREEN].revents)
		err = move_to_screen(session);
	if (session->owes && !session->in_len && !session->out_len) {
		session->owes = false;
		session->out_len = stuffed_put_word(session->out, sizeof(session->out), "%s", GUEST_CONSOLE_GOT);
	}
	if (session->answered && !answered)
		set_raw(session);
	if (session->resized && session->answered && !session->out_len) {
		session->resized = false;
		put_word(session, GUEST_CONSOLE_SIZE, "", "");
	}
	return err;
}

/* Its end: 0 by the shell's, a signal's number, or -errno. */
static int serve(struct session *session, int signals)
{
	bool told = false;
	int end = 0;

	while (!end && (session->status == RUNNING || session->in_len)) {
		struct pollfd fds[POLLS];
		int n;

		poll_for(session, signals, fds);
		n = poll(fds, POLLS, told || session->answered ? -1 : WAIT_MS);
		if (!n) {
			told = true;
			log_info("the guest does not answer yet: it boots, or another console is open; Ctrl-C leaves");
		}
		if (n <= 0)
			continue;
		end = move(session, fds);
		if (!end && fds[POLL_SIGNALS].revents)
			end = take_signal(session, signals);
	}
	return end;
}

static int block_signals(void)
{
	static const int wanted[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH };
	sigset_t mask;

	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		sigaddset(&mask, wanted[i]);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	return signalfd(-1, &mask, SFD_CLOEXEC);
}

/* The exit status. */
static int conclude(const struct session *session, int end)
{
	if (end > 0)
		return 128 + end;
	if (!end)
		return session->status;
	if (end == -ECANCELED)
		return 0;
	log_error("%s", end == -ECONNRESET ? "the machine has ended" : strerror(-end));
	return STATUS_FAILED;
}

static int run_session(int guest)
{
	cleanup_close int signals = block_signals(), screen = relay_reopen(STDOUT_FILENO, O_WRONLY);
	struct session session = { .guest = guest, .screen = screen < 0 ? STDOUT_FILENO : screen, .status = RUNNING };
	int end;

	if (signals < 0 || tcgetattr(STDIN_FILENO, &session.saved)) {
		log_error("no terminal: %s", strerror(errno));
		return STATUS_FAILED;
	}
	ask_for_shell(&session);
	end = serve(&session, signals);
	if (session.answered) {
		/* Answers of the terminal to what the guest asked it are no commands for the shell here. */
		tcflush(STDIN_FILENO, TCIFLUSH);
		tcsetattr(STDIN_FILENO, TCSANOW, &session.saved);
	}
	return conclude(&session, end);
}

int console_main(int argc, char **argv)
{
	cleanup_close int guest = -1;
	const char *name = NULL;
	unsigned int n;

	log_setup("casement console", LOG_LEVEL_INFO);
	switch (options_parse_mixed(&table, argc, argv, NULL, &name, 1, &n)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return STATUS_USAGE;
	case OPTIONS_GO:
		break;
	}
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		log_error("standard input and output are no terminal");
		return STATUS_USAGE;
	}
	guest = run_find_connect(n ? name : NULL, RUN_CONSOLE_SOCKET);
	return guest < 0 ? STATUS_MISSING : run_session(guest);
}
