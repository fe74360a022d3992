/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A FUSE file system inside the share whose server stops to answer when told to:
 * what a network file system is whose server died. Its root has a directory "d" and, by all other names, a file.
 */
#ifndef CASEMENT_TESTS_WIRE_HUNG_SERVER_H
#define CASEMENT_TESTS_WIRE_HUNG_SERVER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "proto/fuse_wire.h"

#define HELD_MAX 256

struct held_request {
	struct fuse_in_header head;
	uint64_t node;		/* that it is about */
};

struct hung_server {
	char path[256];
	int dev;
	pthread_t thread;
	sem_t came;		/* once for each request that is held */
	pthread_mutex_t lock;
	bool hold;		/* [L:lock] as the rest */
	uint32_t only;		/* opcode; 0: all */
	struct held_request held[HELD_MAX];
	unsigned int n_held;
};

/* Mount it on a directory. The caller is in a mount namespace of its own. */
void hung_server_start(struct hung_server *server, const char *path);
/* From here on requests are taken and not answered, until this is false: then all are. */
void hung_server_hold(struct hung_server *server, bool hold);
/* The same of requests of one kind alone. */
void hung_server_hold_only(struct hung_server *server, uint32_t opcode);
/* Wait until one more request is held. */
void hung_server_await(struct hung_server *server);
/* All that is held fails; unmount it. */
void hung_server_stop(struct hung_server *server);

#endif
