/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DAX window: which range of which file is mapped where in the guest's
 * shared memory region 0, and that the VMM and the guest agree about it.
 *
 * What makes it safe:
 *  - a mapping is never changed in place: the VMM refuses a mapping over
 *    another, so what a new one overlaps is unmapped first;
 *  - the guest hears "mapped" only after the VMM has committed it;
 *  - a range mapped for writing gets its blocks first, so that a store on a
 *    full disk is an ENOSPC here and not a SIGBUS in the VMM;
 *  - before a file is cut, ranges that lie wholly behind the cut are taken
 *    away ("suspended"), and come back when the file grows over them again;
 *  - a file is known by what it is on the host: a cut by another of its nodes
 *    takes all away that is past it, since that node's user does not know of
 *    the mapping;
 *  - no change of a file fails for the window's sake, but for want of blocks.
 *
 * Functions run on queue threads, one at a time inside; who waits here gives
 * up with -EINTR when its queue is being stopped (common/stop_token.h). The
 * request is then served again after the restart, and finds what was done.
 */
#ifndef CASEMENT_DAEMON_DAX_WINDOW_H
#define CASEMENT_DAEMON_DAX_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct file_proxy;
struct fs;
struct fs_file_id;
struct window;

/* How the window reaches the VMM; vu_backend.h has the meanings of the results. */
struct window_vmm_ops {
	void *ctx;
	bool (*ready)(void *ctx);
	int (*map)(void *ctx, int fd, uint64_t fd_offset, uint64_t at, uint64_t len, bool writable);
	int (*unmap)(void *ctx, uint64_t at, uint64_t len, bool barrier);
	int (*settle)(void *ctx);
};

/*
 * A window of `size` bytes, at most `max_mappings` of them live at once. `fs`,
 * `vmm->ctx` and `proxy` are borrowed; without a proxy (NULL) only ranges that
 * lie wholly within their file can be mapped. 0 or -ENOMEM.
 */
int window_new(struct fs *fs, const struct window_vmm_ops *vmm, struct file_proxy *proxy,
	       uint64_t size, unsigned int max_mappings, struct window **out);
void window_free(struct window *window);

/* True when the VMM took the window, so that mappings can be made. */
bool window_present(struct window *window);

/*
 * Map [offset, offset + len) of `node` at `at`: 0, -EINTR; -EINVAL for bad
 * numbers; -ENOSPC when a writable range cannot get its blocks; -ENFILE when
 * the VMM has all mappings that it may; -EACCES, -EROFS, -ETXTBSY ... when the
 * file may not be opened for writing, which every mapping needs (QEMU maps
 * everything writable); -EIO when the VMM refuses, or would.
 */
int window_setup(struct window *window, uint64_t node, uint64_t offset, uint64_t len,
		 bool writable, uint64_t at);
/*
 * Unmap [at, at + len); parts of mappings outside of it stay. 0, -EINTR, -EINVAL;
 * -ENFILE, and nothing changed, when a mapping that loses its middle would be one too many.
 */
int window_remove(struct window *window, uint64_t at, uint64_t len);
/* Unmap everything: a new mount, or the last one is over. 0 or -EINTR. */
int window_clear(struct window *window);
/* The VMM is gone and its mappings with it. Queues are stopped. */
void window_forget(struct window *window);
/* Some queue's token was fired: wake who waits here. Any thread. */
void window_wake(struct window *window);

/* What fs_set_watch() wants; see fs.h. The first takes no lock. */
bool window_maps(struct window *window, const struct fs_file_id *file);
int window_before_cut(struct window *window, const struct fs_file_id *file, uint64_t size);
int window_before_growth(struct window *window, const struct fs_file_id *file, uint64_t size);
int window_size_seen(struct window *window, const struct fs_file_id *file, uint64_t size);
bool window_maps_writable(struct window *window, const struct fs_file_id *file, uint64_t offset, uint64_t len);

#endif
