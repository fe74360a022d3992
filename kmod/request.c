/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Making, ending and checking requests; see request.h. */
#include "request.h"

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/mempool.h>
#include <linux/sched.h>
#include <linux/slab.h>

static struct workqueue_struct *workers;
static struct workqueue_struct *waiters;

/* Writeback must go on without memory: each of its writers needs one at a time. */
static mempool_t *reserve;
#define RESERVED 4

/* The device's part starts a cache line, so that its writes share none with ours. */
#define OUT_OFFSET(in_len) ALIGN(sizeof(struct fuse_in_header) + (in_len), L1_CACHE_BYTES)

static size_t size_of(u32 in_len, u32 out_len)
{
	return sizeof(struct cs_request) + OUT_OFFSET(in_len) + sizeof(struct fuse_out_header) + out_len;
}

static void init(struct cs_request *request, u32 opcode, u64 nodeid, u32 in_len, u32 out_len)
{
	memset(request, 0, sizeof(*request) + sizeof(struct fuse_in_header) + in_len);
	refcount_set(&request->refs, 1);
	INIT_LIST_HEAD(&request->link);
	init_completion(&request->done);
	request->in_len = in_len;
	request->out_len = out_len;
	request->in = (void *)request->bytes;
	request->out = (void *)(request->bytes + OUT_OFFSET(in_len));
	request->in->opcode = opcode;
	request->in->nodeid = nodeid;
	request->in->uid = from_kuid(&init_user_ns, current_fsuid());
	request->in->gid = from_kgid(&init_user_ns, current_fsgid());
	request->in->pid = task_pid_nr(current);
}

struct cs_request *cs_request_new(u32 opcode, u64 nodeid, u32 in_len, u32 out_len, gfp_t gfp)
{
	struct cs_request *request = kmalloc(size_of(in_len, out_len), gfp);

	if (request)
		init(request, opcode, nodeid, in_len, out_len);
	return request;
}

/* One of the reserve: a WRITE, then the list of its data. */
#define RESERVED_LIST ALIGN(size_of(sizeof(struct fuse_write_in), sizeof(struct fuse_write_out)), sizeof(u64))
#define RESERVED_SIZE (RESERVED_LIST + CS_RESERVED_DATA * sizeof(struct scatterlist))

struct cs_request *cs_request_reserved(u32 opcode, u64 nodeid, enum cs_data direction)
{
	struct cs_request *request = mempool_alloc(reserve, GFP_NOFS);

	init(request, opcode, nodeid, sizeof(struct fuse_write_in), sizeof(struct fuse_write_out));
	request->reserved = true;
	request->data = (void *)request + RESERVED_LIST;
	sg_init_table(request->data, CS_RESERVED_DATA);
	request->direction = direction;
	return request;
}

void cs_request_caller(struct cs_request *request, struct mnt_idmap *idmap)
{
	kuid_t uid = mapped_fsuid(idmap, &init_user_ns);
	kgid_t gid = mapped_fsgid(idmap, &init_user_ns);

	/* Others make nothing there, the VFS sees to that; but root may change what there is. */
	if (!uid_valid(uid) || !gid_valid(gid))
		return;
	request->in->uid = from_kuid(&init_user_ns, uid);
	request->in->gid = from_kgid(&init_user_ns, gid);
}

int cs_request_data(struct cs_request *request, enum cs_data direction, unsigned int max, gfp_t gfp)
{
	request->data = kmalloc_array(max, sizeof(*request->data), gfp);
	if (!request->data)
		return -ENOMEM;
	sg_init_table(request->data, max);
	request->direction = direction;
	return 0;
}

void cs_request_add(struct cs_request *request, struct page *page, u32 len, u32 offset)
{
	sg_set_page(&request->data[request->n_data++], page, len, offset);
	request->data_len += len;
}

void cs_request_name(struct cs_request *request, u32 offset, const char *name, u32 len)
{
	memcpy((u8 *)cs_request_args(request) + offset, name, len);
	((u8 *)cs_request_args(request))[offset + len] = '\0';
}

void cs_request_get(struct cs_request *request)
{
	refcount_inc(&request->refs);
}

void cs_request_put(struct cs_request *request)
{
	if (!refcount_dec_and_test(&request->refs))
		return;
	if (request->release)
		request->release(request);
	if (request->reserved) {
		mempool_free(request, reserve);
		return;
	}
	kfree(request->data);
	kfree(request);
}

void cs_request_finish(struct cs_request *request, int error, bool returned)
{
	if (test_and_set_bit(0, &request->ended))
		return;
	request->error = error;
	request->returned = returned;
	if (request->end)
		request->end(request);
}

/* The sizes that agree with a header that is otherwise right. */
static bool size_is_right(struct cs_request *request, const struct fuse_out_header *header)
{
	u32 most = request->out_len;

	if (header->error)
		return header->len == sizeof(*header);
	if (request->direction == CS_DATA_FROM_DEVICE)
		most += request->data_len;
	if (request->out_var || request->direction == CS_DATA_FROM_DEVICE)
		return header->len - sizeof(*header) <= most;
	return header->len == sizeof(*header) + most;
}

bool cs_request_check(struct cs_request *request, u32 used, int *error)
{
	struct fuse_out_header header = {};

	*error = 0;
	if (request->no_reply)
		return true;
	/* Once: the device could change it while we look. */
	if (used >= sizeof(header))
		memcpy(&header, request->out, sizeof(header));
	if (used < sizeof(header) || header.len != used || header.unique != request->in->unique ||
	    header.error > 0 || header.error <= -512 || !size_is_right(request, &header)) {
		pr_warn_ratelimited("casement: opcode %u: no reply to it: %u bytes used, length %u, error %d\n",
				    request->in->opcode, used, header.len, header.error);
		*error = -EIO;
		return false;
	}
	request->got = used - sizeof(header);
	*error = header.error;
	return true;
}

void cs_request_defer(struct cs_request *request, work_func_t function)
{
	INIT_WORK(&request->work, function);
	cs_work_defer(&request->work);
}

void cs_work_defer(struct work_struct *work)
{
	queue_work(workers, work);
}

void cs_work_defer_wait(struct work_struct *work)
{
	queue_work(waiters, work);
}

int cs_requests_start(void)
{
	reserve = mempool_create_kmalloc_pool(RESERVED, RESERVED_SIZE);
	if (!reserve)
		return -ENOMEM;
	workers = alloc_workqueue("casement", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!workers)
		goto no_workers;
	waiters = alloc_workqueue("casement_wait", WQ_UNBOUND, 0);
	if (!waiters)
		goto no_waiters;
	return 0;
no_waiters:
	destroy_workqueue(workers);
no_workers:
	mempool_destroy(reserve);
	return -ENOMEM;
}

void cs_requests_drain(void)
{
	flush_workqueue(workers);
}

void cs_requests_stop(void)
{
	destroy_workqueue(waiters);
	destroy_workqueue(workers);
	mempool_destroy(reserve);
}
