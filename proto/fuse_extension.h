/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * What casement.ko or `casement mount` and casementd may agree on beyond the FUSE protocol. INIT's last two words,
 * which the protocol keeps unused and zero, say it: the guest's what it knows, the daemon's what
 * both know. Whoever does not know this sees or sends zeros, and nothing is different.
 */
#ifndef CASEMENT_PROTO_FUSE_EXTENSION_H
#define CASEMENT_PROTO_FUSE_EXTENSION_H

#include <linux/types.h>

/* The last 8 bytes of struct fuse_init_in and of struct fuse_init_out. */
struct fuse_extension {
	__u32 magic;		/* FUSE_EXTENSION_MAGIC; else there is none */
	__u32 flags;		/* FUSE_EXTENSION_* */
};

#define FUSE_EXTENSION_MAGIC 0x746e7363u	/* "csnt" */

/*
 * READDIR and READDIRPLUS take FUSE_NO_HANDLE for a handle, at offset 0: as much of the directory
 * that the node is as there is room for, without OPENDIR. The directory's last entry has
 * FUSE_DIRENT_LAST in its type: nothing is to be asked for after it. Where no entry has it, there
 * is more, and a walk from the beginning with a handle gives all of it.
 */
#define FUSE_EXTENSION_WHOLE_DIR (1u << 0)
#define FUSE_NO_HANDLE (~(__u64)0)
#define FUSE_DIRENT_LAST (1u << 31)

/*
 * SUSPEND, without arguments or result, of any node: the guest is about to be suspended, and the
 * device's reset that follows does not end the session. Sent by the hiprio queue when no other
 * request is under way. It counts until the next request but those that may come at any time
 * (FORGET, BATCH_FORGET, INTERRUPT). INIT begins a new session as ever. The window is empty by then.
 * The number is one that the protocol has not given to anything.
 */
#define FUSE_EXTENSION_SUSPEND (1u << 1)
#define FUSE_SUSPEND 63

/*
 * SETUPMAPPING may fail for a range of a file that was offered (FUSE_ATTR_DAX): the guest then
 * gets at the file by READ and WRITE. A guest without this is offered files only where every
 * range of them can be mapped.
 */
#define FUSE_EXTENSION_SOME_RANGES (1u << 2)

/*
 * The client has mounted the share on the daemon's own host. The word before struct fuse_extension is
 * the mount's device number there, in 32 bits (major << 20 | minor). The daemon answers -ELOOP for a
 * name that leads to it: a request there would come back to the daemon, and wait for itself.
 */
#define FUSE_EXTENSION_ON_HOST (1u << 3)
#define FUSE_EXTENSION_DEVICE_AT (sizeof(struct fuse_init_in) - sizeof(struct fuse_extension) - sizeof(__u32))

#endif
