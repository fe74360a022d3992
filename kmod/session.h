/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * What a mount and the daemon agreed on (INIT), and what they owe each other: the
 * daemon counts what it told us of each inode, and FORGET gives that back, many
 * inodes in one request.
 */
#ifndef CASEMENT_KMOD_SESSION_H
#define CASEMENT_KMOD_SESSION_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/siphash.h>
#include <linux/workqueue.h>

#include "device.h"
#include "foresight.h"
#include "options.h"

struct cs_session {
	/* Super blocks, and whatever is to be over before DESTROY: requests, handles, a batch of FORGETs. */
	struct kref refs;
	struct rcu_head rcu;		/* a walk by RCU may look at it after the last hold is gone */
	struct work_struct end_work;	/* after that */
	refcount_t trees;		/* [A] super blocks: of the mount, and of mounts below it */
	struct super_block *sb;		/* [I] the mount's own, not to be followed */
	struct cs_device *device;	/* [I] held */
	u64 flags;			/* [I] FUSE_* INIT flags that both sides want */
	u32 extensions;			/* [I] FUSE_EXTENSION_* that both sides know */
	u32 max_bytes;			/* [I] of data in one request; a multiple of the page size */
	u32 max_pages;			/* [I] scatter-list entries of one request */
	u32 max_readahead;		/* [I] bytes */
	struct cs_options options;	/* [I] */
	bool uses_device;		/* [I] once it was opened */
	bool open;			/* INIT has succeeded; of who mounts, then of the session's end */
	bool closed;			/* [L:forget_lock] DESTROY is to follow: nothing more is owed */
	/* [A] answered ENOSYS once */
	bool no_fsync, no_fsyncdir, no_flush, no_xattr, no_syncfs, no_statx, no_copy;
	loff_t holds;			/* [A] relaxed: a file of the host can end there, as far as is known */
	bool has_other_ids;		/* [A] seen through a mount with ids of its own once */
	struct cs_foresight foresight;
	siphash_key_t lock_key;		/* [I] of the names that lock owners have at the daemon */
	atomic64_t changes;		/* [A] counts changes made by this guest, requests for attributes and answers: attr.c */
	atomic64_t evicted;		/* the last of them of inodes that are not in the cache any more */
	spinlock_t left_lock;
	struct list_head left;		/* [L:left_lock] requests that change inodes, and whose caller was killed */
	struct list_head held;		/* [L:left_lock] open files that were closed with requests under way */
	unsigned int n_left;		/* [L:left_lock] workers that are at one which has ended */
	spinlock_t forget_lock;
	struct cs_request *forgets;	/* [L:forget_lock] the batch being filled, or NULL */
	struct delayed_work forget_work;
};

/* A session with that device, whose hold it takes; NULL without memory. Not yet open. */
struct cs_session *cs_session_new(struct cs_device *device, const struct cs_options *options);
void cs_session_get(struct cs_session *session);

/* Any context. After the last one a worker sends DESTROY, so nothing of the session follows that. */
void cs_session_put(struct cs_session *session);

/* The same by a super block: after the last one's, wait for the session's end, or to be killed. */
void cs_session_leave(struct cs_session *session);

/* INIT, for one tree: 0; -EPROTO for a daemon we cannot talk to; -EBUSY if the device has a session; or -errno. */
int cs_session_open(struct cs_session *session);

/* One tree less, of which no inode is left. After the last: give back what is owed. */
void cs_session_close(struct cs_session *session);

/* Prepare what cs_session_forget() gathers; at the end send it at once, and gather no more. */
void cs_session_forget_init(struct cs_session *session);
void cs_session_forget_end(struct cs_session *session);

/* Owe the daemon `count` look-ups of an inode. May sleep. */
void cs_session_forget(struct cs_session *session, u64 nodeid, u64 count);

/*
 * For how long what the daemon said may be believed, in jiffies, 0 for not at all: the
 * mount option cache= goes before the daemon's own time.
 */
u64 cs_session_trust(const struct cs_session *session, u64 seconds, u32 nanoseconds);

static inline bool cs_session_has(const struct cs_session *session, u64 flag)
{
	return session->flags & flag;
}

/*
 * A request of the session, which it keeps until it is freed, so that what is
 * undone late finds it. Else as cs_request_new().
 */
struct cs_request *cs_session_request(struct cs_session *session, u32 opcode, u64 nodeid, u32 in_len,
				      u32 out_len);

/* cs_device_call(), then cs_request_put(): for requests whose result is not looked at. */
int cs_session_run(struct cs_session *session, struct cs_request *request);

#endif
