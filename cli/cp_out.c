/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casement cp from a share. The daemon's names and kinds are not trusted: each name
 * is one name, and what it becomes here is for cp_local.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cp.h"
#include "common/cleanup.h"

struct sink {
	struct cp *cp;
	int fd;
	off_t end;		/* of what was written */
};

/* A remote_sink. */
static int put(void *user, uint64_t offset, const char *data, size_t size)
{
	struct sink *sink = user;

	/* In order: a pipe will do. */
	sink->end = (off_t)(offset + size);
	while (size) {
		ssize_t n = write(sink->fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		progress_add(&sink->cp->progress, (uint64_t)n);
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int set_owner(const struct cp *cp, int fd, const struct fuse_attr *attr)
{
	mode_t mode = attr->mode & (geteuid() ? 0777 : 01777);
	/* Only root can give files away; others keep them. */
	bool given = !fchown(fd, attr->uid, attr->gid);

	if (!given && errno != EPERM)
		return -errno;
	/* A share's word alone makes no program that runs as somebody else. */
	if (given && cp->set_id)
		mode |= attr->mode & (S_ISUID | S_ISGID);
	return fchmod(fd, mode) ? -errno : 0;
}

static int preserve(const struct cp *cp, int fd, const struct fuse_attr *attr)
{
	struct timespec times[2] = {
		{ (time_t)attr->atime, attr->atimensec }, { (time_t)attr->mtime, attr->mtimensec },
	};
	int err = set_owner(cp, fd, attr);

	if (!err && futimens(fd, times))
		err = -errno;
	return err;
}

/* By an open file of the share. The target is opened after it: where that cannot be, it keeps what it has. */
static int copy_opened(struct cp *cp, const struct remote_node *node, uint64_t fh, const struct cp_target *to,
		       bool alike)
{
	mode_t mode = cp->preserve ? 0600 : cp_mode(cp, node->attr.mode);
	cleanup_close int fd = cp_open_file(to, mode, !alike);
	struct sink sink = { cp, fd, 0 };
	struct stat st;
	bool is_file;
	int err;

	if (fd < 0)
		return fd;
	/* Not a device, as /dev/null. */
	is_file = !fstat(fd, &st) && S_ISREG(st.st_mode);
	progress_begin(&cp->progress, to->name, node->attr.size);
	err = remote_read_all(cp->remote, node->id, fh, put, &sink);
	if (!err && alike && is_file && ftruncate(fd, sink.end))
		err = -errno;
	if (!err && cp->preserve && is_file)
		err = preserve(cp, fd, &node->attr);
	/* Some file systems tell of a full disk only now. */
	if (close(take_fd(&fd)) && !err)
		err = -errno;
	return err;
}

static int copy_file(struct cp *cp, const struct remote_node *node, const struct cp_target *to)
{
	enum cp_sameness same = CP_OTHER;
	struct fuse_open_out open;
	struct stat st;
	int err;

	if (!fstatat(to->dir, to->name, &st, to->named ? 0 : AT_SYMLINK_NOFOLLOW))
		same = cp_compare(&node->attr, &st);
	if (same == CP_SAME)
		return -CP_SAME_FILE;
	err = casement_open(cp->remote->queue, node->id, O_RDONLY, &open);
	if (err)
		return err;
	err = copy_opened(cp, node, open.fh, to, same == CP_ALIKE);
	casement_release(cp->remote->queue, node->id, open.fh);
	return err;
}

static int copy_link(struct cp *cp, const struct remote_node *node, const struct cp_target *to)
{
	char target[4096];
	int err = remote_readlink(cp->remote, node->id, target, sizeof(target));

	if (!err)
		err = cp_make_link(to, target);
	if (!err && cp->preserve && !geteuid() &&
	    fchownat(to->dir, to->name, node->attr.uid, node->attr.gid, AT_SYMLINK_NOFOLLOW))
		err = -errno;
	return err;
}

static void copy_node(struct cp *cp, const struct remote_node *node, const char *path,
		      const struct cp_target *to, const struct remote_above *above);

/* What is in a directory, one after the other. */
static void copy_entries(struct cp *cp, const struct remote_node *node, const char *path, int fd,
			 const char *shown, const struct remote_names *names,
			 const struct remote_above *above)
{
	for (size_t i = 0; i < names->n && !cp->ended; i++) {
		cleanup_free char *below = cp_join(path, names->names[i]);
		cleanup_free char *target = cp_join(shown, names->names[i]);
		struct cp_target to = { .dir = fd, .name = names->names[i], .shown = target };
		struct remote_node child;
		int err = remote_lookup(cp->remote, node->id, names->names[i], &child);

		if (err) {
			cp_failed(cp, below, err);
			continue;
		}
		copy_node(cp, &child, below, &to, above);
		remote_put(cp->remote, &child);
	}
}

/* It is listed before its copy is made, which may lie in the same directory of the host. */
static void copy_dir(struct cp *cp, const struct remote_node *node, const char *path,
		     const struct cp_target *to, const struct remote_above *above)
{
	struct remote_above here = { node->id, above, above ? above->depth + 1 : 0 };
	struct remote_names names = { 0 };
	cleanup_close int fd = -1;
	int err = remote_list(cp->remote, node->id, &names);

	if (err) {
		remote_names_free(cp->remote, &names);
		return cp_failed(cp, path, err);
	}
	/* Ours to write into, whatever its mode will be. */
	fd = cp_open_dir(to, cp_mode(cp, node->attr.mode) | 0700);
	if (fd >= 0)
		copy_entries(cp, node, path, fd, to->shown, &names, &here);
	remote_names_free(cp->remote, &names);
	if (fd < 0)
		return cp_failed(cp, to->shown, fd);
	if (cp->preserve && (err = preserve(cp, fd, &node->attr)))
		cp_failed(cp, to->shown, err);
}

static void copy_node(struct cp *cp, const struct remote_node *node, const char *path,
		      const struct cp_target *to, const struct remote_above *above)
{
	int err;

	if (S_ISREG(node->attr.mode) || S_ISLNK(node->attr.mode)) {
		err = S_ISREG(node->attr.mode) ? copy_file(cp, node, to) : copy_link(cp, node, to);
		return err ? cp_failed(cp, to->shown, err) : (void)0;
	}
	if (!S_ISDIR(node->attr.mode))
		return cp_refused(cp, path, "neither a file, a directory nor a link; left out");
	if (!cp->recursive)
		return cp_refused(cp, path, "is a directory; give --recursive");
	if (above && above->depth + 1 == CP_DEPTH)
		return cp_failed(cp, path, -ENAMETOOLONG);
	if (remote_is_above(above, node->id))
		return cp_refused(cp, path, "the same directory as one that it is in; left out");
	copy_dir(cp, node, path, to, above);
}

void cp_out(struct cp *cp, const char *path, const struct cp_target *to)
{
	struct remote_node node;
	int err = remote_walk(cp->remote, path, !cp->recursive || to->named, &node);

	if (err)
		return cp_failed(cp, path, err);
	copy_node(cp, &node, path, to, NULL);
	remote_put(cp->remote, &node);
}
