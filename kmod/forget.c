/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * FORGET in batches. What is owed is gathered in one request, which goes when it
 * is full or a moment later: a shrinking cache drops thousands of inodes at once.
 */
#include "session.h"

#define FORGETS_MOST 250			/* in a page, about */
#define FORGET_DELAY (HZ / 20)

struct forget_args {
	struct fuse_batch_forget_in head;
	struct fuse_forget_one items[FORGETS_MOST];
};

/* forget_lock not held; the batch is the caller's. It is cut to what is in it. */
static void send_batch(struct cs_session *session, struct cs_request *batch)
{
	struct forget_args *args = cs_request_args(batch);

	batch->in_len = offsetof(struct forget_args, items) + args->head.count * sizeof(args->items[0]);
	cs_device_send_hiprio(session->device, batch);
	cs_request_put(batch);
}

static void put_session(struct cs_request *batch)
{
	cs_session_put(batch->private);
}

static struct cs_request *new_batch(struct cs_session *session)
{
	/* Called where inodes are evicted, perhaps to free memory: it must not wait for that. */
	struct cs_request *batch = cs_request_new(FUSE_BATCH_FORGET, 0, sizeof(struct forget_args), 0,
						  GFP_NOFS | __GFP_NOFAIL);

	batch->no_reply = true;
	cs_session_get(session);
	batch->private = session;
	batch->release = put_session;
	return batch;
}

static struct cs_request *take_batch(struct cs_session *session)
{
	struct cs_request *batch;

	spin_lock(&session->forget_lock);
	batch = session->forgets;
	session->forgets = NULL;
	spin_unlock(&session->forget_lock);
	return batch;
}

static void forget_work(struct work_struct *work)
{
	struct cs_session *session = container_of(to_delayed_work(work), struct cs_session, forget_work);
	struct cs_request *batch = take_batch(session);

	if (batch)
		send_batch(session, batch);
}

void cs_session_forget_init(struct cs_session *session)
{
	INIT_DELAYED_WORK(&session->forget_work, forget_work);
}

void cs_session_forget_end(struct cs_session *session)
{
	spin_lock(&session->forget_lock);
	session->closed = true;
	spin_unlock(&session->forget_lock);
	cancel_delayed_work_sync(&session->forget_work);
	forget_work(&session->forget_work.work);
}

/* To the batch, or to `fresh` if there is none. False when there is neither. forget_lock held. */
static bool add(struct cs_session *session, u64 nodeid, u64 count, struct cs_request **fresh, struct cs_request **full)
{
	struct forget_args *args;

	if (session->closed)
		return true;
	if (!session->forgets)
		swap(session->forgets, *fresh);
	if (!session->forgets)
		return false;
	args = cs_request_args(session->forgets);
	args->items[args->head.count].nodeid = nodeid;
	args->items[args->head.count++].nlookup = count;
	if (args->head.count == FORGETS_MOST)
		swap(session->forgets, *full);
	else
		schedule_delayed_work(&session->forget_work, FORGET_DELAY);
	return true;
}

void cs_session_forget(struct cs_session *session, u64 nodeid, u64 count)
{
	struct cs_request *fresh = NULL, *full = NULL;
	bool added;

	if (!count)
		return;
	for (;;) {
		spin_lock(&session->forget_lock);
		added = add(session, nodeid, count, &fresh, &full);
		spin_unlock(&session->forget_lock);
		if (added)
			break;
		fresh = new_batch(session);
	}
	if (fresh)
		cs_request_put(fresh);
	if (full)
		send_batch(session, full);
}
