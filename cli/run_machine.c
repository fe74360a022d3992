/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine's processes; see run_machine.h. */
#include "cli/run_machine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/run_gdb.h"
#include "cli/run_qemu.h"
#include "cli/run_service.h"
#include "cli/run_uml.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "guest/params.h"

#define LEAVE_SECONDS 10		/* daemons have this long after QEMU's end */

/* ---- starting ---- */

pid_t machine_spawn(const struct words *words, const struct child_setup *setup)
{
	cleanup_free char *line = words_line(words);
	pid_t pid;

	/* Longer than a log line may be. */
	if (log_enabled(LOG_LEVEL_DEBUG))
		fprintf(stderr, "casement run: starting %s\n", line);
	pid = child_start(words->argv, setup);
	if (pid < 0)
		log_error("%s: cannot be started: %s", words->argv[0], strerror(-pid));
	return pid;
}

/* The command line; which descriptors it names is in `setup` then. */
static void add_qemu(struct machine *machine, int console, int gdb, struct child_setup *setup, struct words *words)
{
	const struct run_qemu_fds fds = {
		.log = machine->kernel_log.pipe[1], .out = machine->console->vmm[CONSOLE_OUT],
		.err = machine->console->vmm[CONSOLE_ERR], .in = machine->console->vmm[CONSOLE_IN],
		.init = machine->init.vmm, .events = machine->events.vmm,
		.console = console, .gdb = gdb,
	};

	run_qemu_words(machine->config, machine->parts, machine->control, &fds, words);
	*setup = (struct child_setup){
		.keep = { fds.log, fds.out, fds.err, fds.in, fds.init, fds.events, fds.console, fds.gdb }, .n_keep = 8,
	};
}

static void add_uml(struct machine *machine, struct child_setup *setup, struct words *words)
{
	const struct run_uml_fds fds = {
		.log = machine->kernel_log.pipe[1], .out = machine->console->vmm[CONSOLE_OUT],
		.err = machine->console->vmm[CONSOLE_ERR], .in = machine->console->vmm[CONSOLE_IN],
		.init = machine->init.vmm,
	};

	run_uml_words(machine->config, machine->parts, machine->control, &fds, words);
	*setup = (struct child_setup){
		.keep = { fds.log, fds.out, fds.err, fds.in, fds.init }, .n_keep = 5,
		/*
		 * The guest's processes end with the kernel, at the same moment: left alone, one would
		 * go on as a process of the host's. (Sent SIGTERM, User-mode Linux ends them, or hangs.)
		 */
		.guarded = true,
	};
}

static int start_vmm(struct machine *machine)
{
	cleanup_close int gdb = -1, console = -1;
	struct words words = { 0 };
	struct child_setup setup;
	pid_t pid;
	int err;

	err = run_gdb_listen(machine, &gdb);
	if (!err && !machine->parts->uml)
		err = console = control_listen(machine->control, RUN_CONSOLE_SOCKET);
	if (err < 0)
		return err;
	if (machine->parts->uml)
		add_uml(machine, &setup, &words);
	else
		add_qemu(machine, console, gdb, &setup, &words);
	setup.out = setup.err = machine->vmm_log.pipe[1];
	setup.bound = true;
	pid = machine_spawn(&words, &setup);
	words_free(&words);
	if (pid < 0)
		return pid;
	/* It leads its group: User-mode Linux would leave one that it does not lead. */
	machine->vmm.pid = machine->vmm_group = pid;
	run_gdb_tell(machine);
	err = setup.guarded ? child_guard(pid) : 0;
	if (err)
		log_error("%s: cannot be guarded: %s", machine->parts->kernel, strerror(-err));
	return err;
}

/* The machine's ports and logs, before there is a machine. */
static int connect_all(struct machine *machine)
{
	int err = console_connect(machine->console);

	if (!err)
		err = events_connect(&machine->events);
	if (!err)
		err = run_init_connect(&machine->init);
	if (!err)
		err = run_log_connect(&machine->kernel_log);
	return err ? err : run_log_connect(&machine->vmm_log);
}

int machine_start(struct machine *machine)
{
	int err;

	if (!machine->boots++)
		services_announce(machine);
	/* As after a boot that was given up. */
	machine->stopped = false;
	machine->starts = 0;
	err = connect_all(machine);
	if (!err)
		err = services_start(machine);
	if (!err)
		err = start_vmm(machine);
	if (err)
		return err;
	console_start(machine->console);
	events_start(&machine->events);
	run_init_start(&machine->init);
	run_log_start(&machine->kernel_log);
	run_log_start(&machine->vmm_log);
	return 0;
}

/* ---- serving ---- */

