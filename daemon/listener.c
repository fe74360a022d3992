/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket on which the VMM is awaited. A lock on PATH.pid, not a trial
 * connect, tells whether another daemon is there: to connect would be taken
 * for a VMM.
 */
#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

#define PID_SUFFIX ".pid"

static int dir_open(const char *path, const char *name)
{
	cleanup_free char *dir = strndup(path, (size_t)(name - path));
	int fd = dir ? open(*dir ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int err = fd < 0 ? -errno : 0;

	if (err)
		log_error("%s: %s; choose a --socket-path in a directory that exists", path, strerror(-err));
	return err ? err : fd;
}

/* What is there may be another user's doing: a link to some file of ours would be cut below. */
static bool is_own_file(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static int lock_take(const struct listener *listener, const char *path)
{
	cleanup_close int fd = openat(listener->dir_fd, listener->lock_name,
				      O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);

	if (fd < 0) {
		int err = -errno;

		log_error("%s" PID_SUFFIX ": cannot be made: %m; choose a --socket-path in a directory you may write",
			  path);
		return err;
	}
	if (!is_own_file(fd)) {
		log_error("%s" PID_SUFFIX ": exists and is no file of casementd's; choose another --socket-path", path);
		return -EEXIST;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		log_error("%s: in use by another daemon (%s" PID_SUFFIX " is locked); stop it or choose another --socket-path",
			  path, path);
		return -EADDRINUSE;
	}
	if (ftruncate(fd, 0) || dprintf(fd, "%d\n", getpid()) < 0)
		log_warn("%s" PID_SUFFIX ": cannot write the pid: %m", path);
	return take_fd(&fd);
}

/* Only a socket that nobody holds is removed to make room; anything else is somebody's file. */
static int path_clear(const struct listener *listener, const char *path, const char *name)
{
	struct stat st;

	if (fstatat(listener->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		log_error("%s: exists and is not a socket; choose another --socket-path", path);
		return -EEXIST;
	}
	return unlinkat(listener->dir_fd, name, 0) ? -errno : 0;
}

static int socket_bind(int fd, const char *path, bool for_group)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t old;
	int err;

	memcpy(addr.sun_path, path, strlen(path) + 1);
	old = umask(for_group ? 0007 : 0077);
	err = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	umask(old);
	if (err)
		log_error("%s: cannot listen there: %s", path, strerror(-err));
	return err;
}

/* A socket of that name, if it is one: never what a link there leads to. */
static int socket_chgrp(const struct listener *listener, const char *name, gid_t gid)
{
	cleanup_close int fd = openat(listener->dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	return fchownat(fd, "", (uid_t)-1, gid, AT_EMPTY_PATH) ? -errno : 0;
}

static int socket_give(const struct listener *listener, const char *path, const char *at, const char *name)
{
	struct group *group = getgrnam(name);
	int err;

	if (!group) {
		log_error("--socket-group %s: there is no such group", name);
		return -ENOENT;
	}
	err = socket_chgrp(listener, at, group->gr_gid);
	if (err)
		log_error("%s: cannot be given to group %s: %s", path, name, strerror(-err));
	return err;
}

/* The names, and the directory they are in: who serves may have another working directory later. */
static int name_socket(struct listener *listener, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		log_error("%s: longer than a socket's name may be (107 bytes); choose a shorter --socket-path", path);
		return -ENAMETOOLONG;
	}
	listener->name = slash ? slash + 1 : path;
	snprintf(listener->lock_name, sizeof(listener->lock_name), "%s" PID_SUFFIX, listener->name);
	listener->dir_fd = dir_open(path, listener->name);
	return listener->dir_fd < 0 ? listener->dir_fd : 0;
}

/* Bound, given away, listening at `path`, whose last part is `name`. On an error nothing is left there. */
static int socket_listen(const struct listener *listener, int fd, const char *path, const char *name,
			 const char *group)
{
	int err = path_clear(listener, path, name);

	if (!err)
		err = socket_bind(fd, path, group);
	if (err)
		return err;
	if (group)
		err = socket_give(listener, path, name, group);
	if (!err && listen(fd, 1))
		err = -errno;
	if (err)
		unlinkat(listener->dir_fd, name, 0);
	return err;
}

/*
 * Whoever sees the path may connect: so the socket gets that name when it listens. Of
 * two daemons only the one with the lock comes here. A path of full length has no room
 * for the other name.
 */
static int socket_appear(const struct listener *listener, int fd, const char *path, const char *group)
{
	char early[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *early_name = early + (listener->name - path);
	int err;

	if (snprintf(early, sizeof(early), "%s~", path) >= (int)sizeof(early))
		return socket_listen(listener, fd, path, listener->name, group);
	err = path_clear(listener, path, listener->name);
	if (!err)
		err = socket_listen(listener, fd, early, early_name, group);
	if (!err && renameat(listener->dir_fd, early_name, listener->dir_fd, listener->name)) {
		err = -errno;
		log_error("%s: cannot be made: %m", path);
		unlinkat(listener->dir_fd, early_name, 0);
	}
	return err;
}

static int open_socket(struct listener *listener, const char *path, const char *group)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = fd < 0 ? -errno : socket_appear(listener, fd, path, group);

	if (err)
		return err;
	listener->bound = true;
	listener->fd = take_fd(&fd);
	return 0;
}

int listener_open(struct listener *listener, const char *path, const char *group)
{
	int err;

	*listener = (struct listener)LISTENER_NONE;
	err = name_socket(listener, path);
	if (err)
		return err;
	listener->lock_fd = lock_take(listener, path);
	err = listener->lock_fd < 0 ? listener->lock_fd : open_socket(listener, path, group);
	if (err)
		listener_close(listener);
	return err;
}

int listener_adopt(struct listener *listener, int fd)
{
	int listening = 0;
	socklen_t len = sizeof(listening);

	*listener = (struct listener)LISTENER_NONE;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) || !listening) {
		log_error("--fd %d: not a listening socket", fd);
		return -EINVAL;
	}
	/* Who was about to connect may have gone when we accept. */
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	listener->fd = fd;
	return 0;
}

void listener_deafen(struct listener *listener)
{
	close_fd(&listener->fd);
}

void listener_refuse(struct listener *listener)
{
	cleanup_close int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		log_warn("a second VMM connected while one is served; it is refused");
}

void listener_disown(struct listener *listener)
{
	listener->bound = false;
	close_fd(&listener->lock_fd);
	close_fd(&listener->dir_fd);
}

void listener_close(struct listener *listener)
{
	close_fd(&listener->fd);
	if (listener->bound)
		unlinkat(listener->dir_fd, listener->name, 0);
	if (listener->bound && listener->lock_fd >= 0)
		unlinkat(listener->dir_fd, listener->lock_name, 0);
	listener->bound = false;
	close_fd(&listener->lock_fd);
	close_fd(&listener->dir_fd);
}

int listener_accept(struct listener *listener, int stop_fd)
{
	struct pollfd fds[2] = {
		{ .fd = listener->fd, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
	};

	for (;;) {
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -ECANCELED;
		if (!fds[0].revents)
			continue;
		fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED) {
			int err = -errno;

			log_error("cannot accept a connection: %m");
			return err;
		}
	}
}
