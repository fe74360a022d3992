/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Room on the disk that is on its way back. On a local file system the room of a
 * removed file is free when unlink(2) returns, or when its last user closes it.
 * A guest's kernel says so afterwards, by FORGET and RELEASE, for which nobody
 * waits; they may be behind the request that needs the room, on another queue. So
 * a request that finds the disk full after something was removed is tried again
 * for a while, about as long as a guest takes to say what it let go of.
 *
 * And what the host removed the guest may know for ever, as nothing tells it:
 * on a full disk such files are let go as if the guest had forgotten them.
 */
#ifndef CASEMENT_DAEMON_FS_ROOM_H
#define CASEMENT_DAEMON_FS_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct inode_table;

struct room {
	uint32_t tries;		/* left since the last removal; [A] relaxed, a hint */
	uint64_t sweep_at;	/* CLOCK_MONOTONIC, ns: no sweep before this; [A] */
};

/* Something was removed, or closed: its room may come back. Costs a load, mostly. */
void room_expected(struct room *room);

/*
 * The disk is full, a request found. True when it should be tried once more:
 * some time has passed, at most a few milliseconds, or something was let go.
 */
bool room_wait(struct room *room, struct inode_table *inodes);

#endif
