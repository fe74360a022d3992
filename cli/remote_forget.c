/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Giving nodes back; see remote.h. A FORGET has no answer, so nobody waits for
 * one, but for a place to put the next in.
 */
#include "cli/remote.h"

#include <errno.h>
#include <stdlib.h>

#define FORGETS 16	/* on their way at a time: the queue's depth */

struct forget {
	struct casement_request request;
	struct fuse_forget_in body;
	struct iovec in;
	struct forget *next;	/* free */
};

struct remote_forgets {
	struct forget each[FORGETS];
	struct forget *free;
};

int remote_forgets_new(struct remote *remote)
{
	struct remote_forgets *forgets = calloc(1, sizeof(*forgets));

	for (unsigned int i = 0; forgets && i < FORGETS; i++) {
		forgets->each[i].next = forgets->free;
		forgets->free = &forgets->each[i];
	}
	remote->forgets = forgets;
	return forgets ? 0 : -ENOMEM;
}

void remote_forgets_free(struct remote *remote)
{
	free(remote->forgets);
}

/* Take back what the daemon is done with; with `timeout_ms` -1 at least one. */
static void collect(struct remote *remote, int timeout_ms)
{
	struct casement_request *done[FORGETS];
	int n = casement_complete(remote->hiprio, done, FORGETS, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct forget *forget = done[i]->user;

		forget->next = remote->forgets->free;
		remote->forgets->free = forget;
	}
}

void remote_put(struct remote *remote, const struct remote_node *node)
{
	struct remote_forgets *forgets = remote->forgets;
	struct forget *forget;

	if (node->id == CASEMENT_ROOT)
		return;
	collect(remote, 0);
	if (!forgets->free)
		collect(remote, -1);
	forget = forgets->free;
	/* It can only fail with the connection, which others notice. */
	if (!forget)
		return;
	forget->body.nlookup = 1;
	forget->in = (struct iovec){ &forget->body, sizeof(forget->body) };
	forget->request = (struct casement_request){
		.opcode = FUSE_FORGET, .nodeid = node->id, .in = &forget->in, .n_in = 1,
		.user = forget,
	};
	if (casement_submit(remote->hiprio, &forget->request, 1) == 1)
		forgets->free = forget->next;
}
