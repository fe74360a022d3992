/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DAX window: a piece of address space, and the thread that answers the
 * daemon's back-end channel by mapping files into it. It treats ranges as QEMU
 * does: a map over a mapped range is refused, an unmap names exactly a range
 * that was mapped, requests are served in order, one at a time.
 */
#ifndef CASEMENT_CLIENT_WINDOW_H
#define CASEMENT_CLIENT_WINDOW_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/channel.h"
#include "client/memory.h"

#define WINDOW_GUEST_BASE 0xff00000000ull	/* guest address of the window */
#define WINDOW_EVENTS 4096			/* back-end requests remembered */

struct window_mapping {
	uint64_t at;		/* bytes into the window */
	uint64_t len;
	uint64_t offset;	/* in the file */
	bool writable;		/* the daemon said so */
	int fd;			/* kept where mappings are announced, else -1 */
};

/* One request of the daemon's and what we answered. */
struct window_event {
	uint32_t request;
	struct vhost_user_mmap map;
	uint64_t answer;
};

enum window_announce {
	WINDOW_SILENT,		/* the daemon is not told of mappings */
	WINDOW_ANNOUNCE,	/* memory-table message after the answer, as QEMU 11.1 */
	WINDOW_ANNOUNCE_FIRST,	/* before the answer: for tests */
};

struct window {
	char *base;			/* [I] reserved address space; NULL: no window */
	uint64_t size;			/* [I] bytes */
	int sock;			/* [I] our end of the back-end channel */
	int stop;			/* [I] eventfd: the thread shall end */
	struct channel *main;		/* [I] borrowed: where mappings are announced */
	const struct memory *memory;	/* [I] borrowed: part of each memory table */
	bool mem_slots;			/* [I] announce by ADD_MEM_REG, not SET_MEM_TABLE */
	bool all_writable;		/* [I] ignore the flag, as QEMU 11.1 */
	pthread_t thread;		/* [I] */

	pthread_mutex_t lock;
	pthread_cond_t changed;		/* with lock: hold or held changed */
	enum window_announce announce;	/* [L:lock] */
	struct window_mapping *mappings; /* [L:lock] */
	unsigned int n_mappings;	/* [L:lock] */
	unsigned int room;		/* [L:lock] of mappings[] */
	unsigned int peak;		/* [L:lock] most mappings there ever were */
	uint32_t hold;			/* [L:lock] bit per request number that is to wait */
	bool held;			/* [L:lock] one is waiting */
	bool stopping;			/* [L:lock] nothing waits any more */
	uint64_t refuse;		/* [L:lock] answer SHMEM_MAP with this and do nothing */
	struct window_event *events;	/* [L:lock] */
	unsigned int n_events;		/* [L:lock] */
};

/*
 * Reserve `size` bytes (0: none) and serve `sock`, which is taken over. `main`,
 * `memory` and the flags are set in *window by the caller before. 0 or -errno.
 */
int window_open(struct window *window, int sock, uint64_t size);
/* End the thread, unmap everything. A window that was never opened (base NULL, sock -1) is allowed. */
void window_close(struct window *window);

#endif
