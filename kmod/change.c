/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Requests by which the daemon changes inodes. A process that was killed does not wait for it, and the daemon may
 * not have begun: what is read or asked for until it has done is old then, whatever the file's time says, which
 * a write of ours may move as well. So when the answer comes, or never will, that is not believed any more; and
 * until then no name in a directory is believed that such a request may change.
 *
 * A file that is closed may have requests under way, too: for pages that another process wanted, or that were dirty.
 *
 * Their inodes are held, and not waited for where they are evicted, as a process may do that wants memory. An unmount
 * does not wait for the daemon either: it takes its inodes back, for nothing of them is believed after it.
 */
#include <linux/wait_bit.h>

#include "fs.h"

void cs_change_ended(struct inode *inode)
{
	atomic_t *n = &cs_inode(inode)->n_direct;

	if (atomic_dec_and_test(n))
		wake_up_var(n);
}

static void let_go(struct cs_request *request)
{
	for (int i = 0; i < CS_CHANGES && request->changes[i]; i++) {
		cs_change_ended(request->changes[i]);
		iput(request->changes[i]);
	}
}

static void drop_contents(const struct cs_request *request)
{
	struct inode *inode = request->changes[0];

	if (request->change_len && !IS_DAX(inode))
		cs_pages_drop(inode, request->change_start, request->change_start + request->change_len - 1);
}

/* It is taken off its list, if an unmount has not done that: true then. */
static bool begin_work(struct cs_session *session, struct list_head *link)
{
	bool is_mounted;

	spin_lock_irq(&session->left_lock);
	is_mounted = !list_empty(link);
	list_del_init(link);
	session->n_left++;
	spin_unlock_irq(&session->left_lock);
	return is_mounted;
}

static void end_work(struct cs_session *session)
{
	spin_lock_irq(&session->left_lock);
	if (!--session->n_left)
		wake_up_var(&session->n_left);
	spin_unlock_irq(&session->left_lock);
}

static void left_work(struct work_struct *work)
{
	struct cs_request *request = container_of(work, struct cs_request, work);
	struct cs_session *session = request->private;
	bool is_mounted = begin_work(session, &request->left_link);

	/* Else it ended as its caller was killed, and the caller has the result. */
	if (request->wait == CS_WAIT_ABANDONED && !request->error && request->undo)
		request->undo(request);
	if (is_mounted) {
		drop_contents(request);
		let_go(request);
	}
	end_work(session);
	cs_request_put(request);
}

static void leave(struct cs_request *request)
{
	struct cs_session *session = request->private;

	for (int i = 0; i < CS_CHANGES && request->changes[i]; i++) {
		ihold(request->changes[i]);
		atomic_inc(&cs_inode(request->changes[i])->n_direct);
	}
	spin_lock_irq(&session->left_lock);
	list_add(&request->left_link, &session->left);
	spin_unlock_irq(&session->left_lock);
}

/* Attributes and names at once; and the rest by a worker that may wait for folios which the daemon reads. */
static void left(struct cs_request *request)
{
	struct cs_session *session = request->private;
	unsigned long flags;

	spin_lock_irqsave(&session->left_lock, flags);
	for (int i = 0; !list_empty(&request->left_link) && i < CS_CHANGES && request->changes[i]; i++) {
		cs_attr_changed(request->changes[i]);
		cs_attr_expire(request->changes[i]);
	}
	spin_unlock_irqrestore(&session->left_lock, flags);
	cs_request_get(request);
	INIT_WORK(&request->work, left_work);
	cs_work_defer_wait(&request->work);
}

static void closed_work(struct work_struct *work)
{
	struct cs_file *open = container_of(work, struct cs_file, work);
	struct cs_session *session = open->session;

	if (begin_work(session, &open->held_link))
		iput(open->held);
	end_work(session);
	cs_file_drop(open);
}

void cs_change_hold(struct cs_file *open, struct inode *inode)
{
	ihold(inode);
	open->held = inode;
	spin_lock_irq(&open->session->left_lock);
	list_add(&open->held_link, &open->session->held);
	spin_unlock_irq(&open->session->left_lock);
}

void cs_change_closed(struct cs_file *open)
{
	INIT_WORK(&open->work, closed_work);
	cs_work_defer_wait(&open->work);
}

/* The inode of one that is held in the super block, whose hold is the caller's now; or NULL. */
static struct inode *take_held(struct super_block *sb)
{
	struct cs_session *session = cs_session(sb);
	struct inode *inode = NULL;
	struct cs_file *open;

	spin_lock_irq(&session->left_lock);
	list_for_each_entry(open, &session->held, held_link) {
		if (open->held->i_sb == sb) {
			inode = open->held;
			list_del_init(&open->held_link);
			break;
		}
	}
	spin_unlock_irq(&session->left_lock);
	return inode;
}

/* One of them that is about inodes of the super block, off the list and held; or NULL. */
static struct cs_request *take_one(struct super_block *sb)
{
	struct cs_session *session = cs_session(sb);
	struct cs_request *request;

	spin_lock_irq(&session->left_lock);
	list_for_each_entry(request, &session->left, left_link) {
		if (request->changes[0]->i_sb == sb) {
			cs_request_get(request);
			list_del_init(&request->left_link);
			spin_unlock_irq(&session->left_lock);
			return request;
		}
	}
	spin_unlock_irq(&session->left_lock);
	return NULL;
}

void cs_change_unmount(struct super_block *sb)
{
	struct cs_session *session = cs_session(sb);
	struct cs_request *request;
	struct inode *inode;

	while ((inode = take_held(sb)))
		iput(inode);
	while ((request = take_one(sb))) {
		let_go(request);
		cs_request_put(request);
	}
	wait_var_event(&session->n_left, !READ_ONCE(session->n_left));
}

void cs_change(struct cs_request *request, struct inode *inode)
{
	int i = 0;

	while (request->changes[i])
		i++;
	request->changes[i] = inode;
	INIT_LIST_HEAD(&request->left_link);
	request->leave = leave;
	request->left = left;
}

void cs_change_range(struct cs_request *request, struct inode *inode, loff_t start, loff_t len)
{
	cs_change(request, inode);
	request->change_start = start;
	request->change_len = len;
}
