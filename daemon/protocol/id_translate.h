/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * User or group ids that are others on the host than in the guest
 * (--translate-uid, --translate-gid), by virtiofsd's rules. Pure: numbers in,
 * numbers out. A map is never changed once it serves; any thread may read it.
 *
 * Either direction has its own ranges, which do not overlap; an id in none
 * stays what it is. "TYPE:SOURCE:TARGET:COUNT", with ids in decimal:
 *
 *   guest         guest's ids from SOURCE on become host's from TARGET on
 *   host          host's ids from SOURCE on become guest's from TARGET on
 *   squash-guest  guest's ids from SOURCE on all become the host's TARGET
 *   squash-host   host's ids from SOURCE on all become the guest's TARGET
 *   map           guest, and back: host's from TARGET on become guest's from SOURCE on
 *   forbid-guest  ("forbid-guest:SOURCE:COUNT") the guest may not use these ids
 * A COUNT of 0 is a rule for no ids, and changes nothing.
 */
#ifndef CASEMENT_DAEMON_PROTOCOL_ID_TRANSLATE_H
#define CASEMENT_DAEMON_PROTOCOL_ID_TRANSLATE_H

#include <stdbool.h>
#include <stdint.h>

#define ID_RULES_MAX 64

enum id_effect { ID_SHIFT, ID_SQUASH, ID_FORBID };

struct id_rule {
	uint32_t first, count;	/* first + count does not wrap */
	uint32_t target;
	enum id_effect effect;
};

struct id_rules {
	unsigned int n;
	struct id_rule ranges[ID_RULES_MAX];	/* sorted by first */
};

/* All zero: every id stays what it is. */
struct id_translation {
	struct id_rules to_host, to_guest;
};

/* Add one rule. 0, or -EINVAL (the map is as it was), and *why says what is wrong. */
int id_translation_add(struct id_translation *map, const char *rule, const char **why);

static inline bool id_translation_empty(const struct id_translation *map)
{
	return !map->to_host.n && !map->to_guest.n;
}

/* The host's id of a guest's. False when the guest may not use it. */
bool id_to_host(const struct id_translation *map, uint32_t guest, uint32_t *host);
/* The guest's id of a host's. */
uint32_t id_to_guest(const struct id_translation *map, uint32_t host);

#endif
