/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A list of system calls becomes a filter (libseccomp); see filter.h. Calls
 * without limits cost next to nothing: since Linux 5.11 the kernel remembers
 * that they are always allowed.
 */
#include "daemon/sandbox/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"
#include "daemon/sandbox/filter_table.h"

/* No machine has a system call of this number. */
#define NO_CALL 100000

const char *const filter_action_names[] = { "none", "kill", "log", "trap", NULL };

static const uint32_t verdicts[] = {
	[FILTER_KILL] = SCMP_ACT_KILL_PROCESS, [FILTER_LOG] = SCMP_ACT_LOG,
	[FILTER_TRAP] = SCMP_ACT_TRAP,
};

static const char *filtered = "this process";	/* [I] who it is, for the handler */
static bool installed;				/* [I] */

#if defined(__SANITIZE_ADDRESS__)
/* A test build asks at its end. To look for leaks takes a process that traces this one: no filter lets it. */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
	return installed;
}
#endif

/* The process ends here, so what is not safe in a handler does no more harm. */
static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, info->si_syscall);

	(void)sig;
	(void)context;
	log_error("system call %d (%s) is not on the list of %s", info->si_syscall,
		  name ? name : "no name", filtered);
	/* A second one, while the first is handled, has its default action: it ends the process. */
	syscall(NO_CALL);
}

static int catch_traps(void)
{
	struct sigaction action = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	return sigaction(SIGSYS, &action, NULL) ? -errno : 0;
}

/* Its number, or a negative one where this machine has no such call. */
static int call_number(const char *name)
{
	int number = seccomp_syscall_resolve_name(name);

	for (unsigned int i = 0; number == __NR_SCMP_ERROR && i < filter_n_numbers; i++)
		if (!strcmp(filter_numbers[i].call, name))
			number = filter_numbers[i].number;
	return number;
}

bool filter_knows(const char *call)
{
	return call_number(call) != __NR_SCMP_ERROR;
}

static int allow_group(scmp_filter_ctx filter, const struct filter_group *group)
{
	int err = 0;

	for (unsigned int i = 0; i < FILTER_GROUP_CALLS && group->calls[i] && !err; i++) {
		int number = call_number(group->calls[i]);

		if (number >= 0)
			err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	}
	return err;
}

static int allow_limited(scmp_filter_ctx filter, const struct filter_limit *limit)
{
	int number = call_number(limit->call), err = 0;

	for (unsigned int i = 0; i < limit->n_values && number >= 0 && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
				       SCMP_CMP(limit->argument, SCMP_CMP_MASKED_EQ, limit->mask,
						limit->values[i]));
	return err;
}

static int fill(scmp_filter_ctx filter, const struct filter_list *list)
{
	int err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	/* A tree instead of a chain: some of what is limited is asked for by each request. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (unsigned int i = 0; i < list->n_groups && !err; i++)
		err = allow_group(filter, &list->groups[i]);
	for (unsigned int i = 0; i < list->n_limits && !err; i++)
		err = allow_limited(filter, &list->limits[i]);
	/* abort(3), and nobody else's end. */
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	/* Its flags lie in memory, where no filter sees them; the C library then takes clone(2). */
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return err;
}

int filter_install(const struct filter_list *list, int action)
{
	scmp_filter_ctx filter;
	int err = 0;

	if (action == FILTER_NONE)
		return 0;
	filtered = list->who;
	if (action == FILTER_TRAP)
		err = catch_traps();
	filter = seccomp_init(verdicts[action]);
	if (!err)
		err = filter ? fill(filter, list) : -ENOMEM;
	if (!err)
		err = seccomp_load(filter);
	installed = !err;
	if (filter)
		seccomp_release(filter);
	if (err)
		log_error("cannot filter system calls: %s; give --seccomp none to do without", strerror(-err));
	return err;
}
