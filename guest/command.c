/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's command; see command.h. */
#include "guest/command.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "guest/console.h"
#include "guest/mounts.h"
#include "guest/port.h"
#include "guest/report.h"
#include "guest/streams.h"
#include "guest/user.h"

static const char *why_not(const char *program, int err)
{
	if (err != ENOENT)
		return strerror(err);
	if (strchr(program, '/') && !access(program, F_OK))
		return "the guest does not have the interpreter or loader that this file names";
	return "not found in the guest";
}

static void __attribute__((noreturn))
child_exec(const struct guest_params *params, const struct streams *streams)
{
	sigset_t none;
	const char *where;
	int code;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	if (streams_enter(streams))
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
	dprintf(STDERR_FILENO, "casement: %s: %s\n", params->argv[0], why_not(params->argv[0], errno));
	_exit(code);
}

static pid_t start(const struct guest_params *params, struct streams *streams)
{
	int err = streams_open(streams, params);
	pid_t pid;

	if (err)
		report_failure("the guest cannot make a %s: %s", params->terminal ? "terminal" : "pipe",
			       strerror(-err));
	pid = fork();
	if (pid < 0)
		report_failure("the guest cannot start a process: %s", strerror(errno));
	if (pid == 0)
		child_exec(params, streams);
	streams_start(streams);
	return pid;
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
		raw = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
		console_reaped(ended, raw);
		if (ended == pid) {
			*status = raw;
			found = true;
		}
	}
}

/* What is waited for; the streams are the last. */
enum { POLL_SIGNALS, POLL_INIT, POLL_CONSOLE, POLL_STREAMS = POLL_CONSOLE + CONSOLE_POLLS };

/* True once the command is gone. */
static bool serve_once(pid_t pid, int signals, struct streams *streams, int *status)
{
	struct pollfd fds[POLL_STREAMS + STREAMS] = {
		[POLL_SIGNALS] = { signals, POLLIN, 0 },
		[POLL_INIT] = { port_fd(PORT_INIT), POLLIN, 0 },
	};
	struct signalfd_siginfo info;
	struct report_word word;

	console_poll(fds + POLL_CONSOLE);
	streams_poll(streams, fds + POLL_STREAMS);
	if (poll(fds, POLL_STREAMS + STREAMS, -1) < 0)
		return false;
	if (fds[POLL_INIT].revents)
		while (report_listen(&word))
			streams_told(streams, &word);
	console_move(fds + POLL_CONSOLE);
	streams_move(streams, fds + POLL_STREAMS);
	return fds[POLL_SIGNALS].revents && read(signals, &info, sizeof(info)) > 0 && reap(pid, status);
}

static pid_t parent_of(const char *process)
{
	cleanup_fclose FILE *file = NULL;
	char path[300], line[512];
	const char *end;
	pid_t parent = 0;

	snprintf(path, sizeof(path), "/proc/%s/stat", process);
	file = fopen(path, "re");
	/* The program's name, in brackets, may have any byte in it. */
	end = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	return end && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* True when there were children. */
static bool kill_children(void)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (processes && (entry = readdir(processes))) {
		if (strspn(entry->d_name, "0123456789") != strlen(entry->d_name) || parent_of(entry->d_name) != getpid())
			continue;
		kill(atoi(entry->d_name), SIGKILL);
		found = true;
	}
	if (processes)
		closedir(processes);
	return found;
}

/* All processes but this; below systemd, those that the command has started. */
static void kill_others(void)
{
	if (getpid() == 1)
		kill(-1, SIGKILL);
	else
		/* The children of one that has ended are ours then. */
		while (kill_children())
			waitpid(-1, NULL, 0);
}

/*
 * Until the command is gone, then also everything it left running: those hold
 * the pipes open, and the shares busy.
 */
static int supervise(pid_t pid, int signals, struct streams *streams)
{
	int status = 0;
	bool gone = false;

	while (!gone || !streams_drained(streams)) {
		if (!serve_once(pid, signals, streams, &status))
			continue;
		gone = true;
		kill_others();
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	return status;
}

struct command_end command_run(const struct guest_params *params)
{
	cleanup_close int signals = -1;
	struct command_end end;
	struct streams streams;
	sigset_t child;
	pid_t pid;

	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signals = signalfd(-1, &child, SFD_CLOEXEC);
	if (signals < 0)
		report_failure("the guest has no signalfd: %s", strerror(errno));
	console_init();
	pid = start(params, &streams);
	report_started(streams.mark);
	end.status = supervise(pid, signals, &streams);
	end.out = streams.relays[STREAM_OUT].total;
	end.err = streams.relays[STREAM_ERR].total;
	return end;
}
