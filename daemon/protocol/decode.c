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
#include <string.h>

#include "common/checked.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/opcodes.h"

/* Text that was copied and is not used up yet. */
struct text {
	char *at;
	size_t left;
};

static int decode_fixed(struct request *req)
{
	size_t want = req->op->arg_size;
	size_t least = req->op->arg_min ? req->op->arg_min : want;
	size_t have = MIN(req->in->left, want);

	if (have < least)
		return -EINVAL;
	/* A peer of an older minor sends less; what it does not know is zero. */
	if (have < want)
		memset(&req->args, 0, want);
	iov_cursor_read(req->in, &req->args, have);
	return 0;
}

/* Copy what may be names, and no more than names can be, in one go. */
static struct text decode_copy_text(struct request *req)
{
	size_t max = (size_t)req->op->names * (NAME_MAX + 1);
	struct text text = { .at = req->sq->text };

	if (req->op->flags & OP_TARGET)
		max = SESSION_TEXT_MAX;
	text.left = MIN(req->in->left, max);
	iov_cursor_read(req->in, text.at, text.left);
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

static int decode_names(struct request *req)
{
	const struct opcode *op = req->op;
	struct text text = decode_copy_text(req);
	int rc = 0;

	for (unsigned int i = 0; i < op->names && !rc; i++) {
		if (i == 1 && op->flags & OP_TARGET)
			rc = decode_target(&text, &req->name[i]);
		else
			rc = decode_name(&text, &req->name[i]);
	}
	if (rc)
		return rc;
	/* Extensions would be negotiated: bytes behind the last NUL are a name with a NUL in it. */
	if (text.left || req->in->left)
		return -EINVAL;
	return 0;
}

int decode_request(struct request *req)
{
	int rc = decode_fixed(req);

	if (!rc && req->op->names)
		rc = decode_names(req);
	return rc;
}

struct fs_caller decode_caller(const struct request *req)
{
	return (struct fs_caller){
		.uid = req->head.uid,
		.gid = req->head.gid,
		.pid = req->head.pid,
	};
}
