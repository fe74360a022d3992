/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads of several kinds of requests, as programs cause them in a guest whose
 * caches are cold.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/bench_local.h"
#include "cli/bench_work.h"
#include "common/checked.h"

static void put_args(struct bench_lane *lane, uint32_t opcode, uint64_t node, const void *args, size_t size)
{
	memcpy(&lane->args, args, size);
	lane_ask(lane, opcode, node);
	lane_in(lane, &lane->args, size);
}

#define PUT_ARGS(lane, opcode, node, ...) \
	do { __VA_ARGS__; put_args(lane, opcode, node, &args, sizeof(args)); } while (0)

static void put_lookup(struct bench_lane *lane, uint64_t parent)
{
	lane_ask(lane, FUSE_LOOKUP, parent);
	lane_in_name(lane, lane->name[0]);
	lane_out(lane, &lane->answer.entry, sizeof(lane->answer.entry));
}

/* A name that is not there: 0, or -errno. */
static int expect_miss(const struct bench_lane *lane)
{
	if (lane->request.result == -ENOENT)
		return 0;
	if (lane->request.result < 0)
		return (int)lane->request.result;
	return lane->answer.entry.nodeid ? -EEXIST : 0;
}

/* ---- git status: each directory listed, its .gitignore looked for, each file's attributes ---- */

enum { STATUS_OPENDIR, STATUS_READ, STATUS_RELEASE, STATUS_IGNORE, STATUS_GETATTR };

static void status_ask(struct bench_lane *lane)
{
	switch (lane->step) {
	case STATUS_OPENDIR:
		lane->node = lane->tree->dir_nodes[bench_random(&lane->random) % BENCH_DIRS];
		lane->offset = 0;
		lane->at = lane->n_found = 0;
		PUT_ARGS(lane, FUSE_OPENDIR, lane->node,
			 struct fuse_open_in args = { .flags = O_RDONLY | O_DIRECTORY });
		lane_out(lane, &lane->answer.opened, sizeof(lane->answer.opened));
		break;
	case STATUS_READ:
		PUT_ARGS(lane, FUSE_READDIRPLUS, lane->node, struct fuse_read_in args = {
			.fh = lane->fh, .offset = lane->offset, .size = BENCH_DIR_BUFFER });
		lane_out(lane, lane->entries, sizeof(lane->entries));
		break;
	case STATUS_RELEASE:
		PUT_ARGS(lane, FUSE_RELEASEDIR, lane->node,
			 struct fuse_release_in args = { .fh = lane->fh });
		break;
	case STATUS_IGNORE:
		strcpy(lane->name[0], ".gitignore");
		put_lookup(lane, lane->node);
		break;
	default:
		PUT_ARGS(lane, FUSE_GETATTR, lane->found[lane->at],
			 struct fuse_getattr_in args = { .getattr_flags = 0 });
		lane_out(lane, &lane->answer.attr, sizeof(lane->answer.attr));
		break;
	}
}

/* Keep the files' nodes of a READDIRPLUS answer. How many entries; -EPROTO where there would be no end. */
static int status_found(struct bench_lane *lane)
{
	size_t size = (size_t)lane->request.result;
	int n = 0;

	for (size_t at = 0; at + FUSE_NAME_OFFSET_DIRENTPLUS <= size;) {
		const struct fuse_direntplus *entry = (const void *)(lane->entries + at);

		at += FUSE_DIRENTPLUS_SIZE(entry);
		lane->offset = entry->dirent.off;
		if (entry->dirent.type == S_IFREG >> 12 && entry->entry_out.nodeid &&
		    lane->n_found < BENCH_DIR_FILES)
			lane->found[lane->n_found++] = entry->entry_out.nodeid;
		n++;
	}
	lane->at += (unsigned int)n;
	return (size && !n) || lane->at > BENCH_DIR_FILES + BENCH_DOTS ? -EPROTO : n;
}

static int status_take(struct bench_lane *lane)
{
	int n;

	if (lane->step == STATUS_IGNORE) {
		lane->step = lane->n_found ? STATUS_GETATTR : STATUS_OPENDIR;
		lane->at = 0;
		return expect_miss(lane);
	}
	if (lane->request.result < 0)
		return (int)lane->request.result;
	switch (lane->step) {
	case STATUS_OPENDIR:
		lane->fh = lane->answer.opened.fh;
		lane->step = STATUS_READ;
		return 0;
	case STATUS_READ:
		n = status_found(lane);
		if (!n)
			lane->step = STATUS_RELEASE;
		return MIN(n, 0);
	case STATUS_RELEASE:
		lane->step = STATUS_IGNORE;
		return 0;
	default:
		if (++lane->at == lane->n_found)
			lane->step = STATUS_OPENDIR;
		return 1;
	}
}

