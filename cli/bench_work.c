/* SPDX-License-Identifier: BSD-3-Clause */
/* What all workloads share; see bench_work.h. */
#include "cli/bench_work.h"

#include <string.h>

#include "common/checked.h"

static const struct bench_work *const works[] = {
	bench_meta_works, bench_data_works, bench_mixed_works,
};

const struct bench_work *bench_work_at(unsigned int i)
{
	for (size_t list = 0; list < ARRAY_SIZE(works); list++)
		for (const struct bench_work *work = works[list]; work->name; work++)
			if (!i--)
				return work;
	return NULL;
}

const struct bench_work *bench_work_find(const char *name)
{
	const struct bench_work *work;

	for (unsigned int i = 0; (work = bench_work_at(i)); i++)
		if (!strcmp(work->name, name))
			return work;
	return NULL;
}

void lane_ask(struct bench_lane *lane, uint32_t opcode, uint64_t node)
{
	lane->request.opcode = opcode;
	lane->request.nodeid = node;
	lane->request.in = lane->in;
	lane->request.n_in = 0;
	lane->request.out = lane->out;
	lane->request.n_out = 0;
}

void lane_in(struct bench_lane *lane, const void *p, size_t size)
{
	lane->in[lane->request.n_in++] = (struct iovec){ (void *)(uintptr_t)p, size };
}

void lane_in_name(struct bench_lane *lane, const char *name)
{
	lane_in(lane, name, strlen(name) + 1);
}

void lane_out(struct bench_lane *lane, void *p, size_t size)
{
	lane->out[lane->request.n_out++] = (struct iovec){ p, size };
}

void bench_name(char name[BENCH_NAME_MAX], char letter, uint64_t number)
{
	*name++ = letter;
	for (int shift = 20; shift >= 0; shift -= 4)
		*name++ = "0123456789abcdef"[number >> shift & 15];
	*name = '\0';
}
