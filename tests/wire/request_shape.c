/* SPDX-License-Identifier: BSD-3-Clause */
/* Honest requests; see request_shape.h. Relies on the daemon's opcode table for sizes. */
#include "tests/wire/request_shape.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

#include "common/checked.h"
#include "daemon/protocol/opcodes.h"
#include "proto/fuse_wire.h"

static const struct fuse_init_in init = { .major = 7, .minor = 46, .max_readahead = 131072,
	.flags = 0xffffffff & ~(unsigned int)FUSE_POSIX_ACL, .flags2 = 0xffffffff };
static const struct fuse_mknod_in mknod_in = { .mode = S_IFREG | 0644 };
static const struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
static const struct fuse_rename_in rename_in = { .newdir = FUSE_ROOT_ID };
static const struct fuse_rename2_in rename2_in = { .newdir = FUSE_ROOT_ID };
static const struct fuse_link_in link_in = { .oldnodeid = 2 };
static const struct fuse_create_in create_in = { .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644 };
static const struct fuse_create_in tmpfile_in = { .flags = O_RDWR, .mode = S_IFREG | 0644 };
static const struct fuse_open_in open_in = { .flags = O_RDWR };
static const struct fuse_open_in opendir_in = { .flags = O_RDONLY | O_DIRECTORY };
static const struct fuse_read_in read_in = { .size = 512 };
static const struct fuse_write_in write_in = { .size = 8 };
static const struct fuse_lseek_in lseek_in = { .whence = SEEK_END };
static const struct fuse_fallocate_in fallocate_in = { .length = 4096 };
static const struct fuse_copy_file_range_in copy_in = { .nodeid_out = 2, .off_out = 8192, .len = 64 };
static const struct fuse_setattr_in setattr_in = { .valid = FATTR_SIZE | FATTR_MODE, .size = 100,
	.mode = 0600 };
static const struct fuse_statx_in statx_in = { .sx_mask = 0x7ff };
static const struct fuse_lk_in lk_in = { .owner = 7, .lk = { 0, 100, F_WRLCK, 0 } };
static const struct fuse_ioctl_in ioctl_in = { .cmd = FS_IOC_GETFLAGS, .out_size = 8 };
static const struct fuse_batch_forget_in batch_forget_in = { .count = 0 };
static const struct fuse_forget_in forget_in = { .nlookup = 1 };
static const struct fuse_setupmapping_in setupmapping_in = { .len = 4096 };
static const struct fuse_removemapping_in removemapping_in = { .count = 0 };

#define AT(type, member) ((uint16_t)offsetof(struct type, member))
#define NONE SHAPE_NONE

