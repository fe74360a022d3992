/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libcasement: a virtio-fs client without a virtual machine. It connects to a
 * vhost-user file-system daemon (casementd, virtiofsd, ...) as a VMM would,
 * offers it memory and queues, and speaks FUSE to it as a guest would.
 *
 * Threads: a queue belongs to one thread at a time; different queues may be
 * used at once. casement_close(), casement_alloc(), casement_init() and the
 * start and stop of a queue are for one thread, with no other thread inside a
 * queue. casement_error() speaks of the calling thread's own last failure.
 *
 * Ownership: what a function is given stays the caller's, and is not looked at
 * after it returns, unless it says otherwise; what a function returns belongs
 * to the client and lives until casement_close(), unless it says otherwise.
 *
 * Units: sizes, offsets and lengths are bytes; times are milliseconds here, and
 * what <linux/fuse.h> says in its structures. Numbers are the host's byte order.
 *
 * Errors are negative errno values, the daemon's own for a FUSE request. From
 * the library: -ECONNRESET the daemon has gone, -ETIMEDOUT it did not answer in
 * time, -ECANCELED options.stop_fd ended the wait, -EPROTO its answer breaks the protocol, -EREMOTEIO it refused what we
 * asked of it, -EOPNOTSUPP it did not offer it, -EMSGSIZE a request is larger
 * than options.max_request or has too many pieces, -EINVAL a request lies where
 * the daemon could change it (see casement_alloc()). After -ECONNRESET or
 * -EPROTO the only useful call left is casement_close(). A call that gave up
 * waiting, by -ETIMEDOUT or -ECANCELED, ends the connection: an answer that came
 * later could be taken for another's. All later calls fail the same way, at once.
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
/*
 * Look for answers in a loop instead of sleeping until the daemon calls: shorter
 * waits for a processor that is busy all the time. The daemon is asked not to call.
 */
#define CASEMENT_POLL		(1u << 6)
/* Map every window range writable whatever the daemon asked for, as QEMU 11.1 does. */
#define CASEMENT_MAP_ALL_WRITABLE (1u << 5)

