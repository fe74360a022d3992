/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casement cp into a share. What is there already under a file's name is written
 * over, a directory filled up.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cp.h"
#include "common/cleanup.h"

struct source {
	struct cp *cp;
	int fd;
	uint64_t end;		/* of what was read */
};

/* A remote_source: as much as there is, as a short piece is not the end. */
static ssize_t get(void *user, uint64_t offset, char *data, size_t size)
{
	struct source *source = user;
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(source->fd, data + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	source->end = offset + done;
	progress_add(&source->cp->progress, done);
	return (ssize_t)done;
}

/* Mode, owner and times. The owner first: a change of it takes set-id bits. */
static int preserve(struct cp *cp, uint64_t node, const struct stat *st)
{
	struct fuse_setattr_in owner = {
		.valid = FATTR_UID | FATTR_GID, .uid = st->st_uid, .gid = st->st_gid,
	};
	struct fuse_setattr_in rest = {
		.valid = FATTR_MODE | FATTR_ATIME | FATTR_MTIME, .mode = st->st_mode,
		.atime = (uint64_t)st->st_atim.tv_sec, .atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtime = (uint64_t)st->st_mtim.tv_sec, .mtimensec = (uint32_t)st->st_mtim.tv_nsec,
	};
	struct fuse_attr_out attr;
	int err = casement_setattr(cp->remote->queue, node, &owner, &attr);

	if (err == -EPERM)
		rest.mode &= (uint32_t)~(S_ISUID | S_ISGID);
	else if (err)
		return err;
	return casement_setattr(cp->remote->queue, node, &rest, &attr);
}

/* The share's file a copy is written to. */
struct target {
	struct remote_node node;
	uint64_t fh;
	bool alike;		/* it may be the source: it is cut behind the copy, not before */
};

static int cut_target(struct cp *cp, const struct target *to, uint64_t size)
{
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = size };
	struct fuse_attr_out attr;

	return casement_setattr(cp->remote->queue, to->node.id, &set, &attr);
}

/* A regular file that is there, and is not the source. The look-up is counted. */
static int open_existing(struct cp *cp, const struct stat *st, struct target *to)
{
	enum cp_sameness same = cp_compare(&to->node.attr, st);
	struct fuse_open_out open;
	int err;

	if (!S_ISREG(to->node.attr.mode))
		return S_ISDIR(to->node.attr.mode) ? -EISDIR : -EEXIST;
	if (same == CP_SAME)
		return -CP_SAME_FILE;
	err = casement_open(cp->remote->queue, to->node.id, O_WRONLY, &open);
	if (err)
		return err;
	to->fh = open.fh;
	to->alike = same == CP_ALIKE;
	err = to->alike ? 0 : cut_target(cp, to, 0);
	if (err)
		casement_release(cp->remote->queue, to->node.id, open.fh);
	return err;
}

/* Open `name` for writing from its start on; made where it is not there. Counts one look-up. */
static int open_target(struct cp *cp, const struct stat *st, uint64_t dir, const char *name, struct target *to)
{
	mode_t mode = cp->preserve ? 0600 : cp_mode(cp, st->st_mode);
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	int err = casement_create(cp->remote->queue, dir, name, O_WRONLY | O_CREAT | O_EXCL,
				  S_IFREG | mode, &entry, &open);

	if (!err) {
		*to = (struct target){ .node = { entry.nodeid, entry.attr }, .fh = open.fh };
		return 0;
	}
	if (err != -EEXIST)
		return err;
	err = remote_lookup(cp->remote, dir, name, &to->node);
	if (err)
		return err;
	err = open_existing(cp, st, to);
	if (err)
		remote_put(cp->remote, &to->node);
	return err;
}