static const struct request_shape shapes[] = {
	{ FUSE_INIT, &init, NONE, NONE, NONE, SHAPE_ANY },
	{ FUSE_FORGET, &forget_in, NONE, NONE, NONE, SHAPE_ANY },
	{ FUSE_BATCH_FORGET, &batch_forget_in, NONE, NONE, NONE, SHAPE_ANY },
	{ FUSE_LOOKUP, NULL, NONE, NONE, NONE, SHAPE_DIR },
	{ FUSE_MKNOD, &mknod_in, NONE, NONE, NONE, SHAPE_DIR },
	{ FUSE_MKDIR, &mkdir_in, NONE, NONE, NONE, SHAPE_DIR },
	{ FUSE_SYMLINK, NULL, NONE, NONE, NONE, SHAPE_DIR },
	{ FUSE_LINK, &link_in, NONE, NONE, AT(fuse_link_in, oldnodeid), SHAPE_DIR },
	{ FUSE_UNLINK, NULL, NONE, NONE, NONE, SHAPE_DIR },
	{ FUSE_RMDIR, NULL, NONE, NONE, NONE, SHAPE_DIR },
	{ FUSE_RENAME, &rename_in, NONE, NONE, AT(fuse_rename_in, newdir), SHAPE_DIR },
	{ FUSE_RENAME2, &rename2_in, NONE, NONE, AT(fuse_rename2_in, newdir), SHAPE_DIR },
	{ FUSE_SETATTR, &setattr_in, AT(fuse_setattr_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_GETATTR, NULL, AT(fuse_getattr_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_STATX, &statx_in, AT(fuse_statx_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_OPEN, &open_in, NONE, NONE, NONE, SHAPE_FILE },
	{ FUSE_CREATE, &create_in, NONE, NONE, NONE, SHAPE_DIR },
	{ FUSE_TMPFILE, &tmpfile_in, NONE, NONE, NONE, SHAPE_DIR },
	{ FUSE_RELEASE, NULL, AT(fuse_release_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_FLUSH, NULL, AT(fuse_flush_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_FSYNC, NULL, AT(fuse_fsync_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_READ, &read_in, AT(fuse_read_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_WRITE, &write_in, AT(fuse_write_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_LSEEK, &lseek_in, AT(fuse_lseek_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_FALLOCATE, &fallocate_in, AT(fuse_fallocate_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_COPY_FILE_RANGE, &copy_in, AT(fuse_copy_file_range_in, fh_in),
	  AT(fuse_copy_file_range_in, fh_out), AT(fuse_copy_file_range_in, nodeid_out), SHAPE_FILE },
	{ FUSE_COPY_FILE_RANGE_64, &copy_in, AT(fuse_copy_file_range_in, fh_in),
	  AT(fuse_copy_file_range_in, fh_out), AT(fuse_copy_file_range_in, nodeid_out), SHAPE_FILE },
	{ FUSE_GETLK, &lk_in, AT(fuse_lk_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_SETLK, &lk_in, AT(fuse_lk_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_SETLKW, &lk_in, AT(fuse_lk_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_IOCTL, &ioctl_in, AT(fuse_ioctl_in, fh), NONE, NONE, SHAPE_FILE },
	{ FUSE_OPENDIR, &opendir_in, NONE, NONE, NONE, SHAPE_DIR },
	{ FUSE_READDIR, &read_in, AT(fuse_read_in, fh), NONE, NONE, SHAPE_DIR },
	{ FUSE_READDIRPLUS, &read_in, AT(fuse_read_in, fh), NONE, NONE, SHAPE_DIR },
	{ FUSE_RELEASEDIR, NULL, AT(fuse_release_in, fh), NONE, NONE, SHAPE_DIR },
	{ FUSE_FSYNCDIR, NULL, AT(fuse_fsync_in, fh), NONE, NONE, SHAPE_DIR },
	{ FUSE_SETUPMAPPING, &setupmapping_in, NONE, NONE, NONE, SHAPE_FILE },
	{ FUSE_REMOVEMAPPING, &removemapping_in, NONE, NONE, NONE, SHAPE_FILE },
};

const struct request_shape *request_shape(uint32_t opcode)
{
	static const struct request_shape none = { 0, NULL, NONE, NONE, NONE, SHAPE_ANY };

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (shapes[i].opcode == opcode)
			return &shapes[i];
	return &none;
}

static size_t add_name(unsigned char *at, const char *name)
{
	size_t size = strlen(name) + 1;

	memcpy(at, name, size);
	return size;
}

size_t request_body(uint32_t opcode, unsigned char *body, const char *first, const char *second)
{
	const struct request_shape *shape = request_shape(opcode);
	const struct opcode *op = opcode_find(opcode);
	size_t size;

	if (!op)
		return 0;
	size = op->arg_size;
	memset(body, 0, size);
	if (shape->fixed)
		memcpy(body, shape->fixed, size);
	if (op->names > 0)
		size += add_name(body + size, first);
	if (op->names > 1)
		size += add_name(body + size, second);
	if (opcode == FUSE_WRITE) {
		memcpy(body + size, "written\n", 8);
		size += 8;
	}
	return size;
}
