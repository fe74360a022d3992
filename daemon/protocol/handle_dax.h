/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests about the DAX window. Each returns 0 or -errno; neither reply has a body. */
#ifndef CASEMENT_DAEMON_PROTOCOL_HANDLE_DAX_H
#define CASEMENT_DAEMON_PROTOCOL_HANDLE_DAX_H

struct request;

int handle_setupmapping(struct request *req);
int handle_removemapping(struct request *req);

#endif
