/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine's daemons; see run_service.h. Each gets a socket that is listening already, so that nothing
 * has to be waited for before the VMM starts. A daemon ends by itself when the VMM has left.
 */
#include "cli/run_service.h"

#include <limits.h>
#include <stdio.h>

#include "cli/run_qemu.h"
#include "cli/run_user.h"
#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "guest/params.h"

#define WINDOW_RANGE (2ULL << 20)	/* what a guest maps at a time */
/*
 * Live mappings of all shares together: what a new one costs QEMU 11.1 grows
 * with the cube of their number, and past 512 memory regions it aborts. A share
 * has some in any case.
 */
#define WINDOW_MAPPINGS 128
#define WINDOW_MAPPINGS_LEAST 24

/* What a daemon serves. */
struct service {
	const char *socket, *dir, *tag, *cache;
	bool readonly;
	bool of_user;			/* its files are a user's, not all this program's own */
	bool one_device;		/* what is mounted in it is a part of it */
	const struct run_share *share;	/* NULL: one of the system's */
};

static unsigned long long window_mappings(const struct machine *machine)
{
	return MAX(WINDOW_MAPPINGS / run_count_windows(machine->config, machine->parts), WINDOW_MAPPINGS_LEAST);
}

void services_announce(const struct machine *machine)
{
	unsigned long long most;

	if (!run_count_windows(machine->config, machine->parts)) {
		if (machine->config->dax)
			log_warn("--dax: no share has a window; give --window, and a share that is not read-only");
		return;
	}
	most = window_mappings(machine) * WINDOW_RANGE;
	if (machine->config->window > most)
		log_warn("--window: a share's window is %llu MiB: a guest maps 2 MiB at a time, and QEMU 11.1 gets slow with many mappings",
			 most >> 20);
}

static void add_window(const struct machine *machine, const char *tag, struct words *words)
{
	unsigned long long mappings = window_mappings(machine);

	/* The generic device takes its tag from the daemon; QEMU's own has it, and warns of another. */
	words_option(words, "--tag", "%s", tag);
	words_option(words, "--window-size", "%llu",
		     MIN((unsigned long long)machine->config->window, mappings * WINDOW_RANGE));
	words_option(words, "--window-mappings", "%llu", mappings);
}

static void add_daemon_words(const struct machine *machine, const struct service *service, int fd,
			     struct words *words)
{
	const struct run_config *config = machine->config;

	words_add(words, "%s", machine->parts->daemon);
	words_option(words, "--fd", "%d", fd);
	words_option(words, "--shared-dir", "%s", service->dir);
	words_option(words, "--cache", "%s", service->cache);
	words_option(words, "--log-level", "%s", log_level_names[config->log_level]);
	if (config->sandbox)
		words_option(words, "--sandbox", "%s", run_sandbox_names[config->sandbox]);
	if (machine->parts->uml)
		words_option(words, "--tag", "%s", service->tag);
	if (service->readonly)
		words_add(words, "--readonly");
	if (service->one_device)
		words_add(words, "--no-announce-submounts");
	/* An overlayfs never looks a name up again whose file turned stale. */
	if (!service->share && config->root_mode == RUN_ROOT_COW)
		words_option(words, "--inode-file-handles", "never");
	if (service->of_user)
		run_user_words(config, service->share, words);
	if (!service->share)
		return;
	words_option(words, "--queues", "%llu", (unsigned long long)config->queues);
	if (config->allow_mmap)
		words_add(words, "--allow-mmap");
	if (run_share_has_window(machine->parts, service->share))
		add_window(machine, service->tag, words);
	for (unsigned int i = 0; i < config->n_daemon_args; i++)
		words_add(words, "%s", config->daemon_args[i]);
	for (unsigned int i = 0; i < service->share->n_args; i++)
		words_add(words, "%s", service->share->args[i]);
}

static int start_daemon(struct machine *machine, const struct service *service)
{
	struct machine_process *daemon = &machine->daemons[machine->n_daemons];
	cleanup_close int fd = control_listen(machine->control, service->socket);
	struct child_setup setup = { .out = -1, .err = -1, .keep = { fd }, .n_keep = 1,
				     .bound = true };
	struct words words = { 0 };
	pid_t pid;

	if (fd < 0)
		return fd;
	add_daemon_words(machine, service, fd, &words);
	pid = machine_spawn(&words, &setup);
	words_free(&words);
	if (pid < 0)
		return pid;
	*daemon = (struct machine_process){ .pid = pid, .dir = service->dir };
	machine->n_daemons++;
	return 0;
}

/* What the guest boots from, its root, and its kernel's modules where the root has other ones. */
static int start_system_daemons(struct machine *machine)
{
	const struct run_parts *parts = machine->parts;
	char boot[PATH_MAX];
	const struct service services[] = {
		{ .socket = RUN_BOOT_SOCKET, .dir = boot, .tag = GUEST_BOOT_TAG, .cache = "auto", .readonly = true },
		/* An overlay does not go on into a mount that is made on the way. */
		{ .socket = RUN_ROOT_SOCKET, .dir = parts->root, .tag = GUEST_ROOT_TAG,
		  .cache = parts->root_cache, .readonly = parts->root_mode != RUN_ROOT_WRITABLE,
		  .one_device = parts->root_mode == RUN_ROOT_COW, .of_user = true },
		{ .socket = RUN_MODULES_SOCKET, .dir = parts->modules, .tag = GUEST_MODULES_TAG,
		  .cache = "always", .readonly = true },
	};
	int err = 0;

	control_path(machine->control, "boot", boot, sizeof(boot));
	for (size_t i = 0; i < ARRAY_SIZE(services) && !err; i++)
		if (services[i].dir)
			err = start_daemon(machine, &services[i]);
	if (!err)
		machine->daemons[0].dir = "the boot folder";
	return err;
}

int services_start(struct machine *machine)
{
	struct service service;
	char socket[32];
	int err = start_system_daemons(machine);

	for (unsigned int i = 0; i < machine->config->n_shares && !err; i++) {
		const struct run_share *share = &machine->config->shares[i];

		if (share->is_9p)
			continue;
		snprintf(socket, sizeof(socket), RUN_SHARE_SOCKET, i);
		service = (struct service){
			.socket = socket, .dir = share->dir, .tag = share->tag, .share = share, .of_user = true,
			.cache = run_cache_names[machine->config->cache], .readonly = share->readonly,
		};
		err = start_daemon(machine, &service);
	}
	return err;
}
