/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory can be a file that shrinks: a guest may name an address inside
 * its DAX window as a buffer and then have the file cut. A load there raises
 * SIGBUS, which must not end the daemon. A fault in a guarded range gets a
 * private page of zeros put under it; any other SIGBUS ends us as usual.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_SIGBUS_H
#define CASEMENT_DAEMON_TRANSPORT_SIGBUS_H

#include <stdbool.h>
#include <stddef.h>

/* Install the handler. Once, before threads are started. 0 or -errno. */
int sigbus_setup(void);
/* From now on faults in [base, base + len) are mended. False when the table has no room for it. */
bool sigbus_guard(const void *base, size_t len);
/* The range is about to be unmapped. */
void sigbus_unguard(const void *base, size_t len);

#endif
