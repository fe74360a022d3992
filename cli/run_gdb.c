/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gdb and the guest's kernel; see run_gdb.h. A Unix socket in a directory of this user's alone: who
 * reaches a stub on TCP, any user of the host, has the guest and all that it may do.
 */
#include "cli/run_gdb.h"

#include <limits.h>
#include <stdio.h>

#include "common/log.h"

#define SOCKET "gdb"

static void socket_path(const struct machine *machine, char *path, size_t size)
{
	if (*machine->config->gdb)
		snprintf(path, size, "%s", machine->config->gdb);
	else
		control_path(machine->control, SOCKET, path, size);
}

int run_gdb_listen(const struct machine *machine, int *fd)
{
	char path[PATH_MAX];

	if (!machine->config->gdb || machine->parts->uml)
		return 0;
	socket_path(machine, path, sizeof(path));
	*fd = control_listen_at(path);
	return *fd < 0 ? *fd : 0;
}

void run_gdb_tell(const struct machine *machine)
{
	char path[PATH_MAX];

	if (!machine->config->gdb)
		return;
	if (machine->parts->uml) {
		/* Page faults and interrupts are signals to it. */
		log_info("to debug the guest's kernel: gdb %s %d -ex 'handle SIGSEGV SIGALRM SIGIO SIGUSR1 nostop noprint pass'",
			 machine->parts->kernel, (int)machine->vmm.pid);
		return;
	}
	socket_path(machine, path, sizeof(path));
	log_info("to debug the guest's kernel: gdb VMLINUX -ex 'target remote %s'", path);
}
