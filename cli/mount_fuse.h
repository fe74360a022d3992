/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mount itself, by libfuse: mount(2) for root, fusermount3(1) for others.
 * What comes out is a descriptor of /dev/fuse; messages are none of its matter.
 */
#ifndef CASEMENT_CLI_MOUNT_FUSE_H
#define CASEMENT_CLI_MOUNT_FUSE_H

#include "cli/mount_config.h"

struct fuse_session;

struct fuse_mount {
	struct fuse_session *session;	/* libfuse's; NULL: nothing is mounted */
	int fd;				/* /dev/fuse, not blocking; owned */
};

/* Mount on config->dir. 0 or -errno, logged. fuse_mount_close() undoes it. */
int fuse_mount_open(const struct mount_config *config, struct fuse_mount *mount);

/* Another descriptor of /dev/fuse for the same mount, not blocking: the caller's. Or -errno, logged. */
int fuse_mount_clone(const struct fuse_mount *mount);

/*
 * The device number of the file system on config->dir, in 32 bits (major << 20 | minor). Sends no request.
 * 0 where that is no directory's mount: libfuse was given a descriptor.
 */
uint32_t fuse_mount_device(const struct mount_config *config);

/*
 * Take the mount from its directory. Processes that have something open there
 * go on using it, as long as a descriptor of /dev/fuse is open. May be called
 * when somebody else unmounted it, and twice.
 */
void fuse_mount_detach(struct fuse_mount *mount);

/* Detach, close the descriptor, free. Whoever still uses the mount gets ENOTCONN, once clones are closed. */
void fuse_mount_close(struct fuse_mount *mount);

#endif
