/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose the files are; see run_user.h. */
#include "cli/run_user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/log.h"

/* In a user namespace, files of users that it does not have are this one's. */
#define NOBODY 65534

/* ---- the user ---- */

/* By name, by number, or with "" the caller. */
static const struct passwd *look_up(const char *name)
{
	const struct passwd *user = *name ? getpwnam(name) : getpwuid(getuid());
	unsigned long id;
	char *end;

	if (user || !*name)
		return user;
	id = strtoul(name, &end, 10);
	return *end || id >= (uid_t)-1 ? NULL : getpwuid((uid_t)id);
}

int run_user_find(struct run_config *config)
{
	struct run_user *user = &config->user;
	const struct passwd *found;

	if (!config->user_name)
		return 0;
	errno = 0;
	found = look_up(config->user_name);
	if (!found) {
		log_error("--user: this system has no user %s", *config->user_name ? config->user_name : "of your number");
		return -ENOENT;
	}
	*user = (struct run_user){
		.name = strdup(found->pw_name), .home = strdup(found->pw_dir), .shell = strdup(found->pw_shell),
		.uid = found->pw_uid, .gid = found->pw_gid, .n_groups = RUN_GROUPS_MAX,
	};
	if (!user->name || !user->home || !user->shell)
		return -ENOMEM;
	/* With more groups than there is room for, the first ones. */
	if (getgrouplist(user->name, user->gid, user->groups, &user->n_groups) < 0)
		user->n_groups = RUN_GROUPS_MAX;
	return 0;
}

void run_user_put(FILE *file, const struct run_config *config)
{
	const struct run_user *user = &config->user;

	if (!user->uid)
		return;
	fprintf(file, "user=%s:%u:%u:%s:%s%c", user->name, user->uid, user->gid, user->home, user->shell, '\0');
	for (int i = 0; i < user->n_groups; i++) {
		const struct group *group = getgrgid(user->groups[i]);

		fprintf(file, "group=%s:%u%c", group ? group->gr_name : "", user->groups[i], '\0');
	}
}

/* ---- their ids ---- */

/* True when one of the words is about ids: then it says all of them. */
static bool says_ids(const char *const *words, unsigned int n)
{
	static const char *const about[] = { "--translate-", "--uid-map", "--gid-map", "--posix-acl" };

	for (unsigned int i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(about); k++)
			if (!strncmp(words[i], about[k], strlen(about[k])))
				return true;
	return false;
}

static void map_one(const char *option, unsigned int guest, unsigned int host, struct words *words)
{
	if (guest != host)
		words_option(words, option, "map:%u:%u:1", guest, host);
}

void run_user_words(const struct run_config *config, const struct run_share *share, struct words *words)
{
	/* The files of the default root are root's, whichever user made the tree. */
	bool users = share || config->root;
	unsigned int uid = users ? config->user.uid : 0, gid = users ? config->user.gid : 0;

	if (!geteuid() || config->daemon)
		return;
	if (share && (says_ids(config->daemon_args, config->n_daemon_args) || says_ids(share->args, share->n_args)))
		return;
	map_one("--translate-uid", uid, geteuid(), words);
	map_one("--translate-gid", gid, getegid(), words);
	/* A system's files are root's, and programs look whether they are. */
	if (!share && geteuid() != NOBODY)
		words_option(words, "--translate-uid", "host:%u:0:1", NOBODY);
	if (!share && getegid() != NOBODY)
		words_option(words, "--translate-gid", "host:%u:0:1", NOBODY);
}
