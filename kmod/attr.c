/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Attributes: believed until they expire, then asked for. A reply that was under
 * way while this guest changed the inode may be older than the change: it is not
 * taken over. session->changes counts changes, requests and answers; an inode remembers its last change.
 *
 * Answers overtake each other, too. An answer is not taken over when its request is older than that of the last
 * one that was. When both requests were under way at the same time, either answer may be the newer one: if they
 * differ, the attributes are asked for once more.
 */
#include <linux/jiffies.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>

#include "fs.h"

u64 cs_attr_snapshot(struct super_block *sb)
{
	return atomic64_inc_return(&cs_session(sb)->changes);
}

u64 cs_attr_expiry(struct super_block *sb, u64 seconds, u32 nanoseconds)
{
	u64 trust = cs_session_trust(cs_session(sb), seconds, nanoseconds);

	return trust ? get_jiffies_64() + trust : 0;
}

void cs_attr_expire(struct inode *inode)
{
	WRITE_ONCE(cs_inode(inode)->attr_expires, 0);
	WRITE_ONCE(cs_inode(inode)->mode_expires, 0);
}

static void raise_to(atomic64_t *number, s64 least)
{
	s64 before = atomic64_read(number);

	while (before < least && !atomic64_try_cmpxchg(number, &before, least))
		;
}

/* What was asked for before is not taken over. */
static void count_change(struct inode *inode)
{
	raise_to(&cs_inode(inode)->changed, atomic64_inc_return(&cs_session(inode->i_sb)->changes));
}

void cs_attr_evicted(struct inode *inode)
{
	struct cs_inode *node = cs_inode(inode);

	raise_to(&cs_session(inode->i_sb)->evicted, max_t(s64, atomic64_read(&node->changed), node->told));
}

/* Times, size and names, but nothing that permissions depend on. Any context; pairs with taken_over(). */
static void mark_changed(struct inode *inode)
{
	count_change(inode);
	smp_mb();
	WRITE_ONCE(cs_inode(inode)->attr_expires, 0);
}

/* We changed it since the snapshot, or are at it; or a later request was answered before. i_lock held. */
static bool is_older(const struct inode *inode, u64 snapshot)
{
	return cs_attr_changed_since(inode, snapshot) || cs_inode(inode)->resizing || snapshot < cs_inode(inode)->asked;
}

/* An answer is taken over. i_lock held, or the inode is new. */
static void note_answer(struct inode *inode, u64 snapshot)
{
	cs_inode(inode)->asked = snapshot;
	cs_inode(inode)->told = atomic64_inc_return(&cs_session(inode->i_sb)->changes);
}

/* An answer came since the snapshot, and says something else. i_lock held. */
static bool is_doubtful(const struct inode *inode, const struct fuse_attr *attr, u64 snapshot)
{
	struct timespec64 mtime = { attr->mtime, attr->mtimensec }, old_mtime = inode_get_mtime(inode);
	struct timespec64 ctime = { attr->ctime, attr->ctimensec }, old_ctime = inode_get_ctime(inode);

	return snapshot < cs_inode(inode)->told &&
	       (attr->size != i_size_read(inode) || attr->nlink != inode->i_nlink ||
		!timespec64_equal(&mtime, &old_mtime) || !timespec64_equal(&ctime, &old_ctime));
}

/* Attributes of then are, until they expire; unless a change came meanwhile that took no lock. */
static void taken_over(struct inode *inode, u64 snapshot)
{
	smp_mb();
	if (is_older(inode, snapshot))
		WRITE_ONCE(cs_inode(inode)->attr_expires, 0);
}

void cs_attr_changed(struct inode *inode)
{
	mark_changed(inode);
}

void cs_attr_written(struct inode *inode)
{
	WRITE_ONCE(cs_inode(inode)->mtime_is_ours, true);
	mark_changed(inode);
}

void cs_attr_wrote(struct inode *inode, loff_t end)
{
	spin_lock(&inode->i_lock);
	mark_changed(inode);
	cs_inode(inode)->mtime_is_ours = true;
	if (end > i_size_read(inode))
		i_size_write(inode, end);
	spin_unlock(&inode->i_lock);
}

void cs_attr_unsent(struct inode *inode, loff_t end)
{
	struct cs_inode *node = cs_inode(inode);

	spin_lock(&inode->i_lock);
	/* What is known holds on: times are not asked of us. */
	count_change(inode);
	node->mtime_is_ours = true;
	node->written++;
	if (end > i_size_read(inode))
		i_size_write(inode, end);
	spin_unlock(&inode->i_lock);
}

