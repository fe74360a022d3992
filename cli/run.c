/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casement run: a command in a virtual machine, with nothing left behind.
 * Finds the parts, makes a control directory, starts daemons and QEMU, carries
 * the streams, and says how it ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/run_accel.h"
#include "cli/run_config.h"
#include "cli/run_console.h"
#include "cli/run_control.h"
#include "cli/run_machine.h"
#include "cli/run_parts.h"
#include "cli/run_qemu.h"
#include "cli/run_uml.h"
#include "cli/subcommand.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/plain.h"

#define TAIL_LINES 15
#define TAIL_BYTES 4096

/* ---- how it ended ---- */

/* Others wrote it: the guest's kernel, or a VMM about its guest. */
static void show_line(const char *line)
{
	fputs("  | ", stderr);
	plain_put(line, stderr);
	fputc('\n', stderr);
}

/* The last lines of a file, indented, on standard error. */
static void show_tail(const char *path)
{
	cleanup_fclose FILE *file = fopen(path, "re");
	char text[TAIL_BYTES + 1], *start;
	unsigned int lines = 0;

	if (!file)
		return;
	if (fseek(file, -TAIL_BYTES, SEEK_END))
		rewind(file);
	text[fread(text, 1, TAIL_BYTES, file)] = '\0';
	/* The last line's end does not begin another. */
	for (start = text + strlen(text); start > text; start--)
		if (start[-1] == '\n' && lines++ == TAIL_LINES)
			break;
	for (char *line; (line = strsep(&start, "\r\n"));)
		if (*line)
			show_line(line);
}

static void show_control_tail(const struct run_control *control, const char *name)
{
	char path[PATH_MAX];

	control_path(control, name, path, sizeof(path));
	show_tail(path);
}

static void describe_status(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "failed with status %d", WEXITSTATUS(status));
}

/* The machine ended, and the guest never said that it was done. */
static void explain_dead_guest(const struct machine *machine)
{
	char path[PATH_MAX], line[1024];

	control_log_path(machine->control, machine->config, path, sizeof(path));
	if (control_find_line(path, MACHINE_PANIC, line, sizeof(line)))
		log_error("the guest's kernel died: %s; its last lines:", line);
	else
		log_error("the guest ended without finishing the command; its kernel's last lines:");
	show_tail(path);
	/* A program that is no kernel has no log. */
	if (machine->parts->uml && !control_find_line(path, "Linux version", line, sizeof(line)))
		show_control_tail(machine->control, RUN_VMM_LOG);
}

/* Follows what QEMU failed with. */
static const char *way_out(const struct machine *machine)
{
	bool failed = machine->events.broken || machine_never_ran(machine);

	return machine->parts->kvm && failed ? " (--accel tcg does without KVM)" : "";
}

/* The exit status; says why unless it is the command's own. */
static int conclude(const struct machine *machine)
{
	struct run_verdict verdict;
	char how[128];

	if (machine->signal)
		return 128 + machine->signal;
	if (machine->broken) {
		describe_status(machine->broken->status, how, sizeof(how));
		log_error("the daemon that serves %s %s; the machine was stopped", machine->broken->dir, how);
		return STATUS_FAILED;
	}
	if (machine->events.broken) {
		log_error("QEMU stopped the machine for good: its accelerator failed%s; QEMU's last lines:",
			  way_out(machine));
		show_control_tail(machine->control, RUN_VMM_LOG);
		return STATUS_FAILED;
	}
	control_read_verdict(machine->control, &verdict);
	if (verdict.known && !verdict.failure[0])
		return verdict.status;
	if (verdict.known) {
		log_error("%s", verdict.failure);
	} else if (machine->vmm.status && !machine_panicked(machine)) {
		describe_status(machine->vmm.status, how, sizeof(how));
		log_error("%s %s%s", machine->parts->vmm, how, way_out(machine));
		show_control_tail(machine->control, RUN_VMM_LOG);
	} else {
		explain_dead_guest(machine);
	}
	return STATUS_FAILED;
}

