/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In whose name the tree is changed: the guest's caller's, whose file system ids
 * the thread takes by setfsuid(2) and setfsgid(2), which are per thread when
 * called raw. What is made belongs to them then; which set-id bits a change
 * leaves, and whether it may use the room that a file system keeps for root,
 * the host's kernel decides by them, too.
 *
 * The ids stay until a change is made in another name: consecutive changes of one
 * caller cost nothing. Each change says whose it is (struct creds), so none is made
 * with what another left behind; what changes nothing does not care, because
 * creds_setup() detaches capabilities from the ids (SECBIT_NO_SETUID_FIXUP), and
 * permissions were checked by the guest's kernel already (it mounts with
 * default_permissions). Where ids do matter to everything, on file systems that are
 * served by another machine, and where capabilities cannot be detached, only what is made
 * is made with them, and all else in the daemon's own name.
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
 * groups, and from then on files belong to the guest's callers, as far as the
 * capabilities let it that will stay: `caps`, bits by their numbers, UINT64_MAX for
 * those there are. As anybody else: does nothing, and files belong to the daemon's user. Changing
 * file system ids resets the process' dumpable flag and parent-death signal.
 * 0, or -errno when groups could not be dropped.
 */
int creds_setup(uint64_t caps);

/* False where all that is made belongs to the daemon's user. */
bool creds_follow_callers(void);

enum creds_use {
	CREDS_CHANGE,	/* in the caller's name, where that takes no right away */
	CREDS_MAKE,	/* what is made belongs to the caller, or is not made */
};

/* What the change does to set-id bits that an ordinary user must not leave. */
enum creds_setid { CREDS_SETID_ANY, CREDS_SETID_KEEP, CREDS_SETID_LOSE };

struct creds_wanted {
	enum creds_use use;
	enum creds_setid setid;
	uint32_t uid, gid;
	/*
	 * Further groups of the caller's. Where the process may not set groups it goes
	 * without: the kernel then takes a set-gid bit too many, never one too few.
	 */
	uint32_t n_groups;
	const uint32_t *groups;
	bool remote;	/* another machine checks permissions, and knows nothing of our capabilities */
};

/* One change: from creds_take() to creds_give(), on one thread. All zero: none. */
struct creds {
	bool made;	/* with CREDS_MAKE */
	bool remote;
};
#define CREDS_NONE { .made = false }

/*
 * From here on this thread changes things so. 0, or -EPERM: for CREDS_MAKE where the
 * ids mean nothing on this host, and for either where the groups of an earlier
 * caller could not be left.
 */
int creds_take(struct creds *creds, const struct creds_wanted *wanted);

/* The change was made, or not; errno is kept. Once or more often. */
void creds_give(struct creds *creds);
#define cleanup_creds __attribute__((cleanup(creds_give)))

/* This thread acts in the daemon's own name, with all its rights. Mostly without a system call. */
void creds_home(void);

#endif
