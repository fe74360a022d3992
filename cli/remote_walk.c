/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walking a path in a share; see remote.h. The daemon takes one name at a time
 * and no "..", so the way back is kept here.
 */
#include "cli/remote.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

#define WALK_LINKS 40			/* as path_resolution(7) */
#define WALK_DEPTH (PATH_MAX / 2)
#define WALK_TEXT (8 * PATH_MAX)	/* what is left of a path, with links put in */

struct walk {
	struct remote *remote;
	struct remote_node way[WALK_DEPTH];	/* from the root to where we are */
	size_t depth;				/* of way[]: at least 1 */
	char text[WALK_TEXT];			/* what is left */
	char *at;				/* in text */
	unsigned int links;
};

static int go_root(struct walk *walk)
{
	struct fuse_attr_out attr;
	int err = 0;

	while (walk->depth > 1)
		remote_put(walk->remote, &walk->way[--walk->depth]);
	if (!walk->depth) {
		err = casement_getattr(walk->remote->queue, CASEMENT_ROOT, CASEMENT_NO_FH, &attr);
		if (err)
			return err;
		walk->way[walk->depth++] = (struct remote_node){ CASEMENT_ROOT, attr.attr };
	}
	return 0;
}

/* The next name in the text, cut out; NULL at the end. */
static char *next_name(struct walk *walk)
{
	char *name;

	do
		name = strsep(&walk->at, "/");
	while (name && !*name);
	return name;
}

static bool is_last(const struct walk *walk)
{
	return !walk->at || !walk->at[strspn(walk->at, "/")];
}

/* Put a link's target before what is left. */
static int insert_link(struct walk *walk, const struct remote_node *link)
{
	cleanup_free char *rest = strdup(walk->at ? walk->at : "");
	char target[PATH_MAX];
	int err;

	if (!rest)
		return -ENOMEM;
	if (walk->links++ == WALK_LINKS)
		return -ELOOP;
	err = remote_readlink(walk->remote, link->id, target, sizeof(target));
	if (err)
		return err;
	if (strlen(target) + strlen(rest) + 2 > sizeof(walk->text))
		return -ENAMETOOLONG;
	stpcpy(stpcpy(stpcpy(walk->text, target), "/"), rest);
	walk->at = walk->text;
	return *target == '/' ? go_root(walk) : 0;
}

static int step(struct walk *walk, const char *name, bool follow)
{
	const struct remote_node *here = &walk->way[walk->depth - 1];
	struct remote_node next;
	int err;

	if (!S_ISDIR(here->attr.mode))
		return -ENOTDIR;
	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		if (walk->depth > 1)
			remote_put(walk->remote, &walk->way[--walk->depth]);
		return 0;
	}
	if (walk->depth == WALK_DEPTH)
		return -ENAMETOOLONG;
	err = remote_lookup(walk->remote, here->id, name, &next);
	if (err)
		return err;
	if (S_ISLNK(next.attr.mode) && follow) {
		err = insert_link(walk, &next);
		remote_put(walk->remote, &next);
		return err;
	}
	walk->way[walk->depth++] = next;
	return 0;
}

static struct walk *walk_new(struct remote *remote, const char *path, int *err)
{
	struct walk *walk = calloc(1, sizeof(*walk));

	*err = walk ? 0 : -ENOMEM;
	if (!walk)
		return NULL;
	walk->remote = remote;
	walk->at = walk->text;
	if (strlen(path) >= PATH_MAX)
		*err = -ENAMETOOLONG;
	else
		strcpy(walk->text, path);
	if (!*err)
		*err = go_root(walk);
	return walk;
}

/* All the way but its end, which is the caller's where `out` is given and `err` 0. */
static int walk_end(struct walk *walk, int err, struct remote_node *out)
{
	if (walk && walk->depth && !err)
		*out = walk->way[--walk->depth];
	while (walk && walk->depth)
		remote_put(walk->remote, &walk->way[--walk->depth]);
	free(walk);
	return err;
}

int remote_walk(struct remote *remote, const char *path, bool follow, struct remote_node *out)
{
	bool slash = *path && path[strlen(path) - 1] == '/';
	struct walk *walk;
	char *name;
	int err;

	walk = walk_new(remote, path, &err);
	while (!err && (name = next_name(walk)))
		err = step(walk, name, follow || slash || !is_last(walk));
	if (!err && slash && !S_ISDIR(walk->way[walk->depth - 1].attr.mode))
		err = -ENOTDIR;
	return walk_end(walk, err, out);
}

int remote_walk_parent(struct remote *remote, const char *path, struct remote_node *parent,
		       char name[REMOTE_NAME_MAX + 1])
{
	cleanup_free char *copy = strdup(path);
	char *slash;
	size_t len;

	if (!copy)
		return -ENOMEM;
	len = strlen(copy);
	while (len && copy[len - 1] == '/')
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	len = strlen(slash ? slash + 1 : copy);
	if (len > REMOTE_NAME_MAX)
		return -ENAMETOOLONG;
	strcpy(name, slash ? slash + 1 : copy);
	if (!len || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EISDIR;
	if (slash)
		slash[1] = '\0';
	return remote_walk(remote, slash ? copy : "", true, parent);
}
