/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * -o words, each of which stands for an option of the table; see
 * config_legacy.h. Relies on the options to check their values; never sets a
 * member by itself, and knows nothing of struct config.
 */
#include "daemon/config_legacy.h"

#include <errno.h>
#include <string.h>

#include "common/checked.h"
#include "common/log.h"

const struct option_refusal legacy_refusals[] = {
	{ "daemonize", "casementd stays in the foreground; start it from systemd, or with & in a shell" },
	{ NULL },
};

/* What a word does with its option. */
enum legacy_effect {
	LEGACY_VALUE,	/* gives it the word's value */
	LEGACY_ON,	/* the word alone sets it, to `fixed` if it takes a value */
	LEGACY_OFF,	/* takes a flag back, whoever gave it, or sets `to` if it takes a value */
	LEGACY_NOTHING,	/* means nothing here; `why` says so in a warning, unless it is the normal state */
	LEGACY_IGNORED,	/* the same of a word with a value */
};

struct legacy_row {
	const char *word;
	enum legacy_effect effect;
	const char *option;
	const char *from, *to;	/* LEGACY_VALUE: another name of a value; else `to` is the value */
	const char *why;
};

static const struct legacy_row rows[] = {
	{ "source", LEGACY_VALUE, "shared-dir" },
	{ "cache", LEGACY_VALUE, "cache", "none", "never" },
	{ "timeout", LEGACY_VALUE, "timeout" },
	{ "log_level", LEGACY_VALUE, "log-level", "err", "error" },
	{ "loglevel", LEGACY_VALUE, "log-level", "err", "error" },
	{ "debug", LEGACY_ON, "log-level", .to = "debug" },
	{ "sandbox", LEGACY_VALUE, "sandbox" },
	{ "modcaps", LEGACY_VALUE, "modcaps" },
	{ "xattr", LEGACY_ON, "xattr" },
	{ "no_xattr", LEGACY_OFF, "xattr" },
	{ "xattrmap", LEGACY_VALUE, "xattrmap" },
	{ "posix_acl", LEGACY_ON, "posix-acl" },
	{ "no_posix_acl", LEGACY_OFF, "posix-acl", .to = "never" },
	{ "security_label", LEGACY_ON, "security-label" },
	{ "no_security_label", LEGACY_OFF, "security-label", .to = "never" },
	{ "killpriv_v2", LEGACY_ON, "killpriv-v2" },
	{ "no_killpriv_v2", LEGACY_OFF, "killpriv-v2" },
	{ "announce_submounts", LEGACY_ON, "announce-submounts" },
	{ "no_announce_submounts", LEGACY_OFF, "announce-submounts" },
	{ "flock", LEGACY_ON, "flock" },
	{ "no_flock", LEGACY_OFF, "flock" },
	{ "posix_lock", LEGACY_ON, "posix-lock" },
	{ "no_posix_lock", LEGACY_OFF, "posix-lock" },
	{ "writeback", LEGACY_ON, "writeback" },
	{ "no_writeback", LEGACY_OFF, "writeback" },
	{ "readdirplus", LEGACY_OFF, "no-readdirplus" },
	{ "no_readdirplus", LEGACY_ON, "no-readdirplus" },
	{ "allow_direct_io", LEGACY_ON, "allow-direct-io" },
	{ "no_allow_direct_io", LEGACY_OFF, "allow-direct-io" },
	{ "allow_root", LEGACY_NOTHING },
	{ "norace", LEGACY_NOTHING },
	{ "max_idle_threads", LEGACY_IGNORED,
	  .why = "idle threads of the pool cost nothing; --thread-pool-size bounds them all" },
};

/* End one word where it stands, its escapes undone, and return what follows its comma. */
static char *end_word(char *at)
{
	char *to = at;

	while (*at) {
		if ((at[0] == ',' || at[0] == '\\') && at[1] == ',')
			at++;
		else if (*at == ',')
			break;
		*to++ = *at++;
	}
	if (*at)
		at++;
	*to = '\0';
	return at;
}

static const struct legacy_row *find_row(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].word, word))
			return &rows[i];
	return NULL;
}

/* To be off is how a flag begins, so that one we do not have is off. */
static int turn_off(const struct option_row *option, const char *value, void *config)
{
	struct option_row off;

	if (!option)
		return 0;
	if (value)
		return options_set(option, value, config);
	off = *option;
	off.kind = option->kind == OPTION_UNFLAG ? OPTION_FLAG : OPTION_UNFLAG;
	return options_set(&off, NULL, config);
}

static int turn_on(const struct option_table *table, const struct legacy_row *row,
		   const char *value, void *config)
{
	const struct option_row *option = options_find(table, row->option);
	const char *why = options_refusal(table, row->option);

	if (!option) {
		log_error("-o %s: not supported: %s", row->word, why ? why : "there is no such option");
		return -EOPNOTSUPP;
	}
	if (value && row->from && !strcmp(value, row->from))
		value = row->to;
	return options_set(option, value ? value : row->to, config);
}

static int apply_row(const struct option_table *table, const struct legacy_row *row,
		     const char *value, void *config)
{
	bool wants = row->effect == LEGACY_VALUE || row->effect == LEGACY_IGNORED;

	if (wants != (value != NULL)) {
		log_error("-o %s: %s", row->word, wants ? "needs a value" : "takes no value");
		return -EINVAL;
	}
	if (row->why)
		log_warn("-o %s: has no effect: %s", row->word, row->why);
	switch (row->effect) {
	case LEGACY_VALUE:
	case LEGACY_ON:
		return turn_on(table, row, value, config);
	case LEGACY_OFF:
		return turn_off(options_find(table, row->option), row->to, config);
	default:
		return 0;
	}
}

int legacy_apply(const struct option_table *table, char *argument, void *config)
{
	int err = 0;

	while (*argument && !err) {
		char *word = argument, *value;
		const struct legacy_row *row;

		argument = end_word(word);
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		row = find_row(word);
		if (!row && (*word || value)) {
			log_error("-o %s: not known; see casementd --help for the options", word);
			return -EINVAL;
		}
		err = row ? apply_row(table, row, value, config) : 0;
	}
	return err;
}
