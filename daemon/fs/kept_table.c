/* SPDX-License-Identifier: BSD-3-Clause */
/* Versions of what the guest has read; see kept_table.h. */
#include "daemon/fs/kept_table.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(KEPT_PLACES % KEPT_LOCKS == 0, "a place has one lock");

int kept_table_init(struct kept_table *table)
{
	/* Large enough for calloc(3) to map it: only what is touched becomes memory. */
	table->places = calloc(KEPT_PLACES, sizeof(*table->places));
	if (!table->places)
		return -ENOMEM;
	for (unsigned int i = 0; i < KEPT_LOCKS; i++)
		pthread_mutex_init(&table->locks[i], NULL);
	return 0;
}

void kept_table_fini(struct kept_table *table)
{
	for (unsigned int i = 0; i < KEPT_LOCKS; i++)
		pthread_mutex_destroy(&table->locks[i]);
	free(table->places);
}

/* Slots in the low half of a node id are handed out one after the other, in 16 rows. */
static uint32_t place_of(uint64_t node)
{
	return (uint32_t)(node ^ node >> 16 ^ node >> 32) % KEPT_PLACES;
}

uint64_t kept_table_get(struct kept_table *table, uint64_t node)
{
	uint32_t at = place_of(node);
	struct kept_place place;

	pthread_mutex_lock(&table->locks[at % KEPT_LOCKS]);
	place = table->places[at];
	pthread_mutex_unlock(&table->locks[at % KEPT_LOCKS]);
	return place.node == node ? place.version : 0;
}

void kept_table_put(struct kept_table *table, uint64_t node, uint64_t version)
{
	uint32_t at = place_of(node);

	pthread_mutex_lock(&table->locks[at % KEPT_LOCKS]);
	table->places[at] = (struct kept_place){ .node = node, .version = version };
	pthread_mutex_unlock(&table->locks[at % KEPT_LOCKS]);
}