/* ---- untar: a file is looked for, made, written, given its mode and time; then removed ---- */

#define UNTAR_SIZE 8192u

enum { UNTAR_LOOK, UNTAR_CREATE, UNTAR_WRITE, UNTAR_SETATTR, UNTAR_FLUSH, UNTAR_RELEASE, UNTAR_UNLINK };

static void untar_begin(struct bench_lane *lane)
{
	memset(lane->data, 't', UNTAR_SIZE);
}

static void untar_ask(struct bench_lane *lane)
{
	uint64_t scratch = lane->tree->scratch[lane->queue];

	switch (lane->step) {
	case UNTAR_LOOK:
		bench_name(lane->name[0], 't', lane->number << 16 | (lane->turn & 0xffff));
		put_lookup(lane, scratch);
		break;
	case UNTAR_CREATE:
		PUT_ARGS(lane, FUSE_CREATE, scratch, struct fuse_create_in args = {
			.flags = O_WRONLY | O_EXCL, .mode = 0100600 });
		lane_in_name(lane, lane->name[0]);
		lane_out(lane, &lane->answer.entry, sizeof(lane->answer.entry));
		lane_out(lane, &lane->answer.open, sizeof(lane->answer.open));
		break;
	case UNTAR_WRITE:
		PUT_ARGS(lane, FUSE_WRITE, lane->node, struct fuse_write_in args = {
			.fh = lane->fh, .size = UNTAR_SIZE });
		lane_in(lane, lane->data, UNTAR_SIZE);
		lane_out(lane, &lane->answer.write, sizeof(lane->answer.write));
		break;
	case UNTAR_SETATTR:
		PUT_ARGS(lane, FUSE_SETATTR, lane->node, struct fuse_setattr_in args = {
			.valid = FATTR_MODE | FATTR_MTIME | FATTR_FH, .fh = lane->fh,
			.mode = 0100644, .mtime = 1000000000 });
		lane_out(lane, &lane->answer.attr, sizeof(lane->answer.attr));
		break;
	case UNTAR_FLUSH:
		PUT_ARGS(lane, FUSE_FLUSH, lane->node, struct fuse_flush_in args = { .fh = lane->fh });
		break;
	case UNTAR_RELEASE:
		PUT_ARGS(lane, FUSE_RELEASE, lane->node,
			 struct fuse_release_in args = { .fh = lane->fh });
		break;
	case UNTAR_UNLINK:
		lane_ask(lane, FUSE_UNLINK, scratch);
		lane_in_name(lane, lane->name[0]);
		break;
	}
}

static int untar_take(struct bench_lane *lane)
{
	long result = lane->request.result;

	if (lane->step == UNTAR_LOOK)
		result = expect_miss(lane);
	/* A server that keeps nothing back may say that FLUSH is not needed. */
	if (lane->step == UNTAR_FLUSH && result == -ENOSYS)
		result = 0;
	if (result < 0)
		return (int)result;
	if (lane->step == UNTAR_CREATE) {
		lane->node = lane->answer.entry.nodeid;
		lane->fh = lane->answer.open.fh;
	}
	if (lane->step == UNTAR_WRITE)
		lane->bytes += UNTAR_SIZE;
	if (lane->step++ != UNTAR_UNLINK)
		return 0;
	lane->forget = lane->node;
	lane->step = UNTAR_LOOK;
	return 1;
}

const struct bench_work bench_mixed_works[] = {
	{ "git-status", "files",
	  "50 directories of 40 files: each listed, its .gitignore looked for, each file's GETATTR",
	  .needs = NEED_DIRS, .each = true,
	  .ask = status_ask, .take = status_take, .local = local_status },
	{ "untar", "files",
	  "LOOKUP (not there), CREATE, WRITE of 8 KiB, SETATTR, FLUSH, RELEASE; then UNLINK",
	  .begin = untar_begin, .ask = untar_ask, .take = untar_take, .local = local_untar },
	{ 0 },
};
