/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workloads on names and attributes. Relies on the tree being as
 * bench_tree.c makes it; what a workload makes, it removes.
 */
#include <errno.h>
#include <fcntl.h>

#include "cli/bench_local.h"
#include "cli/bench_work.h"

/* ---- one request an operation ---- */

static int take_one(struct bench_lane *lane)
{
	return lane->request.result < 0 ? (int)lane->request.result : 1;
}

/* One of the files of this queue, as a number in its directory. */
static uint64_t any_file(struct bench_lane *lane)
{
	return bench_random(&lane->random) % (BENCH_FILES / lane->queues);
}

static uint64_t any_node(struct bench_lane *lane)
{
	return lane->tree->file_nodes[lane->queue * (BENCH_FILES / lane->queues) + any_file(lane)];
}

/* BMAP is for block devices below FUSE: no virtio-fs daemon serves it. */
static void nothing_ask(struct bench_lane *lane)
{
	lane_ask(lane, FUSE_BMAP, FUSE_ROOT_ID);
}

static int nothing_take(struct bench_lane *lane)
{
	return lane->request.result == -ENOSYS ? 1 : -EPROTO;
}

static void getattr_ask(struct bench_lane *lane)
{
	lane->args.getattr = (struct fuse_getattr_in){ .getattr_flags = 0 };
	lane_ask(lane, FUSE_GETATTR, any_node(lane));
	lane_in(lane, &lane->args.getattr, sizeof(lane->args.getattr));
	lane_out(lane, &lane->answer.attr, sizeof(lane->answer.attr));
}

static void ask_lookup(struct bench_lane *lane, uint64_t parent, char letter, uint64_t number)
{
	bench_name(lane->name[0], letter, number);
	lane_ask(lane, FUSE_LOOKUP, parent);
	lane_in_name(lane, lane->name[0]);
	lane_out(lane, &lane->answer.entry, sizeof(lane->answer.entry));
}

static void lookup_ask(struct bench_lane *lane)
{
	ask_lookup(lane, lane->tree->files[lane->queue], 'f', any_file(lane));
}

static void miss_ask(struct bench_lane *lane)
{
	ask_lookup(lane, lane->tree->files[lane->queue], 'x', bench_random(&lane->random) & 0xffffff);
}

/* -ENOENT and an entry without a node say the same. */
static int miss_take(struct bench_lane *lane)
{
	if (lane->request.result == -ENOENT)
		return 1;
	if (lane->request.result < 0)
		return (int)lane->request.result;
	return lane->answer.entry.nodeid ? -EEXIST : 1;
}

/* ---- open + release ---- */

enum { OPEN_OPEN, OPEN_RELEASE };

static void ask_open(struct bench_lane *lane, uint32_t opcode, uint64_t node, uint32_t flags)
{
	lane->args.open = (struct fuse_open_in){ .flags = flags };
	lane_ask(lane, opcode, node);
	lane_in(lane, &lane->args.open, sizeof(lane->args.open));
	lane_out(lane, &lane->answer.opened, sizeof(lane->answer.opened));
}

static void ask_release(struct bench_lane *lane, uint32_t opcode)
{
	lane->args.release = (struct fuse_release_in){ .fh = lane->fh };
	lane_ask(lane, opcode, lane->node);
	lane_in(lane, &lane->args.release, sizeof(lane->args.release));
	lane_out(lane, NULL, 0);
}

static void open_ask(struct bench_lane *lane)
{
	if (lane->step == OPEN_RELEASE) {
		ask_release(lane, FUSE_RELEASE);
		return;
	}
	lane->node = any_node(lane);
	ask_open(lane, FUSE_OPEN, lane->node, O_RDONLY);
}

static int open_take(struct bench_lane *lane)
{
	if (lane->request.result < 0)
		return (int)lane->request.result;
	lane->fh = lane->answer.opened.fh;
	lane->step = lane->step == OPEN_OPEN ? OPEN_RELEASE : OPEN_OPEN;
	return lane->step == OPEN_OPEN;
}

/* ---- create + release + unlink ---- */

enum { CREATE_CREATE, CREATE_RELEASE, CREATE_UNLINK };

static void create_ask(struct bench_lane *lane)
{
	switch (lane->step) {
	case CREATE_CREATE:
		bench_name(lane->name[0], 'c', lane->number << 16 | (lane->turn & 0xffff));
		lane->args.create = (struct fuse_create_in){ .flags = O_RDWR, .mode = 0100644 };
		lane_ask(lane, FUSE_CREATE, lane->tree->scratch[lane->queue]);
		lane_in(lane, &lane->args.create, sizeof(lane->args.create));
		lane_in_name(lane, lane->name[0]);
		lane_out(lane, &lane->answer.entry, sizeof(lane->answer.entry));
		lane_out(lane, &lane->answer.open, sizeof(lane->answer.open));
		break;
	case CREATE_RELEASE:
		ask_release(lane, FUSE_RELEASE);
		break;
	case CREATE_UNLINK:
		lane_ask(lane, FUSE_UNLINK, lane->tree->scratch[lane->queue]);
		lane_in_name(lane, lane->name[0]);
		break;
	}
}

static int create_take(struct bench_lane *lane)
{
	if (lane->request.result < 0)
		return (int)lane->request.result;
	if (lane->step == CREATE_CREATE) {
		lane->node = lane->answer.entry.nodeid;
		lane->fh = lane->answer.open.fh;
	}
	if (lane->step++ != CREATE_UNLINK)
		return 0;
	lane->forget = lane->node;
	lane->step = CREATE_CREATE;
	return 1;
}

/* ---- rename: a file of the lane's own, to and fro ---- */

enum { RENAME_GO, RENAME_MAKE, RENAME_CLOSE };

