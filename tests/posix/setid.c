/* SPDX-License-Identifier: BSD-3-Clause */
/* Set-id bits under writes, set-gid and sticky directories, set-id programs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

/* What takes the bits from a program that OWNER may write, by whom. */
static const struct loss {
	const char *name;
	enum who who;
	op_fn *op;
	const char *text;
	long arg;
	mode_t before, after;
} losses[] = {
	{ "write-by-owner", OWNER, op_append, "x", 0, 06755, 0755 },
	{ "write-by-other", OTHER, op_append, "x", 0, 06777, 0777 },
	{ "write-by-root", ME, op_append, "x", 0, 06755, 06755 },
	{ "write-keeps-sticky", OWNER, op_append, "x", 0, 07755, 01755 },
	{ "write-set-uid-alone", OWNER, op_append, "x", 0, 04755, 0755 },
	{ "write-set-gid-alone", OWNER, op_append, "x", 0, 02755, 0755 },
	{ "write-set-gid-without-x", OWNER, op_append, "x", 0, 02745, 02745 },
	{ "truncate-by-owner", OWNER, op_truncate, NULL, 1, 06755, 0755 },
	{ "truncate-by-root", ME, op_truncate, NULL, 1, 06755, 06755 },
	{ "o-trunc-by-owner", OWNER, op_fill, "", 0, 06755, 0755 },
	{ "read-by-owner", OWNER, op_open, NULL, O_RDWR, 06755, 06755 },
	{ "rename-by-owner", OWNER, op_rename, "prog2", 0, 06755, 06755 },
};

static void check_losses(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
		const struct loss *loss = &losses[i];

		unlink("prog");
		unlink("prog2");
		op_fill("prog", "program", 0);
		op_chown("prog", NULL, OWNER_UID);
		op_chgrp("prog", NULL, OWNER_GID);
		op_chmod("prog", NULL, loss->before);
		check(do_as(loss->who, loss->op, "prog", loss->text, loss->arg), 0, "%s", loss->name);
		check(op_mode(access("prog", F_OK) ? "prog2" : "prog", NULL, 0), loss->after, "%s-mode",
		      loss->name);
	}
}

