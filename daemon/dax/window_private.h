/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between window.c, which says what is mapped, and window_mapping.c, which has
 * one mapping made, brought up to its file, and unmapped. Whoever calls
 * functions of the latter has `busy`.
 */
#ifndef CASEMENT_DAEMON_DAX_WINDOW_PRIVATE_H
#define CASEMENT_DAEMON_DAX_WINDOW_PRIVATE_H

#include <pthread.h>

#include "daemon/dax/mapping_table.h"
#include "daemon/dax/window.h"

/* MAP_ALIGNMENT that INIT announces: the host's smallest page. */
#define WINDOW_ALIGN 4096u

struct window {
	struct fs *fs;			/* [I] */
	struct window_vmm_ops vmm;	/* [I] */
	struct file_proxy *proxy;	/* [I] or NULL */
	uint64_t size;			/* [I] bytes */
	unsigned int max_mappings;	/* [I] */

	pthread_mutex_t lock;
	pthread_cond_t idle;		/* `busy` fell, or a token fired */
	bool busy;			/* [L:lock] */
	struct mapping_table table;	/* [L:lock] to look; `busy` and [L:lock] to change */
};

/* Changes to the table, seen by those who look under the lock alone. As in mapping_table.h. */
struct mapping *window_insert(struct window *window, const struct mapping *mapping);
void window_drop(struct window *window, struct mapping *mapping);
void window_set_state(struct window *window, struct mapping *mapping, enum mapping_state state);

/* The size of the mapping's file: 0 or -errno. */
int mapping_file_size(const struct mapping_file *file, uint64_t *size);

/*
 * Give blocks to what the mapping has of a file of `size` bytes, so that a store there cannot
 * fail for want of space; it is writable from then on. 0; -ENOSPC and other errors of
 * fallocate(2); -EOPNOTSUPP for holes on a file system without that.
 */
int mapping_give_blocks(struct window *window, struct mapping *mapping, uint64_t size);
/* What is cut loses its blocks: they are given again when the file grows. */
void mapping_lose_blocks(struct window *window, struct mapping *mapping, uint64_t size);

/*
 * Have the VMM map an entry that is in the table as suspended, of a file of `size` bytes; on
 * failure it stays so. 0, -EINTR; -EIO also when the VMM would refuse, since the file has no
 * stand-in and ends before the mapping; -ENFILE when the VMM has all that it may.
 */
int mapping_bring(struct window *window, struct mapping *mapping, uint64_t size);
/* Have the VMM unmap a live entry, and leave it in the table as suspended. 0 or -EINTR. */
int mapping_send_away(struct window *window, struct mapping *mapping, bool barrier);
/*
 * A caller that does not know of this mapping is about to truncate the file to `size` bytes:
 * leave nothing mapped past that. 0 or -EINTR.
 */
int mapping_trim(struct window *window, struct mapping *mapping, uint64_t size);

#endif
