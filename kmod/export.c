/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * File handles: name_to_handle_at(2), NFS, overlayfs. One is the daemon's name of the inode. It
 * leads back to what is in the cache; to what is not, where the daemon takes a node alone for a
 * name (FUSE_EXPORT_SUPPORT); else it is stale.
 */
#include <linux/exportfs.h>

#include "fs.h"

/* As it lies in a handle; twice with the parent. */
struct node_name {
	u32 node_high, node_low, generation_high, generation_low;
};

#define NAME_WORDS (sizeof(struct node_name) / sizeof(u32))

static void name_node(struct inode *inode, struct node_name *name)
{
	const struct cs_inode *node = cs_inode(inode);

	name->node_high = node->nodeid >> 32;
	name->node_low = node->nodeid;
	name->generation_high = node->generation >> 32;
	name->generation_low = node->generation;
}

static int encode_fh(struct inode *inode, u32 *words, int *max_words, struct inode *parent)
{
	int needed = parent ? 2 * NAME_WORDS : NAME_WORDS;

	if (*max_words < needed) {
		*max_words = needed;
		return FILEID_INVALID;
	}
	*max_words = needed;
	name_node(inode, (struct node_name *)words);
	if (parent)
		name_node(parent, (struct node_name *)words + 1);
	return parent ? FILEID_INO64_GEN_PARENT : FILEID_INO64_GEN;
}

/* LOOKUP by the node alone, or of its parent: a dentry, or an error pointer. */
static struct dentry *ask(struct super_block *sb, u64 nodeid, const char *dots)
{
	struct cs_session *session = cs_session(sb);
	u64 snapshot = cs_attr_snapshot(sb);
	struct fuse_entry_out entry;
	struct cs_request *request;
	int err;

	if (!cs_session_has(session, FUSE_EXPORT_SUPPORT))
		return ERR_PTR(-ESTALE);
	request = cs_session_request(session, FUSE_LOOKUP, nodeid, strlen(dots) + 1, sizeof(entry));
	if (!request)
		return ERR_PTR(-ENOMEM);
	cs_request_name(request, 0, dots, strlen(dots));
	request->undo = cs_entry_undo;
	err = cs_device_call(session->device, request);
	if (!err)
		memcpy(&entry, cs_request_result(request), sizeof(entry));
	cs_request_put(request);
	if (err == -ENOENT || (!err && !entry.nodeid))
		err = -ESTALE;
	if (err)
		return ERR_PTR(err);
	if (entry.nodeid == FUSE_ROOT_ID)
		return dget(sb->s_root);
	return d_obtain_alias(cs_inode_get(sb, &entry, snapshot));
}

static struct dentry *find(struct super_block *sb, const struct node_name *name)
{
	u64 nodeid = (u64)name->node_high << 32 | name->node_low;
	u64 generation = (u64)name->generation_high << 32 | name->generation_low;
	struct inode *inode = cs_inode_find(sb, nodeid, generation);
	struct dentry *dentry;

	if (inode)
		return d_obtain_alias(inode);
	dentry = ask(sb, nodeid, ".");
	if (!IS_ERR(dentry) && cs_inode(d_inode(dentry))->generation != generation) {
		dput(dentry);
		return ERR_PTR(-ESTALE);
	}
	return dentry;
}

static struct dentry *fh_to_dentry(struct super_block *sb, struct fid *fid, int words, int type)
{
	if ((type != FILEID_INO64_GEN && type != FILEID_INO64_GEN_PARENT) || words < NAME_WORDS)
		return NULL;
	return find(sb, (const struct node_name *)fid->raw);
}

static struct dentry *fh_to_parent(struct super_block *sb, struct fid *fid, int words, int type)
{
	if (type != FILEID_INO64_GEN_PARENT || words < 2 * NAME_WORDS)
		return NULL;
	return find(sb, (const struct node_name *)fid->raw + 1);
}

static struct dentry *get_parent(struct dentry *child)
{
	return ask(child->d_sb, cs_nodeid(d_inode(child)), "..");
}

const struct export_operations cs_export_operations = {
	.encode_fh = encode_fh,
	.fh_to_dentry = fh_to_dentry,
	.fh_to_parent = fh_to_parent,
	.get_parent = get_parent,
};
