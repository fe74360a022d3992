/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose files are made. New files belong to the guest's caller, so the thread
 * that makes one takes the caller's file system ids by setfsuid(2) and
 * setfsgid(2), which are per thread when called raw.
 *
 * The ids stay until another caller makes something: consecutive operations
 * of one caller cost nothing. What runs in between is not weakened by foreign
 * ids, because creds_setup() detaches capabilities from them
 * (SECBIT_NO_SETUID_FIXUP), and permissions were checked by the guest's
 * kernel already (it mounts with default_permissions).
 *
 * One capability is not always wanted: with CAP_FSETID the kernel keeps
 * set-id bits where an ordinary user's write, truncation or new file in a
 * set-gid directory must lose them. It is dropped and raised per thread, also
 * lazily.
 *
 * Never changes the ids of the process: real, effective and saved ids stay.
 */
#ifndef CASEMENT_DAEMON_FS_CREDS_H
#define CASEMENT_DAEMON_FS_CREDS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Call once at start, before any thread. As root: drops the supplementary
 * groups, and from then on files belong to the guest's callers. As anybody
 * else: does nothing, and files belong to the daemon's user. Changing
 * file system ids resets the process' dumpable flag and parent-death signal.
 * 0, or -errno when groups could not be dropped.
 */
int creds_setup(void);

/* False where all that is made belongs to the daemon's user. */
bool creds_follow_callers(void);

/* Take the caller's ids on this thread. 0, or -EPERM where they mean nothing on this host. */
int creds_become(uint32_t uid, uint32_t gid);

/*
 * The same for a caller that is in `n` further groups. They are this thread's
 * until creds_leave(), which always takes them away: a thread that could not be
 * rid of them makes nothing for anybody (-EPERM). Where the process may not set
 * groups it goes without: the kernel then takes a set-gid bit too many, never
 * one too few.
 */
int creds_become_member(uint32_t uid, uint32_t gid, const uint32_t *groups, uint32_t n);

/*
 * The making operation is over (errno is kept). `restore`: go back to the
 * daemon's own ids at once, for a share on a network file system, where the
 * ids of every call travel to a server that knows nothing of our capabilities.
 */
void creds_leave(bool restore);

/* From here on, this thread's changes keep (true) or lose set-id bits as an ordinary user's do. */
void creds_keep_setid(bool keep);

#endif
