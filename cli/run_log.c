/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest's kernel's log, or its VMM's; see run_log.h. */
#include "cli/run_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/plain.h"
#include "guest/params.h"

/* A serial port gives single bytes: they are left to gather, instead of taken one at a time. */
#define REST_MS 20
#define PIPE_SIZE (1 << 20)	/* as much as any user may ask for */
#define TAIL_LINES 15

static const char *const words[] = {
	[RUN_LOG_LINUX] = "Linux version",
	[RUN_LOG_INIT] = "as init process",
	[RUN_LOG_PANIC] = "Kernel panic",
	[RUN_LOG_FAILED] = GUEST_LOG_PREFIX GUEST_STATUS_FAILED,
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- open and closed ---- */

int run_log_open(struct run_log *log, const char *name, uint64_t room)
{
	int err;

	*log = (struct run_log){ .pipe = { -1, -1 }, .name = name, .file = -1, .room = room,
				 .relay = { .from = -1, .to = -1 } };
	if (!name)
		return 0;
	log->file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0666);
	/* A pipe or a terminal can have a reader that does not read. */
	if (log->file >= 0 && fcntl(log->file, F_SETFL, O_NONBLOCK) == 0)
		return 0;
	err = -errno;
	log_error("--log %s: cannot be written: %s", name, strerror(-err));
	close_fd(&log->file);
	return err;
}

static void close_pipe(struct run_log *log)
{
	close_fd(&log->pipe[0]);
	close_fd(&log->pipe[1]);
	log->relay.from = -1;
}

int run_log_connect(struct run_log *log)
{
	close_pipe(log);
	if (pipe2(log->pipe, O_CLOEXEC) || fcntl(log->pipe[0], F_SETFL, O_NONBLOCK)) {
		int err = -errno;

		log_error("no pipe for the machine's log: %s", strerror(-err));
		return err;
	}
	/* A kernel does not wait until there is room. */
	fcntl(log->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
	log->relay = (struct relay){ .from = log->pipe[0], .to = log->file };
	return 0;
}

void run_log_start(struct run_log *log)
{
	close_fd(&log->pipe[1]);
}

void run_log_close(struct run_log *log)
{
	close_pipe(log);
	close_fd(&log->file);
}

/* ---- what is said ---- */

static void take_line(struct run_log *log)
{
	const char *found;

	log->line[log->len] = '\0';
	log->len = 0;
	for (int i = 0; i < RUN_LOG_WORDS; i++) {
		found = strstr(log->line, words[i]);
		if (!found || log->said[i])
			continue;
		log->said[i] = true;
		if (i == RUN_LOG_PANIC)
			snprintf(log->panic, sizeof(log->panic), "%s", found);
		if (i == RUN_LOG_FAILED)
			snprintf(log->failure, sizeof(log->failure), "%s", found + strlen(words[i]));
	}
}

static void take_bytes(struct run_log *log, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		log->tail[log->total++ % RUN_LOG_TAIL] = bytes[i];
		if (bytes[i] == '\n' || log->len == sizeof(log->line) - 1)
			take_line(log);
		if (bytes[i] != '\n' && bytes[i] != '\r')
			log->line[log->len++] = bytes[i];
	}
}

/* ---- to the file ---- */

/* What is in the relay goes to the file as far as there is room. */
static void limit(struct run_log *log)
{
	static const char end[] = "\n[casement run: the log is longer than this file may be]\n";
	struct relay *relay = &log->relay;

	if (relay->to < 0) {
		relay->done = relay->len;
		return;
	}
	if (relay->len <= log->room) {
		log->room -= relay->len;
		return;
	}
	if (write(relay->to, end, sizeof(end) - 1) < 0)
		log_debug("%s: %s", log->name, strerror(errno));
	relay->to = -1;
	relay->done = relay->len;
}

/* Nobody takes it, or there is no space. */
static void give_up_file(struct run_log *log, int err)
{
	if (err != -EPIPE)
		log_warn("--log %s: cannot be written any more: %s", log->name, strerror(-err));
	log->relay.to = -1;
	log->relay.done = log->relay.len;
}

int run_log_poll(const struct run_log *log, struct pollfd *fd)
{
	int64_t left = log->rest - now_ms();

	relay_poll(&log->relay, fd);
	if (fd->fd < 0 || left <= 0)
		return -1;
	fd->fd = -1;
	return (int)left;
}

void run_log_move(struct run_log *log)
{
	struct relay *relay = &log->relay;
	int err;

	if (!relay_is_full(relay)) {
		if (!relay_read(relay))
			return;
		take_bytes(log, relay->buf, relay->len);
		limit(log);
		log->rest = relay->len < RELAY_SIZE ? now_ms() + REST_MS : 0;
	}
	err = relay_is_full(relay) ? relay_write(relay) : 0;
	if (err)
		give_up_file(log, err);
}

void run_log_sweep(struct run_log *log)
{
	struct relay *relay = &log->relay;

	/* A pipe's worth is enough, should somebody go on writing. */
	for (int i = 0; i < PIPE_SIZE / RELAY_SIZE && relay->from >= 0; i++) {
		relay->done = relay->len;
		if (!relay_read(relay))
			return;
		take_bytes(log, relay->buf, relay->len);
		limit(log);
		if (relay_is_full(relay) && relay_write(relay))
			relay->to = -1;
	}
}

bool run_log_is_empty(const struct run_log *log)
{
	int waiting;

	return log->relay.from < 0 || ioctl(log->relay.from, FIONREAD, &waiting) || !waiting;
}

bool run_log_is_done(const struct run_log *log)
{
	return relay_is_done(&log->relay);
}

/* ---- shown ---- */

void run_log_show_tail(const struct run_log *log)
{
	size_t n = MIN(log->total, (uint64_t)RUN_LOG_TAIL);
	char text[RUN_LOG_TAIL + 1], *start;
	unsigned int lines = 0;

	for (size_t i = 0; i < n; i++) {
		char byte = log->tail[(log->total - n + i) % RUN_LOG_TAIL];

		text[i] = !byte || byte == '\t' ? ' ' : byte;
	}
	text[n] = '\0';
	/* The last line's end does not begin another. */
	for (start = text + n; start > text; start--)
		if (start[-1] == '\n' && lines++ == TAIL_LINES)
			break;
	for (char *line; (line = strsep(&start, "\r\n"));) {
		char plain[PLAIN_MAX(RUN_LOG_TAIL) + 1];

		/* Others wrote it: the guest's kernel, or a VMM about its guest. */
		if (plain_text(line, strlen(line), plain, sizeof(plain)))
			fprintf(stderr, "  | %s\n", plain);
	}
}
