/* SPDX-License-Identifier: BSD-3-Clause */
/* Kinds of file systems; see fs_kind.h. */
#include "daemon/fs/fs_kind.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/vfs.h>

#include "common/checked.h"

/* Not in linux/magic.h of every age. */
#define MAGIC_AAFS	0x5a3c69f0UL	/* AppArmor's */
#define MAGIC_BCACHEFS	0xca451a4eUL
#define MAGIC_CEPH	0x00c36400UL
#define MAGIC_CIFS	0xff534d42UL
#define MAGIC_CONFIGFS	0x62656570UL
#define MAGIC_EROFS	0xe0f5e1e2UL
#define MAGIC_EXFAT	0x2011bab0UL
#define MAGIC_FUSE	0x65735546UL
#define MAGIC_FUSECTL	0x65735543UL
#define MAGIC_HFSPLUS	0x0000482bUL
#define MAGIC_IMA	0x5a4d4d46UL
#define MAGIC_JFS	0x3153464aUL
#define MAGIC_LUSTRE	0x0bd00bd0UL
#define MAGIC_MQUEUE	0x19800202UL
#define MAGIC_NFSD	0x6e667364UL
#define MAGIC_NTFS3	0x7366746eUL
#define MAGIC_RPC_PIPE	0x67596969UL
#define MAGIC_SMB2	0xfe534d42UL
#define MAGIC_UBIFS	0x24051905UL
#define MAGIC_XENFS	0xabba1974UL
#define MAGIC_XFS	0x58465342UL
#define MAGIC_ZFS	0x2fc12fc1UL

static const struct {
	unsigned long magic;
	uint8_t kind;
} kinds[] = {
	{ NFS_SUPER_MAGIC, FS_KIND_REMOTE },
	{ SMB_SUPER_MAGIC, FS_KIND_REMOTE },
	{ MAGIC_CIFS, FS_KIND_REMOTE },
	{ MAGIC_SMB2, FS_KIND_REMOTE },
	{ V9FS_MAGIC, FS_KIND_REMOTE | FS_KIND_MAY_MAKE_UP },
	{ MAGIC_CEPH, FS_KIND_REMOTE },
	{ AFS_SUPER_MAGIC, FS_KIND_REMOTE },
	{ AFS_FS_MAGIC, FS_KIND_REMOTE },
	{ CODA_SUPER_MAGIC, FS_KIND_REMOTE },
	{ MAGIC_FUSE, FS_KIND_REMOTE | FS_KIND_MAY_MAKE_UP },
	{ MAGIC_LUSTRE, FS_KIND_REMOTE },

	{ PROC_SUPER_MAGIC, FS_KIND_MADE_UP },
	{ SYSFS_MAGIC, FS_KIND_MADE_UP },
	{ DEBUGFS_MAGIC, FS_KIND_MADE_UP },
	{ TRACEFS_MAGIC, FS_KIND_MADE_UP },
	{ CGROUP_SUPER_MAGIC, FS_KIND_MADE_UP },
	{ CGROUP2_SUPER_MAGIC, FS_KIND_MADE_UP },
	{ SECURITYFS_MAGIC, FS_KIND_MADE_UP },
	{ SELINUX_MAGIC, FS_KIND_MADE_UP },
	{ SMACK_MAGIC, FS_KIND_MADE_UP },
	{ MAGIC_AAFS, FS_KIND_MADE_UP },
	{ MAGIC_IMA, FS_KIND_MADE_UP },
	{ MAGIC_CONFIGFS, FS_KIND_MADE_UP },
	{ BPF_FS_MAGIC, FS_KIND_MADE_UP },
	{ BINFMTFS_MAGIC, FS_KIND_MADE_UP },
	{ EFIVARFS_MAGIC, FS_KIND_MADE_UP },
	{ PSTOREFS_MAGIC, FS_KIND_MADE_UP },
	{ RDTGROUP_SUPER_MAGIC, FS_KIND_MADE_UP },
	{ MAGIC_FUSECTL, FS_KIND_MADE_UP },
	{ MAGIC_MQUEUE, FS_KIND_MADE_UP },
	{ MAGIC_NFSD, FS_KIND_MADE_UP },
	{ MAGIC_RPC_PIPE, FS_KIND_MADE_UP },
	{ MAGIC_XENFS, FS_KIND_MADE_UP },

	/* page_mkwrite() of all these changes the time, and all write a page back before it is clean. */
	{ EXT4_SUPER_MAGIC, FS_KIND_LOCAL | FS_KIND_TELLS_CHANGES },	/* ext2 and ext3, too */
	{ MAGIC_XFS, FS_KIND_LOCAL | FS_KIND_TELLS_CHANGES },
	{ F2FS_SUPER_MAGIC, FS_KIND_LOCAL | FS_KIND_TELLS_CHANGES },
	{ BTRFS_SUPER_MAGIC, FS_KIND_LOCAL | FS_KIND_TELLS_CHANGES | FS_KIND_LISTS_AS_OPENED },

	/* Linux 6.6 to 6.12 list as Btrfs does; a change through a mapping has no time of its own. */
	{ TMPFS_MAGIC, FS_KIND_LOCAL | FS_KIND_IN_MEMORY | FS_KIND_LISTS_AS_OPENED },
	{ RAMFS_MAGIC, FS_KIND_LOCAL | FS_KIND_IN_MEMORY },
	{ HUGETLBFS_MAGIC, FS_KIND_LOCAL | FS_KIND_IN_MEMORY },

	/* An overlay's own lower layers may be remote: nobody can tell from above. */
	{ OVERLAYFS_SUPER_MAGIC, FS_KIND_LOCAL },
	{ MAGIC_BCACHEFS, FS_KIND_LOCAL },
	{ MAGIC_EROFS, FS_KIND_LOCAL },
	{ MAGIC_EXFAT, FS_KIND_LOCAL },
	{ MAGIC_HFSPLUS, FS_KIND_LOCAL },
	{ MAGIC_JFS, FS_KIND_LOCAL },
	{ MAGIC_NTFS3, FS_KIND_LOCAL },
	{ MAGIC_UBIFS, FS_KIND_LOCAL },
	{ MAGIC_ZFS, FS_KIND_LOCAL },
	{ CRAMFS_MAGIC, FS_KIND_LOCAL },
	{ ISOFS_SUPER_MAGIC, FS_KIND_LOCAL },
	{ MSDOS_SUPER_MAGIC, FS_KIND_LOCAL },
	{ NILFS_SUPER_MAGIC, FS_KIND_LOCAL },
	{ REISERFS_SUPER_MAGIC, FS_KIND_LOCAL },
	{ SQUASHFS_MAGIC, FS_KIND_LOCAL },
	{ UDF_SUPER_MAGIC, FS_KIND_LOCAL },

	{ AUTOFS_SUPER_MAGIC, FS_KIND_AUTOMOUNTS },
};

uint8_t fs_kind(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (((unsigned long)st.f_type & 0xffffffffUL) == kinds[i].magic)
			return kinds[i].kind;
	}
	/* No blocks at all: made up, like all those above, and newer than they are. */
	return st.f_blocks ? 0 : FS_KIND_MADE_UP;
}