void cs_attr_sent(struct inode *inode, u64 written)
{
	spin_lock(&inode->i_lock);
	if (cs_inode(inode)->sent < written) {
		cs_inode(inode)->sent = written;
		mark_changed(inode);
	}
	spin_unlock(&inode->i_lock);
}

u64 cs_attr_answered(struct inode *inode, u64 snapshot)
{
	bool last = !cs_attr_changed_since(inode, snapshot) && cs_inode(inode)->told < snapshot;

	mark_changed(inode);
	cs_inode(inode)->mtime_is_ours = true;
	return last ? cs_attr_snapshot(inode->i_sb) : 0;
}

void cs_attr_ends(struct inode *inode, loff_t end, u64 snapshot)
{
	cs_attr_expire(inode);
	spin_lock(&inode->i_lock);
	if (!is_older(inode, snapshot) && !cs_attr_is_unsent(inode) && end < i_size_read(inode)) {
		i_size_write(inode, end);
		note_answer(inode, snapshot);
	}
	spin_unlock(&inode->i_lock);
}

/* All but the size. i_lock held, or the inode is new. */
static void set_fields(struct inode *inode, const struct fuse_attr *attr, u64 expires)
{
	struct timespec64 ctime = { attr->ctime, attr->ctimensec };
	struct timespec64 old = inode_get_ctime(inode);

	inode->i_ino = attr->ino;
	inode->i_mode = (inode->i_mode & S_IFMT) | (attr->mode & 07777);
	set_nlink(inode, attr->nlink);
	inode->i_uid = make_kuid(&init_user_ns, attr->uid);
	inode->i_gid = make_kgid(&init_user_ns, attr->gid);
	inode->i_blocks = attr->blocks;
	inode->i_blkbits = attr->blksize ? clamp(ilog2(attr->blksize), 9, 30) : inode->i_sb->s_blocksize_bits;
	inode_set_atime(inode, attr->atime, attr->atimensec);
	inode_set_mtime(inode, attr->mtime, attr->mtimensec);
	inode_set_ctime(inode, attr->ctime, attr->ctimensec);
	/* Somebody may have given it privileges that a write has to take away. */
	if (!timespec64_equal(&ctime, &old))
		inode->i_flags &= ~S_NOSEC;
	if (IS_POSIXACL(inode))
		forget_all_cached_acls(inode);
	WRITE_ONCE(cs_inode(inode)->dax_offered, attr->flags & FUSE_ATTR_DAX);
	WRITE_ONCE(cs_inode(inode)->attr_expires, expires);
	WRITE_ONCE(cs_inode(inode)->mode_expires, expires);
}

void cs_attr_first(struct inode *inode, const struct fuse_attr *attr, u64 expires, u64 snapshot)
{
	/* It may be one of those that we changed since, and forgot. */
	if (atomic64_read(&cs_session(inode->i_sb)->evicted) > snapshot)
		expires = 0;
	set_fields(inode, attr, expires);
	i_size_write(inode, attr->size);
	note_answer(inode, snapshot);
}

/* i_lock held. */
static loff_t size_now(const struct inode *inode, const struct fuse_attr *attr)
{
	return cs_attr_is_unsent(inode) ? max_t(loff_t, attr->size, i_size_read(inode)) : attr->size;
}

/* The contents that are cached are others than the daemon's. i_lock held. */
static bool is_changed(const struct inode *inode, const struct fuse_attr *attr)
{
	struct timespec64 mtime = { attr->mtime, attr->mtimensec }, old = inode_get_mtime(inode);

	return S_ISREG(inode->i_mode) &&
	       (size_now(inode, attr) != i_size_read(inode) ||
		(!timespec64_equal(&mtime, &old) && !cs_inode(inode)->mtime_is_ours));
}

/* What is in the window is the host's own page, and never old. */
static bool may_be_old(const struct inode *inode)
{
	return inode->i_mapping->nrpages && !IS_DAX(inode);
}

enum outcome { REFUSED, TAKEN, TAKEN_SHORTER, CHANGED };

/* CHANGED, nothing done, where what is cached has to go before; `dropped`: it has. */
static enum outcome take_over(struct inode *inode, const struct fuse_attr *attr, u64 expires, u64 snapshot, bool dropped)
{
	enum outcome outcome = REFUSED;
	loff_t size;

