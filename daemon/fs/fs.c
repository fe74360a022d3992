/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file system object: made, reset, freed. Operations are in op_*.c.
 * Relies on /proc or its caller's proc_fd at fs_new(), and on being called in
 * the process that serves.
 */
#include "daemon/fs/fs_private.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/checked.h"
#include "daemon/fs/creds.h"
#include "daemon/fs/dir_stream.h"
#include "daemon/fs/file_number.h"
#include "daemon/fs/fs_kind.h"

/* Descriptors kept from the guest, in any case and where there are few; and those that it has in any case. */
#define FD_RESERVE 512
#define FD_LEAST 16

const char *const fs_handles_names[] = { "never", "prefer", "mandatory", "auto", NULL };

bool fs_is_remote(const struct fs *fs, const struct inode *inode)
{
	return inode->mount ? inode_fs_kind(inode) & FS_KIND_REMOTE : fs->remote;
}

/* An operation goes on with this inode, or leaves it to a thread that may wait. */
static int take_inode(const struct fs *fs, const struct inode *inode)
{
	int err = patience_ask(inode);

	if (!err && inode_has(inode, INODE_WAITS) && fs_is_remote(fs, inode))
		creds_home();
	return err;
}

int fs_node_get(struct fs *fs, uint64_t node, struct inode **out)
{
	*out = inode_table_get(&fs->inodes, node);
	if (!*out)
		return -ESTALE;
	return take_inode(fs, *out);
}

int fs_act_as(const struct fs *fs, const struct inode *inode, const struct fs_caller *caller,
	      enum creds_setid setid, struct creds *as)
{
	return creds_take(as, &(struct creds_wanted){
		.use = CREDS_CHANGE, .setid = setid, .uid = caller->uid, .gid = caller->gid,
		.remote = fs_is_remote(fs, inode) });
}

int fs_at_get(struct fs *fs, uint64_t node, struct fs_at *at)
{
	int err = fs_node_get(fs, node, &at->inode);

	if (!err)
		err = inode_fd_get(at->inode, &at->held);
	at->fd = at->held.fd;
	return err;
}

void fs_at_put(struct fs_at *at)
{
	inode_fd_put(&at->held);
	inode_put(at->inode);
}

int fs_handle_get(struct fs *fs, uint64_t fh, enum handle_kind kind, struct handle **out)
{
	*out = handle_table_get(&fs->handles, fh, kind);
	if (!*out)
		return -EBADF;
	return take_inode(fs, (*out)->inode);
}

int fs_handle_add(struct fs *fs, const struct handle_parts *parts, uint64_t *fh)
{
	int err = handle_table_add(&fs->handles, parts, fh);

	/* The handle is there before we look, and fs_reset() looks for handles after it has said so. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!err && patience_outlived(&fs->session))
		handle_table_release(&fs->handles, *fh, HANDLE_ANY);
	return err;
}

uint32_t fs_session(const struct fs *fs)
{
	return __atomic_load_n(&fs->session, __ATOMIC_RELAXED);
}

uint8_t fs_kind_of(const struct handle *open)
{
	/* Where the mount has no entry, nobody remembers. */
	return open->inode->mount ? inode_fs_kind(open->inode) : fs_kind(open->fd);
}

struct fs_number fs_number_of(const struct fs *fs, uint32_t device, uint64_t ino)
{
	return (struct fs_number){
		.own = ino,
		.mixed = file_number_mixed(fs->number_seed, device, ino),
		.below = device != fs->inodes.root->key.device || file_number_is_like_mixed(ino),
	};
}

bool fs_wait_for_room(struct fs *fs, int err)
{
	return (err == -ENOSPC || err == -EDQUOT) && room_wait(&fs->room, &fs->inodes);
}

int fs_check_writable(const struct fs *fs)
{
	return fs->config.readonly ? -EROFS : 0;
}

static uint64_t fd_limit(const struct fs_config *config)
{
	struct rlimit limit;
	uint64_t kept;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return FD_RESERVE;
	kept = MAX(MIN(limit.rlim_cur / 4, (rlim_t)FD_RESERVE), config->other_fds);
	return limit.rlim_cur > kept + FD_LEAST ? limit.rlim_cur - kept : FD_LEAST;
}

/* A new file takes a descriptor for its inode and one for its handle. */
int fs_check_makes(const struct fs *fs)
{
	if (fs->config.handles == FS_HANDLES_NEVER && !fd_budget_has(&fs->budget, 2))
		return -ENFILE;
	return fs_check_writable(fs);
}

