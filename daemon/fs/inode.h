/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One file of the host that the guest knows, and the memory all of them live
 * in. An inode is 80 bytes in a slot of a chunk; its node id is
 * generation << 32 | slot, so a number leads to its inode without a hash, and
 * one that was given back can only miss (until a slot has lived 2^32 lives).
 *
 * An inode's life is one atomic word, as a handle's is (handle_table.h):
 * generation, an ALIVE bit, and the count of users, the table being one while
 * ALIVE is set. A request takes a user by compare-and-swap, so requests on
 * different inodes share nothing.
 *
 * Chunks are never freed before the slab: what a stale number leads to is
 * always a slot. The memory of a million files, once used, is kept for the
 * next million.
 */
#ifndef CASEMENT_DAEMON_FS_INODE_H
#define CASEMENT_DAEMON_FS_INODE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define INODE_ROOT_ID 1ULL
#define INODE_SLAB_SHARDS 16u
#define INODE_CHUNK_BYTES 65536u
#define INODE_CHUNKS 65536u	/* the most there are: 53 million inodes */

struct inode_table;

/* Which file of the host this is, among those that exist at one time. */
struct inode_key {
	uint64_t ino;
	uint32_t mount;		/* mount id, as in /proc/self/mountinfo */
	uint32_t device;	/* in the kernel's 32-bit form */
};

#define INODE_DAX_ASKED	   (1u << 0)	/* whether we may write the file was looked up */
#define INODE_DAX_WRITABLE (1u << 1)	/* ... and we may */
#define INODE_NAMED	   (1u << 2)	/* a directory: its name is there, see inode_name.h */
#define INODE_HANDLE	   (1u << 3)	/* the file handle is there */
#define INODE_HANDLELESS   (1u << 4)	/* it has none: the descriptor must stay */
#define INODE_DOUBT	   (1u << 5)	/* see inode_fd_certain(); [L:fd shard], read without */
#define INODE_ELSEWHERE	   (1u << 6)	/* in a directory of another device; a directory: or of another mount */
#define INODE_WAITS	   (1u << 7)	/* its file system is not known to be FS_KIND_LOCAL; [I] */

/* inode.stay is 0 of a file that is known from a listing alone; of one that was looked up by name; the most. */
#define INODE_STAY_NAMED 2
#define INODE_STAY_MAX	 3
#define INODE_STAY_LINKED 0x80u	/* beside these: it had several names, which is asked once */

#define HANDLE_INLINE 20	/* bytes of a file handle that need no memory of their own */

/* A file handle, packed; see file_handle.h. */
struct packed_handle {
	uint8_t type;
	uint8_t len;
	uint8_t bytes[HANDLE_INLINE];	/* or a pointer to `len` bytes */
};

struct inode {
	uint64_t state;		/* see inode.c; [A] */
	uint64_t nlookup;	/* what the guest has to give back; [L:key shard] */
	struct inode_key key;	/* [I] */
	uint64_t born;		/* birth in ns, 0 where unknown: a second witness; [I] */
	uint32_t slot;		/* [I] */
	uint32_t next;		/* slot of the next in the bucket [L:key shard], or free list */
	uint32_t place;		/* where its descriptor is, see inode_fd.c; [A] */
	uint16_t type;		/* S_IFMT bits; [I] */
	uint16_t mount;		/* its number in the mount table, 0: none; [I] */
	uint8_t flags;		/* INODE_*; [A] only ever set, release, but for INODE_DOUBT */
	union {
		uint8_t habit;	/* of look-ups in this directory, see op_lookup.c; [A] relaxed */
		uint8_t stay;	/* of another file: how often reclaim() passes it over; [A] relaxed */
	};
	struct packed_handle handle;	/* written before INODE_HANDLE is set, never again; of INODE_NAMED [L:name_lock] */
};
_Static_assert(sizeof(struct inode) == 80, "a million of them are 80 MB");

struct inode_slab_shard {
	pthread_mutex_t lock;
	uint32_t free;			/* slot, 0: none; [L:lock] */
} __attribute__((aligned(64)));

struct inode_chunk;

