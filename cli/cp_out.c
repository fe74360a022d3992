/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * casement cp from a share. The daemon's names and kinds are not trusted: below
 * the target that the user named nothing is followed, and each name is one name.
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
};

/* A remote_sink. */
static int put(void *user, uint64_t offset, const char *data, size_t size)
{
	struct sink *sink = user;

	while (size) {
		ssize_t n = pwrite(sink->fd, data, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		progress_add(&sink->cp->progress, (uint64_t)n);
		offset += (uint64_t)n;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int set_owner(int fd, const struct fuse_attr *attr)
{
	/* Only root can give files away; others keep them, without set-id bits. */
	if (fchown(fd, attr->uid, attr->gid) && errno != EPERM)
		return -errno;
	return fchmod(fd, attr->mode & (geteuid() ? 0777 : 07777)) ? -errno : 0;
}

static int preserve(int fd, const struct fuse_attr *attr)
{
	struct timespec times[2] = {
		{ (time_t)attr->atime, attr->atimensec }, { (time_t)attr->mtime, attr->mtimensec },
	};
	int err = set_owner(fd, attr);

	if (!err && futimens(fd, times))
		err = -errno;
	return err;
}

static int copy_data(struct cp *cp, const struct remote_node *node, int fd)
{
	struct sink sink = { cp, fd };
	struct fuse_open_out open;
	int err = casement_open(cp->remote->queue, node->id, O_RDONLY, &open);

	if (err)
		return err;
	err = remote_read_all(cp->remote, node->id, open.fh, put, &sink);
	casement_release(cp->remote->queue, node->id, open.fh);
	return err;
}

static int copy_file(struct cp *cp, const struct remote_node *node, int dir, const char *name,
		     int nofollow)
{
	cleanup_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | nofollow,
				      cp->preserve ? 0600 : cp_mode(cp, node->attr.mode));
	int err;

	if (fd < 0)
		return -errno;
	progress_begin(&cp->progress, name, node->attr.size);
	err = copy_data(cp, node, fd);
	if (!err && cp->preserve)
		err = preserve(fd, &node->attr);
	return err;
}

static int copy_link(struct cp *cp, const struct remote_node *node, int dir, const char *name)
{
	char target[4096];
	int err = remote_readlink(cp->remote, node->id, target, sizeof(target));

	if (!err && symlinkat(target, dir, name))
		err = -errno;
	if (!err && cp->preserve && !geteuid() &&
	    fchownat(dir, name, node->attr.uid, node->attr.gid, AT_SYMLINK_NOFOLLOW))
		err = -errno;
	return err;
}

/* A directory that is there already is filled up. */
static int make_dir(struct cp *cp, const struct remote_node *node, int dir, const char *name,
		    int nofollow)
{
	int fd;

	/* Ours to write into, whatever its mode will be. */
	if (mkdirat(dir, name, cp_mode(cp, node->attr.mode) | 0700) && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | nofollow);
	return fd < 0 ? -errno : fd;
}

static int copy_leaf(struct cp *cp, const struct remote_node *node, int dir, const char *name,
		     int nofollow)
{
	if (S_ISREG(node->attr.mode))
		return copy_file(cp, node, dir, name, nofollow);
	return copy_link(cp, node, dir, name);
}

static void copy_node(struct cp *cp, const struct remote_node *node, const char *path, int dir,
		      const char *name, const char *shown, unsigned int depth)
{
	int nofollow = depth ? O_NOFOLLOW : 0;
	cleanup_close int fd = -1;
	struct remote_names names = { 0 };
	int err = 0;

	if (S_ISREG(node->attr.mode) || S_ISLNK(node->attr.mode)) {
		err = copy_leaf(cp, node, dir, name, nofollow);
		return err ? cp_failed(cp, shown, err) : (void)0;
	}
	if (!S_ISDIR(node->attr.mode))
		return cp_refused(cp, path, "neither a file, a directory nor a link; left out");
	if (!cp->recursive)
		return cp_refused(cp, path, "is a directory; give --recursive");
	if (depth == CP_DEPTH)
		return cp_failed(cp, path, -ENAMETOOLONG);
	fd = make_dir(cp, node, dir, name, nofollow);
	if (fd < 0)
		return cp_failed(cp, shown, fd);
	err = remote_list(cp->remote, node->id, &names);
	for (size_t i = 0; !err && i < names.n; i++) {
		cleanup_free char *below = cp_join(path, names.names[i]);
		cleanup_free char *target = cp_join(shown, names.names[i]);
		struct remote_node child;
		int failed = remote_lookup(cp->remote, node->id, names.names[i], &child);

		if (failed) {
			cp_failed(cp, below, failed);
			continue;
		}
		copy_node(cp, &child, below, fd, names.names[i], target, depth + 1);
		remote_put(cp->remote, &child);
	}
	remote_names_free(&names);
	if (err)
		return cp_failed(cp, path, err);
	if (cp->preserve && (err = preserve(fd, &node->attr)))
		cp_failed(cp, shown, err);
}

void cp_out(struct cp *cp, const char *path, int dir, const char *name, const char *shown)
{
	struct remote_node node;
	/* As cp(1): a link that is named leads to a file, but is kept in a tree. */
	int err = remote_walk(cp->remote, path, !cp->recursive, &node);

	if (err)
		return cp_failed(cp, path, err);
	copy_node(cp, &node, path, dir, name, shown, 0);
	remote_put(cp->remote, &node);
}