static const struct step steps[] = {
	/* a set-gid directory gives its group away */
	{ NULL, ME, op_mkdir, "team", NULL, 0777, 0 },
	{ NULL, ME, op_chgrp, "team", NULL, OWNER_GID, 0 },
	{ NULL, ME, op_umask, NULL, NULL, 0, 0 },
	{ NULL, ME, op_chmod, "team", NULL, 02777, 0 },
	{ NULL, OTHER, op_create, "team/file", NULL, 0666, 0 },
	{ "team-file-gid", ME, op_gid, "team/file", NULL, 0, OWNER_GID },
	{ "team-file-uid", ME, op_uid, "team/file", NULL, 0, OTHER_UID },
	{ "team-file-mode", ME, op_mode, "team/file", NULL, 0, 0666 },
	{ NULL, OTHER, op_mkdir, "team/dir", NULL, 0755, 0 },
	{ "team-dir-gid", ME, op_gid, "team/dir", NULL, 0, OWNER_GID },
	{ "team-dir-mode", ME, op_mode, "team/dir", NULL, 0, 02755 },
	{ NULL, OTHER, op_mknod, "team/pipe", NULL, S_IFIFO | 0600, 0 },
	{ "team-fifo-gid", ME, op_gid, "team/pipe", NULL, 0, OWNER_GID },
	{ NULL, OTHER, op_symlink, "file", "team/soft", 0, 0 },
	{ "team-symlink-gid", ME, op_gid, "team/soft", NULL, 0, OWNER_GID },
	{ NULL, OTHER, op_create, "team/foreign", NULL, 02777, 0 },
	{ "team-set-gid-by-stranger", ME, op_mode, "team/foreign", NULL, 0, 0777 },
	{ NULL, OWNER, op_create, "team/member", NULL, 02777, 0 },
	{ "team-set-gid-by-member", ME, op_mode, "team/member", NULL, 0, 02777 },
	{ NULL, SUPP, op_create, "team/supp", NULL, 02777, 0 },
	{ "team-set-gid-by-supplementary", ME, op_mode, "team/supp", NULL, 0, 02777 },
	{ NULL, ME, op_create, "team/root", NULL, 02777, 0 },
	{ "team-set-gid-by-root", ME, op_mode, "team/root", NULL, 0, 02777 },
	{ NULL, OTHER, op_create, "own", NULL, 06777, 0 },
	{ "set-id-of-own-group", ME, op_mode, "own", NULL, 0, 06777 },

	/* a sticky directory: only the owners of file and directory remove names */
	{ NULL, ME, op_mkdir, "sticky", NULL, 0777, 0 },
	{ NULL, ME, op_chown, "sticky", NULL, GROUP_UID, 0 },
	{ NULL, ME, op_chmod, "sticky", NULL, 01777, 0 },
	{ NULL, OWNER, op_create, "sticky/a", NULL, 0666, 0 },
	{ NULL, OWNER, op_create, "sticky/b", NULL, 0666, 0 },
	{ NULL, OWNER, op_create, "sticky/c", NULL, 0666, 0 },
	{ NULL, OWNER, op_mkdir, "sticky/d", NULL, 0777, 0 },
	{ NULL, OTHER, op_create, "sticky/mine", NULL, 0666, 0 },
	{ "sticky-unlink-by-other", OTHER, op_unlink, "sticky/a", NULL, 0, -EPERM },
	{ "sticky-rmdir-by-other", OTHER, op_rmdir, "sticky/d", NULL, 0, -EPERM },
	{ "sticky-rename-by-other", OTHER, op_rename, "sticky/a", "sticky/x", 0, -EPERM },
	{ "sticky-rename-over-by-other", OTHER, op_rename, "sticky/mine", "sticky/a", 0, -EPERM },
	{ "sticky-rename-own", OTHER, op_rename, "sticky/mine", "sticky/mine2", 0, 0 },
	{ "sticky-create-by-other", OTHER, op_create, "sticky/new", NULL, 0600, 0 },
	{ "sticky-write-by-other", OTHER, op_append, "sticky/new", "x", 0, 0 },
	{ "sticky-unlink-by-owner", OWNER, op_unlink, "sticky/a", NULL, 0, 0 },
	{ "sticky-unlink-by-dir-owner", GROUP, op_unlink, "sticky/b", NULL, 0, 0 },
	{ "sticky-unlink-by-root", ME, op_unlink, "sticky/c", NULL, 0, 0 },
	{ "sticky-set-by-owner", OWNER, op_chmod, "sticky/d", NULL, 01777, 0 },
	{ "sticky-set-by-owner-mode", ME, op_mode, "sticky/d", NULL, 0, 01777 },
	{ NULL, ME, op_umask, NULL, NULL, 022, 0 },
};

/* Its effective ids as the program itself saw them, in eight bits each; or -1. */
static long run_program(enum who who, const char *path, const char *what)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		who_become(who);
		execl(path, path, what, (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, &status, 0) < 0 ? -errno : WEXITSTATUS(status);
}

static void check_programs(void)
{
	cleanup_close int from = open("/proc/self/exe", O_RDONLY);
	int to = open("self", O_CREAT | O_EXCL | O_WRONLY, 0755);
	struct stat st = { .st_size = 0 };
	off_t left;

	fstat(from, &st);
	for (left = st.st_size; left > 0;) {
		ssize_t n = sendfile(to, from, NULL, (size_t)left);

		if (n <= 0)
			break;
		left -= n;
	}
	check(left, 0, "copy-of-this-program");
	check(rc(close(to)), 0, "copy-of-this-program-closes");
	check(run_program(OTHER, "./self", "--euid"), OTHER_UID & 0xff, "program-plain");
	chown("self", OWNER_UID, OWNER_GID);
	chmod("self", 04755);
	check(run_program(OTHER, "./self", "--euid"), OWNER_UID & 0xff, "program-set-uid");
	check(run_program(OTHER, "./self", "--egid"), OTHER_GID & 0xff, "program-set-uid-keeps-gid");
	chmod("self", 02755);
	check(run_program(OTHER, "./self", "--egid"), OWNER_GID & 0xff, "program-set-gid");
	check(run_program(OTHER, "./self", "--euid"), OTHER_UID & 0xff, "program-set-gid-keeps-uid");
	chmod("self", 0644);
	check(op_execute("./self", NULL, 0), -EACCES, "program-without-x");
	chmod("self", 0755);
	check(op_execute("./self", NULL, 0), 7, "program-exit-status");
	check(do_as(OTHER, op_execute, "./self", NULL, 0), 7, "program-by-other");
}

static void run(void)
{
	check_losses();
	RUN_STEPS(steps);
	check_programs();
}

const struct subject subject_setid = { "setid", true, run };
