/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Command lines written for other daemons: the -o words of the first, C
 * virtiofsd, which libvirt and others still give, and what virtiofsd 1.14 has
 * and casementd refuses.
 */
#ifndef CASEMENT_DAEMON_CONFIG_LEGACY_H
#define CASEMENT_DAEMON_CONFIG_LEGACY_H

#include "common/options.h"

/* Options that are known and refused, with the reason. A row of the same name goes first. */
extern const struct option_refusal legacy_refusals[];

/*
 * Apply one argument of -o, "WORD[=VALUE],WORD...", as if the options it
 * stands for had been given. A value's comma is written twice (libvirt) or
 * with a backslash before it. The argument is cut up, and its pieces stay in
 * use. 0, or -errno, logged.
 */
int legacy_apply(const struct option_table *table, char *argument, void *config);

#endif
