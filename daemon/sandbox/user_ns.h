/* SPDX-License-Identifier: BSD-3-Clause */
/* A user namespace, in which an ordinary user may make the other ones. */
#ifndef CASEMENT_DAEMON_SANDBOX_USER_NS_H
#define CASEMENT_DAEMON_SANDBOX_USER_NS_H

struct id_map;

/*
 * Enter a new user namespace with these maps; an empty one maps the process'
 * own id to itself. What is more than one's own id is set by newuidmap(1) and
 * newgidmap(1). Becomes the namespace's root if both maps have one. Call it
 * before there are threads. 0, or -errno, logged.
 */
int user_ns_enter(const struct id_map *uids, const struct id_map *gids);

#endif
