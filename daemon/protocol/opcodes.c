/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of requests; see opcodes.h. Relies on the handlers' headers for
 * who does what; never has code of its own beyond look-ups.
 */
#include "daemon/protocol/opcodes.h"

#include <stddef.h>

#include "common/checked.h"
#include "daemon/protocol/handle_attr.h"
#include "daemon/protocol/handle_dax.h"
#include "daemon/protocol/handle_dir.h"
#include "daemon/protocol/handle_file.h"
#include "daemon/protocol/handle_ioctl.h"
#include "daemon/protocol/handle_lock.h"
#include "daemon/protocol/handle_name.h"
#include "daemon/protocol/handle_xattr.h"
#include "daemon/protocol/init.h"
#include "daemon/protocol/session.h"
#include "proto/fuse_extension.h"
#include "proto/fuse_wire.h"

#define ARG(type) .arg_size = sizeof(struct type)
#define UMASK(type) .umask_at = offsetof(struct type, umask)
#define REPLY(type) .reply_min = sizeof(struct type)
#define REPLY_ENTRY_OPEN \
	.reply_min = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out)

static const struct opcode opcodes[FUSE_OPCODE_LIMIT] = {
	/* the session */
	[FUSE_INIT] = { "INIT", ARG(fuse_init_in), REPLY(fuse_init_out),
		.arg_min = 16, .flags = OP_ANYTIME, .handle = handle_init },
	[FUSE_DESTROY] = { "DESTROY", .flags = OP_ANYTIME, .handle = handle_destroy },
	[FUSE_SUSPEND] = { "SUSPEND", .handle = handle_suspend },
	[FUSE_INTERRUPT] = { "INTERRUPT", ARG(fuse_interrupt_in),
		.flags = OP_ANYTIME | OP_NO_REPLY, .handle = handle_interrupt },

	/* names */
	[FUSE_LOOKUP] = { "LOOKUP", REPLY(fuse_entry_out), .names = 1, .handle = handle_lookup },
	[FUSE_FORGET] = { "FORGET", ARG(fuse_forget_in),
		.flags = OP_ANYTIME | OP_NO_REPLY, .handle = handle_forget },
	[FUSE_BATCH_FORGET] = { "BATCH_FORGET", ARG(fuse_batch_forget_in),
		.flags = OP_ANYTIME | OP_NO_REPLY, .handle = handle_batch_forget },
	[FUSE_MKNOD] = { "MKNOD", ARG(fuse_mknod_in), REPLY(fuse_entry_out), .names = 1,
		UMASK(fuse_mknod_in), .flags = OP_CHANGES | OP_EXTENDS | OP_CALLER,
		.handle = handle_mknod },
	[FUSE_MKDIR] = { "MKDIR", ARG(fuse_mkdir_in), REPLY(fuse_entry_out), .names = 1,
		UMASK(fuse_mkdir_in), .flags = OP_CHANGES | OP_EXTENDS | OP_CALLER,
		.handle = handle_mkdir },
	[FUSE_SYMLINK] = { "SYMLINK", REPLY(fuse_entry_out), .names = 2,
		.flags = OP_CHANGES | OP_TARGET | OP_EXTENDS | OP_CALLER, .handle = handle_symlink },
	[FUSE_LINK] = { "LINK", ARG(fuse_link_in), REPLY(fuse_entry_out), .names = 1,
		.flags = OP_CHANGES, .handle = handle_link },
	[FUSE_UNLINK] = { "UNLINK", .names = 1, .flags = OP_CHANGES, .handle = handle_unlink },
	[FUSE_RMDIR] = { "RMDIR", .names = 1, .flags = OP_CHANGES, .handle = handle_rmdir },
	[FUSE_RENAME] = { "RENAME", ARG(fuse_rename_in), .names = 2,
		.flags = OP_CHANGES, .handle = handle_rename },
	[FUSE_RENAME2] = { "RENAME2", ARG(fuse_rename2_in), .names = 2,
		.flags = OP_CHANGES, .handle = handle_rename2 },
	[FUSE_READLINK] = { "READLINK", .handle = handle_readlink },

	/* attributes */
	[FUSE_GETATTR] = { "GETATTR", ARG(fuse_getattr_in), REPLY(fuse_attr_out),
		.handle = handle_getattr },
	[FUSE_SETATTR] = { "SETATTR", ARG(fuse_setattr_in), REPLY(fuse_attr_out),
		.flags = OP_CHANGES, .handle = handle_setattr },
	[FUSE_STATX] = { "STATX", ARG(fuse_statx_in), REPLY(fuse_statx_out),
		.handle = handle_statx },
	[FUSE_STATFS] = { "STATFS", REPLY(fuse_statfs_out), .handle = handle_statfs },
	[FUSE_ACCESS] = { "ACCESS", ARG(fuse_access_in),
		.flags = OP_CALLER, .handle = handle_access },

	/* extended attributes */
	[FUSE_SETXATTR] = { "SETXATTR", ARG(fuse_setxattr_in), .names = 1,
		.arg_min = FUSE_COMPAT_SETXATTR_IN_SIZE, .long_if = SESSION_SETXATTR_EXT,
		.flags = OP_CHANGES | OP_XATTR | OP_DATA | OP_CALLER, .handle = handle_setxattr },
	[FUSE_GETXATTR] = { "GETXATTR", ARG(fuse_getxattr_in), .names = 1,
		.flags = OP_XATTR, .handle = handle_getxattr },
	[FUSE_LISTXATTR] = { "LISTXATTR", ARG(fuse_getxattr_in),
		.flags = OP_XATTR, .handle = handle_listxattr },
	[FUSE_REMOVEXATTR] = { "REMOVEXATTR", .names = 1,
		.flags = OP_CHANGES | OP_XATTR, .handle = handle_removexattr },

	/* files */
	[FUSE_OPEN] = { "OPEN", ARG(fuse_open_in), REPLY(fuse_open_out),
		.handle = handle_open },
	/* CREATE changes nothing where the file is there: the file system says when it would. */
	[FUSE_CREATE] = { "CREATE", ARG(fuse_create_in), REPLY_ENTRY_OPEN, .names = 1,
		UMASK(fuse_create_in), .flags = OP_EXTENDS | OP_CALLER,
		.handle = handle_create },
	/* TMPFILE has a name on the wire, always "/". */
	[FUSE_TMPFILE] = { "TMPFILE", ARG(fuse_create_in), REPLY_ENTRY_OPEN, .names = 1,
		UMASK(fuse_create_in), .flags = OP_CHANGES | OP_EXTENDS | OP_CALLER | OP_UNNAMED,
		.handle = handle_tmpfile },
	[FUSE_RELEASE] = { "RELEASE", ARG(fuse_release_in), .flags = OP_CLOSES,
		.handle = handle_release },
	[FUSE_FLUSH] = { "FLUSH", ARG(fuse_flush_in), .handle = handle_flush },
	[FUSE_FSYNC] = { "FSYNC", ARG(fuse_fsync_in), .flags = OP_WAITS, .handle = handle_fsync },
	[FUSE_SYNCFS] = { "SYNCFS", ARG(fuse_syncfs_in), .flags = OP_WAITS,
		.handle = handle_syncfs },
	[FUSE_READ] = { "READ", ARG(fuse_read_in), .handle = handle_read },
	[FUSE_WRITE] = { "WRITE", ARG(fuse_write_in), REPLY(fuse_write_out),
		.flags = OP_CHANGES, .handle = handle_write },
	[FUSE_LSEEK] = { "LSEEK", ARG(fuse_lseek_in), REPLY(fuse_lseek_out),
		.handle = handle_lseek },
	[FUSE_FALLOCATE] = { "FALLOCATE", ARG(fuse_fallocate_in),
		.flags = OP_CHANGES | OP_WAITS_UNWINDOWED, .handle = handle_fallocate },
	[FUSE_COPY_FILE_RANGE] = { "COPY_FILE_RANGE", ARG(fuse_copy_file_range_in),
		REPLY(fuse_write_out), .flags = OP_CHANGES | OP_WAITS_UNWINDOWED,
		.handle = handle_copy_file_range },
	[FUSE_COPY_FILE_RANGE_64] = { "COPY_FILE_RANGE_64", ARG(fuse_copy_file_range_in),
		REPLY(fuse_copy_file_range_out), .flags = OP_CHANGES | OP_WAITS_UNWINDOWED,
		.handle = handle_copy_file_range_64 },
	[FUSE_IOCTL] = { "IOCTL", ARG(fuse_ioctl_in), REPLY(fuse_ioctl_out),
		.flags = OP_CALLER, .handle = handle_ioctl },

	/* locks */
	[FUSE_GETLK] = { "GETLK", ARG(fuse_lk_in), REPLY(fuse_lk_out), .handle = handle_getlk },
	[FUSE_SETLK] = { "SETLK", ARG(fuse_lk_in), .handle = handle_setlk },
	[FUSE_SETLKW] = { "SETLKW", ARG(fuse_lk_in), .handle = handle_setlkw },

	/* directories */
	[FUSE_OPENDIR] = { "OPENDIR", ARG(fuse_open_in), REPLY(fuse_open_out),
		.handle = handle_opendir },
	[FUSE_READDIR] = { "READDIR", ARG(fuse_read_in), .handle = handle_readdir },
	[FUSE_READDIRPLUS] = { "READDIRPLUS", ARG(fuse_read_in), .handle = handle_readdirplus },
	[FUSE_RELEASEDIR] = { "RELEASEDIR", ARG(fuse_release_in), .handle = handle_releasedir },
	[FUSE_FSYNCDIR] = { "FSYNCDIR", ARG(fuse_fsync_in), .flags = OP_WAITS,
		.handle = handle_fsyncdir },

	/* the window */
	[FUSE_SETUPMAPPING] = { "SETUPMAPPING", ARG(fuse_setupmapping_in),
		.handle = handle_setupmapping },
	[FUSE_REMOVEMAPPING] = { "REMOVEMAPPING", ARG(fuse_removemapping_in),
		.handle = handle_removemapping },
};

static const struct opcode_refusal refusals[] = {
	{ FUSE_BMAP, "BMAP", "a block number means something only to a guest that has the disk; Linux asks of fuseblk alone" },
	{ FUSE_POLL, "POLL", "regular files and directories are always ready, which is what a guest concludes from ENOSYS" },
	{ FUSE_NOTIFY_REPLY, "NOTIFY_REPLY", "an answer to a notification, and there is no queue to notify by" },
	{ CUSE_INIT, "CUSE_INIT", "begins a character device, not a file system" },
};

const struct opcode_refusal *opcode_refusals(size_t *count)
{
	*count = ARRAY_SIZE(refusals);
	return refusals;
}

const struct opcode *opcode_find(uint32_t number)
{
	if (number >= ARRAY_SIZE(opcodes) || !opcodes[number].handle)
		return NULL;
	return &opcodes[number];
}
