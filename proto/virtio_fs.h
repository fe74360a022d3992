/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * The virtio file system device (virtio 1.3 section 5.11) and the split ring
 * (section 2.7), from the system's headers, with the numbers they lack.
 */
#ifndef CASEMENT_PROTO_VIRTIO_FS_H
#define CASEMENT_PROTO_VIRTIO_FS_H

#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ring.h>

#define VIRTIO_FS_DEVICE_ID 26
#define VIRTIO_FS_TAG_MAX 36		/* bytes of config.tag; not NUL-terminated when full */
#define VIRTIO_FS_QUEUE_HIPRIO 0	/* FORGET, INTERRUPT */
#define VIRTIO_FS_QUEUE_REQUEST 1	/* first request queue: F_NOTIFICATION is not offered */
#define VIRTIO_FS_SHMID_CACHE 0		/* shared memory region of the DAX window */
#define VIRTIO_FS_RANGE_SIZE (2ull << 20)	/* what a mainline guest maps at a time */
#define VIRTIO_RING_MAX 32768		/* entries: virtio 1.3 section 2.7 */

_Static_assert(sizeof(struct virtio_fs_config) == 40, "virtio_fs_config");
_Static_assert(sizeof(struct vring_desc) == 16, "vring_desc");
_Static_assert(sizeof(struct vring_used_elem) == 8, "vring_used_elem");

#endif
