/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A FUSE server of one directory for one client: ourselves. The kernel asks
 * its few questions while stand_in_open() opens a stand-in by a number, and
 * when the VMM asks for its size. Relies on nobody else ever seeing the mount:
 * it has no path.
 */
#include "daemon/dax/stand_in_server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/stop_token.h"
#include "proto/fuse_wire.h"

/* What a stand-in says of its size: more than any mapping ends at. */
#define STAND_IN_SIZE (1ull << 62)
#define STAND_IN_VALID_S 86400
#define STAND_IN_MINOR 40			/* the first with passthrough */
#define STAND_IN_REQUEST_MAX (FUSE_MIN_READ_BUFFER + 4096)
/* Root is node 1; stand-in n is node n, and its name is n in decimal. */
#define STAND_IN_FIRST 2

struct stand_in_server {
	int dev;			/* [I] /dev/fuse */
	int mount;			/* [I] the detached mount */
	pthread_t thread;		/* once running */
	bool running;
	struct stop_token stop;		/* ends the thread */
	uint64_t next;			/* the opener's: number of the next stand-in */
	atomic_int backing;		/* [A] id that the next OPEN is answered with */
	atomic_bool passthrough;	/* [A] the kernel agreed, at INIT */
};

struct server_request {
	struct fuse_in_header head;
	char body[STAND_IN_REQUEST_MAX - sizeof(struct fuse_in_header)];
};

static void server_reply(struct stand_in_server *server, const struct server_request *req, int err,
			const void *out, size_t len)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + (err ? 0 : len)), .error = err,
		.unique = req->head.unique,
	};
	struct iovec iov[2] = { { &head, sizeof(head) }, { (void *)(uintptr_t)out, len } };

	if (writev(server->dev, iov, err || !len ? 1 : 2) < 0 && errno != ENOENT)
		log_debug("window: the kernel refused an answer about a stand-in: %m");
}

static void server_fill_attr(struct fuse_attr *attr, uint64_t node)
{
	bool root = node == FUSE_ROOT_ID;

	*attr = (struct fuse_attr){
		.ino = node,
		.size = root ? 0 : STAND_IN_SIZE,
		.mode = root ? S_IFDIR | 0700 : S_IFREG | 0600,
		.nlink = 1, .uid = geteuid(), .gid = getegid(), .blksize = 4096,
	};
}

static void server_init(struct stand_in_server *server, const struct server_request *req)
{
	const struct fuse_init_in *in = (const void *)req->body;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION, .minor = STAND_IN_MINOR,
		.flags = FUSE_INIT_EXT, .flags2 = (uint32_t)(FUSE_PASSTHROUGH >> 32),
		.max_write = 4096, .max_readahead = 4096,
	};
	uint32_t depth = 2;	/* real files may lie on one stacked file system, an overlay */

	/* max_stack_depth came with 7.40 and stands behind flags2; older headers call it unused. */
	memcpy((char *)&out.flags2 + sizeof(out.flags2), &depth, sizeof(depth));
	if (in->minor >= STAND_IN_MINOR && (in->flags & FUSE_INIT_EXT) &&
	    (in->flags2 & (uint32_t)(FUSE_PASSTHROUGH >> 32)))
		atomic_store(&server->passthrough, true);
	server_reply(server, req, 0, &out, sizeof(out));
}

static void server_lookup(struct stand_in_server *server, const struct server_request *req)
{
	struct fuse_entry_out out = { .nodeid = strtoull(req->body, NULL, 10) };

	if (out.nodeid < STAND_IN_FIRST) {
		server_reply(server, req, -ENOENT, NULL, 0);
		return;
	}
	out.attr_valid = STAND_IN_VALID_S;
	server_fill_attr(&out.attr, out.nodeid);
	server_reply(server, req, 0, &out, sizeof(out));
}

static void server_getattr(struct stand_in_server *server, const struct server_request *req)
{
	struct fuse_attr_out out = { .attr_valid = STAND_IN_VALID_S };

	server_fill_attr(&out.attr, req->head.nodeid);
	server_reply(server, req, 0, &out, sizeof(out));
}

static void server_open(struct stand_in_server *server, const struct server_request *req)
{
	struct fuse_open_out out = { .open_flags = FOPEN_PASSTHROUGH | FOPEN_NOFLUSH };

	out.FUSE_OPEN_OUT_BACKING = (typeof(out.FUSE_OPEN_OUT_BACKING))atomic_load(&server->backing);
	server_reply(server, req, 0, &out, sizeof(out));
}

static void server_done(struct stand_in_server *server, const struct server_request *req)
{
	server_reply(server, req, 0, NULL, 0);
}

static void server_ignore(struct stand_in_server *server, const struct server_request *req)
{
	(void)server;
	(void)req;
}

typedef void (*server_handler)(struct stand_in_server *server, const struct server_request *req);

