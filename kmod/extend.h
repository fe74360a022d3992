/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Extensions of requests that make something (MKNOD, MKDIR, SYMLINK, CREATE, TMPFILE): the
 * label that a security module of the guest gives it (FUSE_SECURITY_CTX), and the caller's
 * group that matters (FUSE_CREATE_SUPP_GROUP).
 */
#ifndef CASEMENT_KMOD_EXTEND_H
#define CASEMENT_KMOD_EXTEND_H

#include "compat.h"
#include "fs.h"

struct cs_extensions {
	u32 len;			/* bytes of all of them, a multiple of 8 */
	bool has_label, has_group;
	u32 group;
	const char *label_name;		/* the extended attribute's */
	cs_label label;			/* len 0: no module gives one */
};

/* What is to be said of a `dentry` of that type and mode, made in `dir`: 0, or the security module's -errno. */
int cs_extensions_get(struct cs_extensions *extensions, struct mnt_idmap *idmap, struct inode *dir,
		      struct dentry *dentry, umode_t mode);

/* Say it at the end of the request's arguments, if there is a request; then it is of no more use. */
void cs_extensions_put(struct cs_extensions *extensions, struct cs_request *request);

#endif
