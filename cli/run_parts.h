/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts a machine is made of: where they are, or what to do about it. */
#ifndef CASEMENT_CLI_RUN_PARTS_H
#define CASEMENT_CLI_RUN_PARTS_H

#include <stdbool.h>

#include "cli/run_config.h"

/*
 * QEMU's filter of system calls: no other program, no other user, no scheduling of others. It
 * needs none of these for a machine of ours.
 */
#define RUN_QEMU_SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

/* Strings live as long as the process. */
struct run_parts {
	const char *daemon;	/* casementd */
	const char *init;	/* the guest's first process */
	const char *kernel;
	const char *module;	/* casement.ko; NULL: the guest uses the kernel's own driver */
	const char *root;	/* the guest's root file system */
	int root_mode;		/* enum run_root */
	const char *modules;	/* what the root shall have as /lib/modules; NULL: its own are right */
	const char *root_cache;	/* casementd's --cache for it */
	const char *qemu;
	char vmm[48];		/* its name and version, for messages */
	bool sandbox;		/* it can shut itself in (RUN_QEMU_SANDBOX) */
	bool uml;		/* the kernel is a program, and there is no QEMU */
	bool kvm;
	bool window;		/* asked for, and this QEMU has it */
};

/*
 * Find them all; the guest root and a new QEMU are made on first use
 * (scripts/vm-root). 0, or -errno after a line that names what is missing and
 * what to do. A missing window is only a warning.
 */
int run_parts_find(const struct run_config *config, struct run_parts *parts);

#endif
