/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioctls: a file's flags, its extended attributes in XFS's sense, fs-verity.
 * One system call each, two where something must not change.
 *
 * Relies on the table below for what may pass and how large it is: a number
 * that is not in it never reaches the host. Relies on handles being of regular
 * files and directories only. No pointer of the guest's is ever passed on, and
 * its kernel is not trusted to have asked whose file it is: those before Linux
 * 5.13 did not.
 *
 * A project id belongs to the host, whose quota it is: it never changes here.
 */
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "daemon/fs/fs_private.h"
#include "daemon/fs/patience.h"

#define FLAGS_MIN sizeof(int)	/* what the kernel reads and writes */
#define FLAGS_MAX sizeof(long)	/* what the number says */
#define VERITY_DIGEST_MAX 64	/* SHA-512 */
#define VERITY_SALT_MAX 32
#define XFLAGS_OF_THE_HOST FS_XFLAG_PROJINHERIT
#define FLAGS_OF_THE_HOST FS_PROJINHERIT_FL

/* Who may do it. */
enum ioctl_right { RIGHT_ANY, RIGHT_OWNER, RIGHT_WRITER };

struct ioctl_row {
	uint32_t cmd;
	enum ioctl_right right;
	bool changes;		/* and may take as long as reading or writing the whole file */
	bool files_only;
	uint16_t in_min, in_max, out_min, out_max;
	/* Sizes are as above. 0 or -errno; sets io->out_size to what it filled. */
	int (*run)(int fd, struct fs_ioctl *io);
};

static int host_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

static int run_getflags(int fd, struct fs_ioctl *io)
{
	int flags = 0, err = host_ioctl(fd, FS_IOC_GETFLAGS, &flags);

	memset(io->out, 0, io->out_size);
	memcpy(io->out, &flags, sizeof(flags));
	return err;
}

static int run_setflags(int fd, struct fs_ioctl *io)
{
	int flags, now = 0, err = host_ioctl(fd, FS_IOC_GETFLAGS, &now);

	memcpy(&flags, io->in, sizeof(flags));
	if (!err && ((flags ^ now) & FLAGS_OF_THE_HOST))
		err = -EPERM;
	return err ? err : host_ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int run_fsgetxattr(int fd, struct fs_ioctl *io)
{
	struct fsxattr attr = { 0 };
	int err = host_ioctl(fd, FS_IOC_FSGETXATTR, &attr);

	memcpy(io->out, &attr, sizeof(attr));
	return err;
}

static int run_fssetxattr(int fd, struct fs_ioctl *io)
{
	struct fsxattr attr, now = { 0 };
	int err = host_ioctl(fd, FS_IOC_FSGETXATTR, &now);

	memcpy(&attr, io->in, sizeof(attr));
	if (!err && (attr.fsx_projid != now.fsx_projid ||
		     ((attr.fsx_xflags ^ now.fsx_xflags) & XFLAGS_OF_THE_HOST)))
		err = -EPERM;
	return err ? err : host_ioctl(fd, FS_IOC_FSSETXATTR, &attr);
}

/* What the guest's pointers pointed to follows the struct: the salt, then the signature. */
static int run_enable_verity(int fd, struct fs_ioctl *io)
{
	const char *rest = (const char *)io->in + sizeof(struct fsverity_enable_arg);
	size_t left = io->in_size - sizeof(struct fsverity_enable_arg);
	struct fsverity_enable_arg arg;

	memcpy(&arg, io->in, sizeof(arg));
	if (arg.salt_size > VERITY_SALT_MAX || arg.salt_size > left || arg.sig_size > left - arg.salt_size)
		return -EMSGSIZE;
	arg.salt_ptr = arg.salt_size ? (uint64_t)(uintptr_t)rest : 0;
	arg.sig_ptr = arg.sig_size ? (uint64_t)(uintptr_t)(rest + arg.salt_size) : 0;
	return host_ioctl(fd, FS_IOC_ENABLE_VERITY, &arg);
}

static int run_measure_verity(int fd, struct fs_ioctl *io)
{
	struct {
		struct fsverity_digest head;
		uint8_t digest[VERITY_DIGEST_MAX];
	} arg = { .head = { .digest_algorithm = 0 } };
	int err;

	memcpy(&arg.head, io->in, sizeof(arg.head));
	arg.head.digest_size = (uint16_t)MIN((size_t)arg.head.digest_size,
					     MIN(sizeof(arg.digest), io->out_size - sizeof(arg.head)));
	err = host_ioctl(fd, FS_IOC_MEASURE_VERITY, &arg);
	if (err)
		return err;
	io->out_size = MIN(io->out_size, sizeof(arg.head) + arg.head.digest_size);
	memcpy(io->out, &arg, io->out_size);
	return 0;
}

#define EXACTLY(type) sizeof(type), sizeof(type)
#define FLAGS_SIZE FLAGS_MIN, FLAGS_MAX
#define NOTHING 0, 0
#define WHATEVER 0, FS_IOCTL_DATA_MAX

static const struct ioctl_row rows[] = {
	{ FS_IOC_GETFLAGS, RIGHT_ANY, false, false, WHATEVER, FLAGS_SIZE, run_getflags },
	{ FS_IOC_SETFLAGS, RIGHT_OWNER, true, false, FLAGS_SIZE, WHATEVER, run_setflags },
	/* The same of 32-bit guests and programs. */
	{ FS_IOC32_GETFLAGS, RIGHT_ANY, false, false, WHATEVER, FLAGS_SIZE, run_getflags },
	{ FS_IOC32_SETFLAGS, RIGHT_OWNER, true, false, FLAGS_SIZE, WHATEVER, run_setflags },
	{ FS_IOC_FSGETXATTR, RIGHT_ANY, false, false, WHATEVER, EXACTLY(struct fsxattr),
	  run_fsgetxattr },
	{ FS_IOC_FSSETXATTR, RIGHT_OWNER, true, false, EXACTLY(struct fsxattr), WHATEVER,
	  run_fssetxattr },
	{ FS_IOC_ENABLE_VERITY, RIGHT_WRITER, true, true,
	  sizeof(struct fsverity_enable_arg), FS_IOCTL_DATA_MAX, WHATEVER, run_enable_verity },
	{ FS_IOC_MEASURE_VERITY, RIGHT_ANY, false, true,
	  sizeof(struct fsverity_digest), FS_IOCTL_DATA_MAX,
	  sizeof(struct fsverity_digest), FS_IOCTL_DATA_MAX, run_measure_verity },
};

static const struct ioctl_row *find_row(uint32_t cmd)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].cmd == cmd)
			return &rows[i];
	return NULL;
}

