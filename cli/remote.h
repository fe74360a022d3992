/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A share as ls, stat, cat and cp use it: one connection, one request queue,
 * one thread. Errors are negative errno, not logged unless a function says so.
 */
#ifndef CASEMENT_CLI_REMOTE_H
#define CASEMENT_CLI_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "casement/casement.h"

#define REMOTE_NAME_MAX 255
#define REMOTE_BLOCKS 4			/* READs or WRITEs in flight */
#define REMOTE_BLOCK_MAX (1u << 20)	/* bytes of one */

struct remote {
	struct casement *client;	/* owned */
	struct casement_queue *queue, *hiprio;
	uint32_t max_read, max_write;	/* bytes of one request */
	char *blocks[REMOTE_BLOCKS];	/* REMOTE_BLOCK_MAX each, seen by the daemon */
	struct remote_forgets *forgets;	/* owned, as the next */
	struct remote_stream *stream;	/* owned: requests live as long as the connection */
	size_t listed;			/* bytes that the names of all listings take that are kept */
};

/* Something in the share. It counts one look-up, unless it is the root: remote_put() it. */
struct remote_node {
	uint64_t id;
	struct fuse_attr attr;		/* as of when it was found */
};

/* Connect and begin a mount, as the calling user. 0 or -errno, logged. remote_close() undoes it. */
int remote_open(const char *socket, struct remote *remote);
void remote_close(struct remote *remote);

/*
 * True when nothing more will come of it: the daemon has gone, or did not answer in time. Each
 * further call would fail the same way, and say so once more.
 */
bool remote_ended(const struct remote *remote);

/* A name in a directory. 0 or -errno. */
int remote_lookup(struct remote *remote, uint64_t parent, const char *name,
		  struct remote_node *out);
/* Give a node back. The daemon is not waited for, unless it leaves many unanswered. */
void remote_put(struct remote *remote, const struct remote_node *node);

/*
 * Walk a path from the root. Symbolic links lead within the share: its root is
 * "/", and ".." stays below it; the last part's is followed only with `follow`.
 * 0 or -errno, -ELOOP after 40 links.
 */
int remote_walk(struct remote *remote, const char *path, bool follow, struct remote_node *out);
/*
 * The directory of a path's last part, and that part's name, which need not
 * exist. -EISDIR where the path has none, as "/".
 */
int remote_walk_parent(struct remote *remote, const char *path, struct remote_node *parent,
		       char name[REMOTE_NAME_MAX + 1]);
/* The target of a symbolic link, NUL-terminated. 0 or -errno. */
int remote_readlink(struct remote *remote, uint64_t node, char *target, size_t size);

/* The names in a directory without "." and "..", sorted. */
struct remote_names {
	char **names;			/* owned */
	size_t n;
	size_t bytes;			/* that they take */
};
/*
 * List a directory. -EPROTO: names that could lead elsewhere, with a '/' or ".", an answer
 * that is cut off, and a listing that goes round in a circle. -EFBIG: one that has no end as far
 * as we can keep it, beside those that are kept already. 0 or -errno; remote_names_free() also after
 * an error.
 */
int remote_list(struct remote *remote, uint64_t node, struct remote_names *out);
void remote_names_free(struct remote *remote, struct remote_names *names);

/*
 * The directories that one is in, up to where a walk began. No file system has a directory in
 * itself, but a daemon may say so, and such a walk would have no end.
 */
struct remote_above {
	uint64_t node;
	const struct remote_above *above;	/* NULL: the walk began here */
	unsigned int depth;		/* how many are above */
};
/* True when `node` is one of them. */
bool remote_is_above(const struct remote_above *above, uint64_t node);

/* Make remote->forgets; free it, after casement_close(). */
int remote_forgets_new(struct remote *remote);
void remote_forgets_free(struct remote *remote);

/* Make remote->stream, free it. */
int remote_stream_new(struct remote *remote);
void remote_stream_free(struct remote *remote);

/* Takes `size` bytes of file data from `offset` on. 0, or -errno to stop. */
typedef int (*remote_sink)(void *user, uint64_t offset, const char *data, size_t size);
/* Gives up to `size` bytes of file data from `offset` on: how many, 0 at the end, -errno. */
typedef ssize_t (*remote_source)(void *user, uint64_t offset, char *data, size_t size);

/* Read an open file to its end, in order, several requests in flight. 0 or -errno. */
int remote_read_all(struct remote *remote, uint64_t node, uint64_t fh, remote_sink sink,
		    void *user);
/* Write an open file from 0 on. 0 or -errno. */
int remote_write_all(struct remote *remote, uint64_t node, uint64_t fh, remote_source source,
		     void *user);

#endif
