/* SPDX-License-Identifier: BSD-3-Clause */
/* The session's own requests; what is negotiated is a table in init.c. */
#ifndef CASEMENT_DAEMON_PROTOCOL_INIT_H
#define CASEMENT_DAEMON_PROTOCOL_INIT_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/protocol/decode.h"

/* One INIT flag and what we do about it. */
struct init_feature {
	uint64_t flag;
	const char *name;
	/* True when we want it of a guest that offers it; NULL: never. */
	bool (*want)(const struct server *server);
	const char *why;	/* or why not */
};

/* Every flag of protocol 7.46, in the order of their bits; *count gets their number. */
const struct init_feature *init_features(size_t *count);

/* Handlers: 0 when the reply's body is in req->out, or -errno. */
int handle_init(struct request *req);
int handle_destroy(struct request *req);
int handle_suspend(struct request *req);
int handle_interrupt(struct request *req);

#endif
