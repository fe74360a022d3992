/* SPDX-License-Identifier: BSD-3-Clause */
/* User-mode Linux's command line; see run_uml.h. */
#include "cli/run_uml.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/run_qemu.h"
#include "cli/trust.h"
#include "common/checked.h"
#include "common/log.h"
#include "guest/params.h"

#define VIRTIO_ID_FS 26

static bool has_9p(const struct run_config *config)
{
	for (unsigned int i = 0; i < config->n_shares; i++)
		if (config->shares[i].is_9p)
			return true;
	return false;
}

int run_uml_check(const struct run_config *config)
{
	const struct {
		bool given;
		const char *option, *why;
	} refused[] = {
		{ config->cpus > 1, "--cpus", "has one processor" },
		{ config->window, "--window", "has no DAX window" },
		{ config->dax, "--dax", "has no DAX window" },
		{ has_9p(config), "--9p", "is not QEMU, which serves 9p" },
		{ config->qemu, "--qemu", "is not QEMU" },
		{ config->monitor, "--monitor", "is not QEMU, whose monitor that is" },
		{ config->gdb && *config->gdb, "--gdb=SOCKET", "is a process that gdb attaches to; give --gdb" },
		{ config->systemd, "--systemd", "has no control groups, which systemd needs" },
		{ config->dump, "--dump", "is a process, whose memory gcore(1) writes" },
		{ config->n_ports, "--publish", "is not QEMU, which has the network" },
		{ config->net, "--net", "is not QEMU, which has the network" },
		{ config->reboot, "--reboot", "cannot boot a second time" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		if (!refused[i].given)
			continue;
		log_error("%s with --accel uml: User-mode Linux %s", refused[i].option, refused[i].why);
		return -EINVAL;
	}
	return 0;
}

/* The guest's programs are run from its memory. */
static bool takes_memory(const char *dir, unsigned long long bytes)
{
	struct statvfs fs;

	return !access(dir, W_OK | X_OK) && !statvfs(dir, &fs) && !(fs.f_flag & ST_NOEXEC) &&
	       (unsigned long long)fs.f_bavail * fs.f_frsize >= bytes;
}

int run_uml_place_memory(const struct run_config *config)
{
	const char *const dirs[] = { getenv("TMPDIR"), "/dev/shm", "/tmp" };
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		if (!trust_dir(dirs[i], true, path) || !takes_memory(path, config->memory))
			continue;
		log_debug("the guest's memory is in %s", path);
		return setenv("TMPDIR", path, true) ? -ENOMEM : 0;
	}
	log_error("--memory %lluM: no such room in /dev/shm or /tmp, where a native guest's memory is, or they are mounted noexec; give less, or name another folder in $TMPDIR",
		  (unsigned long long)config->memory >> 20);
	return -ENOSPC;
}

/* Of the path, a colon is the end and a blank the next word: control_open() sees to it. */
static void add_fs(const struct run_control *control, const char *socket, struct words *words)
{
	char path[PATH_MAX];

	control_path(control, socket, path, sizeof(path));
	words_add(words, "virtio_uml.device=%s:%d", path, VIRTIO_ID_FS);
}

/* Serial lines, by guest/params.h. */
static void add_ports(const struct run_uml_fds *fds, struct words *words)
{
	words_add(words, "con=null");
	words_add(words, "ssl=null");
	words_add(words, "ssl0=null,fd:%d", fds->log);
	words_add(words, "ssl1=null,fd:%d", fds->out);
	words_add(words, "ssl2=null,fd:%d", fds->err);
	words_add(words, "ssl3=fd:%d,null", fds->in);
	words_add(words, "ssl4=fd:%d,fd:%d", fds->init, fds->init);
	words_add(words, "console=ttyS0");
}

void run_uml_words(const struct run_config *config, const struct run_parts *parts,
		   const struct run_control *control, const struct run_uml_fds *fds, struct words *words)
{
	words_add(words, "%s", parts->kernel);
	words_add(words, "mem=%lluM", (unsigned long long)config->memory >> 20);
	/* Its own small files are in the control directory, and go with it. */
	words_add(words, "uml_dir=%s/", control->dir);
	words_add(words, "umid=uml");
	/* Else it counts for 40 ms what it can do in ten. No driver here waits by counting. */
	words_add(words, "lpj=25000000");
	words_add(words, "noreboot");
	words_add(words, "panic=-1");
	add_ports(fds, words);
	add_fs(control, RUN_BOOT_SOCKET, words);
	add_fs(control, RUN_ROOT_SOCKET, words);
	for (unsigned int i = 0; i < config->n_shares; i++) {
		char socket[32];

		snprintf(socket, sizeof(socket), RUN_SHARE_SOCKET, i);
		add_fs(control, socket, words);
	}
	words_add(words, "root=" GUEST_BOOT_TAG);
	words_add(words, "rootfstype=virtiofs");
	words_add(words, "ro");
	words_add(words, "init=/init");
	/* One word of ours may be several of the kernel's: it joins all by blanks. */
	if (config->append)
		words_add(words, "%s", config->append);
}
