/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casement run: a command in a virtual machine, with nothing left behind.
 * Finds the parts, makes a control directory, starts daemons and QEMU, carries
 * the streams, and says how it ended.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
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

/* ---- how it ended ---- */

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
	const struct run_log *log = &machine->kernel_log;

	if (log->said[RUN_LOG_PANIC])
		log_error("the guest's kernel died: %s; its last lines:", log->panic);
	else
		log_error("the guest ended without finishing the command; its kernel's last lines:");
	run_log_show_tail(log);
	/* A program that is no kernel has no log. */
	if (machine->parts->uml && !log->said[RUN_LOG_LINUX])
		run_log_show_tail(&machine->vmm_log);
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
	static const char *const broken[] = {
		"standard input cannot be read", "standard output takes no more output", "standard error takes no more output",
	};
	const struct run_init *init = &machine->init;
	char how[128];

	if (machine->stream_error) {
		log_error("%s: %s; the machine was stopped", broken[machine->stream], strerror(-machine->stream_error));
		return machine->stream_error == -EPIPE ? 128 + SIGPIPE : STATUS_FAILED;
	}
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
		run_log_show_tail(&machine->vmm_log);
		return STATUS_FAILED;
	}
	if (run_init_is_flooded(init)) {
		log_error("the guest told of its end again and again; the machine was stopped");
		return STATUS_FAILED;
	}
	if (init->known && !init->failure[0])
		return init->status;
	if (init->known) {
		log_error("%s", init->failure);
	} else if (machine->kernel_log.said[RUN_LOG_FAILED]) {
		log_error("%s", machine->kernel_log.failure);
	} else if (machine->vmm.status && !machine->kernel_log.said[RUN_LOG_PANIC]) {
		describe_status(machine->vmm.status, how, sizeof(how));
		log_error("%s %s%s", machine->parts->vmm, how, way_out(machine));
		run_log_show_tail(&machine->vmm_log);
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
	if (!parts->uml && !parts->sandbox)
		log_debug("%s has no -sandbox: it may make all system calls", parts->vmm);
	log_debug("kernel %s, root %s (%s)", parts->kernel, parts->root,
		  run_root_names[parts->root_mode]);
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

/* 0 when there was a machine, to its end; else -errno, logged. */
static int serve(struct machine *machine, struct run_parts *parts, int signals)
{
	int err = control_write_params(machine->control, machine->config, machine->parts,
				       console_size(machine->console));

	if (err)
		return err;
	do
		err = boot(machine, signals);
	while (!err && (machine_rebooted(machine) || emulate_instead(machine, parts)));
	return err;
}

/* Made, served and gone, with all that was made for it: no signal ends this process meanwhile. */
static int make_and_serve(struct machine *machine, struct run_parts *parts, int signals)
{
	struct run_control control;
	struct console console;
	int err = control_open(parts, &control);

	if (err)
		return err;
	machine->control = &control;
	machine->console = &console;
	console_init(&console, !machine->config->no_input);
	events_init(&machine->events);
	run_init_clear(&machine->init);
	err = serve(machine, parts, signals);
	events_close(&machine->events);
	run_init_close(&machine->init);
	run_log_close(&machine->kernel_log);
	run_log_close(&machine->vmm_log);
	/* The terminal is itself again before anything is said on it. */
	console_close(&console);
	control_close(&control);
	if (machine->config->monitor)
		unlink(machine->config->monitor);
	if (machine->config->gdb && *machine->config->gdb)
		unlink(machine->config->gdb);
	return err;
}

/* Nothing is left to be done but to say how it ended. */
static void leave(int number)
{
	_exit(128 + number);
}

static int run_machine(const struct run_config *config, struct run_parts *parts)
{
	cleanup_close int signals = -1;
	struct machine machine = { .config = config, .parts = parts };
	sigset_t mask, ends;
	int err;

	if (run_log_open(&machine.kernel_log, config->log, RUN_LOG_FILE_MAX) ||
	    run_log_open(&machine.vmm_log, NULL, 0))
		return STATUS_MISSING;
	signal(SIGPIPE, SIG_IGN);
	machine_signals(config, &mask, &ends);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signals = signalfd(-1, &mask, SFD_CLOEXEC);
	/* The processes of a User-mode Linux that is gone are waited for, as all others are. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (signals < 0) {
		log_error("no signalfd: %s", strerror(errno));
		return STATUS_FAILED;
	}
	announce(config, parts);
	err = make_and_serve(&machine, parts, signals);
	for (int number = 1; number < SIGRTMIN; number++)
		if (sigismember(&ends, number))
			signal(number, leave);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	if (err)
		return STATUS_FAILED;
	if (config->verbose)
		run_log_show_tail(&machine.vmm_log);
	return conclude(&machine);
}

int run_main(int argc, char **argv)
{
	struct run_config config;
	struct run_parts parts;

	log_setup("casement run", LOG_LEVEL_INFO);
	/* Our caller may ignore it; the end of a child would then be told to nobody. */
	signal(SIGCHLD, SIG_DFL);
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
	if (run_parts_find(&config, &parts) || (parts.uml && run_uml_place_memory(&config)))
		return STATUS_MISSING;
	return run_machine(&config, &parts);
}
