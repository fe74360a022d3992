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
#define PID_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(PID_SUFFIX))

static void pid_path(char out[PID_PATH_MAX], const char *path)
{
	snprintf(out, PID_PATH_MAX, "%s%s", path, PID_SUFFIX);
}

static int lock_take(const char *path)
{
	char name[PID_PATH_MAX];
	cleanup_close int fd = -1;

	pid_path(name, path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		int err = -errno;

		log_error("%s: cannot be made: %m; choose a --socket-path in a directory you may write", name);
		return err;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		log_error("%s: in use by another daemon (%s is locked); stop it or choose another --socket-path",
			  path, name);
		return -EADDRINUSE;
	}
	if (ftruncate(fd, 0) || dprintf(fd, "%d\n", getpid()) < 0)
		log_warn("%s: cannot write the pid: %m", name);
	return take_fd(&fd);
}

/* Only a socket that nobody holds is removed to make room; anything else is somebody's file. */
static int path_clear(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		log_error("%s: exists and is not a socket; choose another --socket-path", path);
		return -EEXIST;
	}
	return unlink(path) ? -errno : 0;
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

static int socket_give(const char *path, const char *name)
{
	struct group *group = getgrnam(name);

	if (!group) {
		log_error("--socket-group %s: there is no such group", name);
		return -ENOENT;
	}
	if (chown(path, (uid_t)-1, group->gr_gid)) {
		int err = -errno;

		log_error("%s: cannot be given to group %s: %m", path, name);
		return err;
	}
	return 0;
}

int listener_open(struct listener *listener, const char *path, const char *group)
{
	cleanup_close int fd = -1;
	int err;

	*listener = (struct listener){ .fd = -1, .lock_fd = -1 };
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		log_error("%s: longer than a socket's name may be (107 bytes); choose a shorter --socket-path", path);
		return -ENAMETOOLONG;
	}
	listener->lock_fd = lock_take(path);
	if (listener->lock_fd < 0)
		return listener->lock_fd;
	err = path_clear(path);
	if (!err) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		err = fd < 0 ? -errno : socket_bind(fd, path, group);
	}
	if (!err) {
		listener->path = path;
		err = group ? socket_give(path, group) : 0;
	}
	if (!err && listen(fd, 1))
		err = -errno;
	if (err)
		listener_close(listener);
	else
		listener->fd = take_fd(&fd);
	return err;
}

int listener_adopt(struct listener *listener, int fd)
{
	int listening = 0;
	socklen_t len = sizeof(listening);

	*listener = (struct listener){ .fd = -1, .lock_fd = -1 };
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
	listener->path = NULL;
	close_fd(&listener->lock_fd);
}

void listener_close(struct listener *listener)
{
	char name[PID_PATH_MAX];

	close_fd(&listener->fd);
	if (listener->path)
		unlink(listener->path);
	if (listener->path && listener->lock_fd >= 0) {
		pid_path(name, listener->path);
		unlink(name);
	}
	close_fd(&listener->lock_fd);
	listener->path = NULL;
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
