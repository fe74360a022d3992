/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A share: the file system, the server, the window and the device, made and
 * handed to each other. The only place, beside main.c, that sees all layers.
 */
#include "daemon/share.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/config.h"
#include "daemon/dax/file_proxy.h"
#include "daemon/dax/window.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/server.h"

/* Below this a file costs the guest more in page descriptors than the window gains it. */
#define DAX_MIN_FILE (64u << 10)
/* How long threads that wait for somebody else may take to end with the process. */
#define ENDING_MS 100
/* Fills the regions up to a power of two, as QEMU 11.1 wants. Region 1 is kept for the version table. */
#define SHMID_FILLER 2

/* ---- the layers, handed to each other ---- */

static bool vmm_ready(void *ctx)
{
	return vu_backend_ready(ctx);
}

static int vmm_map(void *ctx, int fd, uint64_t fd_offset, uint64_t at, uint64_t len, bool writable)
{
	return vu_backend_map(ctx, VIRTIO_FS_SHMID_CACHE, fd, fd_offset, at, len, writable);
}

static int vmm_unmap(void *ctx, uint64_t at, uint64_t len, bool barrier)
{
	return vu_backend_unmap(ctx, VIRTIO_FS_SHMID_CACHE, at, len, barrier);
}

static int vmm_settle(void *ctx)
{
	return vu_backend_settle(ctx);
}

static bool ops_present(void *ctx)
{
	return window_present(ctx);
}

static int ops_setup(void *ctx, uint64_t node, uint64_t offset, uint64_t len, bool writable, uint64_t at)
{
	return window_setup(ctx, node, offset, len, writable, at);
}

static int ops_remove(void *ctx, uint64_t at, uint64_t len)
{
	return window_remove(ctx, at, len);
}

static int ops_clear(void *ctx)
{
	return window_clear(ctx);
}

static bool watch_maps(void *ctx, const struct fs_file_id *file)
{
	return window_maps(ctx, file);
}

static int watch_before_cut(void *ctx, const struct fs_file_id *file, uint64_t size)
{
	return window_before_cut(ctx, file, size);
}

static int watch_before_growth(void *ctx, const struct fs_file_id *file, uint64_t size)
{
	return window_before_growth(ctx, file, size);
}

static int watch_size_seen(void *ctx, const struct fs_file_id *file, uint64_t size)
{
	return window_size_seen(ctx, file, size);
}

static bool watch_maps_writable(void *ctx, const struct fs_file_id *file, uint64_t offset, uint64_t len)
{
	return window_maps_writable(ctx, file, offset, len);
}

static int place_new(void *ctx, void **place)
{
	struct share *share = ctx;

	return server_queue_new(share->server, (struct server_queue **)place);
}

static void place_free(void *place)
{
	server_queue_free(place);
}

_Static_assert(REQUEST_NO_REPLY == SERVER_NO_REPLY && REQUEST_AGAIN == SERVER_AGAIN &&
	       REQUEST_WAITS_DISK == SERVER_WAITS_DISK && REQUEST_WAITS_LOCK == SERVER_WAITS_LOCK &&
	       REQUEST_WAITS_OTHERS == SERVER_WAITS_OTHERS && REQUEST_WAITS_QUEUE == SERVER_WAITS_QUEUE,
	       "one meaning");

static long request_handle(void *place, struct iov_cursor *in, struct iov_cursor *out)
{
	return server_handle(place, in, out, PATIENCE_NONE);
}

static long request_resume(void *place, long what)
{
	return server_resume(place, what == REQUEST_WAITS_QUEUE ? PATIENCE_NONE :
			     what == REQUEST_WAITS_DISK ? PATIENCE_DISK :
			     what == REQUEST_WAITS_OTHERS ? PATIENCE_OTHERS : PATIENCE_ENOUGH);
}

static long request_refuse(void *place)
{
	return server_refuse(place);
}

static int request_detach(void *place)
{
	return server_detach(place);
}

static long request_fetch(void *place, struct iov_cursor *out, long written)
{
	return server_fetch(place, out, written);
}

static uint64_t request_key(void *place)
{
	return server_key(place);
}

static void device_reset(void *ctx, bool left)
{
	struct share *share = ctx;

	server_reset(share->server, left);
}

static void queue_wake(void *ctx)
{
	struct share *share = ctx;

	server_interrupt(share->server);
	if (share->window)
		window_wake(share->window);
}

/* ---- made, step by step ---- */

