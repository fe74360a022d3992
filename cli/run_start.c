/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the command starts; see run_start.h. */
#include "cli/run_start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"

/* What follows `dir` in `path`: "" or "/...". NULL: the path is not below it. */
static const char *below(const char *dir, const char *path)
{
	size_t len = strcmp(dir, "/") ? strlen(dir) : 0;

	return !strncmp(path, dir, len) && (!path[len] || path[len] == '/') ? path + len : NULL;
}

/* What the guest has of its own at this path of its root (guest/mounts.c), or NULL. */
static const char *hidden_by(const struct run_config *config, const char *path)
{
	static const struct {
		const char *dir;
		bool always;	/* else not where the root is written to */
	} own[] = {
		{ "/dev", true }, { "/mnt", true }, { "/proc", true }, { "/run", true }, { "/sys", true },
		{ "/tmp", false }, { "/var/tmp", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if ((own[i].always || config->root_mode != RUN_ROOT_WRITABLE) && below(own[i].dir, path))
			return own[i].dir;
	/* root's home is in memory where the root is read-only. */
	return config->root_mode == RUN_ROOT_READONLY && below("/root", path) ? "/root" : NULL;
}

/* The command starts where we are, by the path that the guest has for it. */
static int start_in_root(struct run_config *config, const char *path)
{
	const char *hidden = hidden_by(config, path);
	char *joined = NULL;

	if (hidden) {
		log_warn("the command does not start in the current directory: the guest has its own %s; give --share . or --no-share",
			 hidden);
		return 0;
	}
	if (!config->cwd)
		config->cwd = strdup(*path ? path : "/");
	else if (*config->cwd != '/' && asprintf(&joined, "%s/%s", path, config->cwd) >= 0)
		config->cwd = joined;
	return config->cwd ? 0 : -ENOMEM;
}

int run_start_choose(struct run_config *config)
{
	cleanup_free char *root = config->root ? realpath(config->root, NULL) : NULL;
	cleanup_free char *here = getcwd(NULL, 0);
	const char *path = root && here ? below(root, here) : NULL;

	if (config->n_shares || config->no_share)
		return 0;
	if (path)
		return start_in_root(config, path);
	if (here && !strcmp(here, "/"))
		return 0;
	if (!here || access(here, R_OK | X_OK)) {
		log_warn("the current directory is not shared: %s%s%s", here ? here : "", here ? ": " : "",
			 strerror(errno));
		return 0;
	}
	config->shares[0] = (struct run_share){ .dir = here };
	run_share_name(&config->shares[config->n_shares++], 0);
	if (isatty(STDERR_FILENO))
		log_info("the guest has %s at /mnt/%s (--no-share: not)", here, config->shares[0].name);
	take_ptr(here);
	return 0;
}
