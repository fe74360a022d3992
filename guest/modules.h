/* SPDX-License-Identifier: BSD-3-Clause */
/* Modules of the guest's kernel, loaded without a program of the root's, which may have none. */
#ifndef CASEMENT_GUEST_MODULES_H
#define CASEMENT_GUEST_MODULES_H

/*
 * Load `name` and what it needs, in that order, from the directory lib/modules/RELEASE, or else RELEASE,
 * below `root`. 0 when it is loaded, also before; -ENOENT when there is none, which may be as the
 * kernel has it built in; else -errno.
 */
int modules_load(const char *root, const char *name);

#endif
