/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decoding of extensions; see decode_ext.h. Copied once, then checked in the
 * copy. The label's name and value stay there, in the request's own place.
 */
#include "daemon/protocol/decode_ext.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>

/* Bytes of one extension not looked at yet. */
struct piece {
	const char *at;
	size_t left;
};

static bool piece_take(struct piece *piece, void *to, size_t size)
{
	if (piece->left < size)
		return false;
	memcpy(to, piece->at, size);
	piece->at += size;
	piece->left -= size;
	return true;
}

/* Extensions are filled up to their alignment, and no further. */
static int piece_end(const struct piece *piece)
{
	return piece->left < FUSE_WIRE_EXT_ALIGN ? 0 : -EINVAL;
}

/* Without a security module the guest sends the header alone; of several, Linux sends one label. */
static int take_label(struct request *req, struct piece *piece, uint32_t count)
{
	struct fuse_secctx context;
	size_t len;

	if (!(req->session & SESSION_SECURITY_CTX) || count > 1)
		return -EINVAL;
	if (!count)
		return piece_end(piece);
	if (!piece_take(piece, &context, sizeof(context)))
		return -EINVAL;
	len = strnlen(piece->at, piece->left);
	if (!len || len > XATTR_NAME_MAX || len == piece->left)
		return -EINVAL;
	if (!context.size || context.size > piece->left - len - 1)
		return -EINVAL;
	req->label = (struct fs_label){ piece->at, piece->at + len + 1, context.size };
	piece->left -= len + 1 + context.size;
	return piece_end(piece);
}

static int take_groups(struct request *req, struct piece *piece)
{
	uint32_t count;

	if (!(req->session & SESSION_SUPP_GROUP) || !piece_take(piece, &count, sizeof(count)))
		return -EINVAL;
	if (count > FS_GROUPS_MAX || !piece_take(piece, req->groups, count * sizeof(uint32_t)))
		return -EINVAL;
	req->n_groups = count;
	return piece_end(piece);
}

/* One extension, header and all, off the front of `all`; `seen` has a bit for each kind. */
static int take_extension(struct request *req, struct piece *all, unsigned int *seen)
{
	struct fuse_ext_header head;
	struct piece body;
	bool groups;

	if (!piece_take(all, &head, sizeof(head)) || head.size < sizeof(head) ||
	    head.size - sizeof(head) > all->left)
		return -EINVAL;
	groups = head.type == FUSE_WIRE_EXT_GROUPS;
	if (head.size % FUSE_WIRE_EXT_ALIGN || (!groups && head.type > FUSE_MAX_NR_SECCTX) ||
	    *seen & (1u << groups))
		return -EINVAL;
	*seen |= 1u << groups;
	body = (struct piece){ all->at, head.size - sizeof(head) };
	all->at += body.left;
	all->left -= body.left;
	return groups ? take_groups(req, &body) : take_label(req, &body, head.type);
}

int decode_extensions(struct request *req)
{
	struct piece all = { req->sq->value, req->in->left };
	unsigned int seen = 0;
	int rc = 0;

	/* Bytes that nobody agreed on are a name with a NUL in it. */
	if (all.left && !(req->session & (SESSION_SECURITY_CTX | SESSION_SUPP_GROUP)))
		return -EINVAL;
	/* Linux before 6.3 has labels, and no length of extensions in its header. */
	if (all.left && req->head.total_extlen &&
	    (size_t)req->head.total_extlen * FUSE_WIRE_EXT_ALIGN != all.left)
		return -EINVAL;
	if (all.left > sizeof(req->sq->value))
		return -EINVAL;
	iov_cursor_read(req->in, req->sq->value, all.left);
	while (all.left && !rc)
		rc = take_extension(req, &all, &seen);
	return rc;
}
