/* SPDX-License-Identifier: BSD-3-Clause */
/* What calls of the fake file system wait for, and who waits for locks; see fake_fs.h. */
#include "tests/unit/fake_fs.h"

static __thread enum fs_patience patience;
static __thread bool for_disk;

void fs_set_patience(enum fs_patience now, bool disk)
{
	patience = now;
	for_disk = disk;
}

void fs_set_session(uint32_t session)
{
	(void)session;
}

uint64_t fs_awaited(void)
{
	return FAKE_AWAITED;
}

int fake_waits(void)
{
	if (fake.others && patience != FS_PATIENCE_ENDLESS)
		return FS_WAITS_OTHERS;
	return for_disk && patience == FS_PATIENCE_NONE ? FS_WAITS_DISK : 0;
}

bool fs_lock_may_wait(struct fs *fs)
{
	(void)fs;
	return fake.waits++ < FS_LOCK_WAITS_MAX;
}

void fs_lock_waited(struct fs *fs)
{
	(void)fs;
	fake.waits--;
}

void fs_lock_interrupt(struct fs *fs, uint64_t unique)
{
	(void)fs;
	fake.unique = unique;
}

void fs_lock_interrupt_stopped(struct fs *fs)
{
	(void)fs;
}
