/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* A directory read into the dentry cache, because of a few look-ups in it. */
#include "names.h"

/* Not more of a directory than so many replies. */
#define SWEEP_REPLIES 4
/* An entry of the longest name. */
#define ENTRY_MOST (sizeof(struct fuse_entry_out) + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + CS_NAME_MAX))

/* One reply. Where it ended; -1 at the directory's end, or if it cannot be read. */
static loff_t sweep_some(struct dentry *dentry, u64 fh, loff_t pos, struct cs_wanted *wanted)
{
	struct inode *dir = d_inode(dentry);
	u64 snapshot = cs_attr_snapshot(dir->i_sb);
	struct cs_request *request = cs_names_request(dir, fh, pos, true);
	struct cs_names_at names;
	struct cs_name name;
	unsigned int n = 0;
	bool last = true;
	int err;

	if (!request)
		return -1;
	err = cs_device_call(cs_session(dir->i_sb)->device, request);
	/* A killed caller's reply may be on its way. */
	if (err) {
		cs_request_put(request);
		return -1;
	}
	for (names = cs_names_start(request); cs_names_next(&names, &name); n++) {
		cs_name_cache(dentry, &name, snapshot, CS_NAMES_SWEPT, wanted);
		pos = name.dirent->off;
		last = fh == FUSE_NO_HANDLE && cs_name_is_last(&name);
	}
	/* With room for one more, of any name, it was the last. */
	if (names.err || last || (fh != FUSE_NO_HANDLE && request->got < CS_NAMES_SIZE - ENTRY_MOST))
		pos = -1;
	cs_request_put(request);
	cs_foresight_read(dir, CS_NAMES_SWEPT, n);
	return pos;
}

/* From `pos` on, and where it ended. */
static loff_t sweep(struct dentry *dentry, loff_t pos, struct cs_wanted *wanted)
{
	struct inode *dir = d_inode(dentry);
	struct cs_file *open;
	int n = 0;

	if (!pos && cs_dir_is_listed(dir)) {
		pos = sweep_some(dentry, FUSE_NO_HANDLE, pos, wanted);
		if (pos >= 0)
			WRITE_ONCE(cs_inode(dir)->names.large, true);
		n++;
	}
	if (pos < 0)
		return pos;
	open = cs_file_open_own(dir);
	if (IS_ERR(open))
		return -1;
	for (; n < SWEEP_REPLIES && pos >= 0; n++)
		pos = sweep_some(dentry, open->fh, pos, wanted);
	cs_file_put(open);
	return pos;
}

void cs_dir_sweep(struct dentry *dentry, struct cs_wanted *wanted)
{
	struct inode *dir = d_inode(dentry);
	loff_t pos = cs_foresight_missed(dir);

	if (pos >= 0)
		cs_foresight_swept(dir, sweep(dentry, pos, wanted));
}

/*
 * A name that is being looked up may be waited for, so who looks one up must not wait for another
 * that does the same: one in a directory may sweep, the others just ask.
 */
bool cs_dir_sweep_for(struct dentry *dentry, struct cs_wanted *wanted)
{
	struct cs_dir_foresight *names = &cs_inode(d_inode(dentry))->names;

	if (!cs_foresight_sweeps_first(cs_session(dentry->d_sb)) || test_and_set_bit_lock(0, &names->sweeping))
		return false;
	cs_dir_sweep(dentry, wanted);
	clear_bit_unlock(0, &names->sweeping);
	return true;
}
