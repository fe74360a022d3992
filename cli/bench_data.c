/* SPDX-License-Identifier: BSD-3-Clause */
/* Workloads on data: requests for blocks of a file, and loads through the window. */
#include <errno.h>
#include <string.h>

#include "cli/bench_local.h"
#include "cli/bench_work.h"

static uint64_t blocks(const struct bench_lane *lane)
{
	return lane->tree->file_size / lane->block;
}

/* The lanes of a queue take the blocks of its file by turns: one stream, as of one reader. */
static void go_on(struct bench_lane *lane)
{
	uint64_t *next = &lane->tree->stream[lane->queue];

	if (*next + lane->block > lane->tree->file_size)
		*next = 0;
	lane->offset = *next;
	*next += lane->block;
}

static void go_anywhere(struct bench_lane *lane)
{
	lane->offset = bench_random(&lane->random) % blocks(lane) * lane->block;
}

static void ask_read(struct bench_lane *lane)
{
	lane->args.read = (struct fuse_read_in){
		.fh = lane->tree->data_fhs[lane->queue], .offset = lane->offset,
		.size = (uint32_t)lane->block,
	};
	lane_ask(lane, FUSE_READ, lane->tree->data_nodes[lane->queue]);
	lane_in(lane, &lane->args.read, sizeof(lane->args.read));
	lane_out(lane, lane->data, lane->block);
}

static void ask_write(struct bench_lane *lane)
{
	lane->args.write = (struct fuse_write_in){
		.fh = lane->tree->data_fhs[lane->queue], .offset = lane->offset,
		.size = (uint32_t)lane->block,
	};
	lane_ask(lane, FUSE_WRITE, lane->tree->data_nodes[lane->queue]);
	lane_in(lane, &lane->args.write, sizeof(lane->args.write));
	lane_in(lane, lane->data, lane->block);
	lane_out(lane, &lane->answer.write, sizeof(lane->answer.write));
}

static void read_ask(struct bench_lane *lane)
{
	go_on(lane);
	ask_read(lane);
}

static void randread_ask(struct bench_lane *lane)
{
	go_anywhere(lane);
	ask_read(lane);
}

static void write_ask(struct bench_lane *lane)
{
	go_on(lane);
	ask_write(lane);
}

static void randwrite_ask(struct bench_lane *lane)
{
	go_anywhere(lane);
	ask_write(lane);
}

static int read_take(struct bench_lane *lane)
{
	if (lane->request.result < 0)
		return (int)lane->request.result;
	if ((size_t)lane->request.result != lane->block)
		return -EPROTO;
	lane->bytes += lane->block;
	return 1;
}

static int write_take(struct bench_lane *lane)
{
	if (lane->request.result < 0)
		return (int)lane->request.result;
	if (lane->answer.write.size != lane->block)
		return -EPROTO;
	lane->bytes += lane->block;
	return 1;
}

/* A load from the host's page cache, where a program in a guest would do the same. */
static size_t window_touch(struct bench_lane *lane)
{
	uint64_t n = lane->tree->window_size / lane->block;

	memcpy(lane->data, lane->tree->window + bench_random(&lane->random) % n * lane->block,
	       lane->block);
	return lane->block;
}

const struct bench_work bench_data_works[] = {
	{ "read", "operations", "READ, in order", .needs = NEED_DATA, .moves_blocks = true,
	  .ask = read_ask, .take = read_take, .local = local_read },
	{ "write", "operations", "WRITE over what is there, in order",
	  .needs = NEED_DATA, .moves_blocks = true,
	  .ask = write_ask, .take = write_take, .local = local_write },
	{ "randread", "operations", "READ, anywhere", .needs = NEED_DATA, .moves_blocks = true,
	  .ask = randread_ask, .take = read_take, .local = local_randread },
	{ "randwrite", "operations", "WRITE over what is there, anywhere",
	  .needs = NEED_DATA, .moves_blocks = true,
	  .ask = randwrite_ask, .take = write_take, .local = local_randwrite },
	{ "stream-read", "operations", "READ of 1 MiB, in order", .needs = NEED_DATA,
	  .moves_blocks = true, .block = 1u << 20,
	  .ask = read_ask, .take = read_take, .local = local_memcpy },
	{ "stream-write", "operations", "WRITE of 1 MiB over what is there, in order",
	  .needs = NEED_DATA, .moves_blocks = true, .block = 1u << 20,
	  .ask = write_ask, .take = write_take, .local = local_memcpy },
	{ "dax-read", "operations", "loads through the DAX window, anywhere; no request",
	  .needs = NEED_DATA | NEED_WINDOW, .moves_blocks = true,
	  .touch = window_touch, .local = local_memcpy },
	{ 0 },
};