static int check_right(struct fs *fs, const struct fs_caller *caller, const struct ioctl_row *row,
		       const struct handle *open)
{
	struct statx stx;
	int err;

	if (row->right == RIGHT_WRITER)
		return fs_access(fs, caller, inode_id(open->inode), W_OK);
	if (row->right == RIGHT_ANY || caller->uid == 0)
		return 0;
	err = fs_stat_fd(open->fd, &stx);
	if (err)
		return err;
	return caller->uid == stx.stx_uid ? 0 : -EPERM;
}

static bool fits(size_t size, size_t min, size_t max)
{
	return size >= min && size <= max;
}

int fs_ioctl(struct fs *fs, const struct fs_caller *caller, uint64_t handle, bool dir,
	     struct fs_ioctl *io)
{
	const struct ioctl_row *row = find_row(io->cmd);
	cleanup_handle struct handle *open = NULL;
	cleanup_creds struct creds as = CREDS_NONE;
	int err = fs_handle_get(fs, handle, dir ? HANDLE_DIR : HANDLE_FILE, &open);

	if (err)
		return err;
	if (!row || (dir && row->files_only))
		return -ENOTTY;
	if (!fits(io->in_size, row->in_min, row->in_max) ||
	    !fits(io->out_size, row->out_min, row->out_max))
		return -EINVAL;
	/* ENABLE_VERITY reads it, a flag of ext4 moves its blocks: a queue that stops does not wait for them. */
	if (row->changes && !patience_is_endless())
		return patience_ask_mount(open->inode->key.mount, open->inode->key.device);
	err = row->changes ? fs_check_writable(fs) : 0;
	if (!err)
		err = check_right(fs, caller, row, open);
	if (!err && row->changes)
		err = fs_act_as(fs, open->inode, caller, CREDS_SETID_ANY, &as);
	if (err)
		return err;
	if (!row->out_min)
		io->out_size = 0;
	return row->run(open->fd, io);
}
