/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stand-ins for files, made by a process of their own; see file_proxy.h. The
 * process that serves the guest sends it a file and gets a stand-in back, and
 * that is all the two say to each other. A child that holds nothing of its
 * parent's but one end of a socket, and ends with it.
 */
#include "daemon/dax/file_proxy.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd_message.h"
#include "daemon/dax/stand_in_server.h"

struct file_proxy {
	int sock;	/* [I] to the process; requests are answered in order */
	pid_t pid;	/* [I] */
};

/* ---- in the process ---- */

/* The server's thread inherits what it is confined to; after it the root holds stand-ins only. */
static int process_prepare(struct stand_in_server *server, int (*confine)(const void *ctx), const void *ctx)
{
	int err = confine ? confine(ctx) : 0;

	if (!err)
		err = stand_in_server_start(server);
	/* The kernel asks the server whether we may. */
	if (!err && (fchdir(stand_in_server_root(server)) || chroot(".")))
		err = -errno;
	return err;
}

static void process_serve(struct stand_in_server *server, int sock)
{
	int number, fd;

	while (!fd_message_receive(sock, &number, &fd)) {
		cleanup_close int file = fd;
		cleanup_close int stand_in = -1;
		int err = stand_in = file < 0 ? -EBADF : stand_in_open(server, file);

		if (fd_message_send(sock, err < 0 ? err : 0, stand_in))
			break;
	}
}

static void __attribute__((noreturn))
process_main(int sock, pid_t parent, int (*confine)(const void *ctx), const void *ctx)
{
	struct stand_in_server *server;
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	/* The listening socket above all: it must be deaf when the parent says so. */
	if (dup2(sock, STDIN_FILENO) != STDIN_FILENO)
		_exit(1);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
	sock = STDIN_FILENO;
	err = stand_in_server_mount(&server);
	if (!err) {
		err = process_prepare(server, confine, ctx);
		if (err)
			stand_in_server_free(server);
	}
	if (fd_message_send(sock, err, -1) || err)
		_exit(1);
	process_serve(server, sock);
	stand_in_server_free(server);
	_exit(0);
}

/* ---- in its parent ---- */

int file_proxy_new(int (*confine)(const void *ctx), const void *ctx, struct file_proxy **out)
{
	struct file_proxy *proxy = calloc(1, sizeof(*proxy));
	pid_t parent = getpid();
	int pair[2], fd, err = 0;

	if (!proxy)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		err = -errno;
		free(proxy);
		return err;
	}
	proxy->sock = pair[0];
	proxy->pid = fork();
	if (proxy->pid == 0)
		process_main(pair[1], parent, confine, ctx);
	if (proxy->pid < 0)
		err = -errno;
	close(pair[1]);
	if (proxy->pid > 0 && fd_message_receive(proxy->sock, &err, &fd))
		err = -EIO;
	if (err) {
		file_proxy_free(proxy);
		return err;
	}
	*out = proxy;
	return 0;
}

void file_proxy_free(struct file_proxy *proxy)
{
	close(proxy->sock);
	if (proxy->pid > 0)
		waitpid(proxy->pid, NULL, 0);
	free(proxy);
}

int file_proxy_open(struct file_proxy *proxy, int fd)
{
	int stand_in, err, result = fd_message_send(proxy->sock, 0, fd);

	if (!result)
		result = fd_message_receive(proxy->sock, &err, &stand_in);
	if (result)
		return -EIO;
	return err ? err : stand_in;
}
