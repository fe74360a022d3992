/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * FUSE on the wire: the system's <linux/fuse.h>, and what protocol 7.46 has
 * beyond the oldest header we build with (7.38, Linux 6.1). Facts only.
 */
#ifndef CASEMENT_PROTO_FUSE_WIRE_H
#define CASEMENT_PROTO_FUSE_WIRE_H

#include <linux/fuse.h>

/* The protocol we speak; a guest with a smaller minor is answered with its own. */
#define CASEMENT_FUSE_MAJOR 7
#define CASEMENT_FUSE_MINOR 46
/* Oldest minor we serve: the first with virtiofs's own messages (Linux 5.4). */
#define CASEMENT_FUSE_MIN_MINOR 31

#if FUSE_KERNEL_MINOR_VERSION < 39
#define FUSE_STATX 52
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)

struct fuse_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t __reserved;
};

struct fuse_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t __spare0[1];
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct fuse_sx_time atime;
	struct fuse_sx_time btime;
	struct fuse_sx_time ctime;
	struct fuse_sx_time mtime;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t __spare2[14];
};

struct fuse_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};

struct fuse_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct fuse_statx stat;
};
#endif

#if FUSE_KERNEL_MINOR_VERSION < 40
#define FUSE_NO_EXPORT_SUPPORT (1ULL << 38)
#define FUSE_HAS_RESEND (1ULL << 39)

/* Of /dev/fuse, Linux 6.9: reads, writes and mappings of an open file go to another file. */
#define FOPEN_PASSTHROUGH (1 << 7)
#define FUSE_OPEN_OUT_BACKING padding
struct fuse_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define FUSE_DEV_IOC_BACKING_OPEN _IOW(FUSE_DEV_IOC_MAGIC, 1, struct fuse_backing_map)
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW(FUSE_DEV_IOC_MAGIC, 2, uint32_t)
#else
/* What this member of struct fuse_open_out is called in the header. */
#define FUSE_OPEN_OUT_BACKING backing_id
#endif

#if FUSE_KERNEL_MINOR_VERSION < 41
#define FUSE_ALLOW_IDMAP (1ULL << 40)
#endif

/* INIT flags that headers of one minor may or may not have: distributions backport them. */
#ifndef FUSE_CREATE_SUPP_GROUP
#define FUSE_CREATE_SUPP_GROUP (1ULL << 34)
#endif
#ifndef FUSE_PASSTHROUGH
#define FUSE_PASSTHROUGH (1ULL << 37)
#endif
#ifndef FUSE_OVER_IO_URING
#define FUSE_OVER_IO_URING (1ULL << 41)
#endif
#ifndef FUSE_REQUEST_TIMEOUT
#define FUSE_REQUEST_TIMEOUT (1ULL << 42)
#endif

#if FUSE_KERNEL_MINOR_VERSION < 45
#define FUSE_COPY_FILE_RANGE_64 53
struct fuse_copy_file_range_out {
	uint64_t bytes_copied;
};
#endif

/*
 * Extensions behind the names of a request that makes something: each begins
 * with a struct fuse_ext_header, types up to FUSE_MAX_NR_SECCTX being a count of
 * struct fuse_secctx. The other type, whose body is a count and so many group
 * ids of 32 bits, is an enumerator in newer headers and nothing in older ones.
 */
#define FUSE_WIRE_EXT_GROUPS 32
#define FUSE_WIRE_EXT_ALIGN 8

#define FUSE_OPCODE_LIMIT 64		/* request numbers we know are below this */
#define FUSE_MAX_MAX_PAGES_OFFERED 256	/* pages a READ or WRITE may have: 1 MiB */
#define FUSE_HEADER_SLACK 4096		/* room for headers beside a full WRITE */

_Static_assert(sizeof(struct fuse_in_header) == 40, "fuse_in_header");
_Static_assert(sizeof(struct fuse_out_header) == 16, "fuse_out_header");
_Static_assert(sizeof(struct fuse_init_in) == 64, "fuse_init_in");
_Static_assert(sizeof(struct fuse_init_out) == 64, "fuse_init_out");
_Static_assert(sizeof(struct fuse_entry_out) == 128, "fuse_entry_out");
_Static_assert(sizeof(struct fuse_attr_out) == 104, "fuse_attr_out");
_Static_assert(sizeof(struct fuse_open_out) == 16, "fuse_open_out");
_Static_assert(sizeof(struct fuse_statx_out) == 288, "fuse_statx_out");
_Static_assert(sizeof(struct fuse_setupmapping_in) == 40, "fuse_setupmapping_in");
_Static_assert(sizeof(struct fuse_setxattr_in) == 16, "fuse_setxattr_in");
_Static_assert(sizeof(struct fuse_getxattr_in) == 8, "fuse_getxattr_in");
_Static_assert(sizeof(struct fuse_secctx) == 8, "fuse_secctx");
_Static_assert(sizeof(struct fuse_ext_header) == 8, "fuse_ext_header");

#endif
