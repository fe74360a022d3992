/* SPDX-License-Identifier: BSD-3-Clause */
/* The processes of one machine, from their start to the end of the last. */
#ifndef CASEMENT_CLI_RUN_MACHINE_H
#define CASEMENT_CLI_RUN_MACHINE_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cli/child.h"
#include "cli/run_config.h"
#include "cli/run_console.h"
#include "cli/run_control.h"
#include "cli/run_dump.h"
#include "cli/run_events.h"
#include "cli/run_init.h"
#include "cli/run_log.h"
#include "cli/run_parts.h"
#include "cli/words.h"

/* Boot, root, the kernel's modules, the shares. */
#define MACHINE_DAEMONS_MAX (RUN_SHARES_MAX + 3)

struct machine_process {
	pid_t pid;		/* 0: not started, or ended */
	const char *dir;	/* a daemon's directory, for messages */
	int status;		/* as waitpid(2) says, once ended */
};

struct machine {
	const struct run_config *config;	/* these four are borrowed */
	const struct run_parts *parts;
	const struct run_control *control;
	struct console *console;
	struct events events;
	struct run_init init;
	struct run_dump dump;
	struct run_log kernel_log, vmm_log;
	struct machine_process vmm;
	pid_t vmm_group;			/* its process group; 0 without one */
	struct machine_process daemons[MACHINE_DAEMONS_MAX];
	unsigned int n_daemons;
	unsigned int boots;			/* QEMUs started so far */
	const struct machine_process *broken;	/* the daemon that ended badly under the guest */
	bool stopped;				/* we ended QEMU ourselves */
	int signal;				/* that we were sent; 0: none */
	unsigned int starts;			/* of `init`, as far as handled */
	bool input_told;			/* the guest was told how long its input is */
	int stream_error;			/* -errno of reading our input or writing our output; 0: none */
	int stream;				/* its descriptor */
};

/*
 * The signals that a machine must be able to see; block them first. Of them, `ends` end it: those that our
 * caller does not ignore.
 */
void machine_signals(const struct run_config *config, sigset_t *signals, sigset_t *ends);

/* Start one process of it. The pid, or -errno, logged. */
pid_t machine_spawn(const struct words *words, const struct child_setup *setup);

/* Start the daemons, then QEMU. 0, or -errno, logged; then call machine_end() too. */
int machine_start(struct machine *machine);

/*
 * Carry streams until QEMU has ended and the daemons have followed. `signals`
 * is a signalfd for machine_signals().
 */
void machine_serve(struct machine *machine, int signals);

/* End whatever still runs. */
void machine_end(struct machine *machine);

/*
 * True when the accelerator gave up before the guest ran anything, so that it
 * may start once more on another; call after machine_end().
 */
bool machine_never_ran(const struct machine *machine);

/* True when the guest only wanted to boot again; call after machine_end(). */
bool machine_rebooted(const struct machine *machine);

#endif
