/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that are offered for the window; see dax_offer.h. */
#include "daemon/fs/dax_offer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/checked.h"

struct offer {
	uint64_t node;		/* 0: free */
	uint64_t size;
	uint64_t asked;		/* when the guest last asked for it, seconds */
	uint32_t next;		/* in its bucket or among the free; index + 1 */
};

struct dax_offers {
	enum dax_offer_user (*user)(void *ctx, uint64_t node);	/* [I] */
	void *ctx;			/* [I] */
	uint64_t total;			/* [I] bytes */
	uint32_t room;			/* [I] entries, a power of two, and as many buckets */

	pthread_mutex_t lock;
	uint64_t given;			/* [L:lock] bytes */
	uint32_t free;			/* [L:lock] index + 1 */
	uint32_t *buckets;		/* [L:lock] index + 1; 0: none */
	struct offer *entries;		/* [L:lock] */
};

/* The lock is not needed yet, or held. */
static void forget_all(struct dax_offers *offers)
{
	offers->given = 0;
	offers->free = 0;
	for (uint32_t i = 0; i < offers->room; i++) {
		offers->buckets[i] = 0;
		offers->entries[i] = (struct offer){ .next = offers->free };
		offers->free = i + 1;
	}
}

int dax_offers_new(uint64_t total, uint64_t least, enum dax_offer_user (*user)(void *ctx, uint64_t node), void *ctx,
		   struct dax_offers **out)
{
	struct dax_offers *offers = calloc(1, sizeof(*offers));

	if (!offers)
		return -ENOMEM;
	offers->user = user;
	offers->ctx = ctx;
	offers->total = total;
	for (offers->room = 1; offers->room < total / least + 1; offers->room *= 2)
		;
	offers->buckets = calloc(offers->room, sizeof(*offers->buckets));
	offers->entries = calloc(offers->room, sizeof(*offers->entries));
	if (!offers->buckets || !offers->entries) {
		free(offers->buckets);
		free(offers->entries);
		free(offers);
		return -ENOMEM;
	}
	pthread_mutex_init(&offers->lock, NULL);
	forget_all(offers);
	*out = offers;
	return 0;
}

void dax_offers_free(struct dax_offers *offers)
{
	if (!offers)
		return;
	pthread_mutex_destroy(&offers->lock);
	free(offers->buckets);
	free(offers->entries);
	free(offers);
}

void dax_offers_clear(struct dax_offers *offers)
{
	pthread_mutex_lock(&offers->lock);
	if (offers->given)
		forget_all(offers);
	pthread_mutex_unlock(&offers->lock);
}

static uint32_t *bucket_of(struct dax_offers *offers, uint64_t node)
{
	return &offers->buckets[(node ^ node >> 32) & (offers->room - 1)];
}

/* Where the number of the node's entry stands, 0 there if it has none. */
static uint32_t *find(struct dax_offers *offers, uint64_t node)
{
	uint32_t *link = bucket_of(offers, node);

	while (*link && offers->entries[*link - 1].node != node)
		link = &offers->entries[*link - 1].next;
	return link;
}

static void withdraw(struct dax_offers *offers, uint32_t *link)
{
	uint32_t number = *link;
	struct offer *offer = &offers->entries[number - 1];

	*link = offer->next;
	offers->given -= offer->size;
	*offer = (struct offer){ .next = offers->free };
	offers->free = number;
}

static bool may_go(struct dax_offers *offers, const struct offer *offer, uint64_t now)
{
	enum dax_offer_user user = offers->user(offers->ctx, offer->node);

	return user == DAX_OFFER_GONE || (user == DAX_OFFER_IDLE && now >= offer->asked + DAX_OFFER_KEPT_S);
}

/* Withdraw what may go, until there are `size` bytes: true then. */
static bool make_room(struct dax_offers *offers, uint64_t size, uint64_t now)
{
	for (uint32_t i = 0; offers->total - offers->given < size && i < offers->room; i++) {
		struct offer *offer = &offers->entries[i];

		if (offer->node && may_go(offers, offer, now))
			withdraw(offers, find(offers, offer->node));
	}
	return offers->total - offers->given >= size;
}

static bool begin_offer(struct dax_offers *offers, uint64_t node, uint64_t size, uint64_t now)
{
	uint32_t number, *bucket;

	if (size > offers->total || !make_room(offers, size, now) || !offers->free)
		return false;
	number = offers->free;
	bucket = bucket_of(offers, node);
	offers->free = offers->entries[number - 1].next;
	offers->entries[number - 1] = (struct offer){ node, size, now, *bucket };
	*bucket = number;
	offers->given += size;
	return true;
}

/* A file that grows out of the window is not offered any more. */
static bool keep_offer(struct dax_offers *offers, uint32_t *link, uint64_t size, uint64_t now)
{
	struct offer *offer = &offers->entries[*link - 1];

	offer->asked = now;
	if (size > offer->size && offers->total - offers->given < size - offer->size) {
		withdraw(offers, link);
		return false;
	}
	offers->given += MAX(size, offer->size) - offer->size;
	offer->size = MAX(size, offer->size);
	return true;
}

bool dax_offers_has(struct dax_offers *offers, uint64_t node, uint64_t size, bool begin, uint64_t now)
{
	uint32_t *link;
	bool has;

	pthread_mutex_lock(&offers->lock);
	link = find(offers, node);
	if (*link)
		has = keep_offer(offers, link, size, now);
	else
		has = begin && begin_offer(offers, node, size, now);
	pthread_mutex_unlock(&offers->lock);
	return has;
}