	spin_lock(&inode->i_lock);
	if (is_older(inode, snapshot)) {
		/* It may be newer than the reply that tells of the new size. */
		if (cs_inode(inode)->resizing)
			cs_inode(inode)->told = cs_attr_snapshot(inode->i_sb);
		goto unlock;
	}
	outcome = CHANGED;
	if (!dropped && is_changed(inode, attr) && may_be_old(inode))
		goto unlock;
	size = size_now(inode, attr);
	outcome = size < i_size_read(inode) ? TAKEN_SHORTER : TAKEN;
	/* What is unsent will move it again. */
	cs_inode(inode)->mtime_is_ours = S_ISREG(inode->i_mode) && cs_attr_is_unsent(inode);
	set_fields(inode, attr, is_doubtful(inode, attr, snapshot) ? 0 : expires);
	i_size_write(inode, size);
	note_answer(inode, snapshot);
	taken_over(inode, snapshot);
unlock:
	spin_unlock(&inode->i_lock);
	return outcome;
}

/* The file has become shorter. Private copies of its pages go, too, as when it is cut here. */
static void cut_off(struct inode *inode)
{
	struct address_space *mapping = inode->i_mapping;
	int killed;

	/* Copies may be left where nothing is cached any more. */
	if (!mapping->nrpages && !mapping_mapped(mapping))
		return;
	/* What a killed process leaves there is cut off before the file is made longer. */
	if (!IS_DAX(inode)) {
		unmap_mapping_range(mapping, round_up(i_size_read(inode), PAGE_SIZE), 0, 1);
		cs_pages_cut(inode);
		return;
	}
	/* A fault that has seen the larger size has its page table entry when the lock is had. */
	killed = down_write_killable(&mapping->invalidate_lock);
	unmap_mapping_range(mapping, round_up(i_size_read(inode), PAGE_SIZE), 0, 1);
	if (!killed)
		filemap_invalidate_unlock(mapping);
}

/*
 * Pages go before the new attributes are seen: a process that has seen those reads what belongs to them, and
 * where the file became longer no read finds zeros that were cached past its end. What is dirty stays, as in
 * NFS: FUSE cuts the page cache by the size that it was told, and with it what was written since.
 */
void cs_attr_apply(struct inode *inode, const struct fuse_attr *attr, u64 expires, u64 snapshot)
{
	enum outcome outcome = take_over(inode, attr, expires, snapshot, false);
	bool renewed = outcome == CHANGED;

	if (renewed) {
		/* Killed: let others ask. */
		if (cs_pages_drop(inode, 0, LLONG_MAX)) {
			cs_attr_expire(inode);
			return;
		}
		outcome = take_over(inode, attr, expires, snapshot, true);
	}
	if (outcome == TAKEN_SHORTER)
		cut_off(inode);
	if (renewed && outcome != REFUSED)
		cs_pages_drop_beside(inode);
}

static bool reply_is_of(const struct inode *inode, const struct fuse_attr_out *out)
{
	return !((inode->i_mode ^ out->attr.mode) & S_IFMT) && out->attr.size <= MAX_LFS_FILESIZE;
}

int cs_attr_run(struct inode *inode, struct cs_request *request, struct fuse_attr_out *out)
{
	int err = cs_device_call(cs_session(inode->i_sb)->device, request);

	if (!err)
		memcpy(out, cs_request_result(request), sizeof(*out));
	cs_request_put(request);
	return !err && !reply_is_of(inode, out) ? -EIO : err;
}

void cs_attr_apply_reply(struct inode *inode, const struct fuse_attr_out *out, u64 snapshot)
{
	cs_attr_apply(inode, &out->attr, cs_attr_expiry(inode->i_sb, out->attr_valid, out->attr_valid_nsec), snapshot);
}

bool cs_attr_is_fresh(const struct inode *inode)
{
	return time_before64(get_jiffies_64(), READ_ONCE(cs_inode(inode)->attr_expires));
}

bool cs_attr_mode_is_fresh(const struct inode *inode)
{
	return time_before64(get_jiffies_64(), READ_ONCE(cs_inode(inode)->mode_expires));
}

