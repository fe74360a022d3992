/* SPDX-License-Identifier: BSD-3-Clause */
/* What `casement run` was asked for: its option table and the result. */
#ifndef CASEMENT_CLI_RUN_CONFIG_H
#define CASEMENT_CLI_RUN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/options.h"

#define RUN_SHARES_MAX 16
#define RUN_DAEMON_ARGS_MAX 32
#define RUN_ENV_MAX 128
#define RUN_GROUPS_MAX 256
#define RUN_PORTS_MAX 32
#define RUN_SHARE_ARGS_MAX 16
#define RUN_TAG_MAX 36		/* virtio-fs: a tag has 36 bytes */

struct run_share {
	const char *dir;
	const char *name;	/* its folder in the guest's GUEST_MOUNT_DIR */
	const char *tag;	/* of its device; differs from `name` where that has what a tag cannot have */
	bool readonly;
	bool is_9p;	/* served by QEMU's virtio-9p, for comparison */
	const char *args[RUN_SHARE_ARGS_MAX];	/* further words for its casementd */
	unsigned int n_args;
};

/* A TCP port of the host that leads to one of the guest. */
struct run_port {
	char address[16];	/* of the host, IPv4 */
	unsigned short host, guest;
};

/* As whom the command runs; all zero: root. */
struct run_user {
	const char *name, *home, *shell;
	uid_t uid;
	gid_t gid;
	gid_t groups[RUN_GROUPS_MAX];
	int n_groups;
};

/* Strings are borrowed from argv, or live as long as the process. */
struct run_config {
	struct run_share shares[RUN_SHARES_MAX];
	unsigned int n_shares;
	uint64_t window;		/* bytes, a multiple of 2 MiB; 0: none */
	uint64_t cpus;			/* 0: not said */
	uint64_t memory, queues;
	const char *root;		/* NULL: the guest root of vm-root */
	int root_mode;			/* of `root`: enum run_root */
	const char *include;		/* packages for the guest root of vm-root, joined by commas; NULL: none */
	const char *kernel, *module, *qemu, *daemon, *append, *log, *monitor;
	const char *name;		/* of the machine; NULL: none */
	const char *dump;		/* file for the guest's memory; NULL: none */
	const char *gdb;		/* socket of the gdb stub; "": in the control directory; NULL: no stub */
	struct run_port ports[RUN_PORTS_MAX];
	unsigned int n_ports;
	const char *user_name;		/* "": the caller's; NULL: root */
	struct run_user user;		/* found by it */
	const char *cwd;		/* where the command starts, in the guest; relative: from the first share */
	const char *env[RUN_ENV_MAX];	/* NAME=VALUE */
	unsigned int n_env;
	const char *daemon_args[RUN_DAEMON_ARGS_MAX];
	unsigned int n_daemon_args;
	int cache, sandbox, dax, driver, net, accel, log_level;	/* indices into the choices below */
	bool no_share, no_window, no_input, allow_mmap, reboot, systemd, verbose;
	char **command;			/* NULL-terminated; empty: a shell */
};

enum run_root { RUN_ROOT_READONLY, RUN_ROOT_WRITABLE, RUN_ROOT_COW };
extern const char *const run_root_names[];	/* in this order */
extern const char *const run_cache_names[];
extern const char *const run_sandbox_names[];	/* [0]: no option */
extern const char *const run_dax_names[];	/* [0]: no option */
enum run_net { RUN_NET_NONE, RUN_NET_USER };
enum run_driver { RUN_DRIVER_MAINLINE, RUN_DRIVER_CASEMENT };
enum run_accel { RUN_ACCEL_AUTO, RUN_ACCEL_KVM, RUN_ACCEL_TCG, RUN_ACCEL_UML };

/*
 * Name a share, of which `dir` is set, after its directory's last part, or "share" where that is /.
 * `number` tells it from the other shares. What it allocates lives as long as the process.
 */
void run_share_name(struct run_share *share, unsigned int number);

/* OPTIONS_GO, or what to exit with; what is wrong was logged. */
enum options_result run_config_parse(int argc, char **argv, struct run_config *config);

#endif
