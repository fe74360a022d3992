/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of the command line that come from other programs' configuration: names
 * of attributes, and ids. What parses obeys itself: a name is never longer than
 * names are, a list never grows, no id has two meanings.
 */
#include <string.h>

#include "common/checked.h"
#include "daemon/fs/xattr_map.h"
#include "daemon/protocol/id_translate.h"
#include "tests/fuzz/fuzz.h"

/* The input is rules, a NUL, and a list of the host's names. */
static void run_names(const char *rules, const uint8_t *list, size_t size)
{
	char host[XATTR_MAP_NAME_SIZE], guest[4096];
	static struct xattr_map map;
	const char *why = NULL;
	unsigned int at;
	size_t left;

	if (xattr_map_parse(&map, rules, &why, &at)) {
		FUZZ_CHECK(why, "\"%s\"", rules);
		return;
	}
	size = MIN(size, sizeof(guest) - 1);
	memcpy(guest, list, size);
	guest[size] = '\0';
	if (!xattr_map_to_host(&map, guest, host))
		FUZZ_CHECK(memchr(host, 0, sizeof(host)), "\"%s\"", guest);
	left = xattr_map_list(&map, guest, size);
	FUZZ_CHECK(left <= size, "%zu of %zu", left, size);
	FUZZ_CHECK(!left || !guest[left - 1], "the last of %zu names does not end", left);
}

static void check_ranges(const struct id_rules *those)
{
	for (unsigned int i = 0; i < those->n; i++) {
		const struct id_rule *range = &those->ranges[i];

		FUZZ_CHECK(range->count && range_within(range->first, range->count, UINT32_MAX),
			   "%u ids from %u on", range->count, range->first);
		FUZZ_CHECK(!i || range->first >= range[-1].first + range[-1].count, "at %u", range->first);
	}
}

/* The input is rules, each to the end of its line. */
static void run_ids(char *rules)
{
	static struct id_translation map;
	const char *why;
	char *rest;

	memset(&map, 0, sizeof(map));
	for (char *rule = strtok_r(rules, "\n", &rest); rule; rule = strtok_r(NULL, "\n", &rest))
		if (!id_translation_add(&map, rule, &why))
			check_ranges(&map.to_host), check_ranges(&map.to_guest);
	for (unsigned int i = 0; i < map.to_host.n; i++) {
		uint32_t last = map.to_host.ranges[i].first + map.to_host.ranges[i].count - 1, host = 0;

		FUZZ_CHECK(id_to_host(&map, last, &host) == (map.to_host.ranges[i].effect != ID_FORBID),
			   "%u", last);
		id_to_guest(&map, host);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = { data, size };
	bool ids = fuzz_u8(&bytes) & 1;
	char *text = malloc(bytes.left + 1);

	if (!text)
		abort();
	memcpy(text, bytes.at, bytes.left);
	text[bytes.left] = '\0';
	if (ids) {
		run_ids(text);
	} else {
		size_t len = MIN(strlen(text) + 1, bytes.left);

		run_names(text, bytes.at + len, bytes.left - len);
	}
	free(text);
	return 0;
}
