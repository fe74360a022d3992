/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libcasement: a virtio-fs client without a virtual machine. It connects to a
 * vhost-user file-system daemon (casementd, virtiofsd, ...) as a VMM would,
 * offers it memory and queues, and speaks FUSE to it as a guest would.
 *
 * Threads: a queue belongs to one thread at a time; different queues may be
 * used at once. Everything that takes a `struct casement *` and changes it is
 * for one thread, with no other thread inside a queue. casement_error() speaks
 * of the calling thread's own last failure.
 *
 * Errors are negative errno values, the daemon's own for a FUSE request. From
 * the library: -ECONNRESET the daemon has gone, -ETIMEDOUT it did not answer in
 * time, -EPROTO its answer breaks the protocol, -EREMOTEIO it refused what we
 * asked of it, -EOPNOTSUPP it did not offer it.
 *
 * No function allocates memory per request.
 */
#ifndef CASEMENT_CASEMENT_H
#define CASEMENT_CASEMENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <linux/fuse.h>

#ifdef __cplusplus
extern "C" {
#endif

struct casement;
struct casement_queue;
struct fuse_statx_out;	/* in <linux/fuse.h> since Linux 6.6 */

#define CASEMENT_ROOT FUSE_ROOT_ID
#define CASEMENT_NO_FH UINT64_MAX	/* "without a file handle" in getattr and statx */

/* casement_options.flags */
#define CASEMENT_NO_EVENT_IDX	(1u << 0)	/* do not negotiate VIRTIO_RING_F_EVENT_IDX */
#define CASEMENT_NO_INDIRECT	(1u << 1)	/* do not use indirect descriptors */
#define CASEMENT_NO_WINDOW	(1u << 2)	/* do not offer a DAX window */
#define CASEMENT_NO_MEM_SLOTS	(1u << 3)	/* tell memory by one SET_MEM_TABLE */
/* Tell the daemon of every window mapping by a memory-table message, as QEMU 11.1 does. */
#define CASEMENT_ANNOUNCE_MAPPINGS (1u << 4)
/* Map every window range writable whatever the daemon asked for, as QEMU 11.1 does. */
#define CASEMENT_MAP_ALL_WRITABLE (1u << 5)

/* What to ask of the daemon and how much memory to offer it. 0 means the default. */
struct casement_options {
	unsigned int request_queues;	/* default 1; the high-priority queue comes on top */
	unsigned int queue_size;	/* descriptors a queue, a power of two; default 256 */
	unsigned int depth;		/* requests a queue may have in flight; default 32 */
	size_t max_request;		/* bytes of data one request may move; default 1 MiB */
	size_t heap_size;		/* bytes for casement_alloc(); default 16 MiB */
	unsigned int memory_regions;	/* guest memory in so many pieces, 1 to 8; default 1 */
	uint64_t memory_gap;		/* hole between two pieces in guest addresses, bytes */
	unsigned int timeout_ms;	/* longest wait for the daemon; default 30000 */
	unsigned int flags;		/* CASEMENT_* above */
};

/*
 * Connect to the daemon that listens on the unix socket `path`, agree on
 * features, hand over memory and start all queues. `options` may be NULL. On
 * success *out is the caller's, to be given to casement_close(). Send
 * casement_init() next.
 */
int casement_connect(const char *path, const struct casement_options *options,
		     struct casement **out);
/* The same on a connected socket. The descriptor is taken, also on failure. */
int casement_connect_fd(int fd, const struct casement_options *options, struct casement **out);
/* Disconnect and free everything, whatever is still in flight. NULL is allowed. */
void casement_close(struct casement *client);

/* Why the calling thread's last failed call failed: a sentence, never NULL. */
const char *casement_error(void);

/* The share's tag, "" when the daemon tells none. Lives as long as the client. */
const char *casement_tag(const struct casement *client);
/* Request queues that were started. */
unsigned int casement_request_queues(const struct casement *client);
/* Request queue `index`, from 0; NULL if there is none. */
struct casement_queue *casement_request_queue(struct casement *client, unsigned int index);
/* The high-priority queue: casement_forget() and casement_batch_forget() only. */
struct casement_queue *casement_hiprio_queue(struct casement *client);

/*
 * `size` bytes of the memory the daemon sees, aligned to a page: data there
 * is not copied on its way. Lives until casement_close(). NULL when
 * options.heap_size is used up.
 */
void *casement_alloc(struct casement *client, size_t size);

/* Who asks, in the requests of this queue from now on; at first uid 0, gid 0, pid 0. */
void casement_set_caller(struct casement_queue *queue, uint32_t uid, uint32_t gid, uint32_t pid);

/*
 * The DAX window: its address here, and its bytes in *size; NULL where the
 * daemon has none. What is mapped there is the host's page cache: a load beyond
 * the end of the file behind it raises SIGBUS, and one where nothing is mapped
 * SIGSEGV.
 */
void *casement_window(const struct casement *client, uint64_t *size);

/*
 * Stop a ring as a VMM does for `stop` or a reset. What the daemon has not
 * answered yet stays on the ring, and is served after casement_queue_start().
 */
int casement_queue_stop(struct casement_queue *queue);
int casement_queue_start(struct casement_queue *queue);
/* Forget all that is on a stopped ring and begin with an empty one at the next start. */
void casement_queue_reset(struct casement_queue *queue);

/*
 * One FUSE request and the answer to it. `in` is what follows the request's
 * header, `out` takes what follows the reply's; either may be empty. The reply
 * is checked: used length, header length, unique, an error without a body.
 * Returns the bytes of body received, or a negative errno.
 */
ssize_t casement_call(struct casement_queue *queue, uint32_t opcode, uint64_t nodeid,
		      const struct iovec *in, unsigned int n_in,
		      const struct iovec *out, unsigned int n_out);

/* A request of a batch. The arrays and memory it points to stay in place until it completes. */
struct casement_request {
	uint32_t opcode;
	uint64_t nodeid;
	const struct iovec *in;
	unsigned int n_in;
	const struct iovec *out;
	unsigned int n_out;
	ssize_t result;		/* set at completion: as casement_call() returns it */
	void *user;		/* the caller's own */
	/* private */
	struct casement_request *next;
	unsigned int state;
};

/*
 * Put requests on the queue with one notification. Returns how many were
 * taken: fewer than `n` when the queue is full, 0 when it was before.
 */
int casement_submit(struct casement_queue *queue, struct casement_request *requests,
		    unsigned int n);
/*
 * Collect completed requests into `done`, at most `max`; waits up to
 * `timeout_ms` (-1: options.timeout_ms) for the first. Returns how many, 0 when
 * the time is over.
 */
int casement_complete(struct casement_queue *queue, struct casement_request **done,
		      unsigned int max, int timeout_ms);

/*
 * The FUSE requests, one function each: 0, a count where one is named, or a
 * negative errno. A fixed-size answer of another size is -EPROTO.
 */

/* Begin a mount. `in` NULL: what a current Linux guest sends. */
int casement_init(struct casement_queue *queue, const struct fuse_init_in *in,
		  struct fuse_init_out *out);
int casement_destroy(struct casement_queue *queue);
int casement_statfs(struct casement_queue *queue, uint64_t node, struct fuse_statfs_out *out);
int casement_syncfs(struct casement_queue *queue, uint64_t node);

/* Nodes and names. An entry counts one lookup, to be given back by a forget. */
int casement_lookup(struct casement_queue *queue, uint64_t parent, const char *name,
		    struct fuse_entry_out *out);
int casement_forget(struct casement_queue *hiprio, uint64_t node, uint64_t lookups);
int casement_batch_forget(struct casement_queue *hiprio, const struct fuse_forget_one *nodes,
			  uint32_t n);
int casement_mknod(struct casement_queue *queue, uint64_t parent, const char *name,
		   uint32_t mode, uint32_t rdev, struct fuse_entry_out *out);
int casement_mkdir(struct casement_queue *queue, uint64_t parent, const char *name,
		   uint32_t mode, struct fuse_entry_out *out);
int casement_symlink(struct casement_queue *queue, uint64_t parent, const char *name,
		     const char *target, struct fuse_entry_out *out);
int casement_link(struct casement_queue *queue, uint64_t node, uint64_t new_parent,
		  const char *new_name, struct fuse_entry_out *out);
int casement_unlink(struct casement_queue *queue, uint64_t parent, const char *name);
int casement_rmdir(struct casement_queue *queue, uint64_t parent, const char *name);
/* RENAME, or RENAME2 when there are flags (renameat2(2)'s). */
int casement_rename(struct casement_queue *queue, uint64_t parent, const char *name,
		    uint64_t new_parent, const char *new_name, uint32_t flags);
/* The target's length; not NUL-terminated. */
ssize_t casement_readlink(struct casement_queue *queue, uint64_t node, char *buf, size_t size);

/* Attributes. */
int casement_getattr(struct casement_queue *queue, uint64_t node, uint64_t fh,
		     struct fuse_attr_out *out);
int casement_setattr(struct casement_queue *queue, uint64_t node,
		     const struct fuse_setattr_in *in, struct fuse_attr_out *out);
int casement_statx(struct casement_queue *queue, uint64_t node, uint64_t fh, uint32_t mask,
		   struct fuse_statx_out *out);
int casement_access(struct casement_queue *queue, uint64_t node, uint32_t mask);

/* Files; `flags` are open(2)'s. */
int casement_create(struct casement_queue *queue, uint64_t parent, const char *name,
		    uint32_t flags, uint32_t mode, struct fuse_entry_out *entry,
		    struct fuse_open_out *open);
int casement_tmpfile(struct casement_queue *queue, uint64_t parent, uint32_t flags,
		     uint32_t mode, struct fuse_entry_out *entry, struct fuse_open_out *open);
int casement_open(struct casement_queue *queue, uint64_t node, uint32_t flags,
		  struct fuse_open_out *out);
int casement_release(struct casement_queue *queue, uint64_t node, uint64_t fh);
int casement_flush(struct casement_queue *queue, uint64_t node, uint64_t fh);
int casement_fsync(struct casement_queue *queue, uint64_t node, uint64_t fh, int datasync);
/* Bytes read: fewer than asked only at the end of the file. */
ssize_t casement_read(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t offset,
		      void *buf, size_t size);
/* Bytes written. */
ssize_t casement_write(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t offset,
		       const void *buf, size_t size);
int casement_fallocate(struct casement_queue *queue, uint64_t node, uint64_t fh, uint32_t mode,
		       uint64_t offset, uint64_t length);
/* The new offset. */
int64_t casement_lseek(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t offset,
		       uint32_t whence);
/* Bytes copied. */
ssize_t casement_copy_file_range(struct casement_queue *queue,
				 const struct fuse_copy_file_range_in *in, uint64_t node_in);

/* Directories. Reading fills `buf` with struct fuse_dirent or fuse_direntplus: bytes, 0 at the end. */
int casement_opendir(struct casement_queue *queue, uint64_t node, struct fuse_open_out *out);
int casement_releasedir(struct casement_queue *queue, uint64_t node, uint64_t fh);
int casement_fsyncdir(struct casement_queue *queue, uint64_t node, uint64_t fh, int datasync);
ssize_t casement_readdir(struct casement_queue *queue, uint64_t node, uint64_t fh,
			 uint64_t offset, void *buf, size_t size);
ssize_t casement_readdirplus(struct casement_queue *queue, uint64_t node, uint64_t fh,
			     uint64_t offset, void *buf, size_t size);

/* The window: a range of a file at `window_offset`, FUSE_SETUPMAPPING_FLAG_* in `flags`. */
int casement_setupmapping(struct casement_queue *queue, uint64_t node, uint64_t fh,
			  uint64_t offset, uint64_t length, uint64_t flags,
			  uint64_t window_offset);
int casement_removemapping(struct casement_queue *queue,
			   const struct fuse_removemapping_one *ranges, uint32_t n);

#ifdef __cplusplus
}
#endif

#endif
