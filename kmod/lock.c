/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Locks of fcntl(2) and flock(2): the daemon's where INIT said so, and then they
 * hold against other guests and the host; else this guest's own. The kernel keeps
 * no record of the daemon's: FLUSH tells it which owner has closed the file.
 */
#include <linux/filelock.h>

#include "fs.h"

u64 cs_lock_owner(const struct cs_session *session, fl_owner_t owner)
{
	/* An address is not for the daemon to see. */
	return siphash_1u64((unsigned long)owner, &session->lock_key);
}

static struct cs_request *lock_request(struct file *file, const struct file_lock *lock, u32 opcode,
				       u32 lk_flags)
{
	struct cs_request *request = cs_inode_request(file_inode(file), opcode, sizeof(struct fuse_lk_in),
						      opcode == FUSE_GETLK ? sizeof(struct fuse_lk_out) : 0);
	struct cs_file *open = file->private_data;
	struct fuse_lk_in *in;

	if (!request)
		return NULL;
	in = cs_request_args(request);
	in->fh = open->fh;
	in->owner = cs_lock_owner(open->session, lock->c.flc_owner);
	in->lk_flags = lk_flags;
	in->lk.start = lock->fl_start;
	in->lk.end = lock->fl_end;
	in->lk.type = lock->c.flc_type;
	in->lk.pid = lock->c.flc_type == F_UNLCK ? 0 : current->tgid;
	return request;
}

/* Who asked was killed, and has the lock after all: its process is ending. */
static void lock_undo(struct cs_request *request)
{
	struct cs_session *session = request->private;
	struct cs_request *unlock = cs_session_request(session, FUSE_SETLK, request->in->nodeid,
						       sizeof(struct fuse_lk_in), 0);
	struct fuse_lk_in *in;

	if (!unlock)
		return;
	in = cs_request_args(unlock);
	*in = *(struct fuse_lk_in *)cs_request_args(request);
	in->lk.type = F_UNLCK;
	cs_device_send(session->device, unlock);
	cs_request_put(unlock);
}

static int set_lock(struct file *file, const struct file_lock *lock, u32 lk_flags)
{
	bool waits = lock->c.flc_flags & FL_SLEEP && lock->c.flc_type != F_UNLCK;
	struct cs_file *open = file->private_data;
	struct cs_request *request;
	int err;

	request = lock_request(file, lock, waits ? FUSE_SETLKW : FUSE_SETLK, lk_flags);
	if (!request)
		return -ENOMEM;
	/* What is let go of is, also if the caller is killed: the request goes on. */
	if (lock->c.flc_type != F_UNLCK)
		request->undo = lock_undo;
	if (waits) {
		request->patient = true;
		err = cs_device_call_interruptible(open->session->device, request);
	} else {
		err = cs_device_call(open->session->device, request);
	}
	cs_request_put(request);
	return err == -EINTR ? -ERESTARTSYS : err;
}

/* GETLK: the lock that is in the way, or F_UNLCK. */
static int get_lock(struct file *file, struct file_lock *lock)
{
	struct cs_request *request = lock_request(file, lock, FUSE_GETLK, 0);
	struct fuse_file_lock found;
	int err;

	if (!request)
		return -ENOMEM;
	err = cs_device_call(((struct cs_file *)file->private_data)->session->device, request);
	if (!err)
		found = ((struct fuse_lk_out *)cs_request_result(request))->lk;
	cs_request_put(request);
	if (err)
		return err;
	if (found.type != F_UNLCK) {
		if ((found.type != F_RDLCK && found.type != F_WRLCK) || found.start > found.end ||
		    found.end > OFFSET_MAX)
			return -EIO;
		lock->fl_start = found.start;
		lock->fl_end = found.end;
		lock->c.flc_pid = found.pid > INT_MAX ? 0 : found.pid;
	}
	lock->c.flc_type = found.type;
	return 0;
}

int cs_lock(struct file *file, int cmd, struct file_lock *lock)
{
	struct cs_file *open = file->private_data;

	if (cmd == F_CANCELLK)
		return 0;
	if (cs_session_has(open->session, FUSE_POSIX_LOCKS))
		return cmd == F_GETLK ? get_lock(file, lock) : set_lock(file, lock, 0);
	if (cmd != F_GETLK)
		return posix_lock_file(file, lock, NULL);
	posix_test_lock(file, lock);
	return 0;
}

int cs_flock(struct file *file, int cmd, struct file_lock *lock)
{
	struct cs_file *open = file->private_data;

	if (!cs_session_has(open->session, FUSE_FLOCK_LOCKS))
		return locks_lock_file_wait(file, lock);
	/* RELEASE has to say so. */
	WRITE_ONCE(open->flocked, true);
	return set_lock(file, lock, FUSE_LK_FLOCK);
}