/* ---- one machine ---- */

static void announce(const struct run_config *config, const struct run_parts *parts)
{
	if (config->verbose || isatty(STDERR_FILENO))
		log_info("starting a guest in %s%s", parts->vmm, parts->kvm || parts->uml ? "" :
			 config->accel == RUN_ACCEL_TCG ? " (emulated)" :
			 " (emulated, as there is no usable /dev/kvm)");
	log_debug("kernel %s, root %s%s", parts->kernel, parts->root,
		  parts->root_readonly ? " (read-only)" : "");
}

/* From the start of all processes to the end of the last. */
static int boot(struct machine *machine, int signals)
{
	int err = machine_start(machine);

	if (!err)
		machine_serve(machine, signals);
	machine_end(machine);
	return err;
}

/* True when there is something to do about a machine that KVM could not run, and it was done. */
static bool emulate_instead(struct machine *machine, struct run_parts *parts)
{
	if (!parts->kvm || machine->config->accel != RUN_ACCEL_AUTO || !machine_never_ran(machine))
		return false;
	log_warn("this host's KVM cannot run the guest's kernel; emulating it instead (--accel tcg)");
	accel_kvm_failed();
	parts->kvm = false;
	return true;
}

static int serve(struct machine *machine, struct run_parts *parts, int signals)
{
	int err;

	if (control_write_params(machine->control, machine->config, machine->parts,
				 console_size(machine->console)))
		return STATUS_FAILED;
	do
		err = boot(machine, signals);
	while (!err && (machine_rebooted(machine) || emulate_instead(machine, parts)));
	/* The terminal is itself again before anything is said on it. */
	console_close(machine->console);
	if (err)
		return STATUS_FAILED;
	if (machine->config->verbose)
		show_control_tail(machine->control, RUN_VMM_LOG);
	return conclude(machine);
}

static int run_machine(const struct run_config *config, struct run_parts *parts)
{
	cleanup_close int signals = -1;
	struct run_control control;
	struct console console;
	struct machine machine = {
		.config = config, .parts = parts, .control = &control, .console = &console,
	};
	sigset_t mask;
	int status;

	/* From here to the removal of the directory no signal ends this process. */
	signal(SIGPIPE, SIG_IGN);
	machine_signals(&mask);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signals = signalfd(-1, &mask, SFD_CLOEXEC);
	/* The processes of a User-mode Linux that is gone are waited for, as all others are. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (signals < 0) {
		log_error("no signalfd: %s", strerror(errno));
		return STATUS_FAILED;
	}
	if (control_open(parts, &control))
		return STATUS_FAILED;
	console_init(&console);
	events_init(&machine.events);
	status = serve(&machine, parts, signals);
	events_close(&machine.events);
	console_close(&console);
	control_close(&control);
	if (config->monitor)
		unlink(config->monitor);
	return status;
}

/* QEMU appends, as a machine may boot more than once. 0, or -errno, logged. */
static int empty_log(const char *path)
{
	cleanup_close int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;

	if (!path || fd >= 0)
		return 0;
	log_error("--log %s: cannot be written: %s", path, strerror(errno));
	return -EIO;
}

int run_main(int argc, char **argv)
{
	struct run_config config;
	struct run_parts parts;

	log_setup("casement run", LOG_LEVEL_INFO);
	switch (run_config_parse(argc, argv, &config)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return STATUS_USAGE;
	case OPTIONS_GO:
		break;
	}
	if (config.accel == RUN_ACCEL_UML && run_uml_check(&config))
		return STATUS_USAGE;
	if (config.verbose)
		log_setup("casement run", LOG_LEVEL_DEBUG);
	if (run_parts_find(&config, &parts) || empty_log(config.log))
		return STATUS_MISSING;
	announce(&config, &parts);
	return run_machine(&config, &parts);
}
