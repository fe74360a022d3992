/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which files a guest is offered for the window, where they do not all fit. The
 * kernel's driver maps every file that it was offered, whatever else it uses: random
 * access over several times the window's size then maps and unmaps at each step, ten
 * times slower than without a window. So what is offered at one time fits in together;
 * first come, first served, until a file is closed and was not asked for in a while.
 *
 * Knows nodes and sizes only. A leaf lock inside; any thread.
 */
#ifndef CASEMENT_DAEMON_FS_DAX_OFFER_H
#define CASEMENT_DAEMON_FS_DAX_OFFER_H

#include <stdbool.h>
#include <stdint.h>

/* So long, in seconds, a file that nobody has open keeps its offer from others. */
#define DAX_OFFER_KEPT_S 10

enum dax_offer_user { DAX_OFFER_BUSY, DAX_OFFER_IDLE, DAX_OFFER_GONE };

struct dax_offers;

/*
 * Offers of `total` bytes, none smaller than `least`. `user` says whether the guest has a node's file
 * open, knows it, or not even that; called under the lock. 0 or -ENOMEM.
 */
int dax_offers_new(uint64_t total, uint64_t least, enum dax_offer_user (*user)(void *ctx, uint64_t node), void *ctx,
		   struct dax_offers **out);
void dax_offers_free(struct dax_offers *offers);
/* None is left: the guest is another. */
void dax_offers_clear(struct dax_offers *offers);

/*
 * Is the node's file, now of `size` bytes, offered? One that is not is if it fits, and the guest
 * is perhaps about to open it (`begin`). `now`: seconds, of any clock that only goes forward.
 */
bool dax_offers_has(struct dax_offers *offers, uint64_t node, uint64_t size, bool begin, uint64_t now);

#endif
