/* SPDX-License-Identifier: BSD-3-Clause */
/* The user that the command runs as, where that is not root: a user of the host whom the root need not know. */
#ifndef CASEMENT_GUEST_USER_H
#define CASEMENT_GUEST_USER_H

#include "guest/params.h"

/* Make the user known to the root's programs, with a home. What cannot be done is noted. */
void user_prepare(const struct guest_params *params);

/*
 * Become the user, in the home directory: in the command's process, whose descriptors 0 to 2 are given to the user,
 * so that they can be opened by /dev/stdout and the like. 0 or -errno.
 */
int user_become(const struct guest_params *params);

#endif
