/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Beginning and end of a session; see session.h. Relies on fs_reset() and the
 * window's clear() being safe beside running requests, so that no lock is
 * needed which all queues would meet at. Never decides what is negotiated.
 */
#include "daemon/protocol/session.h"

#include "daemon/fs/fs.h"

bool session_has_window(const struct server *server)
{
	const struct window_ops *window = &server->window;

	return window->present && window->present(window->ctx);
}

int session_end(struct server *server)
{
	const struct window_ops *window = &server->window;

	atomic_store_explicit(&server->session, 0, memory_order_release);
	fs_reset(server->fs);
	return window->clear ? window->clear(window->ctx) : 0;
}

void session_begin(struct server *server, uint32_t bits)
{
	/* Who can do without a range also knows which of its files are used. */
	fs_offer_what_fits(server->fs, !(bits & SESSION_SOME_RANGES));
	atomic_store_explicit(&server->session, bits | SESSION_STARTED, memory_order_release);
}

void session_suspend(struct server *server)
{
	atomic_fetch_or_explicit(&server->session, SESSION_SUSPENDED, memory_order_acq_rel);
}

void session_go_on(struct server *server)
{
	atomic_fetch_and_explicit(&server->session, ~SESSION_SUSPENDED, memory_order_acq_rel);
}

bool session_is_suspended(const struct server *server)
{
	uint32_t bits = atomic_load_explicit(&server->session, memory_order_acquire);

	/* One alone is left where the session ended meanwhile. */
	return bits & SESSION_STARTED && bits & SESSION_SUSPENDED;
}
