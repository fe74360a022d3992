/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * vhost-user on the wire, as in QEMU's docs/interop/vhost-user.rst (11.1).
 * Facts only: numbers and layouts, shared by the daemon and the library.
 */
#ifndef CASEMENT_PROTO_VHOST_USER_H
#define CASEMENT_PROTO_VHOST_USER_H

#include <stddef.h>
#include <stdint.h>

/* Virtio feature bit that opens the protocol-feature negotiation. */
#define VHOST_USER_F_PROTOCOL_FEATURES 30
#define VHOST_F_LOG_ALL 26

/* Protocol feature bits. */
enum vhost_user_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0,
	VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1,
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_USER_PROTOCOL_F_CONFIG = 9,
	VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHOST_USER_PROTOCOL_F_STATUS = 16,
	VHOST_USER_PROTOCOL_F_SHARED_OBJECT = 18,
	VHOST_USER_PROTOCOL_F_SHMEM = 22,
};

/* Front-end requests, on the main channel. */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_VRING_KICK = 35,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
	VHOST_USER_GET_SHMEM_CONFIG = 44,
	VHOST_USER_REQUEST_LIMIT = 64,
};

/* Back-end requests, on the channel given by SET_BACKEND_REQ_FD. */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
	VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE = 7,
	VHOST_USER_BACKEND_SHMEM_MAP = 9,
	VHOST_USER_BACKEND_SHMEM_UNMAP = 10,
};

#define VHOST_USER_VERSION 0x1u
#define VHOST_USER_VERSION_MASK 0x3u
#define VHOST_USER_REPLY 0x4u		/* flags: this is a reply */
#define VHOST_USER_NEED_REPLY 0x8u	/* flags: answer with a u64, 0 = done */

#define VHOST_USER_MAX_FDS 8		/* descriptors one message may carry */
#define VHOST_USER_MEM_REGIONS 8	/* regions in a SET_MEM_TABLE */
#define VHOST_USER_CONFIG_MAX 256	/* bytes of config space in a message */
#define VHOST_USER_SHMEM_REGIONS 256

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;		/* of the payload that follows */
} __attribute__((packed));

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;		/* bit 0: log used-ring writes */
	uint64_t desc;		/* front-end virtual addresses */
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

#define VHOST_USER_VRING_IDX_MASK 0xffu
#define VHOST_USER_VRING_NOFD_MASK (1u << 8)

struct vhost_user_mem_region {
	uint64_t guest_addr;	/* guest physical */
	uint64_t size;
	uint64_t user_addr;	/* front-end virtual */
	uint64_t mmap_offset;	/* into the descriptor */
};

struct vhost_user_mem_table {
	uint32_t nregions;
	uint32_t padding;
	struct vhost_user_mem_region regions[VHOST_USER_MEM_REGIONS];
};

struct vhost_user_single_mem_region {
	uint64_t padding;
	struct vhost_user_mem_region region;
};

struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t region[VHOST_USER_CONFIG_MAX];
};
#define VHOST_USER_CONFIG_HEADER offsetof(struct vhost_user_config, region)

struct vhost_user_shmem_config {
	uint32_t nregions;
	uint32_t padding;
	uint64_t sizes[VHOST_USER_SHMEM_REGIONS];	/* by shmid; 0 = no such region */
};

#define VHOST_USER_MMAP_WRITABLE 0x1ull
struct vhost_user_mmap {
	uint8_t shmid;
	uint8_t padding[7];
	uint64_t fd_offset;
	uint64_t shm_offset;
	uint64_t len;
	uint64_t flags;
};

struct vhost_user_shared_object {
	uint8_t uuid[16];
};

union vhost_user_payload {
	uint64_t u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr addr;
	struct vhost_user_mem_table mem_table;
	struct vhost_user_single_mem_region mem_region;
	struct vhost_user_config config;
	struct vhost_user_shmem_config shmem;
	struct vhost_user_mmap mmap;
	struct vhost_user_shared_object object;
};

_Static_assert(sizeof(struct vhost_user_header) == 12, "vhost_user_header");
_Static_assert(sizeof(struct vhost_user_vring_addr) == 40, "vhost_user_vring_addr");
_Static_assert(sizeof(struct vhost_user_mem_region) == 32, "vhost_user_mem_region");
_Static_assert(sizeof(struct vhost_user_mem_table) == 264, "vhost_user_mem_table");
_Static_assert(sizeof(struct vhost_user_single_mem_region) == 40, "single_mem_region");
_Static_assert(sizeof(struct vhost_user_config) == 268, "vhost_user_config");
_Static_assert(sizeof(struct vhost_user_shmem_config) == 2056, "vhost_user_shmem_config");
_Static_assert(sizeof(struct vhost_user_mmap) == 40, "vhost_user_mmap");

#endif
