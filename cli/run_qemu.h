/* SPDX-License-Identifier: BSD-3-Clause */
/* QEMU's command line for `casement run`. */
#ifndef CASEMENT_CLI_RUN_QEMU_H
#define CASEMENT_CLI_RUN_QEMU_H

#include "cli/run_config.h"
#include "cli/run_control.h"
#include "cli/run_parts.h"
#include "cli/words.h"

/* Socket names in the control directory. */
#define RUN_BOOT_SOCKET "boot.sock"
#define RUN_ROOT_SOCKET "root.sock"
#define RUN_MODULES_SOCKET "modules.sock"
#define RUN_CONSOLE_SOCKET "console"	/* a shell in the guest: casement console */
#define RUN_SHARE_SOCKET "share%u.sock"

/* True when this share is served through a window. QEMU maps all writable, so ro has none. */
bool run_share_has_window(const struct run_parts *parts, const struct run_share *share);

unsigned int run_count_windows(const struct run_config *config, const struct run_parts *parts);

/*
 * True when a reboot is to be a new QEMU: its own reset ends it where a window
 * has mappings (docs/window.md), and a panic would be one, of which memory is to be written.
 */
bool run_reboots_anew(const struct run_config *config, const struct run_parts *parts);

/*
 * What QEMU inherits: a pipe for the kernel's log; connected sockets for the guest's ports of output, errors,
 * input and init, for QEMU's own events; sockets
 * that listen: for casement console, and for gdb, or -1.
 */
struct run_qemu_fds {
	int log, out, err, in, init, events, console, gdb;
};

void run_qemu_words(const struct run_config *config, const struct run_parts *parts,
		    const struct run_control *control, const struct run_qemu_fds *fds,
		    struct words *words);

#endif
