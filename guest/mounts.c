/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's mounts; see mounts.h. */
#include "guest/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "guest/modules.h"
#include "guest/report.h"
#include "guest/root.h"

#define NEW_ROOT "/" GUEST_ROOT_MOUNT
#define SHARE_PATH_SIZE (sizeof(GUEST_MOUNT_DIR "/") + NAME_MAX)

/* Pseudo file systems that move from the boot share to the real root. */
static const struct pseudo {
	const char *type;
	const char *dir;
	const char *new_dir;
} pseudos[] = {
	{ "proc", "/proc", NEW_ROOT "/proc" },
	{ "sysfs", "/sys", NEW_ROOT "/sys" },
	{ "devtmpfs", "/dev", NEW_ROOT "/dev" },
};

void mounts_early(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(pseudos); i++) {
		/* The kernel mounts devtmpfs itself. */
		if (mount(pseudos[i].type, pseudos[i].dir, pseudos[i].type, 0, NULL) && errno != EBUSY)
			report_failure("the guest cannot mount %s: %s", pseudos[i].dir, strerror(errno));
	}
}

/* Shells make pipes of <(...) through /dev/fd; devtmpfs has none of these. */
static void make_dev_links(void)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" },
		{ "/proc/self/fd/0", "/dev/stdin" },
		{ "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		if (symlink(links[i][0], links[i][1]) && errno != EEXIST)
			report_note("%s: %s", links[i][1], strerror(errno));
	}
}

/* `required`: a guest without it is of no use. */
static void mount_tmpfs(const char *dir, const char *options, bool required)
{
	if (!mkdir(dir, 0755) || errno == EEXIST || errno == EROFS) {
		if (!mount("tmpfs", dir, "tmpfs", MS_NOSUID, options))
			return;
	}
	if (required)
		report_failure("the guest's root has no folder %s and cannot be given one: %s", dir,
			       strerror(errno));
}

/* A home that is not the guest's to change, or that an ordinary user of the host may not read. */
static bool needs_home(const struct guest_params *params, const char *home)
{
	cleanup_close int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return params->root_readonly || (fd < 0 && errno == EACCES);
}

static void mount_system_dirs(const struct guest_params *params)
{
	make_dev_links();
	if ((mkdir("/dev/pts", 0755) && errno != EEXIST) ||
	    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"))
		report_note("no /dev/pts: %s", strerror(errno));
	mount_tmpfs("/dev/shm", "mode=1777", false);
	mount_tmpfs("/run", "mode=755", false);
	mount_tmpfs(GUEST_MOUNT_DIR, "mode=755", true);
	if (needs_home(params, "/root"))
		mount_tmpfs("/root", "mode=700", false);
	if (!params->root_readonly && !params->root_cow)
		return;
	mount_tmpfs("/tmp", "mode=1777", false);
	mount_tmpfs("/var/tmp", "mode=1777", false);
}

void mounts_switch_root(const struct guest_params *params)
{
	root_mount(params);
	for (size_t i = 0; i < ARRAY_SIZE(pseudos); i++) {
		if (!params->root_readonly)
			mkdir(pseudos[i].new_dir, 0755);
		if (mount(pseudos[i].dir, pseudos[i].new_dir, NULL, MS_MOVE, NULL))
			report_failure("the guest's root has no folder %s: %s", pseudos[i].dir,
				       strerror(errno));
	}
	/* The boot share comes to lie upon the new root, and is the mount that is taken away; report.c still has it. */
	if (chdir(NEW_ROOT) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		report_failure("the guest cannot change to its root: %s", strerror(errno));
	mount_system_dirs(params);
}

/* 9p is made of modules in Debian's kernel. Without them the mount fails, and says so. */
static void load_9p(void)
{
	modules_load("/", "9pnet_virtio");
	modules_load("/", "9p");
}

static void share_path(const struct guest_mount *share, char *path, size_t size)
{
	snprintf(path, size, GUEST_MOUNT_DIR "/%s", share->name);
}

void mounts_shares(const struct guest_params *params)
{
	for (unsigned int i = 0; i < params->n_mounts; i++) {
		const struct guest_mount *share = &params->mounts[i];
		char path[SHARE_PATH_SIZE];

		if (!strcmp(share->type, "9p"))
			load_9p();
		share_path(share, path, sizeof(path));
		if (mkdir(path, 0755) || mount(share->tag, path, share->type,
					       share->readonly ? MS_RDONLY : 0, share->options))
			report_failure("the guest cannot mount %s as %s with options \"%s\": %s",
				       share->name, share->type, share->options, strerror(errno));
	}
}

int mounts_enter(const struct guest_params *params, const char **where)
{
	char path[SHARE_PATH_SIZE];

	if (params->n_mounts) {
		*where = params->mounts[0].name;
		share_path(&params->mounts[0], path, sizeof(path));
		if (chdir(path))
			return -errno;
	}
	*where = params->cwd;
	return params->cwd && chdir(params->cwd) ? -errno : 0;
}

void mounts_release(const struct guest_params *params)
{
	if (chdir("/"))
		return;
	for (unsigned int i = params->n_mounts; i-- > 0;) {
		char path[SHARE_PATH_SIZE];

		share_path(&params->mounts[i], path, sizeof(path));
		/* Still busy if the command mounted something on it; sync(2) follows anyway. */
		if (umount2(path, UMOUNT_NOFOLLOW) && umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH))
			report_note("umount %s: %s", path, strerror(errno));
	}
}
