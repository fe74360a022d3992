/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose a directory is. After su and sudo -E, XDG_RUNTIME_DIR, TMPDIR and the like still name the
 * other user's, who could put a link in the way of all that is made there.
 */
#ifndef CASEMENT_CLI_TRUST_H
#define CASEMENT_CLI_TRUST_H

#include <limits.h>
#include <stdbool.h>

/*
 * True when only this user and root can change what is in `dir`, and put another in its place or
 * in that of one above it. With `shared` it may be one as /tmp: all may write, and nobody renames
 * what is another's. `path` gets its path without links: use that.
 */
bool trust_dir(const char *dir, bool shared, char path[PATH_MAX]);

#endif
