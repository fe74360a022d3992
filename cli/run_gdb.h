/* SPDX-License-Identifier: BSD-3-Clause */
/* How gdb comes to the guest's kernel (--gdb). */
#ifndef CASEMENT_CLI_RUN_GDB_H
#define CASEMENT_CLI_RUN_GDB_H

#include "cli/run_machine.h"

/* The socket of QEMU's stub, which listens, if one is wanted; else *fd stays. 0, or -errno, logged. */
int run_gdb_listen(const struct machine *machine, int *fd);

/* The VMM runs: tell how gdb comes to its guest. */
void run_gdb_tell(const struct machine *machine);

#endif