static void rename_begin(struct bench_lane *lane)
{
	lane->step = RENAME_MAKE;
	lane->offset = 0;
}

static void rename_ask(struct bench_lane *lane)
{
	if (lane->step == RENAME_CLOSE) {
		ask_release(lane, FUSE_RELEASE);
		return;
	}
	bench_name(lane->name[lane->offset & 1], 'r', lane->number);
	bench_name(lane->name[~lane->offset & 1], 's', lane->number);
	if (lane->step == RENAME_GO) {
		lane->args.rename = (struct fuse_rename_in){ .newdir = lane->tree->scratch[lane->queue] };
		lane_ask(lane, FUSE_RENAME, lane->tree->scratch[lane->queue]);
		lane_in(lane, &lane->args.rename, sizeof(lane->args.rename));
		lane_in_name(lane, lane->name[0]);
		lane_in_name(lane, lane->name[1]);
		return;
	}
	/* One of the two names may be left from an earlier run; the other may not matter. */
	lane->args.create = (struct fuse_create_in){ .flags = O_RDWR, .mode = 0100644 };
	lane_ask(lane, FUSE_CREATE, lane->tree->scratch[lane->queue]);
	lane_in(lane, &lane->args.create, sizeof(lane->args.create));
	lane_in_name(lane, lane->name[0]);
	lane_out(lane, &lane->answer.entry, sizeof(lane->answer.entry));
	lane_out(lane, &lane->answer.open, sizeof(lane->answer.open));
}

static int rename_take(struct bench_lane *lane)
{
	if (lane->request.result < 0)
		return (int)lane->request.result;
	switch (lane->step) {
	case RENAME_MAKE:
		lane->node = lane->answer.entry.nodeid;
		lane->fh = lane->answer.open.fh;
		lane->step = RENAME_CLOSE;
		return 0;
	case RENAME_CLOSE:
		lane->forget = lane->node;
		lane->step = RENAME_GO;
		return 0;
	default:
		lane->offset++;
		return 1;
	}
}

/* ---- a directory with its attributes ---- */

enum { DIR_OPEN, DIR_READ, DIR_RELEASE };

static void dir_ask(struct bench_lane *lane)
{
	lane->node = lane->tree->many;
	switch (lane->step) {
	case DIR_OPEN:
		lane->offset = 0;
		lane->at = 0;
		ask_open(lane, FUSE_OPENDIR, lane->node, O_RDONLY | O_DIRECTORY);
		break;
	case DIR_READ:
		lane->args.read = (struct fuse_read_in){ .fh = lane->fh, .offset = lane->offset,
							 .size = BENCH_DIR_BUFFER };
		lane_ask(lane, FUSE_READDIRPLUS, lane->node);
		lane_in(lane, &lane->args.read, sizeof(lane->args.read));
		lane_out(lane, lane->entries, sizeof(lane->entries));
		break;
	case DIR_RELEASE:
		ask_release(lane, FUSE_RELEASEDIR);
		break;
	}
}

/*
 * Count the entries of a READDIRPLUS answer, and find where the next is to go on. A directory that
 * has more than was made, or an answer without an entry, would have no end.
 */
static int dir_count(struct bench_lane *lane, size_t size)
{
	const struct fuse_direntplus *entry;
	int n = 0;

	for (size_t at = 0; at + FUSE_NAME_OFFSET_DIRENTPLUS <= size;) {
		entry = (const void *)(lane->entries + at);
		at += FUSE_DIRENTPLUS_SIZE(entry);
		lane->offset = entry->dirent.off;
		n++;
	}
	lane->at += (unsigned int)n;
	if ((size && !n) || lane->at > lane->tree->n_entries + BENCH_DOTS)
		return -EPROTO;
	return n;
}

static int dir_take(struct bench_lane *lane)
{
	int n = 0;

	if (lane->request.result < 0)
		return (int)lane->request.result;
	switch (lane->step) {
	case DIR_OPEN:
		lane->fh = lane->answer.opened.fh;
		lane->step = DIR_READ;
		break;
	case DIR_READ:
		n = dir_count(lane, (size_t)lane->request.result);
		if (!n)
			lane->step = DIR_RELEASE;
		break;
	case DIR_RELEASE:
		lane->step = DIR_OPEN;
		break;
	}
	return n;
}

const struct bench_work bench_meta_works[] = {
	{ "nothing", "operations", "a request that nobody serves: what the transport takes, alone",
	  .ask = nothing_ask, .take = nothing_take },
	{ "getattr", "operations", "GETATTR of one of 1000 files",
	  .needs = NEED_FILES, .ask = getattr_ask, .take = take_one, .local = local_getattr },
	{ "lookup", "operations", "LOOKUP of one of 1000 names that the daemon knows",
	  .needs = NEED_FILES, .ask = lookup_ask, .take = take_one, .local = local_lookup },
	{ "lookup-miss", "operations", "LOOKUP of a name that is not there",
	  .needs = NEED_FILES, .ask = miss_ask, .take = miss_take, .local = local_miss },
	{ "open", "operations", "OPEN and RELEASE",
	  .needs = NEED_FILES, .ask = open_ask, .take = open_take, .local = local_open_file },
	{ "create", "operations", "CREATE, RELEASE, UNLINK and the FORGET",
	  .ask = create_ask, .take = create_take, .local = local_create },
	{ "rename", "operations", "RENAME of a file within its directory",
	  .begin = rename_begin, .ask = rename_ask, .take = rename_take, .local = local_rename },
	{ "readdirplus", "entries",
	  "OPENDIR, READDIRPLUS to the end by 32 KiB, RELEASEDIR; --entries of them",
	  .needs = NEED_MANY, .each = true, .ask = dir_ask, .take = dir_take, .local = local_readdir },
	{ 0 },
};