int share_check(const struct config *config)
{
	/* Whether it may be read is asked by the ids of the sandbox, which may be others. */
	cleanup_close int fd = open(config->shared_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		int err = -errno;

		if (err == -ENOTDIR)
			log_error("%s: not a directory; --shared-dir wants one", config->shared_dir);
		else
			log_error("%s: cannot be shared: %m", config->shared_dir);
		return err;
	}
	if (!config->readonly && faccessat(fd, ".", W_OK, AT_EACCESS) && errno == EROFS) {
		log_error("%s: lies on a read-only file system; give --readonly", config->shared_dir);
		return -EROFS;
	}
	return 0;
}

/* The window that the guest sees: as many of its 2 MiB ranges as the VMM can hold mappings. */
static uint64_t window_effective(const struct config *config)
{
	uint64_t most = config->window_mappings * VIRTIO_FS_RANGE_SIZE;

	if (config->window_size > most)
		log_warn("--window-size: the guest gets a window of %llu MiB: %llu mappings of 2 MiB are all the VMM may hold (--window-mappings)",
			 (unsigned long long)(most >> 20), (unsigned long long)config->window_mappings);
	return MIN(config->window_size, most);
}

static uint64_t power_of_two_above(uint64_t v)
{
	uint64_t power = 1;

	while (power < v)
		power <<= 1;
	return power;
}

static void describe_device(const struct config *config, uint64_t window_size, struct vu_device *device)
{
	uint64_t filler = power_of_two_above(window_size) - window_size;

	*device = (struct vu_device){ .has_config = config->tag };
	device->config.num_request_queues = (uint32_t)config->queues;
	if (config->tag)
		memcpy(device->config.tag, config->tag, strnlen(config->tag, VIRTIO_FS_TAG_MAX));
	if (!window_size)
		return;
	device->shmem.nregions = filler ? 2 : 1;
	device->shmem.sizes[VIRTIO_FS_SHMID_CACHE] = window_size;
	device->shmem.sizes[SHMID_FILLER] = filler;
}

/*
 * Stand-ins let the VMM map a file to its last byte. Without them the window is
 * for guests that can do without a range. What makes them needs /dev/fuse and its
 * capabilities, so it comes before the sandbox.
 */
void share_prepare(const struct config *config, struct share *share)
{
	int err;

	if (!config->window_size)
		return;
	err = file_proxy_new(sandbox_confine_stand_ins, &config->sandbox, &share->proxy);
	if (err)
		log_warn("the window is offered to casement.ko only: no FUSE passthrough (%s); it needs Linux 6.9 and root",
			 strerror(-err));
}

static int make_window(const struct config *config, struct share *share, uint64_t size)
{
	struct window_vmm_ops vmm = {
		.ctx = &share->backend, .ready = vmm_ready, .map = vmm_map,
		.unmap = vmm_unmap, .settle = vmm_settle,
	};
	struct fs_watch watch = {
		.maps = watch_maps, .before_cut = watch_before_cut, .before_growth = watch_before_growth,
		.size_seen = watch_size_seen, .maps_writable = watch_maps_writable,
	};
	int err;

	if (!size)
		return 0;
	err = window_new(share->fs, &vmm, share->proxy, size, (unsigned int)config->window_mappings,
			 &share->window);
	if (err)
		return err;
	watch.ctx = share->window;
	fs_set_watch(share->fs, &watch);
	return 0;
}

static int make_server(const struct config *config, struct share *share)
{
	struct server_config server = {
		.cache = config->cache, .readonly = config->readonly, .writeback = config->writeback,
		.allow_mmap = config->allow_mmap,
		.readdirplus = config->no_readdirplus ? READDIRPLUS_NEVER :
			(enum readdirplus_mode)config->readdirplus,
		.submounts = config->announce_submounts,
		.timeout_ms = (uint32_t)config->timeout_ms,
		.negative_ms = (uint32_t)config->negative_timeout_ms,
		.posix_lock = config->posix_lock, .flock = config->flock,
		.xattr = config->xattr, .killpriv_v2 = config->killpriv_v2,
		.posix_acl = config->posix_acl, .security_label = config->security_label,
		.uid_map = id_translation_empty(&config->translate_uid) ? NULL : &config->translate_uid,
		.gid_map = id_translation_empty(&config->translate_gid) ? NULL : &config->translate_gid,
	};
	struct window_ops window = {
		.any_range = share->proxy,
		.ctx = share->window, .setup = ops_setup, .remove = ops_remove,
		.clear = ops_clear, .present = ops_present,
	};

	return server_new(share->fs, &server, share->window ? &window : NULL, &share->server);
}

/*
 * Requests that wait for somebody else outlive the session they came by, if
 * they must. A server that does not answer, or a lock that is not given, has
 * OTHERS_PER_KEY threads at most; so many servers may be stuck before one that
 * answers has no thread left.
 */
#define OTHERS_THREADS 256
#define OTHERS_PER_KEY 16
#define OTHERS_JOBS 1024