static const server_handler server_handlers[FUSE_OPCODE_LIMIT] = {
	[FUSE_INIT] = server_init,
	[FUSE_LOOKUP] = server_lookup,
	[FUSE_GETATTR] = server_getattr,
	[FUSE_OPEN] = server_open,
	[FUSE_FLUSH] = server_done,
	[FUSE_RELEASE] = server_done,
	[FUSE_FORGET] = server_ignore,
	[FUSE_BATCH_FORGET] = server_ignore,
	[FUSE_INTERRUPT] = server_ignore,
};

static void server_serve(struct stand_in_server *server, const struct server_request *req)
{
	uint32_t opcode = req->head.opcode;

	if (opcode < FUSE_OPCODE_LIMIT && server_handlers[opcode])
		server_handlers[opcode](server, req);
	else
		server_reply(server, req, -ENOSYS, NULL, 0);
}

/* Ends when it is told to, or when the mount is gone: read(2) then says ENODEV. */
static void *server_main(void *arg)
{
	struct stand_in_server *server = arg;
	struct server_request req;

	pthread_setname_np(pthread_self(), "stand-ins");
	stop_token_set_current(&server->stop);
	while (!stop_token_wait_readable(server->dev)) {
		ssize_t n = read(server->dev, &req, sizeof(req) - 1);

		if (n < 0 && errno != EINTR && errno != ENOENT && errno != EAGAIN)
			break;
		if (n < (ssize_t)sizeof(req.head))
			continue;
		((char *)&req)[n] = '\0';
		server_serve(server, &req);
	}
	return NULL;
}

static int server_configure(int fs, int dev)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", dev);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", "casement-window", 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "fd", text, 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "rootmode", "40000", 0))
		return -errno;
	snprintf(text, sizeof(text), "%u", geteuid());
	if (fsconfig(fs, FSCONFIG_SET_STRING, "user_id", text, 0))
		return -errno;
	snprintf(text, sizeof(text), "%u", getegid());
	/* The VMM, which may be another user, asks for a stand-in's size. */
	if (fsconfig(fs, FSCONFIG_SET_STRING, "group_id", text, 0) ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "allow_other", NULL, 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	return 0;
}

static int server_mount(int dev)
{
	cleanup_close int fs = fsopen("fuse", FSOPEN_CLOEXEC);
	int err, mount;

	if (fs < 0)
		return -errno;
	err = server_configure(fs, dev);
	if (err)
		return err;
	mount = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return mount < 0 ? -errno : mount;
}


static int server_start_thread(struct stand_in_server *server)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&server->thread, NULL, server_main, server);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

/* Any request brings the answer to INIT with it; then we know what the kernel can. */
static int server_await_init(struct stand_in_server *server)
{
	struct stat st;

	if (fstatat(server->mount, "1", &st, 0) && errno != ENOENT)
		return -errno;
	return atomic_load(&server->passthrough) ? 0 : -EOPNOTSUPP;
}

int stand_in_server_mount(struct stand_in_server **out)
{
	struct stand_in_server *server = calloc(1, sizeof(*server));
	int err;

	if (!server)
		return -ENOMEM;
	server->next = STAND_IN_FIRST;
	server->mount = -1;
	err = stop_token_open(&server->stop);
	if (err)
		goto free_server;
	server->dev = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (server->dev < 0) {
		err = -errno;
		goto close_stop;
	}
	server->mount = server_mount(server->dev);
	if (server->mount < 0) {
		err = server->mount;
		goto close_dev;
	}
	*out = server;
	return 0;

close_dev:
	close_fd(&server->dev);
close_stop:
	stop_token_close(&server->stop);
free_server:
	free(server);
	return err;
}

int stand_in_server_root(const struct stand_in_server *server)
{
	return server->mount;
}

int stand_in_server_start(struct stand_in_server *server)
{
	int err = server_start_thread(server);

	if (err)
		return err;
	server->running = true;
	return server_await_init(server);
}

void stand_in_server_free(struct stand_in_server *server)
{
	/* Stand-ins that the VMM holds keep the mount; without its device it is dead, and harmless. */
	close_fd(&server->mount);
	stop_token_fire(&server->stop);
	if (server->running)
		pthread_join(server->thread, NULL);
	close_fd(&server->dev);
	stop_token_close(&server->stop);
	free(server);
}

int stand_in_open(struct stand_in_server *server, int fd)
{
	struct fuse_backing_map map = { .fd = fd };
	char name[24];
	int backing, stand_in, err = 0;

	backing = ioctl(server->dev, FUSE_DEV_IOC_BACKING_OPEN, &map);
	if (backing < 0)
		return -errno;
	atomic_store(&server->backing, backing);
	snprintf(name, sizeof(name), "%llu", (unsigned long long)server->next++);
	stand_in = openat(server->mount, name, O_RDWR | O_CLOEXEC);
	if (stand_in < 0)
		err = -errno;
	/* The open stand-in holds the file; its number is not needed any more. */
	ioctl(server->dev, FUSE_DEV_IOC_BACKING_CLOSE, &backing);
	return err ? err : stand_in;
}
