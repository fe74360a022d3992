/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What QEMU tells of the machine, over its monitor (QMP) on a socket of ours.
 * Never waits: the caller polls and hands in what is ready.
 */
#ifndef CASEMENT_CLI_RUN_EVENTS_H
#define CASEMENT_CLI_RUN_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#define EVENTS_LINE_MAX 4096	/* an event is far shorter; longer lines are passed over */

struct events {
	int fd;			/* our end; -1: none, or QEMU has closed its own */
	int vmm;		/* the VMM's end, to be inherited; -1 once it has it */
	bool reset;		/* the guest asked for a reboot */
	bool broken;		/* the accelerator gave up: the guest stands still for ever */
	bool down;		/* the machine is off, or was to boot again; with -no-shutdown QEMU waits then */
	bool answered;		/* to events_dump(): */
	bool refused;		/* nothing, or not all, was written */
	char refusal[128];	/* QEMU's reason */
	size_t len;		/* of the line begun */
	char line[EVENTS_LINE_MAX];
};

void events_init(struct events *events);
/* New sockets, for a QEMU that is to be started; what was seen is forgotten. 0, or -errno, logged. */
int events_connect(struct events *events);
/* QEMU runs: its end is its own now. */
void events_start(struct events *events);
/* Take in what QEMU said. */
void events_move(struct events *events);
/* QEMU is to write the guest's memory to this file, an ELF core. Answered later. 0 or -errno. */
int events_dump(struct events *events, int file);
/* QEMU is to end. */
void events_quit(const struct events *events);
void events_close(struct events *events);

#endif
