/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mount itself; see mount_fuse.h. Relies on libfuse keeping its hands off
 * the descriptor but for closing it at the unmount; never lets it read a message.
 */
#define FUSE_USE_VERSION 35
#include "cli/mount_fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#include "common/cleanup.h"
#include "common/log.h"

#define DEV_FUSE "/dev/fuse"
#define DEV_FUSE_CLONE _IOR(229, 0, uint32_t)	/* FUSE_DEV_IOC_CLONE; the two headers exclude each other */

/* libfuse's own lines, as ours. It says no more than one line each. */
static void log_fuse(enum fuse_log_level level, const char *format, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_line(level <= FUSE_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "%s", text);
}

/* Add "-o OPTION"; 0 or -ENOMEM. */
static int add_option(struct fuse_args *args, const char *option)
{
	return fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, option) ? -ENOMEM : 0;
}

/* fsname= takes a comma and a backslash only behind a backslash. */
static int add_name(struct fuse_args *args, const char *socket)
{
	cleanup_free char *option = malloc(sizeof("fsname=") + 2 * strlen(socket));
	char *to;

	if (!option)
		return -ENOMEM;
	to = stpcpy(option, "fsname=");
	for (; *socket; socket++) {
		if (*socket == ',' || *socket == '\\')
			*to++ = '\\';
		*to++ = *socket;
	}
	*to = '\0';
	return add_option(args, option);
}

static int build_args(const struct mount_config *config, struct fuse_args *args)
{
	int err = fuse_opt_add_arg(args, "casement") ? -ENOMEM : add_name(args, config->socket);

	if (!err)
		err = add_option(args, "subtype=casement,default_permissions");
	for (unsigned int i = 0; !err && i < config->n_options; i++)
		err = add_option(args, config->options[i]);
	if (err)
		log_error("out of memory");
	return err;
}

int fuse_mount_clone(const struct fuse_mount *mount)
{
	cleanup_close int fd = open(DEV_FUSE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	uint32_t master = (uint32_t)mount->fd;

	if (fd < 0 || ioctl(fd, DEV_FUSE_CLONE, &master)) {
		int err = -errno;

		log_error("%s: no descriptor for another queue: %s; give --queues 1", DEV_FUSE,
			  strerror(-err));
		return err;
	}
	return take_fd(&fd);
}

uint32_t fuse_mount_device(const struct mount_config *config)
{
	struct statx stx;

	/* INIT is not answered yet: a request for attributes would wait for us. */
	if (statx(AT_FDCWD, config->dir, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_TYPE, &stx) ||
	    !S_ISDIR(stx.stx_mode) || !(stx.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return 0;
	return stx.stx_dev_major << 20 | (stx.stx_dev_minor & 0xfffff);
}

void fuse_mount_detach(struct fuse_mount *mount)
{
	if (mount->session)
		fuse_session_unmount(mount->session);
}

void fuse_mount_close(struct fuse_mount *mount)
{
	fuse_mount_detach(mount);
	if (mount->session)
		fuse_session_destroy(mount->session);
	mount->session = NULL;
	close_fd(&mount->fd);
}

/* A descriptor that libfuse does not close, as it does with its own before it unmounts. */
static int take_device(struct fuse_mount *mount)
{
	mount->fd = fcntl(fuse_session_fd(mount->session), F_DUPFD_CLOEXEC, 3);
	if (mount->fd < 0 || fcntl(mount->fd, F_SETFL, O_RDWR | O_NONBLOCK)) {
		log_error("%s: %s", DEV_FUSE, strerror(errno));
		return -errno;
	}
	return 0;
}

/*
 * libfuse unmounts by the word that it was given here, and a process in the background is in another
 * directory by then. "/dev/fd/N" is a descriptor, and no path to it.
 */
static int session_mount(struct fuse_session *session, const char *dir)
{
	cleanup_free char *path = strncmp(dir, "/dev/fd/", 8) ? realpath(dir, NULL) : NULL;

	return fuse_session_mount(session, path ? path : dir);
}

int fuse_mount_open(const struct mount_config *config, struct fuse_mount *mount)
{
	static const struct fuse_lowlevel_ops none;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int err;

	*mount = (struct fuse_mount){ .fd = -1 };
	fuse_set_log_func(log_fuse);
	err = build_args(config, &args);
	if (!err)
		mount->session = fuse_session_new(&args, &none, sizeof(none), NULL);
	fuse_opt_free_args(&args);
	if (err)
		return err;
	if (!mount->session)
		return -EINVAL;		/* libfuse has said why */
	if (session_mount(mount->session, config->dir)) {
		log_error("%s: cannot be mounted on", config->dir);
		err = -EIO;
	} else {
		err = take_device(mount);
	}
	if (err)
		fuse_mount_close(mount);
	return err;
}
