/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* INIT, DESTROY and the life of a session; see session.h. */
#include "dax.h"
#include "fuse_extension.h"

#include <linux/backing-dev.h>
#include <linux/random.h>
#include <linux/slab.h>

#define MINOR_OLDEST 31			/* the least daemon: Linux 5.4's protocol */
#define READAHEAD_WANTED (4U << 20)
#define BYTES_MOST (1U << 20)		/* of one request */
#define PAGES_WITHOUT_MAX 32		/* the protocol's limit before MAX_PAGES */
#define RING_RESERVE 4			/* entries that are not data */
#define TRUST_MOST (1U << 20)		/* seconds: twelve days */

/* ACLs, whose umask is the daemon's to apply, and whose changes may take a set-group-id bit away. */
#define ACL_FLAGS (FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT)

/* What this driver can do, or can live with. */
#define FLAGS_OFFERED (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |	\
		       FUSE_DO_READDIRPLUS | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |	\
		       FUSE_MAX_PAGES | FUSE_INIT_EXT | FUSE_DIRECT_IO_ALLOW_MMAP |	\
		       FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_WRITEBACK_CACHE |	\
		       FUSE_CREATE_SUPP_GROUP | FUSE_EXPORT_SUPPORT | FUSE_SUBMOUNTS |	\
		       FUSE_SECURITY_CTX | FUSE_CACHE_SYMLINKS | ACL_FLAGS)

static u64 flags_offered(const struct cs_session *session)
{
	u64 flags = FLAGS_OFFERED;

	/* Names with attributes are of no use where they are not believed. */
	if (session->options.cache == CS_CACHE_NEVER)
		flags &= ~(u64)FUSE_DO_READDIRPLUS;
	if (cs_dax_wanted(session))
		flags |= FUSE_MAP_ALIGNMENT;
	if (session->options.dax == CS_DAX_AUTO)
		flags |= FUSE_HAS_INODE_DAX;
	return flags;
}

static void session_free(struct cs_session *session)
{
	cs_device_put(session->device);
	kfree_rcu(session, rcu);
}

static void destroy(struct cs_device *device)
{
	struct cs_request *request = cs_request_new(FUSE_DESTROY, 0, 0, 0, GFP_KERNEL);

	if (!request)
		return;
	/* No worker is killed: its reply has come, or the device is dead. */
	cs_device_call(device, request);
	cs_request_put(request);
}

static void end_work(struct work_struct *work)
{
	struct cs_session *session = container_of(work, struct cs_session, end_work);
	struct cs_device *device = session->device;

	/* An unmapping that is late would hit the next mount's. */
	cs_window_wait_empty(&device->window);
	if (session->open)
		destroy(device);
	cs_timeout_stop(device);
	WRITE_ONCE(device->n_left, device->n_left + 1);
	/* Pairs with the cmpxchg() of the next one. */
	smp_store_release(&device->use, CS_FREE);
	wake_up_all(&device->left);
	session_free(session);
}

struct cs_session *cs_session_new(struct cs_device *device, const struct cs_options *options)
{
	struct cs_session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return NULL;
	kref_init(&session->refs);
	session->device = device;
	session->options = *options;
	INIT_WORK(&session->end_work, end_work);
	spin_lock_init(&session->left_lock);
	INIT_LIST_HEAD(&session->left);
	INIT_LIST_HEAD(&session->held);
	spin_lock_init(&session->forget_lock);
	get_random_bytes(&session->lock_key, sizeof(session->lock_key));
	cs_session_forget_init(session);
	return session;
}

void cs_session_get(struct cs_session *session)
{
	kref_get(&session->refs);
}

static void end(struct kref *refs)
{
	struct cs_session *session = container_of(refs, struct cs_session, refs);

	if (session->uses_device)
		cs_work_defer_wait(&session->end_work);
	else
		session_free(session);
}

void cs_session_put(struct cs_session *session)
{
	kref_put(&session->refs, end);
}

/* Of the session after `n`; by an ending process, whose was the last mount namespace, not for ever. */
static void wait_for_end(struct cs_device *device, unsigned int n)
{
	if (current->flags & PF_EXITING)
		wait_event_timeout(device->left, READ_ONCE(device->n_left) != n || cs_device_is_dead(device),
				   CS_EXIT_PATIENCE);
	else
		wait_event_killable(device->left, READ_ONCE(device->n_left) != n || cs_device_is_dead(device));
}

void cs_session_leave(struct cs_session *session)
{
	struct cs_device *device = session->device;
	unsigned int n = READ_ONCE(device->n_left);
	bool last = session->uses_device && READ_ONCE(device->use) == CS_LEFT;

	cs_device_get(device);
	cs_session_put(session);
	if (last)
		wait_for_end(device, n);
	cs_device_put(device);
}

u64 cs_session_trust(const struct cs_session *session, u64 seconds, u32 nanoseconds)
{
	struct timespec64 time = {
		.tv_sec = min_t(u64, seconds, TRUST_MOST),
		.tv_nsec = min_t(u32, nanoseconds, NSEC_PER_SEC - 1),
	};

	if (session->options.cache == CS_CACHE_NEVER)
		return 0;
	if (session->options.cache == CS_CACHE_ALWAYS)
		return (u64)TRUST_MOST * HZ;
	return timespec64_to_jiffies(&time);
}

static void put_session(struct cs_request *request)
{
	cs_session_put(request->private);
}

