/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casement cp: files between a share and this host, without mounting it. Reads
 * the words of the command line, and gives each source to one of two directions.
 */
#include "cli/cp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/subcommand.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/options.h"

#define CP_WORDS 256

static const struct option_row rows[] = {
	{ "recursive", 'r', OPTION_FLAG, offsetof(struct cp, recursive), NULL,
	  "Directories, too, with all that is in them; symbolic links stay links." },
	{ "preserve", 'p', OPTION_FLAG, offsetof(struct cp, preserve), NULL,
	  "Keep mode, times, and, as root, owner and group." },
	{ "set-id", 0, OPTION_FLAG, offsetof(struct cp, set_id), NULL,
	  "With --preserve, out of a share: keep set-user-ID and set-group-ID bits, too, where the owner is kept. Whoever fills the share then makes programs that run here as their owner." },
	{ "quiet", 'q', OPTION_FLAG, offsetof(struct cp, quiet), NULL,
	  "Show no progress on a terminal." },
};

static const struct option_table table = {
	.program = "casement cp",
	.usage = "[OPTION]... SOURCE... TARGET",
	.summary = "Copy files between a virtio-fs share and this host.",
	.epilog = "Either the sources or the target are in a share: SOCKET:PATH. A TARGET that is a\n"
		  "directory gets the sources in it. Exit status: 0, 1 something was not copied,\n"
		  "2 the command line is wrong.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
};

/* A word of the command line. */
struct place {
	const char *socket;	/* owned; NULL: on this host */
	const char *path;
};

void cp_failed(struct cp *cp, const char *path, int err)
{
	cp_refused(cp, path, err == -CP_SAME_FILE ? "source and target are the same file; left as it is" :
		   strerror(-err));
}

void cp_refused(struct cp *cp, const char *path, const char *why)
{
	cp->failed++;
	if (cp->ended)
		return;
	progress_wipe(&cp->progress);
	log_error("%s: %s", *path ? path : "/", why);
	cp->ended = remote_ended(cp->remote);
}

enum cp_sameness cp_compare(const struct fuse_attr *attr, const struct stat *st)
{
	bool alike = attr->size == (uint64_t)st->st_size &&
		     attr->mtime == (uint64_t)st->st_mtim.tv_sec && attr->mtimensec == st->st_mtim.tv_nsec &&
		     attr->ctime == (uint64_t)st->st_ctim.tv_sec && attr->ctimensec == st->st_ctim.tv_nsec;

	return !alike ? CP_OTHER : attr->ino == st->st_ino ? CP_SAME : CP_ALIKE;
}

mode_t cp_mode(const struct cp *cp, mode_t mode)
{
	return mode & 0777 & ~cp->umask;
}

char *cp_join(const char *dir, const char *name)
{
	bool slash = !*dir || dir[strlen(dir) - 1] == '/';
	char *path;

	if (asprintf(&path, "%s%s%s", dir, slash ? "" : "/", name) < 0) {
		log_error("out of memory");
		exit(STATUS_ERROR);
	}
	return path;
}

/* SOCKET:PATH is where the part before a colon is a socket; names of files may have colons. */
static struct place parse_place(const char *word)
{
	for (const char *colon = strchr(word, ':'); colon; colon = strchr(colon + 1, ':')) {
		char *socket = strndup(word, (size_t)(colon - word));
		struct stat st;

		if (socket && !stat(socket, &st) && S_ISSOCK(st.st_mode))
			return (struct place){ socket, colon + 1 };
		free(socket);
	}
	return (struct place){ NULL, word };
}

/* The last part of a path, to be freed; "" where it has none of its own. */
static char *last_part(const char *path)
{
	size_t len = strlen(path), start;

	while (len && path[len - 1] == '/')
		len--;
	for (start = len; start && path[start - 1] != '/';)
		start--;
	if ((len - start == 1 && path[start] == '.') ||
	    (len - start == 2 && !strncmp(path + start, "..", 2)))
		len = start;
	return strndup(path + start, len - start);
}

/* Why these words make no copy, or NULL. */
static const char *places_problem(const struct place *places, unsigned int n)
{
	const struct place *target = &places[n - 1];

	for (unsigned int i = 0; i + 1 < n; i++) {
		if (places[i].socket && target->socket)
			return "source and target are both in a share: copy by way of a file here, or mount one";
		if (!places[i].socket && !target->socket)
			return "neither source nor target is in a share: give SOCKET:PATH for one of them, SOCKET being a daemon's socket";
		if (places[i].socket && strcmp(places[i].socket, places[0].socket))
			return "the sources are in more than one share: copy from one after the other";
	}
	return NULL;
}

