/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of extended attributes between guest and host; see xattr_map.h. */
#include "daemon/fs/xattr_map.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/checked.h"

#define EMPTY ((struct xattr_map_text){ "", 0 })

/* Parsing under way. */
struct parser {
	struct xattr_map *map;
	const char *at;		/* the text not looked at yet */
	char separator;		/* of the rule at hand */
	bool mapped;		/* a "map" rule has been seen */
	const char *why;
};

static const struct {
	const char *word;
	enum xattr_map_type type;
} types[] = {
	{ "prefix", XATTR_MAP_PREFIX }, { "ok", XATTR_MAP_OK },
	{ "bad", XATTR_MAP_BAD }, { "unsupported", XATTR_MAP_UNSUPPORTED },
};

static const struct {
	const char *word;
	bool client, server;
} scopes[] = {
	{ "client", true, false }, { "server", false, true }, { "all", true, true },
};

static bool text_is(const struct xattr_map_text *text, const char *word)
{
	return text->len == strlen(word) && !memcmp(text->at, word, text->len);
}

static bool text_begins(const char *name, size_t len, const struct xattr_map_text *text)
{
	return len >= text->len && !memcmp(name, text->at, text->len);
}

static int fail(struct parser *p, const char *why)
{
	p->why = why;
	return -EINVAL;
}

/* What stands before the next separator, which is passed over. */
static int parse_field(struct parser *p, struct xattr_map_text *field)
{
	const char *end = strchr(p->at, p->separator);

	if (!end)
		return fail(p, "it ends before its last separator");
	*field = (struct xattr_map_text){ p->at, (size_t)(end - p->at) };
	p->at = end + 1;
	return 0;
}

static int parse_key_and_prepend(struct parser *p, struct xattr_map_rule *rule)
{
	int err = parse_field(p, &rule->key);

	return err ? err : parse_field(p, &rule->prepend);
}

static int add_rule(struct parser *p, const struct xattr_map_rule *rule)
{
	if (p->map->n_rules == XATTR_MAP_RULES_MAX)
		return fail(p, "more than 64 rules");
	p->map->rules[p->map->n_rules++] = *rule;
	return 0;
}

static int parse_scope(struct parser *p, struct xattr_map_rule *rule)
{
	struct xattr_map_text word;
	int err = parse_field(p, &word);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		if (!text_is(&word, scopes[i].word))
			continue;
		rule->client = scopes[i].client;
		rule->server = scopes[i].server;
		return 0;
	}
	return fail(p, "its scope is none of client, server, all");
}

/* The short form, written out. */
static int parse_map(struct parser *p)
{
	struct xattr_map_rule rule = { 0 };
	int err = parse_key_and_prepend(p, &rule);
	const struct xattr_map_rule expanded[] = {
		{ XATTR_MAP_PREFIX, true, true, rule.key, rule.prepend },
		/* The host's own names of that kind are not the guest's ... */
		{ XATTR_MAP_BAD, false, true, EMPTY, rule.key },
		/* ... and the guest must not write what others read as such. */
		{ XATTR_MAP_BAD, true, false, rule.prepend, EMPTY },
		{ XATTR_MAP_OK, true, true, EMPTY, EMPTY },
	};
	static const struct xattr_map_rule nothing_else = {
		XATTR_MAP_BAD, true, true, { "", 0 }, { "", 0 },
	};

	p->mapped = true;
	if (err)
		return err;
	err = add_rule(p, &expanded[0]);
	if (!rule.key.len)
		return err ? err : add_rule(p, &nothing_else);
	for (size_t i = 1; !err && i < ARRAY_SIZE(expanded); i++)
		err = add_rule(p, &expanded[i]);
	return err;
}

