/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which capabilities stay. Dropped for good: permitted, effective,
 * inheritable, ambient and bounding set.
 */
#ifndef CASEMENT_DAEMON_SANDBOX_CAPS_H
#define CASEMENT_DAEMON_SANDBOX_CAPS_H

#include <stdbool.h>
#include <stdint.h>

/* Capabilities are bits by their numbers. */
#define CAPS_BIT(cap) (1ULL << (cap))

/* What --modcaps changes of the set. */
struct modcaps {
	uint64_t add, remove;
};

/*
 * Read virtiofsd's "+name:-name:...": names as in capabilities(7), with or
 * without "cap_", in any case. 0, or -EINVAL with the offending part in
 * bad[bad_size]; *modcaps is then unspecified.
 */
int modcaps_parse(const char *text, struct modcaps *modcaps, char *bad, unsigned int bad_size);

/* What a process that serves files keeps. `file_handles`: it opens files by handle. */
uint64_t caps_wanted(const struct modcaps *modcaps, bool file_handles);

/*
 * Keep these and no others, now and for ever; one that the process does not
 * have is not gained. Acts on the calling thread: call it before there are
 * others. 0 or -errno.
 */
int caps_keep(uint64_t keep);
/* The capabilities the calling thread may use. */
uint64_t caps_held(void);

#endif