/* True when an earlier source has the same name in a target directory, which is said. */
static bool name_is_taken(struct cp *cp, const struct place *places, unsigned int i)
{
	cleanup_free char *name = last_part(places[i].path);
	bool taken = false;

	for (unsigned int j = 0; name && *name && j < i && !taken; j++) {
		cleanup_free char *earlier = last_part(places[j].path);

		taken = earlier && !strcmp(earlier, name);
	}
	if (taken)
		cp_refused(cp, places[i].path,
			   "another source has this name: what was just copied is not written over");
	return taken;
}

/* ---- out of the share ---- */

/* TARGET is a directory, `dir`; `target` is the word. */
static void out_into(struct cp *cp, const char *path, int dir, const char *target)
{
	cleanup_free char *name = last_part(path);
	cleanup_free char *shown = cp_join(target, name ? name : "");
	/* The whole share goes into the directory itself. */
	struct cp_target to = { .dir = dir, .name = name && *name ? name : ".", .shown = shown };

	cp_out(cp, path, &to);
}

static void out_all(struct cp *cp, const struct place *places, unsigned int n)
{
	const char *target = places[n - 1].path;
	/* What the user named is followed, once. */
	cleanup_close int dir = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct cp_target word = { .dir = AT_FDCWD, .name = target, .shown = target, .named = true };

	if (n > 2 && dir < 0)
		return cp_refused(cp, target, "not a directory, and there is more than one source");
	if (dir < 0)
		return cp_out(cp, places[0].path, &word);
	for (unsigned int i = 0; i + 1 < n && !cp->ended; i++)
		if (!name_is_taken(cp, places, i))
			out_into(cp, places[i].path, dir, target);
}

/* ---- into the share ---- */

static void in_one(struct cp *cp, const char *source, const char *target,
		   const struct remote_node *into)
{
	cleanup_free char *last = last_part(source);
	char name[REMOTE_NAME_MAX + 1];
	struct remote_node parent;
	int err;

	if (into && last && *last) {
		cleanup_free char *shown = cp_join(target, last);

		return cp_in(cp, source, into->id, last, shown);
	}
	if (into)
		return cp_refused(cp, source, "has no name of its own in the target; name it by its whole path");
	err = remote_walk_parent(cp->remote, target, &parent, name);
	if (err)
		return cp_failed(cp, target, err);
	cp_in(cp, source, parent.id, name, target);
	remote_put(cp->remote, &parent);
}

static void in_all(struct cp *cp, const struct place *places, unsigned int n)
{
	const char *target = places[n - 1].path;
	struct remote_node node = { .id = CASEMENT_ROOT };
	int err = remote_walk(cp->remote, target, true, &node);
	bool into = !err && S_ISDIR(node.attr.mode);

	if (err && err != -ENOENT)
		return cp_failed(cp, target, err);
	if (n > 2 && !into)
		cp_refused(cp, target, "not a directory, and there is more than one source");
	else
		for (unsigned int i = 0; i + 1 < n && !cp->ended; i++)
			if (!name_is_taken(cp, places, i))
				in_one(cp, places[i].path, target, into ? &node : NULL);
	if (!err)
		remote_put(cp->remote, &node);
}

static int copy(struct cp *cp, const struct place *places, unsigned int n)
{
	const char *problem = places_problem(places, n);
	bool out = places[0].socket;
	struct remote remote;

	if (problem) {
		log_error("%s", problem);
		return STATUS_USAGE;
	}
	if (remote_open(out ? places[0].socket : places[n - 1].socket, &remote))
		return STATUS_ERROR;
	cp->remote = &remote;
	cp->umask = umask(0);
	umask(cp->umask);
	progress_init(&cp->progress, cp->quiet);
	if (out)
		out_all(cp, places, n);
	else
		in_all(cp, places, n);
	progress_wipe(&cp->progress);
	remote_close(&remote);
	return cp->failed ? STATUS_ERROR : 0;
}

int cp_main(int argc, char **argv)
{
	const char *words[CP_WORDS];
	struct place places[CP_WORDS];
	struct cp cp = { 0 };
	unsigned int n;
	int status;

	log_setup("casement cp", LOG_LEVEL_INFO);
	switch (options_parse_mixed(&table, argc, argv, &cp, words, CP_WORDS, &n)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return STATUS_USAGE;
	case OPTIONS_GO:
		break;
	}
	if (n < 2) {
		log_error("%s is missing; see casement cp --help", n ? "the target" : "the source");
		return STATUS_USAGE;
	}
	for (unsigned int i = 0; i < n; i++)
		places[i] = parse_place(words[i]);
	status = copy(&cp, places, n);
	for (unsigned int i = 0; i < n; i++)
		free((void *)(uintptr_t)places[i].socket);
	return status;
}