static int copy_file(struct cp *cp, int fd, const struct stat *st, uint64_t dir, const char *name)
{
	struct casement_queue *queue = cp->remote->queue;
	struct source source = { cp, fd, 0 };
	struct target to;
	int err = open_target(cp, st, dir, name, &to), closed;

	if (err)
		return err;
	progress_begin(&cp->progress, name, (uint64_t)st->st_size);
	err = remote_write_all(cp->remote, to.node.id, to.fh, get, &source);
	if (!err && to.alike)
		err = cut_target(cp, &to, source.end);
	/* Some file systems tell of a full disk only now. */
	closed = casement_flush(queue, to.node.id, to.fh);
	if (!err && closed != -ENOSYS)
		err = closed;
	casement_release(queue, to.node.id, to.fh);
	if (!err && cp->preserve)
		err = preserve(cp, to.node.id, st);
	remote_put(cp->remote, &to.node);
	return err;
}

/* Make the link; a link or file that is there goes, as with cp(1), unless it is the same already. */
static int make_link(struct cp *cp, uint64_t dir, const char *name, const char *target,
		     struct remote_node *node)
{
	struct casement_queue *queue = cp->remote->queue;
	struct fuse_entry_out entry;
	char there[PATH_MAX];
	int err = casement_symlink(queue, dir, name, target, &entry);

	if (err == -EEXIST && !remote_lookup(cp->remote, dir, name, node)) {
		bool is_link = S_ISLNK(node->attr.mode);

		if (is_link && !remote_readlink(cp->remote, node->id, there, sizeof(there)) &&
		    !strcmp(there, target))
			return 0;
		if (is_link || S_ISREG(node->attr.mode))
			err = casement_unlink(queue, dir, name);
		remote_put(cp->remote, node);
		if (!err)
			err = casement_symlink(queue, dir, name, target, &entry);
	}
	if (!err)
		*node = (struct remote_node){ entry.nodeid, entry.attr };
	return err;
}

static int copy_link(struct cp *cp, int from, const char *file, const struct stat *st, uint64_t dir,
		     const char *name)
{
	struct fuse_setattr_in owner = {
		.valid = FATTR_UID | FATTR_GID, .uid = st->st_uid, .gid = st->st_gid,
	};
	struct fuse_attr_out attr;
	struct remote_node node;
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, file, target, sizeof(target) - 1);
	int err;

	if (n < 0)
		return -errno;
	target[n] = '\0';
	err = make_link(cp, dir, name, target, &node);
	if (err)
		return err;
	if (cp->preserve && !geteuid())
		err = casement_setattr(cp->remote->queue, node.id, &owner, &attr);
	remote_put(cp->remote, &node);
	return err;
}

static int make_dir(struct cp *cp, uint64_t dir, const char *name, mode_t mode,
		    struct remote_node *node)
{
	struct fuse_entry_out entry;
	int err = casement_mkdir(cp->remote->queue, dir, name, cp_mode(cp, mode), &entry);

	if (!err) {
		*node = (struct remote_node){ entry.nodeid, entry.attr };
		return 0;
	}
	if (err != -EEXIST)
		return err;
	err = remote_lookup(cp->remote, dir, name, node);
	if (!err && !S_ISDIR(node->attr.mode)) {
		remote_put(cp->remote, node);
		err = -ENOTDIR;
	}
	return err;
}

/* The names in a directory of this host, but "." and "..". */
struct local_names {
	char **names;		/* owned */
	size_t n, room;
};

static void local_names_free(struct local_names *names)
{
	while (names->n)
		free(names->names[--names->n]);
	free(names->names);
}

static int add_name(struct local_names *names, const char *name)
{
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	if (names->n == names->room) {
		size_t room = names->room ? 2 * names->room : 64;
		char **grown = realloc(names->names, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		names->names = grown;
		names->room = room;
	}
	names->names[names->n] = strdup(name);
	return names->names[names->n] && ++names->n ? 0 : -ENOMEM;
}

/* List an open directory. 0, or -errno with the names that were read before. */
static int local_list(int dir, struct local_names *names)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!stream) {
		err = -errno;
		close_fd(&fd);
		return err;
	}
	/* NULL is the end, or an error, which errno alone tells. */
	while (!err && (errno = 0, entry = readdir(stream)))
		err = add_name(names, entry->d_name);
	if (!err && errno)
		err = -errno;
	closedir(stream);
	return err;
}

