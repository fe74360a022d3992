/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* What goes behind a maker's arguments: a label, and a group; see extend.h. */
#include "extend.h"

#include <linux/cred.h>

#include "compat.h"

/* FUSE_EXT_GROUPS with one group. */
struct group_extension {
	struct fuse_ext_header header;
	u32 nr_groups;
	u32 group;
};

/* Extensions begin at multiples of that, and are counted in it. */
#define UNIT sizeof(u64)

/*
 * The daemon is told the caller's group, of several. If the caller has the directory's among
 * the others, what is made in it keeps a set-group-id bit as by the caller itself.
 */
static bool needs_group(struct mnt_idmap *idmap, const struct inode *dir)
{
	return cs_session_has(cs_session(dir->i_sb), FUSE_CREATE_SUPP_GROUP) &&
	       !gid_eq(dir->i_gid, mapped_fsgid(idmap, &init_user_ns)) &&
	       vfsgid_in_group_p(i_gid_into_vfsgid(idmap, dir));
}

/* Where labels were agreed upon there is at least the header that says how many: none or one. */
static u32 label_len(const struct cs_extensions *extensions)
{
	u32 len = sizeof(struct fuse_secctx_header);

	if (extensions->label.len)
		len += sizeof(struct fuse_secctx) + strlen(extensions->label_name) + 1 + extensions->label.len;
	return round_up(len, UNIT);
}

int cs_extensions_get(struct cs_extensions *extensions, struct mnt_idmap *idmap, struct inode *dir,
		      struct dentry *dentry, umode_t mode)
{
	int err;

	*extensions = (struct cs_extensions){};
	if (cs_session_has(cs_session(dir->i_sb), FUSE_SECURITY_CTX)) {
		err = cs_label_of_new(dentry, mode, &extensions->label_name, &extensions->label);
		if (err && err != -EOPNOTSUPP)
			return err;
		extensions->has_label = true;
		extensions->len += label_len(extensions);
	}
	if (needs_group(idmap, dir)) {
		extensions->has_group = true;
		extensions->group = from_kgid(&init_user_ns, dir->i_gid);
		extensions->len += sizeof(struct group_extension);
	}
	return 0;
}

static u8 *put(u8 *at, const void *bytes, u32 len)
{
	memcpy(at, bytes, len);
	return at + len;
}

static void put_label(const struct cs_extensions *extensions, u8 *at)
{
	u32 len = extensions->label.len;
	struct fuse_secctx_header header = { .size = label_len(extensions), .nr_secctx = len ? 1 : 0 };
	struct fuse_secctx context = { .size = len };

	at = put(at, &header, sizeof(header));
	if (!len)
		return;
	at = put(at, &context, sizeof(context));
	at = put(at, extensions->label_name, strlen(extensions->label_name) + 1);
	put(at, extensions->label.context, len);
}

void cs_extensions_put(struct cs_extensions *extensions, struct cs_request *request)
{
	struct group_extension group = {
		.header = { .size = sizeof(group), .type = FUSE_EXT_GROUPS },
		.nr_groups = 1,
		.group = extensions->group,
	};
	u8 *at;

	if (request) {
		at = (u8 *)cs_request_args(request) + request->in_len - extensions->len;
		if (extensions->has_label)
			put_label(extensions, at);
		if (extensions->has_group)
			memcpy(at + extensions->len - sizeof(group), &group, sizeof(group));
		request->in->total_extlen = extensions->len / UNIT;
	}
	if (extensions->label.len)
		cs_label_free(&extensions->label);
}
