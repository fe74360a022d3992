/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which user or group ids a user namespace has: virtiofsd's
 * ":inside:outside:count:", given once or several times. Parsed, checked, and
 * put into the words that newuidmap(1) and /proc/PID/uid_map want.
 */
#ifndef CASEMENT_DAEMON_SANDBOX_ID_MAP_H
#define CASEMENT_DAEMON_SANDBOX_ID_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_MAP_MAX 16		/* ranges; more make no sense by hand */
/* Room for one range in decimal: three numbers, spaces, newline. */
#define ID_MAP_LINE 36

struct id_range {
	uint32_t inside, outside, count;
};

struct id_map {
	unsigned int n;		/* 0: the process' own id, as itself */
	struct id_range ranges[ID_MAP_MAX];
};

/*
 * Add a range. -EINVAL: not of that form, or it reaches past the last id;
 * -EEXIST: it overlaps another one, inside or outside; -E2BIG: too many.
 */
int id_map_add(struct id_map *map, const char *text);

/* Is the whole map one id, and that outside `own`? Then no helper is needed to set it. */
bool id_map_is_own(const struct id_map *map, uint32_t own);
/* Has the map an id `inside`? */
bool id_map_has(const struct id_map *map, uint32_t inside);

#endif
