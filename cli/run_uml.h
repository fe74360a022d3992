/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * User-mode Linux in QEMU's place: the guest's kernel is a process of this host, and a front end
 * of the daemons by its own virtio_uml driver. It is native and boots in a second, without KVM;
 * it has one processor and no window. It is no wall around the guest: its root can run code on
 * the host as the user who started it.
 */
#ifndef CASEMENT_CLI_RUN_UML_H
#define CASEMENT_CLI_RUN_UML_H

#include "cli/run_config.h"
#include "cli/run_control.h"
#include "cli/run_parts.h"
#include "cli/words.h"

/* Descriptors that the kernel inherits: its log, the guest's two output ports, and its status. */
struct run_uml_fds {
	int log, out, err, in, init;
};

/* 0, or -EINVAL after a line that names the option that only a machine of QEMU's can follow. */
int run_uml_check(const struct run_config *config);

/*
 * Choose where its memory is, a file without a name: it would end by SIGBUS where there is no room
 * for it. The kernel is told by $TMPDIR. 0, or -errno, logged.
 */
int run_uml_place_memory(const struct run_config *config);

void run_uml_words(const struct run_config *config, const struct run_parts *parts,
		   const struct run_control *control, const struct run_uml_fds *fds, struct words *words);

#endif