/* A blocked signal reaches a signalfd also where it is ignored: what nohup(1) ignores must not be blocked. */
static bool is_ignored(int number)
{
	struct sigaction action;

	return !sigaction(number, NULL, &action) && action.sa_handler == SIG_IGN;
}

void machine_signals(const struct run_config *config, sigset_t *signals, sigset_t *ends)
{
	static const int wanted[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	sigemptyset(ends);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!is_ignored(wanted[i]))
			sigaddset(ends, wanted[i]);
	*signals = *ends;
	sigaddset(signals, SIGCHLD);
	sigaddset(signals, SIGWINCH);
	sigaddset(signals, SIGCONT);
	if (config->dump)
		sigaddset(signals, SIGUSR1);
}

/* All of its group: with User-mode Linux, the guest's processes are in it. */
static void kill_vmm(const struct machine *machine)
{
	if (machine->vmm.pid)
		kill(-machine->vmm_group, SIGKILL);
}

/* A machine's state is disposable: what the guest wrote and synced, the daemons have. */
static void stop_vmm(struct machine *machine)
{
	kill_vmm(machine);
	machine->stopped = true;
}

static bool reap(struct machine_process *process)
{
	if (!process->pid || waitpid(process->pid, &process->status, WNOHANG) != process->pid)
		return false;
	process->pid = 0;
	return true;
}

static void reap_all(struct machine *machine)
{
	reap(&machine->vmm);
	for (unsigned int i = 0; i < machine->n_daemons; i++) {
		struct machine_process *daemon = &machine->daemons[i];

		/* 0: QEMU has left it, and its own end will be seen in a moment. */
		if (!reap(daemon) || !daemon->status)
			continue;
		if (machine->vmm.pid && !machine->stopped) {
			machine->broken = daemon;
			stop_vmm(machine);
		}
	}
}

/* True when it was one that is to end the machine. */
static bool handle_signal(struct machine *machine, int signals)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo == SIGCHLD) {
		reap_all(machine);
		return false;
	}
	if (info.ssi_signo == SIGUSR1) {
		machine->dump.asked = true;
		return false;
	}
	if (info.ssi_signo == SIGCONT)
		console_resume(machine->console);
	/* While this program was stopped, the size may have changed. */
	if (info.ssi_signo == SIGWINCH || info.ssi_signo == SIGCONT) {
		if (machine->console->terminal)
			run_init_tell_size(&machine->init, console_size(machine->console));
		return false;
	}
	machine->signal = (int)info.ssi_signo;
	stop_vmm(machine);
	return true;
}

