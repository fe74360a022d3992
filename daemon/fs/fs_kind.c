/* SPDX-License-Identifier: BSD-3-Clause */
/* Kinds of file systems; see fs_kind.h. */
#include "daemon/fs/fs_kind.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/vfs.h>

#include "common/checked.h"

/* Not in linux/magic.h of every age. */
#define MAGIC_CIFS   0xff534d42UL
#define MAGIC_SMB2   0xfe534d42UL
#define MAGIC_CEPH   0x00c36400UL
#define MAGIC_FUSE   0x65735546UL
#define MAGIC_LUSTRE 0x0bd00bd0UL

static const unsigned long remote_magics[] = {
	NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, MAGIC_CIFS, MAGIC_SMB2, V9FS_MAGIC, MAGIC_CEPH,
	AFS_SUPER_MAGIC, AFS_FS_MAGIC, CODA_SUPER_MAGIC, MAGIC_FUSE, MAGIC_LUSTRE,
};

bool fs_kind_remote(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(remote_magics); i++) {
		if (((unsigned long)st.f_type & 0xffffffffUL) == remote_magics[i])
			return true;
	}
	return false;
}
