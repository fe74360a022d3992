/* SPDX-License-Identifier: BSD-3-Clause */
/* The stages, and which mode takes which; see sandbox.h. */
#include "daemon/sandbox/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/log.h"
#include "daemon/sandbox/filter_table.h"
#include "daemon/sandbox/landlock.h"
#include "daemon/sandbox/process.h"
#include "daemon/sandbox/user_ns.h"

/* Beside pid and user: what it shares with nobody. Nothing in the daemon needs any of it. */
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
/* To register a file for passthrough, and to make the FUSE mount its root. */
#define STAND_IN_CAPS (CAPS_BIT(CAP_SYS_ADMIN) | CAPS_BIT(CAP_SYS_CHROOT))

const char *const sandbox_mode_names[] = { "namespace", "chroot", "none", NULL };

static bool ordinary_user;	/* [I] before any user namespace made us look like root */
static bool many_users;		/* [I] */

int sandbox_check(const struct sandbox_config *config)
{
	bool maps = config->uid_map.n || config->gid_map.n;

	ordinary_user = geteuid() != 0;
	if (config->mode == SANDBOX_CHROOT && ordinary_user) {
		log_error("--sandbox chroot needs root; give --sandbox namespace or --sandbox none");
		return -EPERM;
	}
	if (maps && !ordinary_user) {
		log_error("--uid-map and --gid-map are for ordinary users: root needs no user namespace");
		return -EPERM;
	}
	many_users = !ordinary_user || config->uid_map.n > 1 ||
		     (config->uid_map.n && config->uid_map.ranges[0].count > 1);
	return 0;
}

int sandbox_fork(const struct sandbox_config *config, pid_t *child)
{
	int err = 0;

	*child = 0;
	if (config->mode == SANDBOX_NONE)
		return 0;
	if (ordinary_user)
		err = user_ns_enter(&config->uid_map, &config->gid_map);
	return err ? err : process_fork(config->mode == SANDBOX_NAMESPACE, child);
}

static int no_new_privileges(void)
{
	if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return 0;
	log_error("cannot confine the daemon: no_new_privs: %m");
	return -EPERM;
}

static int unshare_all(void)
{
	int err;

	if (!unshare(NAMESPACES))
		return 0;
	err = -errno;
	log_error("cannot make mount and network namespaces: %s: this container or user may not; give --sandbox chroot (as root) or --sandbox none",
		  strerror(-err));
	return err;
}

/*
 * A file that is opened by its handle may have no path, and without one it is
 * below nothing: handles and Landlock exclude each other.
 */
static int second_wall(const struct sandbox_config *config, const struct sandbox_roots *roots)
{
	int err;

	if (config->file_handles)
		return 0;
	err = no_new_privileges();
	if (!err && landlock_confine(roots->root_fd))
		log_debug("no Landlock here (Linux 5.19)");
	return err;
}

int sandbox_enter(const struct sandbox_config *config, struct sandbox_roots *roots)
{
	int err = 0;

	switch ((enum sandbox_mode)config->mode) {
	case SANDBOX_NAMESPACE:
		err = unshare_all();
		if (!err)
			err = mounts_enter(config->dir, config->readonly, roots);
		break;
	case SANDBOX_CHROOT:
		err = mounts_chroot(config->dir, roots);
		break;
	case SANDBOX_NONE:
		return mounts_plain(config->dir, roots);
	}
	return err ? err : second_wall(config, roots);
}

bool sandbox_has_users(void)
{
	return many_users;
}

static int keep_capabilities(uint64_t keep)
{
	int err = caps_keep(keep);

	if (err)
		log_error("cannot confine the daemon: its capabilities cannot be dropped: %s", strerror(-err));
	return err;
}

uint64_t sandbox_keeps(const struct sandbox_config *config)
{
	return caps_wanted(&config->modcaps, config->file_handles) & caps_held();
}

int sandbox_renounce(const struct sandbox_config *config)
{
	uint64_t held = caps_held(), gone = held & config->modcaps.remove & ~CAPS_BIT(CAP_SETPCAP);

	return gone ? keep_capabilities(held & ~gone) : 0;
}

int sandbox_seal(const struct sandbox_config *config)
{
	int err = no_new_privileges();

	if (config->modcaps.add & ~caps_held())
		log_warn("--modcaps: this process does not have all that it names");
	if (!err)
		err = keep_capabilities(caps_wanted(&config->modcaps, config->file_handles));
	if (!err && config->mode != SANDBOX_NONE)
		process_bind();
	return err ? err : filter_install(&filter_serving, config->seccomp);
}

int sandbox_confine_stand_ins(const void *ctx)
{
	const struct sandbox_config *config = ctx;
	int err = no_new_privileges();

	if (!err)
		err = keep_capabilities(STAND_IN_CAPS);
	return err ? err : filter_install(&filter_stand_ins, config->seccomp);
}
