/* SPDX-License-Identifier: BSD-3-Clause */
/* Ids between guest and host; see id_translate.h. */
#include "daemon/protocol/id_translate.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/checked.h"

#define ID_END UINT32_MAX	/* no id: "none" to the kernel */

/* Which direction a rule is for, and whether it says where to. */
static const struct {
	const char *word;
	enum id_effect effect;
	bool from_guest, from_host, to_nowhere;
} types[] = {
	{ "guest", ID_SHIFT, .from_guest = true },
	{ "host", ID_SHIFT, .from_host = true },
	{ "squash-guest", ID_SQUASH, .from_guest = true },
	{ "squash-host", ID_SQUASH, .from_host = true },
	{ "forbid-guest", ID_FORBID, .from_guest = true, .to_nowhere = true },
	{ "map", ID_SHIFT, .from_guest = true, .from_host = true },
};

/* ":NUMBER" at *at, which is passed over. */
static bool take_number(const char **at, uint32_t *number)
{
	uint64_t value = 0;
	size_t digits;

	if (**at != ':')
		return false;
	digits = strspn(++*at, "0123456789");
	if (!digits || digits > 10)
		return false;
	for (; digits; digits--)
		value = value * 10 + (uint64_t)(*(*at)++ - '0');
	*number = (uint32_t)value;
	return value <= UINT32_MAX;
}

/* Where a range goes, which is before those[at], or -1 when it meets one that is there. */
static int place_of(const struct id_rules *those, const struct id_rule *range)
{
	unsigned int at = 0;

	while (at < those->n && those->ranges[at].first < range->first)
		at++;
	if (at && ranges_overlap(range->first, range->count, those->ranges[at - 1].first,
				 those->ranges[at - 1].count))
		return -1;
	if (at < those->n && ranges_overlap(range->first, range->count, those->ranges[at].first,
					    those->ranges[at].count))
		return -1;
	return (int)at;
}

static const char *range_problem(const struct id_rules *those, const struct id_rule *range)
{
	if (!range_within(range->first, range->count, ID_END))
		return "the range goes past the last id, 4294967294";
	if (range->effect == ID_SHIFT && !range_within(range->target, range->count, ID_END))
		return "the range it becomes goes past the last id, 4294967294";
	if (range->effect == ID_SQUASH && range->target == ID_END)
		return "4294967295 is no id";
	if (those->n == ID_RULES_MAX)
		return "more than 64 rules for one direction";
	if (place_of(those, range) < 0)
		return "it speaks of ids that an earlier rule speaks of";
	return NULL;
}

static void range_insert(struct id_rules *those, const struct id_rule *range)
{
	unsigned int at = (unsigned int)place_of(those, range);

	memmove(&those->ranges[at + 1], &those->ranges[at], (those->n - at) * sizeof(*range));
	those->ranges[at] = *range;
	those->n++;
}

static int refuse(const char **why, const char *problem)
{
	*why = problem;
	return -EINVAL;
}

/* The ranges a rule of this type makes, or what is wrong with it. */
static const char *parse_rule(const char *rule, size_t type, struct id_rule *from_guest,
			      struct id_rule *from_host)
{
	uint32_t source, target = 0, count;
	bool good = take_number(&rule, &source);

	if (good && !types[type].to_nowhere)
		good = take_number(&rule, &target);
	if (!good || !take_number(&rule, &count) || *rule)
		return types[type].to_nowhere ? "give forbid-guest:FIRST:COUNT" :
						"give TYPE:SOURCE:TARGET:COUNT, in decimal";
	*from_guest = (struct id_rule){ source, count, target, types[type].effect };
	*from_host = *from_guest;
	if (types[type].from_guest)
		*from_host = (struct id_rule){ target, count, source, types[type].effect };
	return NULL;
}

int id_translation_add(struct id_translation *map, const char *rule, const char **why)
{
	size_t len = strcspn(rule, ":"), type = 0;
	struct id_rule from_guest, from_host;
	const char *problem;

	while (type < ARRAY_SIZE(types) &&
	       (strlen(types[type].word) != len || memcmp(types[type].word, rule, len)))
		type++;
	if (type == ARRAY_SIZE(types))
		return refuse(why, "its type is none of guest, host, squash-guest, squash-host, forbid-guest, map");
	problem = parse_rule(rule + len, type, &from_guest, &from_host);
	/* A rule for no ids changes nothing. Incus writes such rules beside a map that begins at 0. */
	if (!problem && !from_guest.count)
		return 0;
	if (!problem && types[type].from_guest)
		problem = range_problem(&map->to_host, &from_guest);
	if (!problem && types[type].from_host)
		problem = range_problem(&map->to_guest, &from_host);
	if (problem)
		return refuse(why, problem);
	if (types[type].from_guest)
		range_insert(&map->to_host, &from_guest);
	if (types[type].from_host)
		range_insert(&map->to_guest, &from_host);
	return 0;
}

static const struct id_rule *range_of(const struct id_rules *those, uint32_t id)
{
	unsigned int low = 0, high = those->n;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		const struct id_rule *range = &those->ranges[middle];

		if (id < range->first)
			high = middle;
		else if (id - range->first >= range->count)
			low = middle + 1;
		else
			return range;
	}
	return NULL;
}

static uint32_t range_apply(const struct id_rule *range, uint32_t id)
{
	return range->effect == ID_SQUASH ? range->target : range->target + (id - range->first);
}

bool id_to_host(const struct id_translation *map, uint32_t guest, uint32_t *host)
{
	const struct id_rule *range = range_of(&map->to_host, guest);

	if (range && range->effect == ID_FORBID)
		return false;
	*host = range ? range_apply(range, guest) : guest;
	return true;
}

uint32_t id_to_guest(const struct id_translation *map, uint32_t host)
{
	const struct id_rule *range = range_of(&map->to_guest, host);

	return range ? range_apply(range, host) : host;
}
