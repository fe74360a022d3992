/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of extended attributes, the guest's and the host's: virtiofsd's rules
 * (--xattrmap). Pure: text in, names out; no system call, no allocation, no
 * lock. A parsed map is never changed and is read by any number of threads.
 *
 * A rule is ":TYPE:SCOPE:KEY:PREPEND:", where ':' is whatever character the rule
 * begins with; white space between rules says nothing. The first rule that
 * matches decides: a name of the guest's (scope client or all) when it begins
 * with KEY, a name of the host's (scope server or all) when it begins with PREPEND.
 *
 *   prefix       client: PREPEND is put before the name; server: it is cut off
 *   ok           the name stays as it is
 *   bad          client: refused (-EPERM); server: hidden
 *   unsupported  client: refused (-EOPNOTSUPP); server: hidden
 *
 * ":map:KEY:PREPEND:", once and last, stands for the rules that prefix names
 * with KEY and keep guest and host from reaching round that; with an empty KEY,
 * for "everything is prefixed, nothing else exists".
 */
#ifndef CASEMENT_DAEMON_FS_XATTR_MAP_H
#define CASEMENT_DAEMON_FS_XATTR_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XATTR_MAP_RULES_MAX 64
#define XATTR_MAP_NAME_SIZE 256		/* a name and its NUL: XATTR_NAME_MAX + 1 */

enum xattr_map_type { XATTR_MAP_PREFIX, XATTR_MAP_OK, XATTR_MAP_BAD, XATTR_MAP_UNSUPPORTED };

struct xattr_map_text {
	const char *at;		/* in the rules that were parsed, not NUL-terminated */
	size_t len;
};

struct xattr_map_rule {
	enum xattr_map_type type;
	bool client, server;
	struct xattr_map_text key, prepend;
};

/* All zero: no rules, and every name stays as it is. */
struct xattr_map {
	unsigned int n_rules;
	struct xattr_map_rule rules[XATTR_MAP_RULES_MAX];
};

/*
 * Parse `rules`, which are borrowed and outlive the map. 0, or -EINVAL: *why
 * says what is wrong in rule number *at, counted from 1 (0: in all of them).
 */
int xattr_map_parse(struct xattr_map *map, const char *rules, const char **why, unsigned int *at);

/*
 * The host's name of the guest's `name`. 0, -EPERM or -EOPNOTSUPP as the rule
 * says, or -ERANGE when the result is longer than a name may be.
 */
int xattr_map_to_host(const struct xattr_map *map, const char *name,
		      char host[XATTR_MAP_NAME_SIZE]);

/*
 * Turn a list of the host's names, as listxattr(2) gives it, into the guest's,
 * in place: what is hidden goes, what is prefixed loses its prefix. Returns the
 * new size, never more than `size`. What follows the last NUL is dropped.
 */
size_t xattr_map_list(const struct xattr_map *map, char *names, size_t size);

#endif
