/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Which names will be asked for next. Reading a directory, READDIRPLUS pays if its
 * entries are looked up afterwards (ls -l), READDIR if they are not (find). Looking
 * names up, reading their directory (a sweep) pays when more of it follow (git status).
 * What was seen lately in a mount tells.
 */
#ifndef CASEMENT_KMOD_FORESIGHT_H
#define CASEMENT_KMOD_FORESIGHT_H

#include <linux/atomic.h>
#include <linux/dcache.h>
#include <linux/types.h>

struct cs_session;
struct inode;

/* How a name was read. */
enum cs_names {
	CS_NAMES_PLAIN,		/* by READDIR */
	CS_NAMES_PLUS,		/* by READDIRPLUS, for a reader */
	CS_NAMES_SWEPT,		/* by READDIRPLUS, for look-ups to come */
	CS_NAMES_WAYS,
};

/* Counts, by whoever comes; a lost one does no harm. */
struct cs_share {
	atomic_t read, used;	/* names, and how many of them were looked up */
};

/* Of a session. */
struct cs_foresight {
	struct cs_share shares[CS_NAMES_WAYS];
	bool is_plain;			/* [A] READDIR now */
};

/* Of a directory. [L:inode->lock], but for read_plain and hits */
struct cs_dir_foresight {
	bool read_plain;		/* [A] by READDIR, the last time */
	bool large;			/* [A] a reply has no room for all of it */
	unsigned int hits;		/* [A] swept names that were looked up, and... */
	unsigned int misses;		/* ... LOOKUPs, since the last sweep, or since... */
	unsigned long since;		/* ... this, in jiffies */
	unsigned long sweeping;		/* [A] bit 0: by who looks up a name in it */
	loff_t pos;			/* where the next sweep begins; -1: there is nothing left */
};

/* Whether to read directories by READDIRPLUS now. */
bool cs_foresight_plus(struct cs_session *session);

/* A reply of `n` names was read of the directory. */
void cs_foresight_read(struct inode *dir, enum cs_names how, unsigned int n);

/* The dentry is in the cache because it was read; and: it is looked up, which counts once. */
static inline void cs_foresight_mark(struct dentry *dentry, enum cs_names how)
{
	WRITE_ONCE(dentry->d_fsdata, (void *)(unsigned long)how);
}

void cs_foresight_used(struct dentry *dentry);

/* Sweeps were of such use lately that a directory is to be swept before its first LOOKUP. */
bool cs_foresight_sweeps_first(struct cs_session *session);

/*
 * LOOKUP found a name in the directory, or is about to look. When it is the last of several in a short time, and
 * earlier sweeps were of use, the directory should be swept: the position to begin at. Or -1.
 * cs_foresight_swept() says where the sweep ended, -1 at the directory's end.
 */
loff_t cs_foresight_missed(struct inode *dir);
void cs_foresight_swept(struct inode *dir, loff_t pos);

#endif