static bool daemons_run(const struct machine *machine)
{
	for (unsigned int i = 0; i < machine->n_daemons; i++)
		if (machine->daemons[i].pid)
			return true;
	return false;
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* What is waited for; the console's are the last. */
enum { POLL_SIGNALS, POLL_EVENTS, POLL_INIT, POLL_KERNEL_LOG, POLL_VMM_LOG, POLL_CONSOLE };

static int wait_ready(struct machine *machine, int signals, struct pollfd *fds)
{
	int rest[2];

	fds[POLL_SIGNALS] = (struct pollfd){ .fd = signals, .events = POLLIN };
	fds[POLL_EVENTS] = (struct pollfd){ .fd = machine->events.fd, .events = POLLIN };
	run_init_poll(&machine->init, &fds[POLL_INIT]);
	rest[0] = run_log_poll(&machine->kernel_log, &fds[POLL_KERNEL_LOG]);
	rest[1] = run_log_poll(&machine->vmm_log, &fds[POLL_VMM_LOG]);
	console_poll(machine->console, fds + POLL_CONSOLE);
	/* The shorter of the two, of which -1 is the longest. */
	return poll(fds, POLL_CONSOLE + CONSOLE_RELAYS, (int)MIN((unsigned int)rest[0], (unsigned int)rest[1]));
}

/* Act on lines of the guest's init, and tell it how far the streams are. */
static void answer_init(struct machine *machine)
{
	struct run_init *init = &machine->init;
	uint64_t input;

	/* Where the machine boots once there is one start. What the guest's root says besides is not answered. */
	if (init->starts && (!machine->starts || (machine->config->reboot && init->starts != machine->starts))) {
		machine->starts = init->starts;
		machine->input_told = false;
		console_begin(machine->console, init->mark);
	}
	if (machine->parts->uml)
		console_limit(machine->console, init->took, GUEST_LINE_ROOM);
	if (machine->starts && !machine->input_told && console_input_ended(machine->console, &input)) {
		machine->input_told = true;
		run_init_tell_input(init, input);
	}
	if (init->known && console_has(machine->console, init->out, init->err))
		run_init_tell_done(init);
}

/* A terminal that is gone is told by SIGHUP, though not to each program that has it open. */
static void end_for_stream(struct machine *machine, int err)
{
	machine->signal = err == -ECANCELED ? SIGTERM : err == -ENXIO ? SIGHUP : SIGPIPE;
	if (machine->signal == SIGPIPE) {
		machine->stream_error = err;
		machine->stream = machine->console->broken;
	}
	stop_vmm(machine);
}

/* Wait for something to happen and do it. */
static void serve_once(struct machine *machine, int signals)
{
	struct pollfd fds[POLL_CONSOLE + CONSOLE_RELAYS];
	int err;

	if (wait_ready(machine, signals, fds) <= 0)
		return;
	if (fds[POLL_SIGNALS].revents)
		handle_signal(machine, signals);
	if (fds[POLL_EVENTS].revents)
		events_move(&machine->events);
	if (machine->events.broken)
		stop_vmm(machine);
	if (fds[POLL_INIT].revents)
		run_init_move(&machine->init, fds[POLL_INIT].revents);
	if (fds[POLL_KERNEL_LOG].revents)
		run_log_move(&machine->kernel_log);
	if (fds[POLL_VMM_LOG].revents)
		run_log_move(&machine->vmm_log);
	if (run_init_is_flooded(&machine->init))
		stop_vmm(machine);
	err = console_move(machine->console, fds + POLL_CONSOLE);
	if (err)
		end_for_stream(machine, err);
	answer_init(machine);
	run_dump_move(machine);
}

/* Take what the machine said before its end; after a signal, without waiting for the output to be read. */
static void take_last_words(struct machine *machine, int signals)
{
	if (machine->events.fd >= 0)
		events_move(&machine->events);
	run_init_sweep(&machine->init);
	while (!machine->signal && !(console_drained(machine->console) && run_log_is_done(&machine->kernel_log)))
		serve_once(machine, signals);
	run_log_sweep(&machine->kernel_log);
	run_log_sweep(&machine->vmm_log);
}

void machine_serve(struct machine *machine, int signals)
{
	long long deadline;

	while (machine->vmm.pid)
		serve_once(machine, signals);
	take_last_words(machine, signals);
	/* Of a guest that never ran there is nothing for the daemons to finish. */
	deadline = now_ms();
	if (machine->kernel_log.said[RUN_LOG_INIT])
		deadline += LEAVE_SECONDS * 1000;
	while (daemons_run(machine) && now_ms() < deadline) {
		struct pollfd fd = { .fd = signals, .events = POLLIN };

		/* A second signal ends the wait. */
		if (poll(&fd, 1, (int)MAX(0, deadline - now_ms())) > 0 && handle_signal(machine, signals))
			break;
	}
}

/* ---- ending ---- */

/* What is left of the VMM's process group, whose processes are all our children now. */
static void end_group(pid_t group)
{
	pid_t ended;

	while ((ended = waitpid(-group, NULL, WNOHANG)) >= 0) {
		/* There are some, so the number is no other group's. */
		if (!ended && !kill(-group, SIGKILL))
			waitpid(-group, NULL, 0);
	}
}

void machine_end(struct machine *machine)
{
	if (machine->vmm.pid) {
		kill_vmm(machine);
		waitpid(machine->vmm.pid, &machine->vmm.status, 0);
		machine->vmm.pid = 0;
	}
	run_dump_close(machine);
	if (machine->vmm_group)
		end_group(machine->vmm_group);
	machine->vmm_group = 0;
	for (unsigned int i = 0; i < machine->n_daemons; i++) {
		struct machine_process *daemon = &machine->daemons[i];

		if (!daemon->pid)
			continue;
		/* One that waits for a QEMU which never came has nothing to finish. */
		kill(daemon->pid, SIGKILL);
		waitpid(daemon->pid, &daemon->status, 0);
		daemon->pid = 0;
	}
	machine->n_daemons = 0;
}

bool machine_never_ran(const struct machine *machine)
{
	int status = machine->vmm.status;

	/* KVM refuses what it said it could, and QEMU knows no better than to abort. */
	if (!machine->events.broken && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT))
		return false;
	return !machine->signal && !machine->kernel_log.said[RUN_LOG_INIT];
}

bool machine_rebooted(const struct machine *machine)
{
	if (!run_reboots_anew(machine->config, machine->parts))
		return false;
	if (machine->signal || machine->broken || machine->vmm.status)
		return false;
	if (machine->init.known || machine->kernel_log.said[RUN_LOG_PANIC])
		return false;
	return machine->events.reset;
}
