/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extended attributes of files of every type, by path below /proc/self/fd, which
 * is the process' working directory (fs_new()): a descriptor's number is a path to
 * the thing itself, whatever it is, also where /proc is out of sight. Nothing is
 * opened for it, so that a device or a FIFO never is, and a symbolic link's own
 * attributes are meant, never its target's. There is no other way: a path from
 * the root would be the guest's.
 *
 * Names pass through the map (xattr_map.h) on their way in and out. Where it
 * moves security.capability, the host's kernel does not know what it is any
 * more and does not drop it from a file that changes: fs_drop_capability() does.
 *
 * System calls: 1; see fs_at_get() for its own.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "common/cleanup.h"
#include "daemon/fs/fs_private.h"
#include "daemon/fs/thread_fs.h"

#define CAPABILITY "security.capability"
#define ACL_ACCESS "system.posix_acl_access"

static int host_name(const struct fs *fs, const char *name, char host[XATTR_MAP_NAME_SIZE])
{
	static const struct xattr_map none;

	return xattr_map_to_host(fs->config.xattr_map ? fs->config.xattr_map : &none, name, host);
}

void fs_xattr_setup(struct fs *fs)
{
	if (host_name(fs, CAPABILITY, fs->capability) < 0 || !strcmp(fs->capability, CAPABILITY))
		fs->capability[0] = '\0';
}

static ssize_t get_value(int fd, bool opened, const char *name)
{
	return opened ? fgetxattr(fd, name, NULL, 0) : getxattr(safe_open_name(fd).text, name, NULL, 0);
}

static ssize_t get_names(int fd, bool opened, char *names)
{
	return opened ? flistxattr(fd, names, FS_XATTR_LIST_MAX) :
			listxattr(safe_open_name(fd).text, names, FS_XATTR_LIST_MAX);
}

static bool names_have(const char *names, size_t n, const char *name)
{
	for (size_t at = 0; at < n; at += strlen(names + at) + 1)
		if (!strcmp(names + at, name))
			return true;
	return false;
}

/*
 * 1 if the file has the capability, 0 if it has none, or -errno. Who may not
 * read the value may still see its name.
 */
static int has_capability(const struct fs *fs, int fd, bool opened)
{
	cleanup_free char *names = NULL;
	ssize_t n;

	if (get_value(fd, opened, fs->capability) >= 0)
		return 1;
	if (errno == ENODATA || errno == EOPNOTSUPP)
		return 0;
	names = malloc(FS_XATTR_LIST_MAX);
	if (!names)
		return -ENOMEM;
	n = get_names(fd, opened, names);
	return n < 0 ? -errno : names_have(names, (size_t)n, fs->capability);
}

int fs_drop_capability(const struct fs *fs, const struct inode *inode, int fd, bool opened)
{
	int rc;

	/* Nothing else is ever executed; and user.* names are for files and directories only. */
	if (!fs->capability[0] || !S_ISREG(inode->type))
		return 0;
	/* A file without one may be changed also where its attributes may not. */
	rc = has_capability(fs, fd, opened);
	if (rc <= 0)
		return rc;
	rc = opened ? fremovexattr(fd, fs->capability) :
		      removexattr(safe_open_name(fd).text, fs->capability);
	return rc < 0 && errno != ENODATA ? -errno : 0;
}

bool fs_has_acl(int fd)
{
	return getxattr(safe_open_name(fd).text, ACL_ACCESS, NULL, 0) >= 0 ||
	       (errno != ENODATA && errno != EOPNOTSUPP);
}

int fs_set_label(const struct fs *fs, int fd, bool opened, const struct fs_label *label)
{
	char host[XATTR_MAP_NAME_SIZE];
	int rc = host_name(fs, label->name, host);

	if (rc)
		return rc;
	rc = opened ? fsetxattr(fd, host, label->value, label->size, 0) :
		      setxattr(safe_open_name(fd).text, host, label->value, label->size, 0);
	return rc < 0 ? -errno : 0;
}

int fs_umask_ready(struct fs *fs)
{
	(void)fs;
	return thread_fs_enter();
}

/*
 * The host's kernel clears the set-gid bit that a new ACL must not leave to a
 * caller outside the file's group, when it is asked by that caller; and must be
 * let keep it where the guest's kernel found that the caller is in it.
 */
static enum creds_setid setid_of(const char *host, bool acl_kill_sgid)
{
	if (strcmp(host, ACL_ACCESS))
		return CREDS_SETID_ANY;
	return acl_kill_sgid ? CREDS_SETID_LOSE : CREDS_SETID_KEEP;
}

int fs_setxattr(struct fs *fs, const struct fs_caller *caller, uint64_t node, const char *name,
		const void *value, size_t size, uint32_t flags, bool acl_kill_sgid)
{
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	cleanup_creds struct creds as = CREDS_NONE;
	char host[XATTR_MAP_NAME_SIZE];
	int err = fs_check_writable(fs);

	if (!err && (flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)))
		err = -EINVAL;
	if (!err && size > FS_XATTR_SIZE_MAX)
		err = -E2BIG;
	if (!err)
		err = fs_at_get(fs, node, &at);
	if (!err)
		err = host_name(fs, name, host);
	if (!err)
		err = fs_act_as(fs, at.inode, caller, setid_of(host, acl_kill_sgid), &as);
	if (err)
		return err;
	return setxattr(safe_open_name(at.fd).text, host, value, size, (int)flags) < 0 ? -errno : 0;
}

ssize_t fs_getxattr(struct fs *fs, uint64_t node, const char *name, void *value, size_t size)
{
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	char host[XATTR_MAP_NAME_SIZE];
	ssize_t n;
	int err = fs_at_get(fs, node, &at);

	if (!err)
		err = host_name(fs, name, host);
	if (err == -EPERM)	/* of the map: to the guest there is none of that name */
		return -ENODATA;
	if (err)
		return err;
	n = getxattr(safe_open_name(at.fd).text, host, value, size);
	return n < 0 ? -errno : n;
}

ssize_t fs_listxattr(struct fs *fs, uint64_t node, char *names)
{
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	ssize_t n;
	int err = fs_at_get(fs, node, &at);

	if (err)
		return err;
	n = listxattr(safe_open_name(at.fd).text, names, FS_XATTR_LIST_MAX);
	if (n < 0)
		return -errno;
	if (fs->config.xattr_map)
		n = (ssize_t)xattr_map_list(fs->config.xattr_map, names, (size_t)n);
	return n;
}

int fs_removexattr(struct fs *fs, const struct fs_caller *caller, uint64_t node, const char *name)
{
	cleanup_fs_at struct fs_at at = FS_AT_NONE;
	cleanup_creds struct creds as = CREDS_NONE;
	char host[XATTR_MAP_NAME_SIZE];
	int err = fs_check_writable(fs);

	if (!err)
		err = fs_at_get(fs, node, &at);
	if (!err)
		err = host_name(fs, name, host);
	if (!err)
		err = fs_act_as(fs, at.inode, caller, CREDS_SETID_ANY, &as);
	if (err)
		return err;
	return removexattr(safe_open_name(at.fd).text, host) < 0 ? -errno : 0;
}
