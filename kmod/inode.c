/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Inodes by nodeid: found or made when the daemon names one, forgotten at the end. */
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "dax.h"
#include "dirty.h"
#include "fs.h"

static struct kmem_cache *cache;

struct inode *cs_inode_alloc(struct super_block *sb)
{
	struct cs_inode *node = alloc_inode_sb(sb, cache, GFP_KERNEL);

	if (!node)
		return NULL;
	node->nodeid = 0;
	node->generation = 0;
	node->nlookup = 0;
	node->attr_expires = 0;
	node->mode_expires = 0;
	atomic64_set(&node->changed, 0);
	node->asked = 0;
	node->told = 0;
	node->resizing = false;
	atomic_set(&node->n_direct, 0);
	node->mtime_is_ours = false;
	node->written = 0;
	node->sent = 0;
	node->has_birth = false;
	INIT_LIST_HEAD(&node->writers);
	node->no_birth = false;
	node->names = (struct cs_dir_foresight){ .since = jiffies };
	node->was_read = false;
	node->opens = 0;
	node->last_open = 0;
	node->dax = NULL;
	node->dax_offered = false;
	node->stored = false;
	return &node->vfs;
}

void cs_inode_free(struct inode *inode)
{
	/* A walk by RCU may have followed it until now. */
	if (S_ISLNK(inode->i_mode))
		kfree(inode->i_link);
	kmem_cache_free(cache, cs_inode(inode));
}

void cs_inode_evict(struct inode *inode)
{
	cs_dax_evict(inode);
	/* Of callers that were killed. */
	wait_var_event(&cs_inode(inode)->n_direct, !atomic_read(&cs_inode(inode)->n_direct));
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	cs_attr_evicted(inode);
	/* The root's look-up is nobody's. */
	if (cs_nodeid(inode) != FUSE_ROOT_ID)
		cs_session_forget(cs_session(inode->i_sb), cs_nodeid(inode), cs_inode(inode)->nlookup);
}

static int is_that(struct inode *inode, void *opaque)
{
	const struct fuse_entry_out *entry = opaque;

	return cs_nodeid(inode) == entry->nodeid && cs_inode(inode)->generation == entry->generation &&
	       !((inode->i_mode ^ entry->attr.mode) & S_IFMT);
}

static int set_that(struct inode *inode, void *opaque)
{
	const struct fuse_entry_out *entry = opaque;

	cs_inode(inode)->nodeid = entry->nodeid;
	cs_inode(inode)->generation = entry->generation;
	inode->i_mode = entry->attr.mode & S_IFMT;
	return 0;
}

static bool entry_is_sane(const struct fuse_entry_out *entry)
{
	return entry->nodeid && fs_umode_to_ftype(entry->attr.mode) != FT_UNKNOWN &&
	       entry->attr.size <= MAX_LFS_FILESIZE;
}

/* Folios no larger than a request, so that each can be read by one; or than what dirty.h keeps account of. */
static void set_folio_sizes(struct inode *inode)
{
	u32 most = min_t(u32, cs_session(inode->i_sb)->max_bytes >> PAGE_SHIFT, CS_DIRTY_MAX);

	mapping_set_folio_order_range(inode->i_mapping, 0,
				      min_t(unsigned int, ilog2(most), MAX_PAGECACHE_ORDER));
}

static void set_operations(struct inode *inode, u32 rdev)
{
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &cs_file_inode_operations;
		inode->i_fop = &cs_file_operations;
		inode->i_data.a_ops = &cs_file_aops;
		set_folio_sizes(inode);
		break;
	case S_IFDIR:
		inode->i_op = &cs_dir_inode_operations;
		inode->i_fop = &cs_dir_operations;
		break;
	case S_IFLNK:
		inode->i_op = &cs_symlink_inode_operations;
		break;
	default:
		inode->i_op = &cs_file_inode_operations;
		init_special_inode(inode, inode->i_mode, new_decode_dev(rdev));
	}
}

static struct inode *get(struct super_block *sb, struct fuse_entry_out *entry, u64 snapshot)
{
	u64 expires = cs_attr_expiry(sb, entry->attr_valid, entry->attr_valid_nsec);
	struct inode *inode = iget5_locked(sb, entry->nodeid, is_that, set_that, entry);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (cs_inode_is_new(inode)) {
		/* The daemon keeps times; ours would only cost requests. */
		inode->i_flags |= S_NOATIME | S_NOCMTIME;
		cs_attr_first(inode, &entry->attr, expires, snapshot);
		set_operations(inode, entry->attr.rdev);
		/* Another file system begins here: submount.c. */
		if (S_ISDIR(inode->i_mode) && entry->attr.flags & FUSE_ATTR_SUBMOUNT &&
		    cs_session_has(cs_session(sb), FUSE_SUBMOUNTS))
			inode->i_flags |= S_AUTOMOUNT;
		unlock_new_inode(inode);
	} else {
		cs_attr_apply(inode, &entry->attr, expires, snapshot);
	}
	return inode;
}

struct inode *cs_inode_get(struct super_block *sb, const struct fuse_entry_out *entry, u64 snapshot)
{
	struct fuse_entry_out copy = *entry;
	struct inode *inode;

	if (!entry_is_sane(entry) || entry->nodeid == FUSE_ROOT_ID)
		inode = ERR_PTR(-EIO);
	else
		inode = get(sb, &copy, snapshot);
	if (IS_ERR(inode)) {
		cs_entry_forget(sb, entry);
		return inode;
	}
	spin_lock(&cs_inode(inode)->lock);
	cs_inode(inode)->nlookup++;
	spin_unlock(&cs_inode(inode)->lock);
	return inode;
}

static int is_numbered(struct inode *inode, void *opaque)
{
	const struct fuse_entry_out *entry = opaque;

	return cs_nodeid(inode) == entry->nodeid && cs_inode(inode)->generation == entry->generation;
}

struct inode *cs_inode_find(struct super_block *sb, u64 nodeid, u64 generation)
{
	struct fuse_entry_out entry = { .nodeid = nodeid, .generation = generation };

	return ilookup5(sb, nodeid, is_numbered, &entry);
}

struct inode *cs_inode_get_root(struct super_block *sb)
{
	struct fuse_entry_out entry = {
		.nodeid = FUSE_ROOT_ID,
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0755, .nlink = 2 },
	};
	struct inode *inode = get(sb, &entry, 0);
	int err;

	if (IS_ERR(inode))
		return inode;
	err = cs_attr_refresh(inode, true);
	if (err) {
		iput(inode);
		return ERR_PTR(err);
	}
	return inode;
}

bool cs_inode_count(struct inode *inode, const struct fuse_entry_out *entry)
{
	if (!entry_is_sane(entry) || !is_that(inode, (void *)entry))
		return false;
	spin_lock(&cs_inode(inode)->lock);
	cs_inode(inode)->nlookup++;
	spin_unlock(&cs_inode(inode)->lock);
	return true;
}

static void init_once(void *object)
{
	struct cs_inode *node = object;

	inode_init_once(&node->vfs);
	spin_lock_init(&node->lock);
}

int cs_inodes_start(void)
{
	cache = kmem_cache_create("casement_inode", sizeof(struct cs_inode), 0,
				  SLAB_ACCOUNT | SLAB_RECLAIM_ACCOUNT, init_once);
	return cache ? 0 : -ENOMEM;
}

void cs_inodes_stop(void)
{
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(cache);
}
