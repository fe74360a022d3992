/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose a directory is; see trust.h. */
#include "cli/trust.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Root's files are somebody else's in a user namespace: of him whose "/" is. */
static bool is_ours(const struct stat *st, const struct stat *top)
{
	return st->st_uid == geteuid() || !st->st_uid || st->st_uid == top->st_uid;
}

/* A group with its owner's own number is his private one. */
static bool others_write(const struct stat *st)
{
	mode_t mode = st->st_gid == st->st_uid ? S_IWOTH : S_IWOTH | S_IWGRP;

	return st->st_mode & mode;
}

static bool trust_one(const char *path, bool shared)
{
	struct stat st, top;

	if (stat("/", &top) || lstat(path, &st) || !S_ISDIR(st.st_mode))
		return false;
	return is_ours(&st, &top) && (!others_write(&st) || (shared && (st.st_mode & S_ISVTX)));
}

bool trust_dir(const char *dir, bool shared, char path[PATH_MAX])
{
	char above[PATH_MAX], *slash;

	if (!dir || !realpath(dir, path) || !trust_one(path, shared))
		return false;
	strcpy(above, path);
	while ((slash = strrchr(above, '/')) && above[1]) {
		slash[slash == above] = '\0';
		if (!trust_one(above, true))
			return false;
	}
	return true;
}
