/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extensions: what a request that makes something carries behind its names, if
 * INIT agreed on it (FUSE_SECURITY_CTX, FUSE_CREATE_SUPP_GROUP).
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_DECODE_EXT_H
#define CASEMENT_DAEMON_PROTOCOL_DECODE_EXT_H

#include "daemon/protocol/decode.h"

/*
 * Take all that is left of req->in, into req->sq->value, as extensions, each at
 * most once: req->label and req->groups are set by those that are there. 0, or
 * -EINVAL for anything that a Linux guest would not send.
 */
int decode_extensions(struct request *req);

#endif