static int make_pools(const struct config *config, struct share *share)
{
	static const struct job_pool_limits locks = {
		.threads = FS_LOCK_WAITS_MAX, .threads_per_key = FS_LOCK_WAITS_MAX,
		.jobs = FS_LOCK_WAITS_MAX, .what = "locks",
	};
	static const struct job_pool_limits others = {
		.threads = OTHERS_THREADS, .threads_per_key = OTHERS_PER_KEY, .jobs = OTHERS_JOBS,
		.what = "a file system or program that does not answer",
	};
	int err;

	share->ops = (struct request_ops){
		.ctx = share, .place_new = place_new, .place_free = place_free,
		.handle = request_handle, .resume = request_resume, .refuse = request_refuse,
		.detach = request_detach, .fetch = request_fetch, .key = request_key,
		.reset = device_reset, .wake = queue_wake,
		.pool_threads = (unsigned int)config->thread_pool_size,
		.look_ns = config->poll_max_us * 1000,
	};
	err = job_pool_new(&share->ops, &locks, &share->ops.locks);
	return err ? err : job_pool_new(&share->ops, &others, &share->ops.others);
}

/* Of a queue: kick, call, error, epoll, stop and wake; of a thread of the pool, what it opens for a moment. */
#define FDS_PER_QUEUE 6
#define FDS_PER_THREAD 2
/* The process's own, and what a message of the VMM's may bring. */
#define FDS_IN_ALL 40

/* With less the VMM's messages lose their descriptors, and that ends the connection. */
static uint64_t count_own_fds(const struct config *config)
{
	return FDS_IN_ALL + FDS_PER_QUEUE * (1 + config->queues) + FDS_PER_THREAD * (config->queues + config->thread_pool_size);
}

int share_open(const struct config *config, struct sandbox_roots *roots, struct share *share)
{
	uint64_t window_size = window_effective(config);
	struct fs_config fs = {
		.root_fd = roots->root_fd, .proc_fd = roots->proc_fd,
		.readonly = config->readonly, .writeback = config->writeback,
		.xattr_map = config->xattrmap ? &config->xattr_map : NULL,
		.preserve_noatime = config->preserve_noatime,
		.allow_direct_io = config->allow_direct_io,
		.handles = (enum fs_handles)config->inode_file_handles,
		.other_fds = count_own_fds(config),
		.handles_late = config->file_handles_late,
		.ids_stay = config->ids_stay,
		.links_stay = config->cache == CACHE_ALWAYS || config->cache == CACHE_METADATA,
		.dax_min_size = window_size ? DAX_MIN_FILE : 0, .dax_max_size = window_size,
	};
	int err;

	/* Asked here, as the sandbox may have given us other ids. */
	if (!config->readonly && faccessat(fs.root_fd, ".", W_OK, AT_EACCESS))
		log_warn("%s: not writable by this user: the guest cannot make files at its top",
			 config->shared_dir);
	vu_backend_init(&share->backend);
	describe_device(config, window_size, &share->device);
	err = fs_new(&fs, &share->fs);
	if (err) {
		close_fd(&roots->root_fd);
		close_fd(&roots->proc_fd);
		log_error("%s: cannot be shared%s: %s", config->shared_dir,
			  err == -EOPNOTSUPP ? " with mandatory file handles" : "", strerror(-err));
		return err;
	}
	err = make_window(config, share, window_size);
	if (!err)
		err = make_server(config, share);
	if (!err)
		err = make_pools(config, share);
	if (err)
		log_error("cannot start: %s", strerror(-err));
	return err;
}

void share_close(struct share *share)
{
	bool ended = job_pool_try_free(share->ops.locks, ENDING_MS) &
		     job_pool_try_free(share->ops.others, ENDING_MS) & fs_await_closed(ENDING_MS);

	/* What they use is theirs until the process ends, which is next. */
	if (!ended)
		return;
	if (share->server)
		server_free(share->server);
	if (share->window)
		window_free(share->window);
	if (share->proxy)
		file_proxy_free(share->proxy);
	if (share->fs) {
		fs_free(share->fs);
		vu_backend_destroy(&share->backend);
	}
}

int share_serve(struct share *share, int sock, int stop_fd, const struct vu_bystander *other)
{
	struct vu_session *session;
	int err = vu_session_new(&share->device, &share->ops, &share->backend, sock, &session);

	if (err) {
		log_error("cannot serve: %s", strerror(-err));
		return err;
	}
	log_info("the VMM connected");
	err = vu_session_run(session, stop_fd, other);
	vu_session_free(session);
	if (share->window)
		window_forget(share->window);
	if (err)
		log_error("the connection to the VMM ended: %s", strerror(-err));
	else
		log_info("the VMM left");
	return err;
}