int cs_attr_refresh(struct inode *inode, bool always)
{
	struct fuse_attr_out out;
	struct cs_request *request;
	u64 snapshot;
	int err;

	if (!always && cs_attr_is_fresh(inode))
		return 0;
	request = cs_inode_request(inode, FUSE_GETATTR, sizeof(struct fuse_getattr_in),
				   sizeof(struct fuse_attr_out));
	if (!request)
		return -ENOMEM;
	snapshot = cs_attr_snapshot(inode->i_sb);
	err = cs_attr_run(inode, request, &out);
	if (!err)
		cs_attr_apply_reply(inode, &out, snapshot);
	return err;
}

int cs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	/* One look at the time: what expires right after it must not be asked for in a walk that may not wait. */
	bool known = cs_attr_mode_is_fresh(inode);
	int err = 0;

	/* Walked before anything is looked up there: see is_to_be_made(). */
	if (unlikely(idmap != &nop_mnt_idmap))
		WRITE_ONCE(cs_session(inode->i_sb)->has_other_ids, true);
	if (!known)
		err = mask & MAY_NOT_BLOCK ? -ECHILD : cs_attr_refresh(inode, false);
	err = err ?: generic_permission(idmap, inode, mask);
	if (err != -EACCES || !known)
		return err;
	/* A right that was given meanwhile counts at once. */
	if (mask & MAY_NOT_BLOCK)
		return -ECHILD;
	return cs_attr_refresh(inode, true) ?: generic_permission(idmap, inode, mask);
}

/* STATX, for what GETATTR does not tell: a birth, which never changes. None is no error. */
static int ask_birth(struct inode *inode)
{
	struct cs_session *session = cs_session(inode->i_sb);
	struct cs_inode *node = cs_inode(inode);
	const struct fuse_statx *stat;
	struct cs_request *request;
	int err;

	if (smp_load_acquire(&node->has_birth) || READ_ONCE(node->no_birth) || READ_ONCE(session->no_statx))
		return 0;
	request = cs_inode_request(inode, FUSE_STATX, sizeof(struct fuse_statx_in),
				   sizeof(struct fuse_statx_out));
	if (!request)
		return -ENOMEM;
	((struct fuse_statx_in *)cs_request_args(request))->sx_mask = STATX_BASIC_STATS | STATX_BTIME;
	err = cs_device_call(session->device, request);
	stat = &((struct fuse_statx_out *)cs_request_result(request))->stat;
	if (!err && stat->mask & STATX_BTIME && stat->btime.tv_nsec < NSEC_PER_SEC) {
		spin_lock(&inode->i_lock);
		node->birth = (struct timespec64){ stat->btime.tv_sec, stat->btime.tv_nsec };
		/* Pairs with the acquire of who reads it. */
		smp_store_release(&node->has_birth, true);
		spin_unlock(&inode->i_lock);
	} else if (!err) {
		WRITE_ONCE(node->no_birth, true);
	} else if (err == -ENOSYS) {
		WRITE_ONCE(session->no_statx, true);
		err = 0;
	}
	cs_request_put(request);
	return err;
}

/* Stores through the window are news only to us: the daemon has the times of them. */
static bool was_stored_to(struct inode *inode)
{
	if (!IS_DAX(inode))
		return false;
	return xchg(&cs_inode(inode)->stored, false) || mapping_writably_mapped(inode->i_mapping);
}

/* Of the access time of a directory that we read, too. */
static bool was_read(struct inode *inode, u32 mask)
{
	return mask & STATX_ATIME && READ_ONCE(cs_inode(inode)->was_read) && xchg(&cs_inode(inode)->was_read, false);
}

int cs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask,
	       unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	int err = 0;

	/* Who failed to write hears of it at close() or fsync(). */
	if (cs_attr_is_unsent(inode) && !(flags & AT_STATX_DONT_SYNC))
		cs_write_out(inode);
	if (!(flags & AT_STATX_DONT_SYNC))
		err = cs_attr_refresh(inode, flags & AT_STATX_FORCE_SYNC || was_stored_to(inode) ||
						     was_read(inode, mask));
	if (!err && mask & STATX_BTIME && !(flags & AT_STATX_DONT_SYNC))
		err = ask_birth(inode);
	if (err)
		return err;
	generic_fillattr(idmap, mask, inode, stat);
	if (smp_load_acquire(&cs_inode(inode)->has_birth)) {
		stat->result_mask |= STATX_BTIME;
		stat->btime = cs_inode(inode)->birth;
	}
	return 0;
}
