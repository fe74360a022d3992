/* SPDX-License-Identifier: BSD-3-Clause */
/* A window that only remembers; see fake_fs.h. */
#include "tests/unit/fake_fs.h"

struct fake_window fake_window;

static int window_setup(void *ctx, uint64_t node, uint64_t offset, uint64_t len,
			bool writable, uint64_t at)
{
	struct fake_window *window = ctx;

	window->setups++;
	window->node = node;
	window->offset = offset;
	window->len = len;
	window->writable = writable;
	window->at = at;
	return window->result;
}

static int window_remove(void *ctx, uint64_t at, uint64_t len)
{
	struct fake_window *window = ctx;

	window->removes++;
	window->at = at;
	window->len = len;
	return window->fail_at && window->fail_at != at ? 0 : window->result;
}

static int window_clear(void *ctx)
{
	struct fake_window *window = ctx;

	window->clears++;
	return window->result;
}

static bool window_present(void *ctx)
{
	return ((struct fake_window *)ctx)->present;
}

const struct window_ops fake_window_ops = {
	.ctx = &fake_window,
	.setup = window_setup,
	.remove = window_remove,
	.clear = window_clear,
	.present = window_present,
	.any_range = true,
};
