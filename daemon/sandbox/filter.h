/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls that a process may still make (seccomp). What is not on the
 * list of its kind (filter_table.h) is answered as `action` says.
 */
#ifndef CASEMENT_DAEMON_SANDBOX_FILTER_H
#define CASEMENT_DAEMON_SANDBOX_FILTER_H

#include <stdbool.h>

enum filter_action {
	FILTER_NONE,	/* no filter */
	FILTER_KILL,	/* the process ends by SIGSYS */
	FILTER_LOG,	/* the kernel logs it, and does it */
	FILTER_TRAP,	/* the process says which, and ends by SIGSYS */
};
/* virtiofsd's names, NULL-terminated, indexed by enum filter_action. */
extern const char *const filter_action_names[];

struct filter_list;

/* Is this the name of a system call, of this machine or of another? */
bool filter_knows(const char *call);

/*
 * Put the calling thread, and each that it starts, under a list. Needs
 * no_new_privs. 0, or -errno, logged.
 */
int filter_install(const struct filter_list *list, int action);

#endif
