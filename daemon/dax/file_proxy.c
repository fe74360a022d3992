/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stand-ins for files; see file_proxy.h. A FUSE server of one directory for
 * one client: ourselves. The kernel asks its few questions while
 * file_proxy_open() opens a stand-in by a number, and when the VMM asks for
 * its size. Relies on nobody else ever seeing the mount: it has no path.
 */
#include "daemon/dax/file_proxy.h"

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
#define PROXY_SIZE (1ull << 62)
#define PROXY_VALID_S 86400
#define PROXY_MINOR 40			/* the first with passthrough */
#define PROXY_REQUEST_MAX (FUSE_MIN_READ_BUFFER + 4096)
/* Root is node 1; stand-in n is node n, and its name is n in decimal. */
#define PROXY_FIRST 2

struct file_proxy {
	int dev;			/* [I] /dev/fuse */
	int mount;			/* [I] the detached mount */
	pthread_t thread;
	struct stop_token stop;		/* ends the thread */
	uint64_t next;			/* the opener's: number of the next stand-in */
	atomic_int backing;		/* [A] id that the next OPEN is answered with */
	atomic_bool passthrough;	/* [A] the kernel agreed, at INIT */
};

struct proxy_request {
	struct fuse_in_header head;
	char body[PROXY_REQUEST_MAX - sizeof(struct fuse_in_header)];
};

static void proxy_reply(struct file_proxy *proxy, const struct proxy_request *req, int err,
			const void *out, size_t len)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + (err ? 0 : len)), .error = err,
		.unique = req->head.unique,
	};
	struct iovec iov[2] = { { &head, sizeof(head) }, { (void *)(uintptr_t)out, len } };

	if (writev(proxy->dev, iov, err || !len ? 1 : 2) < 0 && errno != ENOENT)
		log_debug("window: the kernel refused an answer about a stand-in: %m");
}

static void proxy_fill_attr(struct fuse_attr *attr, uint64_t node)
{
	bool root = node == FUSE_ROOT_ID;

	*attr = (struct fuse_attr){
		.ino = node,
		.size = root ? 0 : PROXY_SIZE,
		.mode = root ? S_IFDIR | 0700 : S_IFREG | 0600,
		.nlink = 1, .uid = geteuid(), .gid = getegid(), .blksize = 4096,
	};
}

static void proxy_init(struct file_proxy *proxy, const struct proxy_request *req)
{
	const struct fuse_init_in *in = (const void *)req->body;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION, .minor = PROXY_MINOR,
		.flags = FUSE_INIT_EXT, .flags2 = (uint32_t)(FUSE_PASSTHROUGH >> 32),
		.max_write = 4096, .max_readahead = 4096,
	};
	uint32_t depth = 1;	/* real files lie on plain file systems, not on stacked ones */

	/* max_stack_depth came with 7.40 and stands behind flags2; older headers call it unused. */
	memcpy((char *)&out.flags2 + sizeof(out.flags2), &depth, sizeof(depth));
	if (in->minor >= PROXY_MINOR && (in->flags & FUSE_INIT_EXT) &&
	    (in->flags2 & (uint32_t)(FUSE_PASSTHROUGH >> 32)))
		atomic_store(&proxy->passthrough, true);
	proxy_reply(proxy, req, 0, &out, sizeof(out));
}

static void proxy_lookup(struct file_proxy *proxy, const struct proxy_request *req)
{
	struct fuse_entry_out out = { .nodeid = strtoull(req->body, NULL, 10) };

	if (out.nodeid < PROXY_FIRST) {
		proxy_reply(proxy, req, -ENOENT, NULL, 0);
		return;
	}
	out.attr_valid = PROXY_VALID_S;
	proxy_fill_attr(&out.attr, out.nodeid);
	proxy_reply(proxy, req, 0, &out, sizeof(out));
}

static void proxy_getattr(struct file_proxy *proxy, const struct proxy_request *req)
{
	struct fuse_attr_out out = { .attr_valid = PROXY_VALID_S };

	proxy_fill_attr(&out.attr, req->head.nodeid);
	proxy_reply(proxy, req, 0, &out, sizeof(out));
}

static void proxy_open(struct file_proxy *proxy, const struct proxy_request *req)
{
	struct fuse_open_out out = { .open_flags = FOPEN_PASSTHROUGH | FOPEN_NOFLUSH };

	out.FUSE_OPEN_OUT_BACKING = (typeof(out.FUSE_OPEN_OUT_BACKING))atomic_load(&proxy->backing);
	proxy_reply(proxy, req, 0, &out, sizeof(out));
}

static void proxy_done(struct file_proxy *proxy, const struct proxy_request *req)
{
	proxy_reply(proxy, req, 0, NULL, 0);
}

static void proxy_ignore(struct file_proxy *proxy, const struct proxy_request *req)
{
	(void)proxy;
	(void)req;
}

