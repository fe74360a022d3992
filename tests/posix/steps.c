/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows and users; see steps.h. */
#include "tests/posix/steps.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/posix/check.h"

static const struct user {
	uid_t uid;
	gid_t gid;
	size_t n_groups;
	gid_t groups[2];
} users[] = {
	[OWNER] = { OWNER_UID, OWNER_GID, 1, { OWNER_GID } },
	[GROUP] = { GROUP_UID, OWNER_GID, 1, { OWNER_GID } },
	[SUPP] = { SUPP_UID, SUPP_GID, 2, { SUPP_GID, OWNER_GID } },
	[OTHER] = { OTHER_UID, OTHER_GID, 1, { OTHER_GID } },
};

static void must(int result, const char *what)
{
	if (!result)
		return;
	perror(what);
	exit(2);
}

void who_become(enum who who)
{
	const struct user *user = &users[who];

	if (who == ME)
		return;
	must(setgroups(user->n_groups, user->groups), "setgroups");
	must(setresgid(user->gid, user->gid, 0), "setresgid");
	must(setresuid(user->uid, user->uid, 0), "setresuid");
}

void who_return(void)
{
	if (geteuid() == 0)
		return;
	if (setresuid(0, 0, 0))	/* an ordinary user was nobody else */
		return;
	must(setresgid(0, 0, 0), "setresgid");
	must(setgroups(0, NULL), "setgroups");
}

long do_as(enum who who, op_fn *op, const char *a, const char *b, long arg)
{
	long result;

	who_become(who);
	result = op(a, b, arg);
	who_return();
	return result;
}

void run_steps(const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct step *step = &steps[i];
		long got = do_as(step->who, step->op, step->a, step->b, step->arg);

		if (step->name)
			check(got, step->want, "%s", step->name);
		else if (got != step->want)
			check(got, step->want, "preparation-%zu", i);
	}
}
