/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A user namespace; see user_ns.h. Who made one may map only his own id into
 * it; newuidmap and newgidmap, which may do more, must be run from outside,
 * so a child that stays outside waits to run them.
 */
#include "daemon/sandbox/user_ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/sandbox/id_map.h"

#define HELPER_WORDS (3 + 3 * ID_MAP_MAX)

/* ---- by the process itself ---- */

static int write_file(const char *path, const char *text)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

static int write_one(const char *path, const struct id_range *range)
{
	char line[ID_MAP_LINE];

	snprintf(line, sizeof(line), "%u %u %u\n", range->inside, range->outside, range->count);
	return write_file(path, line);
}

/* Groups cannot be dropped any more after this: else one could get rid of a group that denies. */
static int map_own(const struct id_range *uid, const struct id_range *gid)
{
	int err = write_file("/proc/self/setgroups", "deny");

	if (!err || err == -ENOENT)
		err = write_one("/proc/self/uid_map", uid);
	if (!err)
		err = write_one("/proc/self/gid_map", gid);
	if (err)
		log_error("cannot map ids into the user namespace: %s; give --sandbox none", strerror(-err));
	return err;
}

/* ---- by a child outside ---- */

static int run_helper(const char *program, pid_t pid, const struct id_map *map)
{
	char numbers[1 + 3 * ID_MAP_MAX][12], *argv[HELPER_WORDS] = { (char *)(uintptr_t)program };
	unsigned int n = 0;
	int status;
	pid_t child;

	snprintf(numbers[n++], sizeof(numbers[0]), "%d", (int)pid);
	for (unsigned int i = 0; i < map->n; i++) {
		snprintf(numbers[n++], sizeof(numbers[0]), "%u", map->ranges[i].inside);
		snprintf(numbers[n++], sizeof(numbers[0]), "%u", map->ranges[i].outside);
		snprintf(numbers[n++], sizeof(numbers[0]), "%u", map->ranges[i].count);
	}
	for (unsigned int i = 0; i < n; i++)
		argv[i + 1] = numbers[i];
	child = fork();
	if (child == 0) {
		execvp(program, argv);
		log_error("%s cannot be run: %m; install it (Debian: uidmap)", program);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -errno;
	if (status == 0)
		return 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 127)
		log_error("%s refused the map; it wants a range of /etc/subuid or /etc/subgid", program);
	return -EPERM;
}

/* `ready` gives a byte when the parent is in its namespace, or its end when it is not. */
static void __attribute__((noreturn))
helper_main(int ready, const struct id_map *uids, const struct id_map *gids)
{
	pid_t parent = getppid();
	char byte;

	if (read(ready, &byte, 1) != 1)
		_exit(1);
	_exit(run_helper("newuidmap", parent, uids) || run_helper("newgidmap", parent, gids));
}

static int unshare_user(void)
{
	if (!unshare(CLONE_NEWUSER))
		return 0;
	log_error("cannot make a user namespace: %m: this system or container does not let ordinary users; give --sandbox none, or run as root");
	return -EPERM;
}

static int map_by_helper(const struct id_map *uids, const struct id_map *gids)
{
	int ends[2], status = 0, err;
	pid_t helper;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	helper = fork();
	if (helper == 0) {
		close(ends[1]);
		helper_main(ends[0], uids, gids);
	}
	close(ends[0]);
	err = helper < 0 ? -errno : unshare_user();
	if (!err && write(ends[1], "", 1) != 1)
		err = -errno;
	close(ends[1]);
	if (helper > 0 && waitpid(helper, &status, 0) == helper && !err && status)
		err = -EPERM;
	return err;
}

/* ---- the namespace ---- */

static struct id_map map_or_own(const struct id_map *map, uint32_t own)
{
	struct id_map one = { .n = 1, .ranges = { { own, own, 1 } } };

	return map->n ? *map : one;
}

static int become_root(void)
{
	if (!setresgid(0, 0, 0) && !setresuid(0, 0, 0))
		return 0;
	log_error("cannot become the user namespace's root: %m");
	return -EPERM;
}

int user_ns_enter(const struct id_map *uids, const struct id_map *gids)
{
	struct id_map users = map_or_own(uids, geteuid()), groups = map_or_own(gids, getegid());
	bool own = id_map_is_own(&users, geteuid()) && id_map_is_own(&groups, getegid());
	int err;

	if (own) {
		err = unshare_user();
		if (!err)
			err = map_own(&users.ranges[0], &groups.ranges[0]);
	} else {
		err = map_by_helper(&users, &groups);
	}
	if (!err && id_map_has(&users, 0) && id_map_has(&groups, 0))
		err = become_root();
	return err;
}