struct inode_slab {
	struct inode_slab_shard shards[INODE_SLAB_SHARDS];
	pthread_mutex_t grow_lock;
	uint32_t chunk_count;		/* [L:grow_lock] */
	uint32_t chunk_limit;		/* INODE_CHUNKS, or fewer in a test; [I] */
	struct inode_chunk **chunks;	/* [A] set once each, release; read with acquire */
	struct inode_table *table;	/* whose inodes these are; [I] */
	void (*last_put)(struct inode *inode);	/* gives up what the inode holds; [I] */
};

/* 0 or -ENOMEM. `last_put` is called once for each inode that was alive, without locks. */
int inode_slab_init(struct inode_slab *slab, struct inode_table *table,
		    void (*last_put)(struct inode *inode));
/* Nobody holds an inode any more; last_put() was called for each. */
void inode_slab_fini(struct inode_slab *slab);

/*
 * A fresh inode of zeros, but for its slot and generation, seen by nobody until
 * inode_alive(). NULL without memory. Give back with inode_discard() or, once
 * alive, by the last inode_put().
 */
struct inode *inode_new(struct inode_slab *slab);
void inode_discard(struct inode *inode);
/* The same, once and before all others, of INODE_ROOT_ID: it is alive, and not counted. */
struct inode *inode_new_root(struct inode_slab *slab);
/* The number leads here from now on. Two users: the table and the caller. */
void inode_alive(struct inode *inode);
/* The number leads here no more; the table's use is the caller's to put. Once. */
void inode_dead(struct inode *inode);

/* The same if nobody but the table and the caller uses it: true when it was so. */
bool inode_dead_if_idle(struct inode *inode);

/*
 * If nobody but the table and the caller uses it: whoever asks for its number waits until
 * inode_thaw(), a few instructions later. True when it was so. The caller sees to it that
 * nobody counts the inode meanwhile who has it by other means.
 */
bool inode_freeze(struct inode *inode);
void inode_thaw(struct inode *inode);

/* The inode of a number, counted, or NULL. inode_put() it. */
struct inode *inode_get(struct inode_slab *slab, uint64_t id);
/* The inode of a slot, alive or not; the slot was seen in an inode or a bucket. Not counted. */
struct inode *inode_at(const struct inode_slab *slab, uint32_t slot);
/* The id of the alive inode at or after slot *from, which moves on; 0 when there is none. */
uint64_t inode_slab_next(struct inode_slab *slab, uint32_t *from);

/* How many use the inode of a number, the table included: a glance, nothing is held. 0: it is gone. */
unsigned int inode_users(struct inode_slab *slab, uint64_t id);

/* One user more, of an inode in hand. */
struct inode *inode_ref(struct inode *inode);
/* The same of one that may be on its way out: false if it is. */
bool inode_try_ref(struct inode *inode);
/* One user less; the last one frees. NULL is nothing. */
void inode_put(struct inode *inode);

/* The table it belongs to. */
struct inode_table *inode_owner(const struct inode *inode);

/* The guest's node id. */
static inline uint64_t inode_id(const struct inode *inode)
{
	uint64_t generation = __atomic_load_n(&inode->state, __ATOMIC_RELAXED) >> 32;

	return generation << 32 | inode->slot;
}

static inline void inode_put_ptr(struct inode **inode)
{
	inode_put(*inode);
}

#define cleanup_inode __attribute__((cleanup(inode_put_ptr)))

/* A name led to it: it stays for longer than one that a listing brought along (reclaim.h). */
static inline void inode_note_use(struct inode *inode)
{
	uint8_t stay = __atomic_load_n(&inode->stay, __ATOMIC_RELAXED);
	uint8_t linked = stay & INODE_STAY_LINKED, times = stay ^ linked;

	if (!S_ISDIR(inode->type) && times < INODE_STAY_MAX)
		__atomic_store_n(&inode->stay, linked | (times < INODE_STAY_NAMED ? INODE_STAY_NAMED : INODE_STAY_MAX),
				 __ATOMIC_RELAXED);
}

static inline bool inode_has(const struct inode *inode, uint32_t flag)
{
	return __atomic_load_n(&inode->flags, __ATOMIC_ACQUIRE) & flag;
}

static inline void inode_set(struct inode *inode, uint32_t flags)
{
	__atomic_fetch_or(&inode->flags, (uint8_t)flags, __ATOMIC_RELEASE);
}

static inline void inode_unset(struct inode *inode, uint32_t flags)
{
	__atomic_fetch_and(&inode->flags, (uint8_t)~flags, __ATOMIC_RELEASE);
}

#endif
