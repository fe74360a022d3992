/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Which names will be asked for next; see foresight.h. */
#include "foresight.h"

#include <linux/jiffies.h>

#include "fs.h"

/* So many names say something. */
#define ENOUGH 256
/* Old ones count half. */
#define MANY 4096
/* READDIRPLUS is worth while if one name of these is looked up; and READDIR if less than one of these. */
#define PLUS_WORTH 8
#define PLAIN_WORTH 4
/* So many look-ups in a directory within so long, and it is swept. */
#define SEVERAL 3
#define SHORT_TIME HZ
/* When one of so many swept names is looked up, the next directory is swept at its first look-up. */
#define SWEPT_WORTH 2

static void turn(struct cs_foresight *foresight, bool plain)
{
	for (int i = CS_NAMES_PLAIN; i <= CS_NAMES_PLUS; i++) {
		atomic_set(&foresight->shares[i].read, 0);
		atomic_set(&foresight->shares[i].used, 0);
	}
	WRITE_ONCE(foresight->is_plain, plain);
}

bool cs_foresight_plus(struct cs_session *session)
{
	struct cs_foresight *foresight = &session->foresight;
	const struct cs_share *plus = &foresight->shares[CS_NAMES_PLUS];
	const struct cs_share *plain = &foresight->shares[CS_NAMES_PLAIN];

	if (!cs_session_has(session, FUSE_DO_READDIRPLUS))
		return false;
	if (!READ_ONCE(foresight->is_plain) && atomic_read(&plus->read) >= ENOUGH &&
	    atomic_read(&plus->used) * PLUS_WORTH < atomic_read(&plus->read))
		turn(foresight, true);
	else if (READ_ONCE(foresight->is_plain) && atomic_read(&plain->used) >= ENOUGH / PLUS_WORTH &&
		 atomic_read(&plain->used) * PLAIN_WORTH > atomic_read(&plain->read))
		turn(foresight, false);
	return !READ_ONCE(foresight->is_plain);
}

void cs_foresight_read(struct inode *dir, enum cs_names how, unsigned int n)
{
	struct cs_share *share = &cs_session(dir->i_sb)->foresight.shares[how];

	if (how != CS_NAMES_SWEPT)
		WRITE_ONCE(cs_inode(dir)->names.read_plain, how == CS_NAMES_PLAIN);
	if (atomic_add_return(n, &share->read) < MANY)
		return;
	atomic_set(&share->read, atomic_read(&share->read) / 2);
	atomic_set(&share->used, atomic_read(&share->used) / 2);
}

void cs_foresight_used(struct dentry *dentry)
{
	unsigned long how = (unsigned long)READ_ONCE(dentry->d_fsdata);
	struct inode *dir;

	if (!how)
		return;
	cs_foresight_mark(dentry, CS_NAMES_PLAIN);
	atomic_inc(&cs_session(dentry->d_sb)->foresight.shares[how].used);
	if (how != CS_NAMES_SWEPT)
		return;
	rcu_read_lock();
	dir = d_inode_rcu(READ_ONCE(dentry->d_parent));
	if (dir)
		WRITE_ONCE(cs_inode(dir)->names.hits, READ_ONCE(cs_inode(dir)->names.hits) + 1);
	rcu_read_unlock();
}

static unsigned int several(const struct cs_foresight *foresight)
{
	const struct cs_share *swept = &foresight->shares[CS_NAMES_SWEPT];
	int read = atomic_read(&swept->read);

	return read >= ENOUGH && atomic_read(&swept->used) * SWEPT_WORTH >= read ? 1 : SEVERAL;
}

bool cs_foresight_sweeps_first(struct cs_session *session)
{
	return cs_session_has(session, FUSE_DO_READDIRPLUS) && several(&session->foresight) == 1;
}

loff_t cs_foresight_missed(struct inode *dir)
{
	struct cs_session *session = cs_session(dir->i_sb);
	struct cs_inode *node = cs_inode(dir);
	struct cs_dir_foresight *names = &node->names;
	loff_t pos = -1;

	if (READ_ONCE(names->read_plain))
		atomic_inc(&session->foresight.shares[CS_NAMES_PLAIN].used);
	if (!cs_session_has(session, FUSE_DO_READDIRPLUS))
		return -1;
	spin_lock(&node->lock);
	if (time_after(jiffies, names->since + SHORT_TIME)) {
		names->since = jiffies;
		names->misses = 0;
		WRITE_ONCE(names->hits, 0);
		names->pos = 0;
	}
	/* In a large directory what was swept before must have been of use. */
	if (++names->misses >= several(&session->foresight) &&
	    (!names->pos || READ_ONCE(names->hits) >= names->misses)) {
		pos = names->pos;
		names->pos = -1;
	}
	spin_unlock(&node->lock);
	return pos;
}

void cs_foresight_swept(struct inode *dir, loff_t pos)
{
	struct cs_inode *node = cs_inode(dir);

	spin_lock(&node->lock);
	node->names.since = jiffies;
	node->names.misses = 0;
	WRITE_ONCE(node->names.hits, 0);
	node->names.pos = pos;
	spin_unlock(&node->lock);
}