/* Descriptors that inodes held by handles may keep in each shard; the budget has less then. */
static uint32_t kept_cells(struct fs *fs)
{
	uint64_t cells = fs->config.kept_fds ? fs->config.kept_fds : FD_CELLS;

	if (fs->config.handles == FS_HANDLES_NEVER)
		return 0;
	cells = MIN(MIN(cells, (uint64_t)FD_CELLS), fs->budget.limit / 2) / FD_SHARDS;
	cells = MAX(cells, (uint64_t)1);
	fs->budget.limit -= MIN(fs->budget.limit, cells * FD_SHARDS);
	return (uint32_t)cells;
}

static int make_inodes(struct fs *fs)
{
	struct inode_holding holding = {
		.handles = fs->config.handles, .cells = kept_cells(fs), .open = &fs->open,
		.budget = &fs->budget, .late = fs->config.handles_late,
	};

	return inode_table_init(&fs->inodes, &holding);
}

static int enter_root(struct fs *fs, const struct fs_config *config)
{
	int root_fd = config->root_fd;
	struct statx stx;
	int err = fs_stat_fd(root_fd, &stx);

	if (err)
		return err;
	if (!S_ISDIR(stx.stx_mode))
		return -ENOTDIR;
	return inode_table_set_root(&fs->inodes, &root_fd, &stx);
}

int fs_new(const struct fs_config *config, struct fs **out)
{
	struct fs *fs = aligned_alloc(_Alignof(struct fs), sizeof(*fs));
	int err;

	if (!fs)
		return -ENOMEM;
	memset(fs, 0, sizeof(*fs));
	fs->config = *config;
	fs->config.root_fd = -1;
	fs->budget = (struct fd_budget){
		.limit = fd_limit(config), .reclaim = config->ids_stay ? NULL : reclaim_files, .ctx = fs,
	};
	fs->listings.limit = DIR_STREAMS_BYTES;
	fs->session = 1;
	if (getrandom(&fs->number_seed, sizeof(fs->number_seed), 0) != sizeof(fs->number_seed))
		fs->number_seed = (uintptr_t)fs;
	fs->remote = fs_kind(config->root_fd) & FS_KIND_REMOTE;
	err = safe_open_init(&fs->open, config->proc_fd ? config->proc_fd : -1, config->root_fd);
	if (err)
		goto free_fs;
	/* For attributes, see op_xattr.c. */
	err = fchdir(fs->open.proc_fd) < 0 ? -errno : 0;
	if (!err)
		err = make_inodes(fs);
	if (err)
		goto close_open;
	err = enter_root(fs, config);
	if (err)
		goto free_inodes;
	err = kept_table_init(&fs->kept);
	if (err)
		goto free_inodes;
	err = lock_waits_init(&fs->waits);
	if (err)
		goto free_kept;
	err = fs_dax_init(fs);
	if (err)
		goto free_waits;
	handle_table_init(&fs->handles, &fs->budget);
	lock_table_init(&fs->locks, &fs->open, &fs->budget);
	fs_xattr_setup(fs);
	*out = fs;
	return 0;

free_waits:
	lock_waits_fini(&fs->waits);
free_kept:
	kept_table_fini(&fs->kept);
free_inodes:
	inode_table_fini(&fs->inodes);
close_open:
	/* What the caller opened stays the caller's. */
	if (!config->proc_fd)
		safe_open_fini(&fs->open);
free_fs:
	free(fs);
	return err;
}

void fs_free(struct fs *fs)
{
	if (!fs)
		return;
	handle_table_fini(&fs->handles);
	lock_table_fini(&fs->locks);
	lock_waits_fini(&fs->waits);
	kept_table_fini(&fs->kept);
	dax_offers_free(fs->offers);
	inode_table_fini(&fs->inodes);
	safe_open_fini(&fs->open);
	free(fs);
}

void fs_set_watch(struct fs *fs, const struct fs_watch *watch)
{
	fs->watch = *watch;
}

void fs_reset(struct fs *fs)
{
	/* Who resets a device waits for nobody: what is closed may, see patience_close(). */
	enum fs_patience patience = patience_swap(FS_PATIENCE_NONE);
	uint32_t next = fs_session(fs) + 1;

	/* From here on requests of before keep nothing. Two resets at once end the same session. */
	__atomic_store_n(&fs->session, next ? next : 1, __ATOMIC_SEQ_CST);
	lock_waits_cancel(&fs->waits, LOCK_WAIT_ALL, NULL);
	handle_table_clear(&fs->handles);
	lock_table_clear(&fs->locks);
	inode_table_clear(&fs->inodes);
	fs_set_client_device(fs, 0);
	if (fs->offers)
		dax_offers_clear(fs->offers);
	patience_swap(patience);
	/* The C library keeps what is freed in small pieces: the next guest may need less, or never come. */
	malloc_trim(0);
}
