/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * One FUSE request: one object, from the caller's arguments to the device's
 * reply. Both headers, the arguments and the result lie in it, each side in one
 * piece, so a request without data takes two descriptors. Data (file contents)
 * goes by a scatter list of its own, straight to and from the pages.
 *
 * Two may hold a request: its maker and the device. The device's hold ends when
 * the device returns the buffers, or is reset: a caller that was killed, or a
 * device that was aborted, frees nothing which the device may still write.
 */
#ifndef CASEMENT_KMOD_REQUEST_H
#define CASEMENT_KMOD_REQUEST_H

#include <linux/completion.h>
#include <linux/fuse.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/workqueue.h>

struct cs_file;
struct cs_queue;
struct mnt_idmap;

/* Inodes that one request changes: RENAME's two directories, and what was behind either name. */
#define CS_CHANGES 4

enum cs_data { CS_DATA_NONE, CS_DATA_TO_DEVICE, CS_DATA_FROM_DEVICE };

/* What became of a caller that waits. */
enum cs_wait { CS_WAITING, CS_WAIT_ENDED, CS_WAIT_ABANDONED };

struct cs_request {
	refcount_t refs;		/* [A] */
	struct cs_queue *queue;		/* [I] set when it is sent */
	struct list_head link;		/* [L:queue->lock] */
	unsigned long ended;		/* [A] bit 0: end() was called or is being called */
	int wait;			/* [A] enum cs_wait */
	struct completion done;
	/* Called once, in any context, with no lock held, when error is known. */
	void (*end)(struct cs_request *request);
	/* Of a request that is waited for: called by its end(), before the waiter goes on. */
	void (*before_wake)(struct cs_request *request);
	/* In a worker: a reply came for a caller that was killed. What it gave is undone. */
	void (*undo)(struct cs_request *request);
	/* Or NULL. By a caller that was killed: it may leave now, and then it has left. change.c's. */
	void (*leave)(struct cs_request *request);
	/* After that, and instead of undo(): it has ended in some way. Any context. */
	void (*left)(struct cs_request *request);
	/* At the last put, in any context: lets go of the pages of `data`. */
	void (*release)(struct cs_request *request);
	void *private;			/* of end(), undo() and release() */
	struct inode *inode;		/* [I] which it writes to directly, and counts it; or NULL */
	struct cs_file *open;		/* [I] held, with that */
	struct inode *changes[CS_CHANGES];	/* [I] which the daemon changes, then NULL; change.c */
	loff_t change_start, change_len;	/* [I] bytes of the first of them, if there is a length */
	struct list_head left_link;	/* [L:session->left_lock] in its session's left, or empty */
	struct work_struct work;
	enum cs_data direction;		/* [I] */
	struct scatterlist *data;	/* [I] owned; NULL without data */
	unsigned int n_data;		/* [I] entries of data */
	u32 data_len;			/* [I] bytes of data */
	u32 in_len, out_len;		/* [I] bytes of arguments and of the largest result */
	bool out_var;			/* [I] the result may be shorter */
	bool no_reply;			/* [I] FORGET: the device gives the buffer back, no more */
	bool reserved;			/* [I] of the reserve, and with it its data's list */
	bool tail_is_zero;		/* of a WRITE: its last folio is zeros behind what was written */
	bool patient;			/* [I] a wait for others: no reply is too late */
	unsigned long sent;		/* [L:queue->lock] jiffies */
	u64 snapshot;			/* [I] of attributes, where its maker took one */
	bool returned;			/* when end() is called: the device is done with the buffers */
	int error;			/* [I] from end() on: 0 or -errno */
	u32 used;			/* what the device says it wrote; of the interrupt */
	u32 got;			/* [I] from end() on: bytes of result or of data that came */
	struct fuse_in_header *in;	/* arguments follow */
	struct fuse_out_header *out;	/* result follows; the device writes it */
	u8 bytes[];
};

/*
 * A request of these sizes in bytes, for the caller's ids; NULL without memory.
 * Arguments are zeroed. Held once, by the caller.
 */
struct cs_request *cs_request_new(u32 opcode, u64 nodeid, u32 in_len, u32 out_len, gfp_t gfp);

/* For the caller as it is seen through a mount with other ids, if the ids are among those. */
void cs_request_caller(struct cs_request *request, struct mnt_idmap *idmap);

/* Give it a scatter list of up to `max` entries; -ENOMEM. The caller fills it by cs_request_add(). */
int cs_request_data(struct cs_request *request, enum cs_data direction, unsigned int max, gfp_t gfp);

/*
 * A WRITE of up to CS_RESERVED_DATA entries of data, from a reserve that is waited for: who has one
 * may wait for nothing but its end. Else as the two above.
 */
struct cs_request *cs_request_reserved(u32 opcode, u64 nodeid, enum cs_data direction);
#define CS_RESERVED_DATA 16U

/* The next entry. There must be one left. */
void cs_request_add(struct cs_request *request, struct page *page, u32 len, u32 offset);

static inline void *cs_request_args(struct cs_request *request)
{
	return request->in + 1;
}

/* Valid when the request ended without error. */
static inline void *cs_request_result(struct cs_request *request)
{
	return request->out + 1;
}

/* Put a name and its NUL at `offset` of the arguments. */
void cs_request_name(struct cs_request *request, u32 offset, const char *name, u32 len);

void cs_request_get(struct cs_request *request);
void cs_request_put(struct cs_request *request);

/*
 * It has ended: with `error`, and `returned` when the device has given it back.
 * Only the first call counts. Any context, no lock held.
 */
void cs_request_finish(struct cs_request *request, int error, bool returned);

/*
 * Read the device's reply; `used` is what it says it wrote. False for a reply that is none
 * to this request. *error: 0, or the server's, or -EIO.
 */
bool cs_request_check(struct cs_request *request, u32 used, int *error);

int cs_requests_start(void);	/* at module load: 0 or -ENOMEM */
void cs_requests_stop(void);	/* at its end, when no request is left */
void cs_requests_drain(void);	/* wait for workers that undo and release */

/* Run release() or undo work where it may sleep. Takes over the caller's hold. */
void cs_request_defer(struct cs_request *request, work_func_t function);

/* Any other work of the same kind. */
void cs_work_defer(struct work_struct *work);

/* And work that may wait for a daemon: cs_requests_stop() alone waits for it. */
void cs_work_defer_wait(struct work_struct *work);

#endif
