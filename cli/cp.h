/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the two directions of casement cp share. Each copies one source onto one
 * name; failures are logged there, counted in cp->failed, and do not end the rest.
 */
#ifndef CASEMENT_CLI_CP_H
#define CASEMENT_CLI_CP_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "cli/cp_local.h"
#include "cli/progress.h"
#include "cli/remote.h"

#define CP_DEPTH 512	/* directories within each other */
/*
 * Beside errno's numbers, which end at 4095: SOURCE and TARGET are one file, as where TARGET is in the
 * directory that is shared. It would be empty before the first of it is read.
 */
#define CP_SAME_FILE 4096

struct cp {
	bool recursive;		/* -r */
	bool preserve;		/* -p: mode, owner, times */
	bool set_id;		/* with it, set-user-ID and set-group-ID bits out of the share, too */
	bool quiet;
	mode_t umask;		/* of this process */
	struct remote *remote;
	struct progress progress;
	unsigned int failed;
	bool ended;		/* the daemon answers no more: the rest is left, without a word */
};

/* Log that `path` could not be copied, and count it. */
void cp_failed(struct cp *cp, const char *path, int err);
/* The same with words of our own. */
void cp_refused(struct cp *cp, const char *path, const char *why);
/*
 * Whether a file of the share and one of this host are the same. CP_SAME: the daemon says the host's number
 * of it, and all that a change moves is equal. CP_ALIKE: equal but for the number, which may be of the daemon's
 * own making. Such a file is written over before it is cut: if it is the source, it keeps what it has.
 */
enum cp_sameness { CP_OTHER, CP_ALIKE, CP_SAME };
enum cp_sameness cp_compare(const struct fuse_attr *attr, const struct stat *st);
/* Permission bits of a new file whose source has `mode`. */
mode_t cp_mode(const struct cp *cp, mode_t mode);
/* "dir/name", to be freed; the process ends when there is no memory. */
char *cp_join(const char *dir, const char *name);

/*
 * Copy `path` of the share. A link that it names stays one in a directory, as with cp(1), but is
 * followed, within the share, where it would be made of TARGET itself: TARGET is followed the next time.
 */
void cp_out(struct cp *cp, const char *path, const struct cp_target *to);
/* Copy the local `path` to `name` in the share's directory `dir`. */
void cp_in(struct cp *cp, const char *path, uint64_t dir, const char *name, const char *shown);

#endif
