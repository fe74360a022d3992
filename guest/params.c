/* SPDX-License-Identifier: BSD-3-Clause */
/* The parameters file; see params.h. Written by our own casement run, so it is trusted. */
#include "guest/params.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

/* Read a whole file, with a NUL after it. */
static int read_file(const char *path, char **text, size_t *size)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	cleanup_free char *buf = NULL;
	size_t done = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (st.st_size > GUEST_PARAMS_MAX)
		return -EFBIG;
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return -ENOMEM;
	while (done < (size_t)st.st_size) {
		ssize_t n = read(fd, buf + done, (size_t)st.st_size - done);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	buf[done] = '\0';
	*size = done;
	*text = take_ptr(buf);
	return 0;
}

/* "TYPE,TAG,ro|rw,OPTIONS/NAME"; the options may hold commas, the name all but a slash. */
static int parse_mount(char *value, struct guest_params *params)
{
	struct guest_mount *mount = &params->mounts[params->n_mounts];
	char *mode;

	if (params->n_mounts == GUEST_MOUNTS_MAX)
		return -E2BIG;
	mount->type = strsep(&value, ",");
	mount->tag = strsep(&value, ",");
	mode = strsep(&value, ",");
	mount->options = strsep(&value, "/");
	if (!mode || !value)
		return -EINVAL;
	mount->readonly = !strcmp(mode, "ro");
	mount->name = value;
	params->n_mounts++;
	return 0;
}

static unsigned int number(const char *text)
{
	return text ? (unsigned int)strtoul(text, NULL, 10) : 0;
}

static int parse_user(char *value, struct guest_user *user)
{
	user->name = strsep(&value, ":");
	user->uid = number(strsep(&value, ":"));
	user->gid = number(strsep(&value, ":"));
	user->home = strsep(&value, ":");
	user->shell = value;
	return user->home && user->shell ? 0 : -EINVAL;
}

static int parse_group(char *value, struct guest_group *group)
{
	group->name = strsep(&value, ":");
	group->gid = number(value);
	return value ? 0 : -EINVAL;
}

/* One record; *env and *arg are where the next of their kind goes. */
static int parse_record(char *record, struct guest_params *params, char ***env, char ***arg)
{
	char *value = strchr(record, '=');

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	if (!strcmp(record, "root"))
		params->root_readonly = !strcmp(value, "ro"), params->root_cow = !strcmp(value, "cow");
	else if (!strcmp(record, "modules"))
		params->modules = true;
	else if (!strcmp(record, "fs"))
		params->fs = value;
	else if (!strcmp(record, "ports"))
		params->serial = !strcmp(value, "serial");
	else if (!strcmp(record, "hostname"))
		params->hostname = value;
	else if (!strcmp(record, "terminal"))
		params->terminal = sscanf(value, "%hux%hu", &params->rows, &params->columns) == 2;
	else if (!strcmp(record, "mount"))
		return parse_mount(value, params);
	else if (!strcmp(record, "reboot"))
		params->reboot = true;
	else if (!strcmp(record, "systemd"))
		params->systemd = true;
	else if (!strcmp(record, "load"))
		params->load = value;
	else if (!strcmp(record, "net"))
		params->net = true;
	else if (!strcmp(record, "user"))
		return parse_user(value, &params->user);
	else if (!strcmp(record, "group"))
		return parse_group(value, &params->groups[params->n_groups++]);
	else if (!strcmp(record, "cwd"))
		params->cwd = value;
	else if (!strcmp(record, "env"))
		*(*env)++ = value;
	else if (!strcmp(record, "arg"))
		*(*arg)++ = value;
	else
		return -EINVAL;
	return 0;
}

int guest_params_read(const char *path, struct guest_params *params)
{
	size_t size = 0, n_records = 0;
	char **env, **arg;
	int err;

	memset(params, 0, sizeof(*params));
	params->fs = "virtiofs";
	err = read_file(path, &params->text, &size);
	if (err)
		return err;
	for (size_t i = 0; i < size; i++)
		n_records += !params->text[i];
	/* No more variables or words than records, and calloc ends both lists. */
	params->env = env = calloc(n_records + 1, sizeof(*env));
	params->argv = arg = calloc(n_records + 1, sizeof(*arg));
	params->groups = calloc(n_records + 1, sizeof(*params->groups));
	if (!env || !arg || !params->groups)
		return -ENOMEM;
	for (char *p = params->text, *next; p < params->text + size; p = next) {
		next = p + strlen(p) + 1;
		err = parse_record(p, params, &env, &arg);
		if (err)
			return err;
	}
	return params->argv[0] ? 0 : -EINVAL;
}
