/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's root file system; see root.h. */
#include "guest/root.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/modules.h"
#include "guest/report.h"

#define NEW_ROOT "/" GUEST_ROOT_MOUNT
#define MODULES "/" GUEST_MODULES_MOUNT
#define COW "/" GUEST_COW_MOUNT
/*
 * What is changed is in memory, where root may all that a file system can: set owners, devices and any
 * extended attribute, also for an ordinary user of the host. Half of the memory is the programs'.
 */
#define COW_OPTIONS "mode=755,size=50%"
#define LOWER COW "/lower"
#define UPPER COW "/upper"
#define WORK COW "/work"
/* Renaming a directory is no copy of all that is in it. */
#define OVERLAY_OPTIONS "lowerdir=" LOWER ",upperdir=" UPPER ",workdir=" WORK ",redirect_dir=on"

static void mount_share(const char *tag, const char *dir, const struct guest_params *params)
{
	bool readonly = params->root_readonly || params->root_cow || strcmp(tag, GUEST_ROOT_TAG);

	if (mount(tag, dir, params->fs, readonly ? MS_RDONLY : 0, NULL))
		report_failure("the guest cannot mount its root over virtio-fs: %s", strerror(errno));
}

/* The layers' directories. The upper one is what "/" looks like. */
static void make_layers(const struct guest_params *params)
{
	struct stat st;

	if (mount("tmpfs", COW, "tmpfs", 0, COW_OPTIONS) || mkdir(LOWER, 0755))
		report_failure("the guest cannot mount memory for its root: %s", strerror(errno));
	mount_share(GUEST_ROOT_TAG, LOWER, params);
	if (stat(LOWER, &st) || mkdir(UPPER, 0755) || mkdir(WORK, 0755) || chown(UPPER, st.st_uid, st.st_gid) ||
	    chmod(UPPER, st.st_mode & 07777))
		report_failure("the guest cannot make its root: %s", strerror(errno));
}

static void mount_cow(const struct guest_params *params)
{
	int err;

	make_layers(params);
	if (!mount("overlay", NEW_ROOT, "overlay", 0, OVERLAY_OPTIONS))
		return;
	if (errno != ENODEV)
		report_failure("the guest cannot mount an overlay on its root: %s", strerror(errno));
	err = modules_load(params->modules ? MODULES : LOWER, "overlay");
	if (err)
		report_failure("the guest's kernel has no overlay file system, which a copy-on-write root needs, nor a module for it in the root's /lib/modules: %s; give --kernel one that has",
			       strerror(-err));
	if (mount("overlay", NEW_ROOT, "overlay", 0, OVERLAY_OPTIONS))
		report_failure("the guest cannot mount an overlay on its root: %s", strerror(errno));
}

/* A root may be without that directory, and then it has no modules. */
static void move_modules(const struct guest_params *params)
{
	if (params->root_cow && mkdir(NEW_ROOT "/lib/modules", 0755) && errno != EEXIST)
		report_note("no /lib/modules: %s", strerror(errno));
	if (mount(MODULES, NEW_ROOT "/lib/modules", NULL, MS_MOVE, NULL))
		report_note("the root has no modules of this kernel: /lib/modules: %s", strerror(errno));
}

void root_mount(const struct guest_params *params)
{
	if (params->modules)
		mount_share(GUEST_MODULES_TAG, MODULES, params);
	if (params->root_cow)
		mount_cow(params);
	else
		mount_share(GUEST_ROOT_TAG, NEW_ROOT, params);
	if (params->modules)
		move_modules(params);
}
