/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casement cp into a share. What is there already under a file's name is written
 * over, a directory filled up.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cp.h"
#include "common/cleanup.h"

struct source {
	struct cp *cp;
	int fd;
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

/* Open `name` for writing, empty; made where it is not there. Counts one look-up. */
static int open_target(struct cp *cp, uint64_t dir, const char *name, mode_t mode,
		       struct remote_node *node, uint64_t *fh)
{
	struct fuse_setattr_in empty = { .valid = FATTR_SIZE };
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	struct fuse_attr_out attr;
	int err = casement_create(cp->remote->queue, dir, name, O_WRONLY | O_CREAT | O_EXCL,
				  S_IFREG | mode, &entry, &open);

	if (!err) {
		*node = (struct remote_node){ entry.nodeid, entry.attr };
		*fh = open.fh;
		return 0;
	}
	if (err != -EEXIST)
		return err;
	err = remote_lookup(cp->remote, dir, name, node);
	if (err)
		return err;
	if (!S_ISREG(node->attr.mode))
		err = S_ISDIR(node->attr.mode) ? -EISDIR : -EEXIST;
	if (!err)
		err = casement_open(cp->remote->queue, node->id, O_WRONLY, &open);
	if (!err) {
		*fh = open.fh;
		err = casement_setattr(cp->remote->queue, node->id, &empty, &attr);
		if (err)
			casement_release(cp->remote->queue, node->id, open.fh);
	}
	if (err)
		remote_put(cp->remote, node);
	return err;
}

static int copy_file(struct cp *cp, int fd, const struct stat *st, uint64_t dir, const char *name)
{
	struct casement_queue *queue = cp->remote->queue;
	struct source source = { cp, fd };
	struct remote_node node;
	uint64_t fh;
	int err = open_target(cp, dir, name, cp->preserve ? 0600 : cp_mode(cp, st->st_mode), &node,
			      &fh), closed;

	if (err)
		return err;
	progress_begin(&cp->progress, name, (uint64_t)st->st_size);
	err = remote_write_all(cp->remote, node.id, fh, get, &source);
	/* Some file systems tell of a full disk only now. */
	closed = casement_flush(queue, node.id, fh);
	if (!err && closed != -ENOSYS)
		err = closed;
	casement_release(queue, node.id, fh);
	if (!err && cp->preserve)
		err = preserve(cp, node.id, st);
	remote_put(cp->remote, &node);
	return err;
}

static int copy_link(struct cp *cp, int from, const char *file, const struct stat *st, uint64_t dir,
		     const char *name)
{
	struct fuse_setattr_in owner = {
		.valid = FATTR_UID | FATTR_GID, .uid = st->st_uid, .gid = st->st_gid,
	};
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, file, target, sizeof(target) - 1);
	int err;

	if (n < 0)
		return -errno;
	target[n] = '\0';
	err = casement_symlink(cp->remote->queue, dir, name, target, &entry);
	if (err)
		return err;
	if (cp->preserve && !geteuid())
		err = casement_setattr(cp->remote->queue, entry.nodeid, &owner, &attr);
	remote_put(cp->remote, &(struct remote_node){ .id = entry.nodeid });
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

/* Copy `file` in the directory `from`, whose path is `path`. */
static void copy_entry(struct cp *cp, int from, const char *file, const char *path, bool follow,
		       uint64_t dir, const char *name, const char *shown, unsigned int depth)
{
	cleanup_close int fd = -1;
	struct remote_node node;
	const struct dirent *entry;
	struct stat st;
	DIR *stream;
	int err = 0;

	if (fstatat(from, file, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW))
		return cp_failed(cp, path, -errno);
	if (S_ISLNK(st.st_mode)) {
		err = copy_link(cp, from, file, &st, dir, name);
		return err ? cp_failed(cp, shown, err) : (void)0;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return cp_refused(cp, path, "neither a file, a directory nor a link; left out");
	if (S_ISDIR(st.st_mode) && !cp->recursive)
		return cp_refused(cp, path, "is a directory; give --recursive");
	fd = openat(from, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
	if (fd < 0 || fstat(fd, &st))
		return cp_failed(cp, path, -errno);
	if (S_ISREG(st.st_mode)) {
		err = copy_file(cp, fd, &st, dir, name);
		return err ? cp_failed(cp, shown, err) : (void)0;
	}
	err = depth < CP_DEPTH ? make_dir(cp, dir, name, st.st_mode, &node) : -ENAMETOOLONG;
	if (err)
		return cp_failed(cp, shown, err);
	stream = fdopendir(fd);
	while (stream && (entry = readdir(stream))) {
		cleanup_free char *below = cp_join(path, entry->d_name);
		cleanup_free char *target = cp_join(shown, entry->d_name);

		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			copy_entry(cp, fd, entry->d_name, below, false, node.id, entry->d_name,
				   target, depth + 1);
	}
	if (stream) {
		take_fd(&fd);
		closedir(stream);
	}
	if (cp->preserve && (err = preserve(cp, node.id, &st)))
		cp_failed(cp, shown, err);
	remote_put(cp->remote, &node);
}

void cp_in(struct cp *cp, const char *path, uint64_t dir, const char *name, const char *shown)
{
	copy_entry(cp, AT_FDCWD, path, path, !cp->recursive, dir, name, shown, 0);
}
