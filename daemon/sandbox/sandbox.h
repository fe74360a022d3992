/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Giving up power in stages, before the first byte of a VMM is read and before
 * there are threads. SECURITY.md says what each mode leaves a guest.
 *
 *	sandbox_fork()	a parent outside, a child that serves
 *	sandbox_enter()	in the child: namespaces, and the shared directory as root
 *	sandbox_seal()	in the child, when all is open that has to be: Landlock,
 *			capabilities, system calls
 */
#ifndef CASEMENT_DAEMON_SANDBOX_SANDBOX_H
#define CASEMENT_DAEMON_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/sandbox/caps.h"
#include "daemon/sandbox/filter.h"
#include "daemon/sandbox/id_map.h"
#include "daemon/sandbox/mounts.h"

enum sandbox_mode { SANDBOX_NAMESPACE, SANDBOX_CHROOT, SANDBOX_NONE };
/* virtiofsd's names, NULL-terminated, indexed by enum sandbox_mode. */
extern const char *const sandbox_mode_names[];

struct sandbox_config {
	int mode;			/* enum sandbox_mode */
	const char *dir;		/* what is shared */
	bool readonly;
	bool file_handles;		/* files are opened by handle */
	struct id_map uid_map, gid_map;	/* of the user namespace; only for an ordinary user */
	struct modcaps modcaps;
	int seccomp;			/* enum filter_action */
};

/* May this user have this? 0, or -EPERM, logged. Changes nothing. */
int sandbox_check(const struct sandbox_config *config);

/*
 * *child: 0 in the process that serves (mode none has no other), else its pid.
 * 0, or -errno, logged.
 */
int sandbox_fork(const struct sandbox_config *config, pid_t *child);
/* In the process that serves. 0, or -errno, logged; the descriptors of *roots are the caller's. */
int sandbox_enter(const struct sandbox_config *config, struct sandbox_roots *roots);
/* Can files be made for other users than the daemon's own? Known after sandbox_check(). */
bool sandbox_has_users(void);
/* The capabilities that sandbox_seal() will leave to this process. */
uint64_t sandbox_keeps(const struct sandbox_config *config);
/*
 * Drop what --modcaps takes away, before anything is decided by what the process may
 * do; but not CAP_SETPCAP, which sealing takes. 0, or -errno, logged.
 */
int sandbox_renounce(const struct sandbox_config *config);
/* The last stage. 0, or -errno, logged. */
int sandbox_seal(const struct sandbox_config *config);

/* For the process that makes stand-ins (dax/file_proxy.h); `ctx` is a struct sandbox_config. */
int sandbox_confine_stand_ins(const void *ctx);

#endif
