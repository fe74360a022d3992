/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Replies with the names of a directory. With READDIRPLUS each name comes with what LOOKUP
 * would have said, and goes into the dentry cache: the stat() that follows asks nobody.
 */
#ifndef CASEMENT_KMOD_NAMES_H
#define CASEMENT_KMOD_NAMES_H

#include "fs.h"
#include "fuse_extension.h"

/* Of names in one reply; with its headers the request stays within 32 KiB. */
#define CS_NAMES_SIZE (28U << 10)
/* No entry takes more of it. */
#define CS_NAMES_LARGEST 512

/* READDIR or READDIRPLUS from `pos` on; NULL without memory. `fh` may be FUSE_NO_HANDLE where that is agreed. */
struct cs_request *cs_names_request(struct inode *dir, u64 fh, loff_t pos, bool plus);

/* An entry of a reply. plus is NULL in a plain one. */
struct cs_name {
	const struct fuse_entry_out *plus;
	const struct fuse_dirent *dirent;
	u32 size;		/* with padding, as far as there is any */
};

/* A place in a reply. */
struct cs_names_at {
	const u8 *at;
	u32 left;
	bool plus;
	int err;		/* -EIO after an entry that cannot be */
};

/* The beginning of a request's reply; of nothing if it failed. */
struct cs_names_at cs_names_start(struct cs_request *request);

/* The next entry, false when none is whole. */
bool cs_names_next(struct cs_names_at *names, struct cs_name *name);

/* Nothing follows it in its directory: in replies to requests without a handle. */
static inline bool cs_name_is_last(const struct cs_name *name)
{
	return name->dirent->type & FUSE_DIRENT_LAST;
}

/*
 * Cache an entry that came with attributes; the one that is `wanted`, if not NULL, goes there.
 * `snapshot`: cs_attr_snapshot() before the request.
 */
void cs_name_cache(struct dentry *parent, const struct cs_name *name, u64 snapshot, enum cs_names how,
		   struct cs_wanted *wanted);

#endif
