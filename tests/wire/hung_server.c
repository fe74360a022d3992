/* SPDX-License-Identifier: BSD-3-Clause */
/* A FUSE server that hangs; see hung_server.h. */
#include "hung_server.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_NODE 2
#define DIR_NODE 3
#define FILE_SIZE 4096

static struct fuse_attr attr_of(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node, .size = node == FILE_NODE ? FILE_SIZE : 0, .nlink = 1,
		.mode = node == FILE_NODE ? S_IFREG | 0666 : S_IFDIR | 0777,
	};
}

/* The node of the name that follows a LOOKUP's header. */
static uint64_t node_of(const struct fuse_in_header *in)
{
	return strcmp((const char *)(in + 1), "d") ? FILE_NODE : DIR_NODE;
}

static void reply(int dev, const struct fuse_in_header *to, int error, const void *body, size_t size)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + (error ? 0 : size)), .error = error, .unique = to->unique,
	};
	struct iovec iov[2] = { { &head, sizeof(head) }, { (void *)(uintptr_t)body, error ? 0 : size } };

	/* ENOENT: its program was killed meanwhile. */
	(void)!writev(dev, iov, 2);
}

/* Nothing is valid for longer than its reply: each question comes here. */
static void answer(int dev, const struct fuse_in_header *in, uint64_t node)
{
	static const char data[FILE_SIZE];
	const struct fuse_entry_out entry = { .nodeid = node, .attr = attr_of(node) };
	const struct fuse_attr_out attr = { .attr = attr_of(in->nodeid) };
	const struct fuse_init_out init = {
		.major = 7, .minor = 31, .max_write = 65536, .flags = FUSE_POSIX_LOCKS,
	};
	const struct fuse_open_out open = { .fh = 1, .open_flags = FOPEN_DIRECT_IO };
	const struct fuse_statfs_out statfs = { .st = { .blocks = 8, .bsize = 4096, .namelen = 255 } };
	const struct fuse_write_out written = { .size = 1 };

	switch (in->opcode) {
	case FUSE_INIT: reply(dev, in, 0, &init, sizeof(init)); break;
	case FUSE_LOOKUP: reply(dev, in, 0, &entry, sizeof(entry)); break;
	case FUSE_GETATTR:
	case FUSE_SETATTR: reply(dev, in, 0, &attr, sizeof(attr)); break;
	case FUSE_OPEN:
	case FUSE_OPENDIR: reply(dev, in, 0, &open, sizeof(open)); break;
	case FUSE_STATFS: reply(dev, in, 0, &statfs, sizeof(statfs)); break;
	case FUSE_READ: reply(dev, in, 0, data, 10); break;
	case FUSE_WRITE: reply(dev, in, 0, &written, sizeof(written)); break;
	case FUSE_READDIR:
	case FUSE_FLUSH:
	case FUSE_SETLK:
	case FUSE_SETLKW:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR: reply(dev, in, 0, NULL, 0); break;
	default: reply(dev, in, -ENOSYS, NULL, 0);
	}
}

static void take(struct hung_server *server, const struct fuse_in_header *in)
{
	uint64_t node = in->opcode == FUSE_LOOKUP ? node_of(in) : in->nodeid;
	bool held;

	if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET || in->opcode == FUSE_INTERRUPT)
		return;
	pthread_mutex_lock(&server->lock);
	held = server->hold && server->n_held < HELD_MAX && (!server->only || server->only == in->opcode);
	if (held)
		server->held[server->n_held++] = (struct held_request){ *in, node };
	pthread_mutex_unlock(&server->lock);
	if (held)
		sem_post(&server->came);
	else
		answer(server->dev, in, node);
}

static void *serve(void *arg)
{
	static _Thread_local char room[65536 + 4096];
	struct hung_server *server = arg;

	for (;;) {
		ssize_t n = read(server->dev, room, sizeof(room));

		if (n >= (ssize_t)sizeof(struct fuse_in_header))
			take(server, (const void *)room);
		else if (n < 0 && errno != EINTR && errno != ENOENT && errno != EAGAIN)
			return NULL;
	}
}

void hung_server_start(struct hung_server *server, const char *path)
{
	char data[100];

	memset(server, 0, sizeof(*server));
	snprintf(server->path, sizeof(server->path), "%s", path);
	sem_init(&server->came, 0, 0);
	pthread_mutex_init(&server->lock, NULL);
	server->dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	assert_true(server->dev >= 0);
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", server->dev);
	assert_int_equal(mount("hung", path, "fuse", 0, data), 0);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

void hung_server_hold(struct hung_server *server, bool hold)
{
	pthread_mutex_lock(&server->lock);
	server->hold = hold;
	server->only = 0;
	while (!hold && server->n_held) {
		const struct held_request *held = &server->held[--server->n_held];

		answer(server->dev, &held->head, held->node);
	}
	pthread_mutex_unlock(&server->lock);
}

void hung_server_hold_only(struct hung_server *server, uint32_t opcode)
{
	pthread_mutex_lock(&server->lock);
	server->hold = true;
	server->only = opcode;
	pthread_mutex_unlock(&server->lock);
}

void hung_server_await(struct hung_server *server)
{
	while (sem_wait(&server->came))
		continue;
}

void hung_server_stop(struct hung_server *server)
{
	hung_server_hold(server, false);
	umount2(server->path, MNT_FORCE);
	umount2(server->path, MNT_DETACH);
	/* The mount may live on in the daemon's namespace: this ends it there. */
	close(server->dev);
	pthread_join(server->thread, NULL);
}