static int parse_rule(struct parser *p)
{
	struct xattr_map_rule rule = { 0 };
	struct xattr_map_text word;
	int err;

	if (p->mapped)
		return fail(p, "a map rule must be the last, and the only one");
	p->separator = *p->at++;
	err = parse_field(p, &word);
	if (err)
		return err;
	if (text_is(&word, "map"))
		return parse_map(p);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (!text_is(&word, types[i].word))
			continue;
		rule.type = types[i].type;
		err = parse_scope(p, &rule);
		if (!err)
			err = parse_key_and_prepend(p, &rule);
		return err ? err : add_rule(p, &rule);
	}
	return fail(p, "its type is none of prefix, ok, bad, unsupported, map");
}

/* Every name of either side must meet a rule. */
static int check_complete(struct parser *p)
{
	bool client = false, server = false;

	for (unsigned int i = 0; i < p->map->n_rules; i++) {
		const struct xattr_map_rule *rule = &p->map->rules[i];

		client |= rule->client && !rule->key.len;
		server |= rule->server && !rule->prepend.len;
	}
	if (!client || !server)
		return fail(p, "no last rule for all other names: end with :ok:all::: or :bad:all:::");
	return 0;
}

int xattr_map_parse(struct xattr_map *map, const char *rules, const char **why, unsigned int *at)
{
	struct parser p = { .map = map, .at = rules };
	unsigned int number = 0;
	int err = 0;

	map->n_rules = 0;
	for (;;) {
		while (isspace((unsigned char)*p.at))
			p.at++;
		if (!*p.at || err)
			break;
		number++;
		err = parse_rule(&p);
	}
	if (!err) {
		number = 0;
		err = check_complete(&p);
	}
	*why = p.why;
	*at = number;
	return err;
}

static const struct xattr_map_rule *find_rule(const struct xattr_map *map, bool client,
					      const char *name, size_t len)
{
	for (unsigned int i = 0; i < map->n_rules; i++) {
		const struct xattr_map_rule *rule = &map->rules[i];

		if (!(client ? rule->client : rule->server))
			continue;
		if (text_begins(name, len, client ? &rule->key : &rule->prepend))
			return rule;
	}
	return NULL;
}

int xattr_map_to_host(const struct xattr_map *map, const char *name,
		      char host[XATTR_MAP_NAME_SIZE])
{
	size_t len = strlen(name), before = 0;
	const struct xattr_map_rule *rule = find_rule(map, true, name, len);

	if (rule && rule->type == XATTR_MAP_BAD)
		return -EPERM;
	if (rule && rule->type == XATTR_MAP_UNSUPPORTED)
		return -EOPNOTSUPP;
	if (rule && rule->type == XATTR_MAP_PREFIX)
		before = rule->prepend.len;
	if (before >= XATTR_MAP_NAME_SIZE || len >= XATTR_MAP_NAME_SIZE - before)
		return -ERANGE;
	if (before)
		memcpy(host, rule->prepend.at, before);
	memcpy(host + before, name, len + 1);
	return 0;
}

/* How many bytes of the host's name are not the guest's, or -1 when it is hidden. */
static long cut_of(const struct xattr_map *map, const char *name, size_t len)
{
	const struct xattr_map_rule *rule = find_rule(map, false, name, len);

	if (!rule || rule->type == XATTR_MAP_OK)
		return 0;
	/* The prefix alone would be the guest's empty name, which there is not. */
	if (rule->type == XATTR_MAP_PREFIX && len > rule->prepend.len)
		return (long)rule->prepend.len;
	return -1;
}

size_t xattr_map_list(const struct xattr_map *map, char *names, size_t size)
{
	size_t from = 0, to = 0;

	while (from < size) {
		char *name = names + from;
		size_t len = strnlen(name, size - from);
		long cut;

		if (len == size - from)
			break;
		from += len + 1;
		cut = cut_of(map, name, len);
		if (cut < 0)
			continue;
		memmove(names + to, name + cut, len + 1 - (size_t)cut);
		to += len + 1 - (size_t)cut;
	}
	return to;
}