/* Where a local file is, and where it goes. */
struct entry {
	int from;		/* descriptor of its directory, or AT_FDCWD */
	const char *file;	/* in it */
	const char *path;	/* the same as messages say it */
	bool follow;		/* a word of the command line that may be a link */
	uint64_t dir;		/* in the share */
	const char *name;	/* in that */
	const char *shown;	/* the same as messages say it */
};

static void copy_entry(struct cp *cp, const struct entry *entry, unsigned int depth);

static void copy_entries(struct cp *cp, const struct entry *entry, int fd, uint64_t dir,
			 const struct local_names *names, unsigned int depth)
{
	for (size_t i = 0; i < names->n && !cp->ended; i++) {
		cleanup_free char *path = cp_join(entry->path, names->names[i]);
		cleanup_free char *shown = cp_join(entry->shown, names->names[i]);
		struct entry below = {
			.from = fd, .file = names->names[i], .path = path,
			.dir = dir, .name = names->names[i], .shown = shown,
		};

		copy_entry(cp, &below, depth);
	}
}

/* It is listed before its copy is made, which may come to lie in it. */
static void copy_dir(struct cp *cp, const struct entry *entry, int fd, const struct stat *st,
		     unsigned int depth)
{
	struct local_names names = { 0 };
	struct remote_node node;
	int listed = local_list(fd, &names), err;

	/* What could be read of it is copied, and the rest is a failure. */
	if (listed)
		cp_failed(cp, entry->path, listed);
	err = depth < CP_DEPTH ? make_dir(cp, entry->dir, entry->name, st->st_mode, &node) :
				 -ENAMETOOLONG;
	if (!err) {
		copy_entries(cp, entry, fd, node.id, &names, depth + 1);
		if (cp->preserve)
			err = preserve(cp, node.id, st);
		remote_put(cp->remote, &node);
	}
	local_names_free(&names);
	if (err)
		cp_failed(cp, entry->shown, err);
}

static void copy_opened(struct cp *cp, const struct entry *entry, int fd, unsigned int depth)
{
	struct stat st;
	int err;

	/* What was opened is what counts: it may be another thing than a moment ago. */
	if (fstat(fd, &st))
		return cp_failed(cp, entry->path, -errno);
	if (S_ISDIR(st.st_mode))
		return copy_dir(cp, entry, fd, &st, depth);
	err = S_ISREG(st.st_mode) ? copy_file(cp, fd, &st, entry->dir, entry->name) : -EAGAIN;
	if (err)
		cp_failed(cp, S_ISREG(st.st_mode) ? entry->shown : entry->path, err);
}

static void copy_entry(struct cp *cp, const struct entry *entry, unsigned int depth)
{
	int nofollow = entry->follow ? 0 : O_NOFOLLOW;
	cleanup_close int fd = -1;
	struct stat st;
	int err;

	if (fstatat(entry->from, entry->file, &st, entry->follow ? 0 : AT_SYMLINK_NOFOLLOW))
		return cp_failed(cp, entry->path, -errno);
	if (S_ISLNK(st.st_mode)) {
		err = copy_link(cp, entry->from, entry->file, &st, entry->dir, entry->name);
		return err ? cp_failed(cp, entry->shown, err) : (void)0;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return cp_refused(cp, entry->path, "neither a file, a directory nor a link; left out");
	if (S_ISDIR(st.st_mode) && !cp->recursive)
		return cp_refused(cp, entry->path, "is a directory; give --recursive");
	fd = openat(entry->from, entry->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | nofollow);
	if (fd < 0)
		return cp_failed(cp, entry->path, -errno);
	copy_opened(cp, entry, fd, depth);
}

void cp_in(struct cp *cp, const char *path, uint64_t dir, const char *name, const char *shown)
{
	struct entry entry = {
		.from = AT_FDCWD, .file = path, .path = path, .follow = !cp->recursive,
		.dir = dir, .name = name, .shown = shown,
	};

	copy_entry(cp, &entry, 0);
}
