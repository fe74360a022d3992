/* SPDX-License-Identifier: BSD-3-Clause */
/* The user that the command runs as; see user.h. */
#include "guest/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "guest/report.h"

#define GROUP_TTY 5	/* as /dev/pts is mounted */

/* ---- known ---- */

/* True when the file has NAME:...:ID, as passwd(5) and group(5) do. */
static bool knows(const char *path, const char *name, unsigned int id)
{
	cleanup_fclose FILE *file = fopen(path, "re");
	cleanup_free char *line = NULL;
	size_t size = 0, len = strlen(name);

	while (file && getline(&line, &size, file) > 0) {
		const char *number = !strncmp(line, name, len) && line[len] == ':' ? strchr(line + len + 1, ':') : NULL;

		if (number && strtoul(number + 1, NULL, 10) == id)
			return true;
	}
	return false;
}

/* Ours come first: a name and an id that the root has as well are the user's. */
static int write_behind(const char *lines, const char *old, const char *path)
{
	cleanup_fclose FILE *from = fopen(old, "re"), *to = fopen(path, "we");
	char buf[4096];
	size_t n;

	if (!from || !to)
		return -errno;
	fputs(lines, to);
	while ((n = fread(buf, 1, sizeof(buf), from)) > 0)
		fwrite(buf, 1, n, to);
	return fflush(to) || ferror(from) ? -EIO : 0;
}

/* The file with our lines covers that of the root, which may not be the guest's to change. */
static void add_lines(const char *lines, const char *path, const char *copy)
{
	int err = write_behind(lines, path, copy);

	if (err || chmod(copy, 0644) || mount(copy, path, NULL, MS_BIND, NULL))
		report_note("%s does not have the user: %s", path, strerror(err ? -err : errno));
}

static void add_groups(const struct guest_params *params)
{
	char *lines = NULL;
	size_t size;
	FILE *file = open_memstream(&lines, &size);

	if (!file)
		return;
	for (size_t i = 0; i < params->n_groups; i++) {
		const struct guest_group *group = &params->groups[i];

		if (group->name[0] && !knows("/etc/group", group->name, group->gid))
			fprintf(file, "%s:x:%u:\n", group->name, group->gid);
	}
	if (!fclose(file) && size)
		add_lines(lines, "/etc/group", "/run/casement-group");
	free(lines);
}

static void add_user(const struct guest_user *user)
{
	cleanup_free char *line = NULL;

	if (knows("/etc/passwd", user->name, user->uid))
		return;
	if (asprintf(&line, "%s:x:%u:%u::%s:%s\n", user->name, user->uid, user->gid, user->home,
		     access(user->shell, X_OK) ? "/bin/sh" : user->shell) >= 0)
		add_lines(line, "/etc/passwd", "/run/casement-passwd");
}

/* ---- at home ---- */

/* With all that is above it. */
static int make_dirs(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int err;

		*slash = '\0';
		err = mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
		*slash = '/';
		if (err)
			return err;
	}
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

/* Where the guest may not make one, the homes are in memory. */
static void make_home(const struct guest_params *params)
{
	const struct guest_user *user = &params->user;
	cleanup_free char *path = strdup(user->home);
	int err;

	if (!path || !access(path, F_OK))
		return;
	if (params->root_readonly && !strncmp(path, "/home/", 6) && mount("tmpfs", "/home", "tmpfs", MS_NOSUID, "mode=755"))
		report_note("no memory on /home: %s", strerror(errno));
	/* A root that is written to is the host's. */
	err = params->root_readonly || params->root_cow ? make_dirs(path) : -ENOENT;
	if (err || chown(path, user->uid, user->gid))
		report_note("no home %s: %s", path, strerror(err ? -err : errno));
}

void user_prepare(const struct guest_params *params)
{
	if (!params->user.name)
		return;
	add_groups(params);
	add_user(&params->user);
	make_home(params);
}

/* ---- is ---- */

static int set_ids(const struct guest_params *params)
{
	gid_t *groups = calloc(params->n_groups + 1, sizeof(*groups));
	int err;

	if (!groups)
		return -ENOMEM;
	for (size_t i = 0; i < params->n_groups; i++)
		groups[i] = params->groups[i].gid;
	err = setgroups(params->n_groups, groups) || setgid(params->user.gid) || setuid(params->user.uid) ? -errno : 0;
	free(groups);
	return err;
}

int user_become(const struct guest_params *params)
{
	const struct guest_user *user = &params->user;

	if (!user->name)
		return 0;
	for (int fd = 0; fd < 3; fd++)
		if (fchown(fd, user->uid, isatty(fd) ? GROUP_TTY : user->gid))
			report_note("stream %d: %s", fd, strerror(errno));
	setenv("HOME", user->home, 1);
	setenv("USER", user->name, 1);
	setenv("LOGNAME", user->name, 1);
	setenv("SHELL", access(user->shell, X_OK) ? "/bin/sh" : user->shell, 1);
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
	/* The command says so itself, where it needs it. */
	if (chdir(user->home) && chdir("/"))
		return -errno;
	return set_ids(params);
}