struct cs_request *cs_session_request(struct cs_session *session, u32 opcode, u64 nodeid, u32 in_len,
				      u32 out_len)
{
	struct cs_request *request = cs_request_new(opcode, nodeid, in_len, out_len, GFP_KERNEL);

	if (request) {
		cs_session_get(session);
		request->private = session;
		request->release = put_session;
	}
	return request;
}

int cs_session_run(struct cs_session *session, struct cs_request *request)
{
	int err = cs_device_call(session->device, request);

	cs_request_put(request);
	return err;
}

/* What a daemon may know beyond the protocol. */
#define EXTENSIONS (FUSE_EXTENSION_WHOLE_DIR | FUSE_EXTENSION_SUSPEND | FUSE_EXTENSION_SOME_RANGES)

/* It is at the end of both structures. */
static void offer_extensions(struct fuse_init_in *in)
{
	const struct fuse_extension offer = { FUSE_EXTENSION_MAGIC, EXTENSIONS };

	memcpy((u8 *)(in + 1) - sizeof(offer), &offer, sizeof(offer));
}

static u32 agreed_extensions(const struct fuse_init_out *out)
{
	struct fuse_extension said;

	memcpy(&said, (const u8 *)(out + 1) - sizeof(said), sizeof(said));
	return said.magic == FUSE_EXTENSION_MAGIC ? said.flags & EXTENSIONS : 0;
}

/* A daemon older than a field sends a shorter reply; the rest is zero. */
static int agree(struct cs_session *session, const struct fuse_init_out *out)
{
	u32 pages = PAGES_WITHOUT_MAX;

	if (out->major != FUSE_KERNEL_VERSION || out->minor < MINOR_OLDEST) {
		pr_err("casement: %s: the daemon speaks FUSE %u.%u; 7.%u is the least\n",
		       session->device->tag, out->major, out->minor, MINOR_OLDEST);
		return -EPROTO;
	}
	session->flags = out->flags;
	if (out->flags & FUSE_INIT_EXT)
		session->flags |= (u64)out->flags2 << 32;
	session->flags &= flags_offered(session);
	session->extensions = agreed_extensions(out);
	session->device->tells_suspend = session->extensions & FUSE_EXTENSION_SUSPEND;
	if (cs_session_has(session, FUSE_MAP_ALIGNMENT) && out->map_alignment > CS_RANGE_SHIFT_MIN) {
		pr_warn("casement: %s: the window is not used, the daemon maps only multiples of 1 << %u bytes\n",
			session->device->tag, out->map_alignment);
		session->flags &= ~FUSE_MAP_ALIGNMENT;
	}
	if (cs_session_has(session, FUSE_MAX_PAGES) && out->max_pages)
		pages = out->max_pages;
	session->max_pages = clamp(session->device->ring_size - RING_RESERVE, 1U, pages);
	session->max_bytes = min3(pages << PAGE_SHIFT, BYTES_MOST, max(out->max_write, 4096U));
	/* Where data goes through bounce buffers, no piece of it may be larger than those take. */
	session->max_bytes = min_t(size_t, session->max_bytes, session->device->piece_most);
	session->max_bytes = max_t(u32, round_down(session->max_bytes, PAGE_SIZE), PAGE_SIZE);
	session->max_readahead = min(out->max_readahead, READAHEAD_WANTED);
	return 0;
}

/* Who mounted was killed: the daemon has a session all the same, and is to end it. */
static void init_undo(struct cs_request *request)
{
	((struct cs_session *)request->private)->open = true;
}

static int init(struct cs_session *session)
{
	struct cs_request *request = cs_session_request(session, FUSE_INIT, 0, sizeof(struct fuse_init_in),
							sizeof(struct fuse_init_out));
	struct fuse_init_out out = {};
	struct fuse_init_in *in;
	int err;

	if (!request)
		return -ENOMEM;
	in = cs_request_args(request);
	in->major = FUSE_KERNEL_VERSION;
	in->minor = FUSE_KERNEL_MINOR_VERSION;
	in->max_readahead = READAHEAD_WANTED;
	in->flags = (u32)flags_offered(session);
	in->flags2 = flags_offered(session) >> 32;
	offer_extensions(in);
	request->out_var = true;
	request->undo = init_undo;
	err = cs_device_call(session->device, request);
	if (!err) {
		memcpy(&out, cs_request_result(request), min_t(u32, request->got, sizeof(out)));
		err = agree(session, &out);
	}
	cs_request_put(request);
	return err;
}

/* One session at a time; a former one's end is waited for. */
static int take_device(struct cs_device *device)
{
	int use, err = 0;

	while (!err) {
		use = cmpxchg(&device->use, CS_FREE, CS_USED);
		if (use != CS_LEFT)
			return use == CS_FREE ? 0 : -EBUSY;
		err = wait_event_killable(device->left,
					  READ_ONCE(device->use) != CS_LEFT || cs_device_is_dead(device));
		if (!err && cs_device_is_dead(device))
			err = -ENOTCONN;
	}
	return err;
}

int cs_session_open(struct cs_session *session)
{
	struct cs_device *device = session->device;
	int err = take_device(device);

	if (err)
		return err;
	session->uses_device = true;
	refcount_set(&session->trees, 1);
	cs_timeout_start(device, session->options.timeout);
	err = init(session);
	if (err)
		WRITE_ONCE(device->use, CS_LEFT);
	else
		session->open = true;
	return err;
}

void cs_session_close(struct cs_session *session)
{
	if (!refcount_dec_and_test(&session->trees))
		return;
	cs_session_forget_end(session);
	WRITE_ONCE(session->device->use, CS_LEFT);
}
