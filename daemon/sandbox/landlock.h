/* SPDX-License-Identifier: BSD-3-Clause */
/* A second wall behind the mounts: Landlock, where the kernel has it. */
#ifndef CASEMENT_DAEMON_SANDBOX_LANDLOCK_H
#define CASEMENT_DAEMON_SANDBOX_LANDLOCK_H

/*
 * From here on nothing is opened or changed but below the directory `root_fd`,
 * no file is executed, no TCP port reached. Needs no_new_privs. 0, or -errno:
 * -EOPNOTSUPP where the kernel has none that fits.
 */
int landlock_confine(int root_fd);

#endif
