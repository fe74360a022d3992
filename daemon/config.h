/* SPDX-License-Identifier: BSD-3-Clause */
/* casementd's command line: what was asked for, checked. */
#ifndef CASEMENT_DAEMON_CONFIG_H
#define CASEMENT_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/options.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/fs/xattr_map.h"
#include "daemon/protocol/id_translate.h"

#define CONFIG_LEGACY_MAX 32

struct config {
	const char *shared_dir;
	const char *socket_path;
	const char *socket_group;
	uint64_t fd;			/* CONFIG_NO_FD: not given */
	const char *tag;
	int cache;			/* enum cache_mode */
	uint64_t timeout_ms;		/* of cache=auto */
	uint64_t negative_timeout_ms;	/* of cache=auto */
	int log_level;			/* enum log_level */
	bool readonly;
	bool writeback;
	bool allow_mmap;
	bool allow_direct_io;
	int readdirplus;		/* enum readdirplus_mode */
	bool no_readdirplus;
	bool announce_submounts;
	bool xattr;
	const char *xattrmap;		/* the rules; NULL: none */
	struct xattr_map xattr_map;	/* the same, parsed */
	int posix_acl, security_label;	/* enum server_demand */
	bool killpriv_v2;
	bool preserve_noatime;
	struct id_translation translate_uid, translate_gid;
	uint64_t queues;
	uint64_t poll_max_us;
	bool posix_lock, flock;
	uint64_t thread_pool_size;
	int inode_file_handles;		/* enum fs_handles */
	bool file_handles_late;		/* decided, see main.c */
	bool ids_stay;			/* the same: no file is let go before the guest forgets it */
	uint64_t rlimit_nofile;		/* 0: leave as it is */
	uint64_t window_size;		/* bytes; 0: no window */
	uint64_t window_mappings;
	struct {
		int mode, on_error;
		bool verify, confirm;
	} migration;			/* checked, and then of no effect */
	bool persist;			/* serve one VMM after the other */
	bool syslog;
	bool debug;			/* -d */
	bool foreground;		/* -f; always so */
	char *legacy[CONFIG_LEGACY_MAX];	/* the arguments of -o, in order; of argv */
	unsigned int n_legacy;
	struct sandbox_config sandbox;
};
#define CONFIG_NO_FD UINT64_MAX

/*
 * Parse and check. OPTIONS_GO: *config is complete and consistent; see
 * options.h for the others. Paths are not looked at yet.
 */
enum options_result config_parse(int argc, char **argv, struct config *config);

#endif
