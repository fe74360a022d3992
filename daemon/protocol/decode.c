/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decoding of requests by their opcode's row. Relies on iov_cursor to stay
 * inside what the guest gave. Every byte of the guest is copied once, then
 * checked in the copy: the guest may be writing to the original meanwhile.
 * Never interprets numbers; ranges and flags are the handlers' to check.
 */
#include "daemon/protocol/decode.h"

#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <string.h>

#include "common/checked.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/decode_ext.h"
#include "daemon/protocol/id_translate.h"
#include "daemon/protocol/opcodes.h"

/* Text that was copied and is not used up yet. */
struct text {
	char *at;
	size_t left;
};

static int decode_fixed(struct request *req)
{
	const struct opcode *op = req->op;
	size_t want = op->long_if && !(req->session & op->long_if) ? op->arg_min : op->arg_size;
	size_t least = op->arg_min ? op->arg_min : want;
	size_t have = MIN(req->in->left, want);

	if (have < least)
		return -EINVAL;
	/* A peer of an older minor sends less; what it does not know is zero. */
	if (have < op->arg_size)
		memset(&req->args, 0, op->arg_size);
	iov_cursor_read(req->in, &req->args, have);
	return 0;
}

/* Copy what may be names, and no more than names can be, in one go; req->in stays where it is. */
static struct text decode_copy_text(const struct request *req)
{
	size_t max = (size_t)req->op->names * (NAME_MAX + 1);
	struct text text = { .at = req->sq->text };
	struct iov_cursor ahead = *req->in;

	if (req->op->flags & OP_TARGET)
		max = SESSION_TEXT_MAX;
	text.left = MIN(ahead.left, max);
	iov_cursor_read(&ahead, text.at, text.left);
	return text;
}

/* Take one string of at most `max` bytes and its NUL. Its length, or -errno. */
static int decode_string(struct text *text, size_t max, const char **out)
{
	size_t len = strnlen(text->at, MIN(text->left, max + 1));

	if (len > max)
		return -ENAMETOOLONG;
	if (len == text->left)		/* the request ends before the NUL */
		return -EINVAL;
	*out = text->at;
	text->at += len + 1;
	text->left -= len + 1;
	return (int)len;
}

static int decode_name(struct text *text, const char **out)
{
	int len = decode_string(text, NAME_MAX, out);

	if (len < 0)
		return len;
	if (len == 0 || memchr(*out, '/', (size_t)len))
		return -EINVAL;
	if (!strcmp(*out, ".") || !strcmp(*out, ".."))
		return -EINVAL;
	return 0;
}

/* Where a link points is the guest's business; only its length is ours. */
static int decode_target(struct text *text, const char **out)
{
	int len = decode_string(text, PATH_MAX - 1, out);

	if (len < 0)
		return len;
	return len == 0 ? -EINVAL : 0;
}

/* Any text, also with a slash in it. */
static int decode_xattr_name(struct text *text, const char **out)
{
	int len = decode_string(text, XATTR_NAME_MAX, out);

	if (len == -ENAMETOOLONG)
		return -ERANGE;	/* what setxattr(2) says */
	if (len < 0)
		return len;
	return len == 0 ? -EINVAL : 0;
}

static int decode_unnamed(struct text *text, const char **out)
{
	int len = decode_string(text, NAME_MAX, out);

	return len < 0 ? len : 0;
}

static int decode_one(const struct opcode *op, unsigned int i, struct text *text, const char **out)
{
	if (i == 1 && op->flags & OP_TARGET)
		return decode_target(text, out);
	if (op->flags & OP_XATTR)
		return decode_xattr_name(text, out);
	if (op->flags & OP_UNNAMED)
		return decode_unnamed(text, out);
	return decode_name(text, out);
}

static int decode_names(struct request *req)
{
	const struct opcode *op = req->op;
	struct text text = decode_copy_text(req);
	int rc = 0;

	for (unsigned int i = 0; i < op->names && !rc; i++)
		rc = decode_one(op, i, &text, &req->name[i]);
	if (rc)
		return rc;
	iov_cursor_skip(req->in, (size_t)(text.at - req->sq->text));
	if (op->flags & OP_DATA)
		return 0;
	if (op->flags & OP_EXTENDS)
		return decode_extensions(req);
	/* Bytes behind the last NUL are a name with a NUL in it. */
	return req->in->left ? -EINVAL : 0;
}

static int decode_id(const struct id_translation *map, uint32_t guest, uint32_t *host)
{
	*host = guest;
	if (map && !id_to_host(map, guest, host))
		return -EPERM;
	return 0;
}

int decode_uid(const struct request *req, uint32_t guest, uint32_t *host)
{
	return decode_id(req->server->config.uid_map, guest, host);
}

int decode_gid(const struct request *req, uint32_t guest, uint32_t *host)
{
	return decode_id(req->server->config.gid_map, guest, host);
}

/* For those that make or change something in the caller's name. */
static int decode_ids(struct request *req)
{
	int rc = decode_uid(req, req->uid, &req->uid);

	if (!rc)
		rc = decode_gid(req, req->gid, &req->gid);
	for (uint32_t i = 0; i < req->n_groups && !rc; i++)
		rc = decode_gid(req, req->groups[i], &req->groups[i]);
	return rc;
}

int decode_request(struct request *req)
{
	int rc;

	req->label.name = NULL;
	req->n_groups = 0;
	req->uid = req->head.uid;
	req->gid = req->head.gid;
	rc = decode_fixed(req);
	if (!rc && req->op->names)
		rc = decode_names(req);
	if (!rc && req->op->flags & OP_CALLER)
		rc = decode_ids(req);
	return rc;
}

/* Without DONT_MASK, which comes with ACLs, the guest has applied the umask already. */
static uint32_t decode_umask(const struct request *req)
{
	uint32_t mask = 0;

	if (req->op->umask_at && req->session & SESSION_POSIX_ACL)
		memcpy(&mask, (const char *)&req->args + req->op->umask_at, sizeof(mask));
	return mask & 0777;
}

/* What the guest sees of the host's id that this caller has is another of its users. */
static bool decode_shares_uid(const struct request *req, uint32_t host)
{
	const struct id_translation *map = req->server->config.uid_map;

	return map && id_to_guest(map, host) != req->head.uid;
}

struct fs_caller decode_caller(const struct request *req)
{
	return (struct fs_caller){
		.uid = req->uid,
		.gid = req->gid,
		.shares_uid = decode_shares_uid(req, req->uid),
		.pid = req->head.pid,
		.umask = decode_umask(req),
		.n_groups = req->n_groups,
		.groups = req->groups,
		.label = req->label,
	};
}

struct fs_caller decode_changer(const struct request *req)
{
	struct fs_caller caller = { .pid = req->head.pid };

	if (decode_uid(req, req->head.uid, &caller.uid) || decode_gid(req, req->head.gid, &caller.gid))
		caller.uid = caller.gid = FS_NO_ID;
	caller.shares_uid = decode_shares_uid(req, caller.uid);
	return caller;
}
