/* SPDX-License-Identifier: BSD-3-Clause */
/* casement ls: what is in a share's directories, one name a line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/remote.h"
#include "cli/show.h"
#include "cli/subcommand.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/options.h"

#define LS_WORDS 256
#define LS_TARGET 4096
#define LS_DEPTH 512		/* directories within each other */

struct ls_config {
	bool all, longer, recursive, itself;
};

static const struct option_row rows[] = {
	{ "all", 'a', OPTION_FLAG, offsetof(struct ls_config, all), NULL,
	  "Names that begin with a dot, too." },
	{ "long", 'l', OPTION_FLAG, offsetof(struct ls_config, longer), NULL,
	  "Kind, mode, links, owner, group, size, time of change, and a symbolic link's target." },
	{ "recursive", 'R', OPTION_FLAG, offsetof(struct ls_config, recursive), NULL,
	  "The directories below, too." },
	{ "directory", 'd', OPTION_FLAG, offsetof(struct ls_config, itself), NULL,
	  "A directory itself instead of what is in it." },
};

static const struct option_table table = {
	.program = "casement ls",
	.usage = "SOCKET [PATH]... [OPTION]...",
	.summary = "List what is in a virtio-fs share.",
	.epilog = "Without PATH: the share's root. Exit status: 0, 1 something could not be listed,\n"
		  "2 the command line is wrong.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
};

struct ls {
	struct remote *remote;
	const struct ls_config *config;
	bool titles;		/* name each directory before what is in it */
	bool begun;		/* something was printed */
	bool ended;		/* the daemon answers no more */
	int status;
};

static void failed(struct ls *ls, const char *path, int err)
{
	ls->status = STATUS_ERROR;
	if (ls->ended)
		return;
	fflush(stdout);
	log_error("%s: %s", *path ? path : "/", strerror(-err));
	ls->ended = remote_ended(ls->remote);
}

static int print_one(struct ls *ls, const char *name, const struct remote_node *node)
{
	const struct fuse_attr *attr = &node->attr;
	char mode[11], time[64], target[LS_TARGET] = "";
	int err = 0;

	if (ls->config->longer) {
		show_mode(attr->mode, mode);
		show_time(attr->mtime, attr->mtimensec, time);
		time[16] = '\0';	/* to the minute */
		printf("%s %3u %-8s ", mode, attr->nlink, show_user(attr->uid));
		printf("%-8s %12llu %s ", show_group(attr->gid), (unsigned long long)attr->size,
		       time);
		if (S_ISLNK(attr->mode))
			err = remote_readlink(ls->remote, node->id, target, sizeof(target));
	}
	show_name(name);
	if (*target) {
		printf(" -> ");
		show_name(target);
	}
	putchar('\n');
	ls->begun = true;
	return err;
}

/* One entry's line; when all is to be listed, what is in it comes later. */
static void list_entry(struct ls *ls, const char *path, uint64_t dir, const char *name,
		       bool *is_dir)
{
	struct remote_node node;
	char whole[2 * LS_TARGET];
	int err = 0;

	*is_dir = false;
	if (!ls->config->longer && !ls->config->recursive) {
		show_name(name);
		putchar('\n');
		return;
	}
	err = remote_lookup(ls->remote, dir, name, &node);
	if (!err) {
		*is_dir = S_ISDIR(node.attr.mode);
		err = print_one(ls, name, &node);
		remote_put(ls->remote, &node);
	}
	if (err) {
		snprintf(whole, sizeof(whole), "%s/%s", path, name);
		failed(ls, whole, err);
	}
}

/* A directory below: its path, which is the caller's to free, and its node. */
static int enter(struct ls *ls, const char *path, uint64_t dir, const char *name, char **below,
		 struct remote_node *node)
{
	bool slash = !*path || path[strlen(path) - 1] == '/';

	if (asprintf(below, "%s%s%s", path, slash ? "" : "/", name) < 0) {
		*below = NULL;
		return -ENOMEM;
	}
	return remote_lookup(ls->remote, dir, name, node);
}

static void list_dir(struct ls *ls, const char *path, uint64_t node,
		     const struct remote_above *above)
{
	struct remote_above here = { node, above, above ? above->depth + 1 : 0 };
	struct remote_names names;
	cleanup_free bool *dirs = NULL;
	int err = remote_list(ls->remote, node, &names);

	if (!err && names.n && !(dirs = calloc(names.n, sizeof(*dirs))))
		err = -ENOMEM;
	if (err) {
		remote_names_free(ls->remote, &names);
		return failed(ls, path, err);
	}
	if (ls->titles) {
		printf("%s", ls->begun ? "\n" : "");
		show_name(*path ? path : "/");
		printf(":\n");
	}
	ls->begun = true;
	for (size_t i = 0; i < names.n && !ls->ended; i++)
		if (ls->config->all || names.names[i][0] != '.')
			list_entry(ls, path, node, names.names[i], &dirs[i]);
	for (size_t i = 0; ls->config->recursive && i < names.n && !ls->ended; i++) {
		cleanup_free char *below = NULL;
		struct remote_node child;

		if (!dirs[i])
			continue;
		err = here.depth < LS_DEPTH ? enter(ls, path, node, names.names[i], &below, &child) :
					      -ENAMETOOLONG;
		if (err) {
			failed(ls, below ? below : names.names[i], err);
			continue;
		}
		if (remote_is_above(&here, child.id))
			failed(ls, below, -ELOOP);
		else
			list_dir(ls, below, child.id, &here);
		remote_put(ls->remote, &child);
	}
	remote_names_free(ls->remote, &names);
}

static void list_path(struct ls *ls, const char *path)
{
	bool follow = !ls->config->longer && !ls->config->itself;
	struct remote_node node;
	int err = remote_walk(ls->remote, path, follow, &node);

	if (err)
		return failed(ls, path, err);
	if (S_ISDIR(node.attr.mode) && !ls->config->itself)
		list_dir(ls, path, node.id, NULL);
	else if ((err = print_one(ls, *path ? path : "/", &node)))
		failed(ls, path, err);
	remote_put(ls->remote, &node);
}

int ls_main(int argc, char **argv)
{
	const char *words[LS_WORDS];
	struct ls_config config = { 0 };
	struct remote remote;
	struct ls ls = { .remote = &remote, .config = &config };
	unsigned int n;

	log_setup("casement ls", LOG_LEVEL_INFO);
	switch (options_parse_mixed(&table, argc, argv, &config, words, LS_WORDS, &n)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return STATUS_USAGE;
	case OPTIONS_GO:
		break;
	}
	if (!n) {
		log_error("the daemon's socket is missing; see casement ls --help");
		return STATUS_USAGE;
	}
	if (remote_open(words[0], &remote))
		return STATUS_ERROR;
	ls.titles = n > 2 || config.recursive;
	for (unsigned int i = 1; i < n && !ls.ended; i++)
		list_path(&ls, words[i]);
	if (n == 1)
		list_path(&ls, "");
	remote_close(&remote);
	return ls.status;
}
