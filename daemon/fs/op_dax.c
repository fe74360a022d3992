/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the window needs of a file: whether it may be mapped, a descriptor to
 * map, and word of every change of size.
 *
 * A mapping may turn out writable whatever was asked for, so a file that we
 * may not write is never offered; nor one that can be executed, since the host
 * refuses to run what is mapped writable. Never maps anything itself.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "daemon/fs/fs_private.h"

/* What nobody opens for writing, or not as a mapping needs it, whatever its mode says. */
#define NEVER_WRITABLE (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_VERITY)

/* Asked once an inode: should the file or its mount turn read-only later, open(2) says so. */
static bool can_write(struct inode *inode)
{
	cleanup_inode_fd struct inode_fd at = INODE_FD_NONE;
	uint32_t flags = INODE_DAX_ASKED;

	if (inode_has(inode, INODE_DAX_ASKED))
		return inode_has(inode, INODE_DAX_WRITABLE);
	if (inode_fd_get(inode, &at))
		return false;
	if (syscall(SYS_faccessat2, at.fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) == 0)
		flags |= INODE_DAX_WRITABLE;
	inode_set(inode, flags);
	return flags & INODE_DAX_WRITABLE;
}

static bool may_be_mapped(struct fs *fs, struct inode *inode, const struct statx *stx)
{
	if (!fs->config.dax_min_size || fs->config.readonly || !S_ISREG(inode->type))
		return false;
	/* A guest's load would wait as long as its server likes, and the VMM with it. */
	if (inode_has(inode, INODE_WAITS))
		return false;
	if (stx->stx_size < fs->config.dax_min_size || stx->stx_size > fs->config.dax_max_size)
		return false;
	if (stx->stx_mode & 0111 || stx->stx_attributes & NEVER_WRITABLE)
		return false;
	return can_write(inode);
}

static uint64_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec;
}

bool fs_dax_offered(struct fs *fs, struct inode *inode, const struct statx *stx, bool begin)
{
	if (!may_be_mapped(fs, inode, stx))
		return false;
	return !__atomic_load_n(&fs->offer_what_fits, __ATOMIC_RELAXED) ||
	       dax_offers_has(fs->offers, inode_id(inode), stx->stx_size, begin, seconds());
}

/* Not of names in listings: those are many, and few of them are opened. */
void fs_dax_looked_up(struct fs *fs, struct fs_entry *entry)
{
	cleanup_inode struct inode *inode = NULL;

	if (!fs->offers || entry->attr.dax || !S_ISREG(entry->attr.stx.stx_mode))
		return;
	if (!fs_node_get(fs, entry->node, &inode))
		entry->attr.dax = fs_dax_offered(fs, inode, &entry->attr.stx, true);
}

/* The table is one of an inode's users, and each open file of it. */
static enum dax_offer_user user_of(void *ctx, uint64_t node)
{
	struct fs *fs = ctx;
	unsigned int users = inode_users(&fs->inodes.slab, node);

	return users > 1 ? DAX_OFFER_BUSY : users ? DAX_OFFER_IDLE : DAX_OFFER_GONE;
}

int fs_dax_init(struct fs *fs)
{
	if (!fs->config.dax_min_size || fs->config.readonly)
		return 0;
	return dax_offers_new(fs->config.dax_max_size, fs->config.dax_min_size, user_of, fs, &fs->offers);
}

void fs_offer_what_fits(struct fs *fs, bool so)
{
	__atomic_store_n(&fs->offer_what_fits, so && fs->offers, __ATOMIC_RELAXED);
}

static struct fs_file_id id_of(const struct inode *inode)
{
	return (struct fs_file_id){ inode_id(inode), inode->key.ino, inode->key.device };
}

bool fs_is_mapped(const struct fs *fs, const struct inode *inode)
{
	struct fs_file_id id = id_of(inode);

	return fs->watch.maps && fs->watch.maps(fs->watch.ctx, &id);
}

int fs_watch_cut(struct fs *fs, struct inode *inode, uint64_t size)
{
	struct fs_file_id id = id_of(inode);

	return fs_is_mapped(fs, inode) ? fs->watch.before_cut(fs->watch.ctx, &id, size) : 0;
}

int fs_watch_growth(struct fs *fs, struct inode *inode, uint64_t size)
{
	struct fs_file_id id = id_of(inode);

	return fs_is_mapped(fs, inode) ? fs->watch.before_growth(fs->watch.ctx, &id, size) : 0;
}

int fs_watch_size(struct fs *fs, struct inode *inode, uint64_t size)
{
	struct fs_file_id id = id_of(inode);

	return fs_is_mapped(fs, inode) ? fs->watch.size_seen(fs->watch.ctx, &id, size) : 0;
}

bool fs_watch_writable(struct fs *fs, struct inode *inode, uint64_t offset, uint64_t len)
{
	struct fs_file_id id = id_of(inode);

	return fs_is_mapped(fs, inode) && fs->watch.maps_writable(fs->watch.ctx, &id, offset, len);
}

/* A mapped file takes two descriptors: itself, and its stand-in (file_proxy.h). */
static bool take_two(struct fd_budget *budget)
{
	if (!fd_budget_take(budget))
		return false;
	if (fd_budget_take(budget))
		return true;
	fd_budget_give(budget);
	return false;
}

static void give_two(struct fd_budget *budget)
{
	fd_budget_give(budget);
	fd_budget_give(budget);
}

void fs_close_dax(struct fs *fs, int fd)
{
	close(fd);
	give_two(&fs->budget);
}

/* With a share of the budget taken for it. */
static int open_counted(struct fs *fs, struct inode *inode)
{
	int fd;

	if (!take_two(&fs->budget))
		return -ENFILE;
	fd = inode_fd_open(inode, O_RDWR);
	if (fd < 0)
		give_two(&fs->budget);
	return fd;
}

int fs_open_dax(struct fs *fs, uint64_t node, struct fs_file_id *id)
{
	cleanup_inode struct inode *inode = NULL;
	struct statx stx;
	int fd, err = fs_check_writable(fs);

	if (!err && !fs->config.dax_min_size)
		err = -EOPNOTSUPP;
	if (!err)
		err = fs_node_get(fs, node, &inode);
	/* What waits for a server is not mapped: see may_be_mapped(). */
	if (err == FS_WAITS_OTHERS || (!err && inode_has(inode, INODE_WAITS)))
		err = -EOPNOTSUPP;
	if (!err)
		err = fs_check_regular(inode);
	if (err)
		return err;
	fd = open_counted(fs, inode);
	if (fd < 0)
		return fd;
	err = fs_stat_fd(fd, &stx);
	if (err) {
		fs_close_dax(fs, fd);
		return err;
	}
	/* The open file's own: an overlay may just have copied it up. */
	*id = (struct fs_file_id){ node, stx.stx_ino, inode_device(&stx) };
	return fd;
}

int fs_await_dax(struct fs *fs, uint64_t node)
{
	struct fs_file_id id;
	int fd = fs_open_dax(fs, node, &id);

	if (fd < 0)
		return fd;
	fs_close_dax(fs, fd);
	return 0;
}

int fs_change_as(struct fs *fs, const struct fs_caller *caller, uint64_t node)
{
	cleanup_inode struct inode *inode = NULL;
	cleanup_creds struct creds as = CREDS_NONE;

	/* A file that the guest has forgotten may still be the window's. */
	fs_node_get(fs, node, &inode);
	/* Nothing is given back of a change: it stays until another one is somebody else's. */
	return fs_act_as(fs, inode ? inode : fs->inodes.root, caller, CREDS_SETID_ANY, &as);
}
