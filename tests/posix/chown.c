/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may change modes and owners, and what that does to set-id bits. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static const struct step steps[] = {
	{ NULL, OWNER, op_create, "file", NULL, 0644, 0 },
	{ "chmod-by-owner", OWNER, op_chmod, "file", NULL, 0600, 0 },
	{ "chmod-is-seen", ME, op_mode, "file", NULL, 0, 0600 },
	{ "chmod-by-group", GROUP, op_chmod, "file", NULL, 0666, -EPERM },
	{ "chmod-by-other", OTHER, op_chmod, "file", NULL, 0666, -EPERM },
	{ "chmod-by-root", ME, op_chmod, "file", NULL, 0640, 0 },
	{ "chmod-all-bits", ME, op_chmod, "file", NULL, 07777, 0 },
	{ "chmod-all-bits-seen", ME, op_mode, "file", NULL, 0, 07777 },
	{ "chmod-missing", ME, op_chmod, "none", NULL, 0600, -ENOENT },
	{ "chown-by-owner-to-other", OWNER, op_chown, "file", NULL, OTHER_UID, -EPERM },
	{ "chown-by-owner-to-self", OWNER, op_chown, "file", NULL, OWNER_UID, 0 },
	{ "chown-by-other-to-self", OTHER, op_chown, "file", NULL, OTHER_UID, -EPERM },
	{ "chgrp-by-owner-to-own", OWNER, op_chgrp, "file", NULL, OWNER_GID, 0 },
	{ "chgrp-by-owner-to-foreign", OWNER, op_chgrp, "file", NULL, OTHER_GID, -EPERM },
	{ NULL, SUPP, op_create, "supp", NULL, 0644, 0 },
	{ "chgrp-to-supplementary", SUPP, op_chgrp, "supp", NULL, OWNER_GID, 0 },
	{ "chgrp-to-supplementary-seen", ME, op_gid, "supp", NULL, 0, OWNER_GID },
	{ "chgrp-back", SUPP, op_chgrp, "supp", NULL, SUPP_GID, 0 },
	{ "chgrp-by-group-member", GROUP, op_chgrp, "supp", NULL, OWNER_GID, -EPERM },
	{ "chown-by-root", ME, op_chown, "supp", NULL, 12345, 0 },
	{ "chown-seen", ME, op_uid, "supp", NULL, 0, 12345 },
	{ "chown-keeps-group", ME, op_gid, "supp", NULL, 0, SUPP_GID },
	{ "chgrp-by-root", ME, op_chgrp, "supp", NULL, 54321, 0 },
	{ "chgrp-seen", ME, op_gid, "supp", NULL, 0, 54321 },
	{ "chown-large-id", ME, op_chown, "supp", NULL, 0x7ffffffe, 0 },
	{ "chown-large-id-seen", ME, op_uid, "supp", NULL, 0, 0x7ffffffe },

	/* set-id bits of programs go with a change of owner, whoever makes it */
	{ NULL, ME, op_create, "prog", NULL, 0755, 0 },
	{ NULL, ME, op_chmod, "prog", NULL, 06755, 0 },
	{ "chown-of-program", ME, op_chown, "prog", NULL, OWNER_UID, 0 },
	{ "chown-of-program-mode", ME, op_mode, "prog", NULL, 0, 0755 },
	{ NULL, ME, op_chmod, "prog", NULL, 06755, 0 },
	{ "chgrp-of-program", ME, op_chgrp, "prog", NULL, OWNER_GID, 0 },
	{ "chgrp-of-program-mode", ME, op_mode, "prog", NULL, 0, 0755 },
	{ NULL, ME, op_chmod, "prog", NULL, 02745, 0 },
	{ "chown-set-gid-without-x", ME, op_chown, "prog", NULL, OTHER_UID, 0 },
	{ "chown-set-gid-without-x-mode", ME, op_mode, "prog", NULL, 0, 02745 },
	{ NULL, ME, op_mkdir, "dir", NULL, 0755, 0 },
	{ NULL, ME, op_chmod, "dir", NULL, 07755, 0 },
	{ "chown-of-dir", ME, op_chown, "dir", NULL, OWNER_UID, 0 },
	{ "chown-of-dir-keeps-bits", ME, op_mode, "dir", NULL, 0, 07755 },
	{ NULL, OWNER, op_create, "own-prog", NULL, 0755, 0 },
	{ "set-uid-by-owner", OWNER, op_chmod, "own-prog", NULL, 06755, 0 },
	{ "set-uid-by-owner-seen", ME, op_mode, "own-prog", NULL, 0, 06755 },
	{ "chgrp-by-owner-drops-bits", OWNER, op_chgrp, "own-prog", NULL, OWNER_GID, 0 },
	{ "chgrp-by-owner-mode", ME, op_mode, "own-prog", NULL, 0, 0755 },
	{ NULL, ME, op_chgrp, "own-prog", NULL, OTHER_GID, 0 },
	{ "set-gid-of-foreign-group", OWNER, op_chmod, "own-prog", NULL, 02755, 0 },
	{ "set-gid-of-foreign-group-mode", ME, op_mode, "own-prog", NULL, 0, 0755 },
	{ NULL, ME, op_chown, "own-prog", NULL, SUPP_UID, 0 },
	{ NULL, ME, op_chgrp, "own-prog", NULL, OWNER_GID, 0 },
	{ "set-gid-of-supplementary", SUPP, op_chmod, "own-prog", NULL, 02755, 0 },
	{ "set-gid-of-supplementary-mode", ME, op_mode, "own-prog", NULL, 0, 02755 },

	/* links */
	{ NULL, ME, op_create, "target", NULL, 0644, 0 },
	{ NULL, ME, op_symlink, "target", "soft", 0, 0 },
	{ "lchown", ME, op_lchown, "soft", NULL, OTHER_UID, 0 },
	{ "lchown-changes-link", ME, op_uid, "soft", NULL, 0, OTHER_UID },
	{ "lchown-leaves-target", ME, op_uid, "target", NULL, 0, 0 },
	{ "chown-through-link", ME, op_chown, "soft", NULL, OWNER_UID, 0 },
	{ "chown-through-link-target", ME, op_uid, "target", NULL, 0, OWNER_UID },
	{ "chown-through-link-link", ME, op_uid, "soft", NULL, 0, OTHER_UID },
	{ "chmod-through-link", ME, op_chmod, "soft", NULL, 0604, 0 },
	{ "chmod-through-link-target", ME, op_mode, "target", NULL, 0, 0604 },
	{ "chmod-owner-through-link", OWNER, op_chmod, "soft", NULL, 0600, 0 },
	{ NULL, ME, op_link, "target", "hard", 0, 0 },
	{ "chmod-of-hard-link", ME, op_chmod, "hard", NULL, 0611, 0 },
	{ "chmod-of-hard-link-seen", ME, op_mode, "target", NULL, 0, 0611 },
};

static void run(void)
{
	int fd;

	RUN_STEPS(steps);
	fd = open("by-fd", O_CREAT | O_RDWR, 0600);
	check(rc(fchown(fd, OWNER_UID, OTHER_GID)), 0, "fchown");
	check(op_uid("by-fd", NULL, 0), OWNER_UID, "fchown-uid");
	check(op_gid("by-fd", NULL, 0), OTHER_GID, "fchown-gid");
	unlink("by-fd");
	check(rc(fchown(fd, 7, 8)), 0, "fchown-unlinked");
	check(rc(fchmod(fd, 0123)), 0, "fchmod-unlinked");
	close(fd);
	fd = open("target", O_PATH);
	check(rc(fchmod(fd, 0600)), -EBADF, "fchmod-o-path");
	close(fd);
	check(rc(chown("target", (uid_t)-1, (gid_t)-1)), 0, "chown-nothing");
	check(op_uid("target", NULL, 0), OWNER_UID, "chown-nothing-uid");
	check(rc(fchmodat(AT_FDCWD, "soft", 0600, AT_SYMLINK_NOFOLLOW)), -EOPNOTSUPP, "chmod-of-link");
}

const struct subject subject_chown = { "chown", true, run };
