/* SPDX-License-Identifier: BSD-3-Clause */
/* The command's input and output; see streams.h. */
#include "guest/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "guest/port.h"

/* ---- made ---- */

static int open_terminal(struct streams *streams, const struct guest_params *params)
{
	struct winsize size = { .ws_row = params->rows, .ws_col = params->columns };
	struct termios t;
	int locked = 0, slave;

	streams->terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (streams->terminal < 0 || ioctl(streams->terminal, TIOCSPTLCK, &locked))
		return -errno;
	slave = ioctl(streams->terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &t))
		return -errno;
	t.c_iflag |= IUTF8;
	tcsetattr(slave, TCSANOW, &t);
	ioctl(slave, TIOCSWINSZ, &size);
	for (int i = 0; i < 3; i++)
		streams->child[i] = slave;
	streams->relays[STREAM_OUT].from = streams->terminal;
	streams->relays[STREAM_IN].to = streams->terminal;
	return 0;
}

/* One pipe: its end for the command, and ours, which never waits. */
static int open_pipe(int *theirs, int *ours, bool input)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	*theirs = ends[input ? 0 : 1];
	*ours = ends[input ? 1 : 0];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) ? -errno : 0;
}

static int open_pipes(struct streams *streams)
{
	int err = open_pipe(&streams->child[0], &streams->relays[STREAM_IN].to, true);

	if (!err)
		err = open_pipe(&streams->child[1], &streams->relays[STREAM_OUT].from, false);
	return err ? err : open_pipe(&streams->child[2], &streams->relays[STREAM_ERR].from, false);
}

/* Its first byte is in it once, so that a search of it never goes back. */
static void make_mark(char mark[GUEST_MARK_MAX])
{
	unsigned long long random = 0;

	if (getrandom(&random, sizeof(random), 0) < 0)
		random = (unsigned long long)getpid();
	snprintf(mark, GUEST_MARK_MAX, "!%016llx", random);
}

int streams_open(struct streams *streams, const struct guest_params *params)
{
	*streams = (struct streams){
		.terminal = -1,
		.serial = params->serial,
		.relays = {
			[STREAM_OUT] = { .from = -1, .to = port_fd(PORT_OUT) },
			[STREAM_ERR] = { .from = -1, .to = port_fd(PORT_ERR) },
			[STREAM_IN] = { .from = port_fd(PORT_IN), .to = -1 },
		},
	};
	if (params->reboot)
		make_mark(streams->mark);
	return params->terminal ? open_terminal(streams, params) : open_pipes(streams);
}

int streams_enter(const struct streams *streams)
{
	if (streams->terminal >= 0 && ioctl(streams->child[0], TIOCSCTTY, 0))
		return -errno;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(streams->child[fd], fd) < 0)
			return -errno;
	return 0;
}

void streams_start(struct streams *streams)
{
	bool one = streams->terminal >= 0;

	for (int i = 0; i < (one ? 1 : 3); i++)
		close_fd(&streams->child[i]);
}

/* ---- carried ---- */

void streams_poll(const struct streams *streams, struct pollfd fds[STREAMS])
{
	for (int i = 0; i < STREAMS; i++)
		relay_poll(&streams->relays[i], &fds[i]);
}

/* After its last byte the command reads an end. On a terminal the end is a key, Ctrl-D. */
static void end_input(struct streams *streams)
{
	struct relay *in = &streams->relays[STREAM_IN];

	if (!streams->input_known || in->total < streams->input || relay_is_full(in))
		return;
	in->from = -1;
	if (streams->terminal < 0)
		close_fd(&in->to);
}

/* Throw away what was for another command. */
static void pass_to_mark(struct streams *streams, struct relay *in)
{
	size_t n = 0;

	while (n < in->len && streams->mark[streams->marked]) {
		char byte = in->buf[n++];

		if (byte == streams->mark[streams->marked])
			streams->marked++;
		else
			streams->marked = byte == streams->mark[0];
	}
	in->done = n;
	in->total -= n;
}

/* No process reads the input any more: what the host still sends stays in the port. */
static void give_up_input(struct streams *streams)
{
	struct relay *in = &streams->relays[STREAM_IN];

	in->from = -1;
	in->len = in->done = 0;
	if (streams->terminal < 0)
		close_fd(&in->to);
}

/* The host sends more only then. */
static void tell_took(struct streams *streams)
{
	uint64_t total = streams->relays[STREAM_IN].total;

	if (!streams->serial || total - streams->took < GUEST_LINE_ROOM / 2)
		return;
	streams->took = total;
	report_took(total);
}

void streams_move(struct streams *streams, const struct pollfd fds[STREAMS])
{
	for (int i = 0; i < STREAMS; i++) {
		struct relay *relay = &streams->relays[i];
		int err = 0;

		if (!fds[i].revents)
			continue;
		if (!relay_is_full(relay) && relay_read(relay) && i == STREAM_IN && streams->mark[streams->marked])
			pass_to_mark(streams, relay);
		if (relay_is_full(relay))
			err = relay_write(relay);
		if (err && i == STREAM_IN)
			give_up_input(streams);
		else if (err)
			relay->len = relay->done = 0;
	}
	tell_took(streams);
	end_input(streams);
}

void streams_told(struct streams *streams, const struct report_word *word)
{
	struct winsize size = { .ws_row = word->rows, .ws_col = word->columns };

	if (word->what == REPORT_SIZE && streams->terminal >= 0)
		ioctl(streams->terminal, TIOCSWINSZ, &size);
	if (word->what != REPORT_INPUT_END)
		return;
	streams->input_known = true;
	streams->input = word->total;
	end_input(streams);
}

bool streams_drained(const struct streams *streams)
{
	return relay_is_done(&streams->relays[STREAM_OUT]) && relay_is_done(&streams->relays[STREAM_ERR]);
}
