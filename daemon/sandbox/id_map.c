/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges of ids; see id_map.h. */
#include "daemon/sandbox/id_map.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

/* 4294967295 is no id: it means "no change" to the kernel. */
#define ID_LIMIT UINT32_MAX

/* One number and the separator behind it. False: not a number below 2^32, or another separator. */
static bool parse_field(const char **text, char separator, uint32_t *value)
{
	unsigned long long number;
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	number = strtoull(*text, &end, 10);
	if (errno || number > UINT32_MAX || *end != separator)
		return false;
	*text = end + 1;
	*value = (uint32_t)number;
	return true;
}

static bool range_fits(uint32_t first, uint32_t count)
{
	return count && first < ID_LIMIT && count <= ID_LIMIT - first;
}

static bool ranges_meet(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count)
{
	return a < b ? b - a < a_count : a - b < b_count;
}

int id_map_add(struct id_map *map, const char *text)
{
	/* The first character is the separator, as in the rules for xattrs. */
	char separator = *text++;
	struct id_range new;

	if (!separator || isalnum((unsigned char)separator))
		return -EINVAL;
	if (!parse_field(&text, separator, &new.inside) ||
	    !parse_field(&text, separator, &new.outside) ||
	    !parse_field(&text, separator, &new.count) || *text)
		return -EINVAL;
	if (!range_fits(new.inside, new.count) || !range_fits(new.outside, new.count))
		return -EINVAL;
	for (unsigned int i = 0; i < map->n; i++) {
		const struct id_range *old = &map->ranges[i];

		if (ranges_meet(old->inside, old->count, new.inside, new.count) ||
		    ranges_meet(old->outside, old->count, new.outside, new.count))
			return -EEXIST;
	}
	if (map->n == ID_MAP_MAX)
		return -E2BIG;
	map->ranges[map->n++] = new;
	return 0;
}

bool id_map_is_own(const struct id_map *map, uint32_t own)
{
	return map->n == 1 && map->ranges[0].count == 1 && map->ranges[0].outside == own;
}

bool id_map_has(const struct id_map *map, uint32_t inside)
{
	for (unsigned int i = 0; i < map->n; i++)
		if (inside >= map->ranges[i].inside &&
		    inside - map->ranges[i].inside < map->ranges[i].count)
			return true;
	return false;
}