/* What to ask of the daemon and how much memory to offer it. 0 means the default. */
struct casement_options {
	unsigned int request_queues;	/* default 1; the high-priority queue comes on top */
	unsigned int queue_size;	/* descriptors a queue, a power of two; default 256 */
	unsigned int depth;		/* requests a queue may have in flight; default 32 */
	size_t max_request;		/* bytes of data one request may copy; default 1 MiB */
	size_t heap_size;		/* bytes for casement_alloc(); default 16 MiB */
	unsigned int memory_regions;	/* guest memory in so many pieces, 1 to 8; default 1 */
	uint64_t memory_gap;		/* hole between two pieces in guest addresses, bytes */
	unsigned int timeout_ms;	/* longest wait for the daemon; default 30000 */
	unsigned int flags;		/* CASEMENT_* above */
	int stop_fd;			/* while it is readable no call waits: -ECANCELED; 0: none. It stays the caller's */
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

/*
 * Why the calling thread's last failed call failed: a sentence, never NULL.
 * Valid until that thread's next failure.
 */
const char *casement_error(void);

/*
 * The connection's socket, for poll(2) alone: POLLRDHUP says that the daemon
 * has gone. It stays the client's.
 */
int casement_fd(const struct casement *client);

/*
 * 0 while the daemon may still answer; else -ECONNRESET when it has gone, or the
 * error of the call that gave up. A daemon's own -ETIMEDOUT leaves it at 0.
 */
int casement_ended(const struct casement *client);

/* The share's tag, "" when the daemon tells none. Lives as long as the client. */
const char *casement_tag(const struct casement *client);
/* Request queues that were started. */
unsigned int casement_request_queues(const struct casement *client);
/* Request queue `index`, from 0; NULL if there is none. */
struct casement_queue *casement_request_queue(struct casement *client, unsigned int index);
/*
 * The high-priority queue: for casement_forget(), casement_batch_forget() and
 * casement_interrupt() only.
 */
struct casement_queue *casement_hiprio_queue(struct casement *client);

/*
 * `size` bytes of the memory the daemon sees, aligned to a page: data there
 * is not copied on its way. Lives until casement_close(). NULL when
 * options.heap_size is used up.
 *
 * The daemon can write there at any time, as it can to the window: use it for
 * file data. What is to be judged goes to memory of the caller's own, into which
 * the library copies it once. A request, an array of pieces or of requests, and
 * the headers of CASEMENT_WHOLE_MESSAGE are refused there: -EINVAL.
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
 * 0 or -errno. casement_connect() has started all queues.
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

/*
 * `in` begins with a struct fuse_in_header of the caller's and `out` takes the
 * whole reply, header and all: for who passes messages on, as between /dev/fuse
 * and a daemon. Each header must be in one piece and in memory of the caller's
 * own; the request's is sent as it is, and `opcode` repeats its opcode. The reply
 * is checked as ever; its length is the result, also where it is an error reply.
 */
#define CASEMENT_WHOLE_MESSAGE (1u << 0)

/*
 * A request of a batch. It and all it points to stay in place until it completes.
 * It is in memory of the caller's own, and so are `in` and `out`.
 */
struct casement_request {
	uint32_t opcode;
	uint32_t flags;		/* CASEMENT_WHOLE_MESSAGE or 0 */
	uint64_t nodeid;
	const struct iovec *in;
	unsigned int n_in;
	const struct iovec *out;
	unsigned int n_out;
	ssize_t result;		/* set at completion: as casement_call() returns it */
	void *user;		/* the caller's own */
	/* the library's own, until the request is complete */
	struct casement_request *next;
	unsigned int state;
};

/*
 * Put requests on the queue with one notification. Returns how many were
 * taken: fewer than `n` when the queue is full, 0 when it was before. A request
 * that can never be sent is taken, and completes with its error. A negative
 * errno when the first cannot be taken at all: -EINVAL where the daemon could
 * write to it, -EBUSY when it is in flight already.
 */
int casement_submit(struct casement_queue *queue, struct casement_request *requests,
		    unsigned int n);
/* The same for requests that do not lie side by side. */
int casement_submit_each(struct casement_queue *queue, struct casement_request *const *requests,
			 unsigned int n);
/*
 * Collect completed requests into `done`, at most `max`; waits up to
 * `timeout_ms` for the first. With 0 it only looks at the ring, without a system
 * call. With -1 it waits for options.timeout_ms, and gives up then: -ETIMEDOUT,
 * and the connection is at its end. Returns how many, 0 when the time is over, or
 * a negative errno when nothing will complete any more; what was in flight then
 * never completes. After -ECANCELED it may.
 */
int casement_complete(struct casement_queue *queue, struct casement_request **done,
		      unsigned int max, int timeout_ms);

/*
 * For event loops: a descriptor (the client's) that becomes readable when a
 * request completes after casement_queue_arm(). That one returns 1 when there
 * is something to collect already, 0 when the descriptor may be waited for. It
 * is an eventfd(2): it stays readable until its 8 bytes are read, which an
 * edge-triggered epoll(7) need not do. Watch casement_fd() beside it. With
 * CASEMENT_POLL it stays silent.
 */
int casement_queue_fd(const struct casement_queue *queue);
int casement_queue_arm(struct casement_queue *queue);

/*
 * The FUSE requests, one function each: 0, a count where one is named, or a
 * negative errno. A fixed-size answer of another size is -EPROTO. A daemon
 * that does not serve a request answers -ENOSYS. `node` is a node id that an
 * entry gave, or CASEMENT_ROOT; `fh` a handle that an open gave. Modes are
 * taken as they are, without a umask.
 */

/*
 * Begin a mount; once, before every other request. `in` NULL: what a current
 * Linux guest sends.
 */
int casement_init(struct casement_queue *queue, const struct fuse_init_in *in,
		  struct fuse_init_out *out);
/* End it: the daemon forgets all nodes and handles. */
int casement_destroy(struct casement_queue *queue);
int casement_statfs(struct casement_queue *queue, uint64_t node, struct fuse_statfs_out *out);
/* Write everything of the file system back that `node` is in. */
int casement_syncfs(struct casement_queue *queue, uint64_t node);
/*
 * Ask the daemon to give up the wait of the request with this unique number. It
 * knows only those of CASEMENT_WHOLE_MESSAGE; others are the library's.
 */
int casement_interrupt(struct casement_queue *hiprio, uint64_t unique);

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
/* The target's length in bytes; cut at `size`, not NUL-terminated. */
ssize_t casement_readlink(struct casement_queue *queue, uint64_t node, char *buf, size_t size);

/* Attributes. `fh`: CASEMENT_NO_FH, or an open file of the node to ask instead. */
int casement_getattr(struct casement_queue *queue, uint64_t node, uint64_t fh,
		     struct fuse_attr_out *out);
int casement_setattr(struct casement_queue *queue, uint64_t node,
		     const struct fuse_setattr_in *in, struct fuse_attr_out *out);
/* `mask` is statx(2)'s. */
int casement_statx(struct casement_queue *queue, uint64_t node, uint64_t fh, uint32_t mask,
		   struct fuse_statx_out *out);
/* `mask` is access(2)'s. */
int casement_access(struct casement_queue *queue, uint64_t node, uint32_t mask);

/*
 * Extended attributes. `flags` are setxattr(2)'s. Get and list return the bytes
 * of the value or of the NUL-terminated names; with size 0, how many those are.
 */
int casement_setxattr(struct casement_queue *queue, uint64_t node, const char *name,
		      const void *value, size_t size, uint32_t flags);
ssize_t casement_getxattr(struct casement_queue *queue, uint64_t node, const char *name,
			  void *buf, size_t size);
ssize_t casement_listxattr(struct casement_queue *queue, uint64_t node, char *buf, size_t size);
int casement_removexattr(struct casement_queue *queue, uint64_t node, const char *name);

/*
 * Files; `flags` are open(2)'s. Create opens what is there, without O_EXCL: -ESTALE where
 * it is no regular file, or the caller may not be allowed to. Look it up then, and open it.
 */
int casement_create(struct casement_queue *queue, uint64_t parent, const char *name,
		    uint32_t flags, uint32_t mode, struct fuse_entry_out *entry,
		    struct fuse_open_out *open);
int casement_tmpfile(struct casement_queue *queue, uint64_t parent, uint32_t flags,
		     uint32_t mode, struct fuse_entry_out *entry, struct fuse_open_out *open);
int casement_open(struct casement_queue *queue, uint64_t node, uint32_t flags,
		  struct fuse_open_out *out);
int casement_release(struct casement_queue *queue, uint64_t node, uint64_t fh);
int casement_flush(struct casement_queue *queue, uint64_t node, uint64_t fh);
/* The same, giving back the POSIX locks of `owner`. */
int casement_flush_owner(struct casement_queue *queue, uint64_t node, uint64_t fh,
			 uint64_t owner);
/* Release with FUSE_RELEASE_*, as FUSE_RELEASE_FLOCK_UNLOCK for the flock(2) of `owner`. */
int casement_release_owner(struct casement_queue *queue, uint64_t node, uint64_t fh,
			   uint32_t release_flags, uint64_t owner);
/* `datasync` not 0: fdatasync(2). */
int casement_fsync(struct casement_queue *queue, uint64_t node, uint64_t fh, int datasync);
/* Bytes read: fewer than asked only at the end of the file. */
ssize_t casement_read(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t offset,
		      void *buf, size_t size);
/* Bytes written; fewer than asked is possible, as for write(2). */
ssize_t casement_write(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t offset,
		       const void *buf, size_t size);
/* `mode` is fallocate(2)'s. */
int casement_fallocate(struct casement_queue *queue, uint64_t node, uint64_t fh, uint32_t mode,
		       uint64_t offset, uint64_t length);
/* The new offset; `whence` is lseek(2)'s, for SEEK_DATA and SEEK_HOLE. */
int64_t casement_lseek(struct casement_queue *queue, uint64_t node, uint64_t fh, uint64_t offset,
		       uint32_t whence);
/* Bytes copied; from `node_in`, all else is in `in`. The first can count up to 4 GiB only. */
ssize_t casement_copy_file_range(struct casement_queue *queue,
				 const struct fuse_copy_file_range_in *in, uint64_t node_in);
int64_t casement_copy_file_range_64(struct casement_queue *queue,
				    const struct fuse_copy_file_range_in *in, uint64_t node_in);
/*
 * ioctl(2) with `in_size` bytes in and at most `out_size` out; `flags` are
 * FUSE_IOCTL_*. Returns the bytes that came out, and ioctl's own value in *result.
 */
ssize_t casement_ioctl(struct casement_queue *queue, uint64_t node, uint64_t fh, uint32_t cmd,
		       uint32_t flags, const void *in, size_t in_size, void *out, size_t out_size,
		       int32_t *result);

/*
 * Locks of an open file, POSIX's or (FUSE_LK_FLOCK in in->lk_flags) flock(2)'s.
 * getlk: who stands in the way, or type F_UNLCK. setlk: takes or gives back;
 * -EAGAIN when it is taken, unless `wait` is not 0.
 */
int casement_getlk(struct casement_queue *queue, uint64_t node, const struct fuse_lk_in *in,
		   struct fuse_file_lock *out);
int casement_setlk(struct casement_queue *queue, uint64_t node, const struct fuse_lk_in *in,
		   int wait);

/*
 * Directories. Reading fills `buf` with struct fuse_dirent or fuse_direntplus,
 * and returns the bytes, 0 at the end; `offset` is 0 or the `off` of an entry
 * that was read. Each fuse_direntplus with a node id counts one lookup, but for
 * "." and "..".
 */
int casement_opendir(struct casement_queue *queue, uint64_t node, struct fuse_open_out *out);
int casement_releasedir(struct casement_queue *queue, uint64_t node, uint64_t fh);
int casement_fsyncdir(struct casement_queue *queue, uint64_t node, uint64_t fh, int datasync);
ssize_t casement_readdir(struct casement_queue *queue, uint64_t node, uint64_t fh,
			 uint64_t offset, void *buf, size_t size);
ssize_t casement_readdirplus(struct casement_queue *queue, uint64_t node, uint64_t fh,
			     uint64_t offset, void *buf, size_t size);

/*
 * The window: a range of a file at `window_offset`, FUSE_SETUPMAPPING_FLAG_* in
 * `flags`. Once it returns 0 the range may be touched, until it is removed.
 */
int casement_setupmapping(struct casement_queue *queue, uint64_t node, uint64_t fh,
			  uint64_t offset, uint64_t length, uint64_t flags,
			  uint64_t window_offset);
int casement_removemapping(struct casement_queue *queue,
			   const struct fuse_removemapping_one *ranges, uint32_t n);

#ifdef __cplusplus
}
#endif

#endif