typedef void (*proxy_handler)(struct file_proxy *proxy, const struct proxy_request *req);

static const proxy_handler proxy_handlers[FUSE_OPCODE_LIMIT] = {
	[FUSE_INIT] = proxy_init,
	[FUSE_LOOKUP] = proxy_lookup,
	[FUSE_GETATTR] = proxy_getattr,
	[FUSE_OPEN] = proxy_open,
	[FUSE_FLUSH] = proxy_done,
	[FUSE_RELEASE] = proxy_done,
	[FUSE_FORGET] = proxy_ignore,
	[FUSE_BATCH_FORGET] = proxy_ignore,
	[FUSE_INTERRUPT] = proxy_ignore,
};

static void proxy_serve(struct file_proxy *proxy, const struct proxy_request *req)
{
	uint32_t opcode = req->head.opcode;

	if (opcode < FUSE_OPCODE_LIMIT && proxy_handlers[opcode])
		proxy_handlers[opcode](proxy, req);
	else
		proxy_reply(proxy, req, -ENOSYS, NULL, 0);
}

/* Ends when it is told to, or when the mount is gone: read(2) then says ENODEV. */
static void *proxy_main(void *arg)
{
	struct file_proxy *proxy = arg;
	struct proxy_request req;

	stop_token_set_current(&proxy->stop);
	while (!stop_token_wait_readable(proxy->dev)) {
		ssize_t n = read(proxy->dev, &req, sizeof(req) - 1);

		if (n < 0 && errno != EINTR && errno != ENOENT && errno != EAGAIN)
			break;
		if (n < (ssize_t)sizeof(req.head))
			continue;
		((char *)&req)[n] = '\0';
		proxy_serve(proxy, &req);
	}
	return NULL;
}

static int proxy_configure(int fs, int dev)
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

static int proxy_mount(int dev)
{
	cleanup_close int fs = fsopen("fuse", FSOPEN_CLOEXEC);
	int err, mount;

	if (fs < 0)
		return -errno;
	err = proxy_configure(fs, dev);
	if (err)
		return err;
	mount = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return mount < 0 ? -errno : mount;
}

static int proxy_start_thread(struct file_proxy *proxy)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&proxy->thread, NULL, proxy_main, proxy);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		pthread_setname_np(proxy->thread, "stand-ins");
	return -err;
}

/* Any request brings the answer to INIT with it; then we know what the kernel can. */
static int proxy_await_init(struct file_proxy *proxy)
{
	struct stat st;

	if (fstatat(proxy->mount, "1", &st, 0) && errno != ENOENT)
		return -errno;
	return atomic_load(&proxy->passthrough) ? 0 : -EOPNOTSUPP;
}

int file_proxy_new(struct file_proxy **out)
{
	struct file_proxy *proxy = calloc(1, sizeof(*proxy));
	int err;

	if (!proxy)
		return -ENOMEM;
	proxy->next = PROXY_FIRST;
	proxy->mount = -1;
	err = stop_token_open(&proxy->stop);
	if (err)
		goto free_proxy;
	proxy->dev = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (proxy->dev < 0) {
		err = -errno;
		goto close_stop;
	}
	proxy->mount = proxy_mount(proxy->dev);
	if (proxy->mount < 0) {
		err = proxy->mount;
		goto close_dev;
	}
	err = proxy_start_thread(proxy);
	if (err)
		goto close_dev;
	err = proxy_await_init(proxy);
	if (err) {
		file_proxy_free(proxy);
		return err;
	}
	*out = proxy;
	return 0;

close_dev:
	close_fd(&proxy->mount);
	close_fd(&proxy->dev);
close_stop:
	stop_token_close(&proxy->stop);
free_proxy:
	free(proxy);
	return err;
}

void file_proxy_free(struct file_proxy *proxy)
{
	/* Stand-ins that the VMM holds keep the mount; without its device it is dead, and harmless. */
	close_fd(&proxy->mount);
	stop_token_fire(&proxy->stop);
	pthread_join(proxy->thread, NULL);
	close_fd(&proxy->dev);
	stop_token_close(&proxy->stop);
	free(proxy);
}

int file_proxy_open(struct file_proxy *proxy, int fd)
{
	struct fuse_backing_map map = { .fd = fd };
	char name[24];
	int backing, stand_in, err = 0;

	backing = ioctl(proxy->dev, FUSE_DEV_IOC_BACKING_OPEN, &map);
	if (backing < 0)
		return -errno;
	atomic_store(&proxy->backing, backing);
	snprintf(name, sizeof(name), "%llu", (unsigned long long)proxy->next++);
	stand_in = openat(proxy->mount, name, O_RDWR | O_CLOEXEC);
	if (stand_in < 0)
		err = -errno;
	/* The open stand-in holds the file; its number is not needed any more. */
	ioctl(proxy->dev, FUSE_DEV_IOC_BACKING_CLOSE, &backing);
	return err ? err : stand_in;
}
