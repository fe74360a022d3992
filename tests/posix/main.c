/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * posix-check DIR: every subject in a new directory below DIR. Exit status 0:
 * nothing failed; 1: something did; 2: it could not run.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static const struct subject *const subjects[] = {
	&subject_perm, &subject_chown, &subject_setid, &subject_time, &subject_stat,
	&subject_link, &subject_symlink, &subject_rename, &subject_unlink, &subject_name,
	&subject_dir, &subject_open, &subject_append, &subject_tmpfile, &subject_io,
	&subject_truncate, &subject_hole, &subject_copy, &subject_mmap, &subject_lock,
	&subject_special, &subject_xattr, &subject_acl,
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

static void remove_tree(const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS))
		fprintf(stderr, "posix-check: %s cannot be removed\n", path);
}

static void run(const struct subject *subject)
{
	char dir[64];

	check_begin(subject);
	if (subject->needs_root && geteuid() != 0) {
		check_skip("only root can be several users", "all");
		return;
	}
	snprintf(dir, sizeof(dir), "posix-check.%s", subject->name);
	umask(022);
	if (mkdir(dir, 0755) || chmod(dir, 0777) || chdir(dir)) {
		perror(dir);
		exit(2);
	}
	subject->run();
	umask(022);
	if (chdir("..")) {
		perror("..");
		exit(2);
	}
	remove_tree(dir);
	fflush(stdout);
}

/* Subjects run this program themselves: their exit status, or -1. */
static int run_as_told(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--exit"))
		return atoi(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "--euid"))
		return geteuid() & 0xff;
	if (argc == 2 && !strcmp(argv[1], "--egid"))
		return getegid() & 0xff;
	return -1;
}

int main(int argc, char **argv)
{
	int status = run_as_told(argc, argv);

	if (status >= 0)
		return status;
	if (argc < 2 || chdir(argv[1])) {
		fprintf(stderr, "usage: posix-check DIR [SUBJECT]...\n");
		return 2;
	}
	for (size_t i = 0; i < ARRAY_SIZE(subjects); i++) {
		bool wanted = argc == 2;

		for (int j = 2; j < argc; j++)
			wanted = wanted || !strcmp(argv[j], subjects[i]->name);
		if (wanted)
			run(subjects[i]);
	}
	fprintf(stderr, "posix-check: %u assertions, %u failed\n", check_count(), check_failures());
	return check_failures() ? 1 : 0;
}
