/* SPDX-License-Identifier: BSD-3-Clause */
/* casementd's one table of options, and what they may not be together. */
#include "daemon/config.h"

#include <errno.h>
#include <string.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/config_legacy.h"
#include "daemon/fs/fs.h"
#include "daemon/protocol/server.h"
#include "proto/virtio_fs.h"

#define MAX_QUEUES 128
#define DEFAULT_POOL_THREADS 4
#define MAX_POOL_THREADS 1024
#define DEFAULT_POLL_US 50
#define MAX_POLL_US 10000
/*
 * What a new mapping costs QEMU 11.1 grows with the cube of the live ones: 3 ms
 * at 100, 170 ms at 400 (docs/window.md). Past 512 memory regions it aborts.
 */
#define DEFAULT_WINDOW_MAPPINGS 128
#define MAX_WINDOW_MAPPINGS 65536

#define AT(member) offsetof(struct config, member)

/*
 * What libvirt asks before it starts a back end. Not "migrate-precopy": a file
 * system with open files is not migrated yet.
 */
static int print_capabilities(void *config, const char *argument)
{
	(void)config;
	(void)argument;
	puts("{\n  \"type\": \"fs\",\n  \"features\": [\n"
	     "    \"posix-acl-negotiation-mode\",\n"
	     "    \"security-label-negotiation-mode\",\n"
	     "    \"separate-options\"\n  ]\n}");
	return 1;
}

/* They are looked at when all else is known, as virtiofsd does: the last word is theirs. */
static int keep_legacy(void *config, const char *argument)
{
	struct config *c = config;

	if (c->n_legacy == CONFIG_LEGACY_MAX) {
		log_error("-o %s: too many: join them with commas", argument);
		return -E2BIG;
	}
	c->legacy[c->n_legacy++] = (char *)(uintptr_t)argument;
	return 0;
}

static int set_modcaps(void *config, const char *text)
{
	struct config *c = config;
	char bad[32];
	int err = modcaps_parse(text, &c->sandbox.modcaps, bad, sizeof(bad));

	if (err)
		log_error("--modcaps %s: \"%s\" is not +NAME or -NAME of a capability, as in +sys_admin:-mknod",
			  text, bad);
	return err;
}

static int set_id_map(const char *option, struct id_map *map, const char *text)
{
	int err = id_map_add(map, text);

	if (err)
		log_error("--%s %s: %s", option, text, err == -EEXIST ? "overlaps another range" :
			  err == -E2BIG ? "too many ranges" :
			  "give :INSIDE:OUTSIDE:COUNT:, as in :0:100000:65536:");
	return err;
}

static int set_uid_map(void *config, const char *text)
{
	return set_id_map("uid-map", &((struct config *)config)->sandbox.uid_map, text);
}

static int set_gid_map(void *config, const char *text)
{
	return set_id_map("gid-map", &((struct config *)config)->sandbox.gid_map, text);
}

static int add_translation(struct id_translation *map, const char *option, const char *rule)
{
	const char *why;
	int err = id_translation_add(map, rule, &why);

	if (err)
		log_error("--%s %s: %s", option, rule, why);
	return err;
}

static int translate_uid(void *config, const char *argument)
{
	return add_translation(&((struct config *)config)->translate_uid, "translate-uid", argument);
}

static int translate_gid(void *config, const char *argument)
{
	return add_translation(&((struct config *)config)->translate_gid, "translate-gid", argument);
}

/* QEMU asks for VHOST_USER_PROTOCOL_F_DEVICE_STATE, which is not offered. */
#define NOT_MIGRATED "casementd does not hand over its state yet, and QEMU refuses to migrate the guest"

static const char *const migration_modes[] = { "find-paths", "file-handles", NULL };
static const char *const migration_errors[] = { "abort", "guest-error", NULL };

static const struct option_row rows[] = {
	{ "shared-dir", 0, OPTION_STRING, AT(shared_dir), "DIR",
	  "The directory to share. Required." },
	{ "socket-path", 0, OPTION_STRING, AT(socket_path), "PATH",
	  "Listen for the VMM on this Unix socket. PATH.pid keeps two daemons from one socket." },
	{ "fd", 0, OPTION_NUMBER, AT(fd), "N",
	  "Listen on this already open and listening socket instead.", .max = INT32_MAX },
	{ "socket-group", 0, OPTION_STRING, AT(socket_group), "GROUP",
	  "Give the socket to this group and let the group connect." },
	{ "tag", 0, OPTION_STRING, AT(tag), "TAG",
	  "The name the guest mounts, at most 36 bytes. Needed when the VMM does not set it, as with a window." },
	{ "cache", 0, OPTION_CHOICE, AT(cache), "MODE",
	  "How long the guest may trust what it knows: auto (names and attributes for --timeout, data from open to close), always, never, or metadata (all but data). Default: auto.",
	  .choices = server_cache_names },
	{ "timeout", 0, OPTION_SECONDS, AT(timeout_ms), "SECONDS",
	  "How long names and attributes stay valid with --cache auto, to a thousandth. Default: 1.",
	  .max = 86400 },
	{ "negative-timeout", 0, OPTION_SECONDS, AT(negative_timeout_ms), "SECONDS",
	  "How long with --cache auto a name that is not there stays not there, whoever makes it meanwhile. Default: 0.",
	  .max = 86400 },
	{ "readonly", 0, OPTION_FLAG, AT(readonly), NULL,
	  "Refuse every change." },
	{ "writeback", 0, OPTION_FLAG, AT(writeback), NULL,
	  "Let the guest keep written data in its cache until close or fsync." },
	{ "allow-mmap", 0, OPTION_FLAG, AT(allow_mmap), NULL,
	  "Allow mmap(MAP_SHARED) in the guest with --cache never and metadata too, through the guest's page cache." },
	{ "allow-direct-io", 0, OPTION_FLAG, AT(allow_direct_io), NULL,
	  "Pass O_DIRECT on to the host; else it is dropped." },
	{ "posix-lock", 0, OPTION_FLAG, AT(posix_lock), NULL,
	  "Share the guest's fcntl(2) locks with the host's programs and other guests. A mainline guest cannot interrupt a process that waits for such a lock." },
	{ "flock", 0, OPTION_FLAG, AT(flock), NULL,
	  "The same for flock(2)." },
	{ "readdirplus", 0, OPTION_CHOICE, AT(readdirplus), "MODE",
	  "Whether listing a directory brings attributes along: always, never, or auto for while the guest uses them. With --cache never it does not. Default: auto.",
	  .choices = server_readdirplus_names },
	{ "no-readdirplus", 0, OPTION_FLAG, AT(no_readdirplus), NULL,
	  "Same as --readdirplus never." },
	{ "announce-submounts", 0, OPTION_FLAG, AT(announce_submounts), NULL,
	  "Show file systems mounted inside the shared directory as mounts of their own, so that device and inode numbers tell files apart. The default." },
	{ "no-announce-submounts", 0, OPTION_UNFLAG, AT(announce_submounts), NULL,
	  "Show them as plain directories; inode numbers of their files have the device mixed in." },
	{ "xattr", 0, OPTION_FLAG, AT(xattr), NULL,
	  "Serve extended attributes: those of the host's files, as far as casementd may change them." },
	{ "xattrmap", 0, OPTION_STRING, AT(xattrmap), "RULES",
	  "Give the guest's extended attributes other names on the host, by virtiofsd's rules: ':map::user.virtiofs.:' keeps them all out of the host's own. Implies --xattr. See SECURITY.md for what single rules leave open." },
	{ "posix-acl", 0, OPTION_CHOICE, AT(posix_acl), "WHEN",
	  "Serve POSIX ACLs: never, auto (if the guest's kernel can) or always (a guest that cannot is refused). Alone it means always. Implies --xattr. Default: never.",
	  .choices = server_demand_names, .bare = "always" },
	{ "security-label", 0, OPTION_CHOICE, AT(security_label), "WHEN",
	  "Give new files the label that the guest's security module (SELinux) sends with them: never, auto or always, as for --posix-acl. Implies --xattr. Default: never.",
	  .choices = server_demand_names, .bare = "always" },
	{ "killpriv-v2", 0, OPTION_FLAG, AT(killpriv_v2), NULL,
	  "Clear set-id bits and capabilities of files that change here, which spares the guest's kernel a question before each write. Not for a shared NFS." },
	{ "no-killpriv-v2", 0, OPTION_UNFLAG, AT(killpriv_v2), NULL,
	  "Leave that to the guest's kernel. The default." },
	{ "preserve-noatime", 0, OPTION_FLAG, AT(preserve_noatime), NULL,
	  "Pass O_NOATIME on to the host; else it is dropped." },
	{ "translate-uid", 0, OPTION_CALL, 0, "TYPE:SOURCE:TARGET:COUNT",
	  "Translate user ids: guest (the guest's ids from SOURCE on are the host's from TARGET on), host (the host's are the guest's), map (both: SOURCE is the guest's), squash-guest and squash-host (all are the one id TARGET), or forbid-guest:SOURCE:COUNT. Ids that no rule names stay as they are. May be repeated. Not with --posix-acl.",
	  .call = translate_uid },
	{ "translate-gid", 0, OPTION_CALL, 0, "TYPE:SOURCE:TARGET:COUNT",
	  "The same for group ids.", .call = translate_gid },
	{ "queues", 0, OPTION_NUMBER, AT(queues), "N",
	  "Request queues that the device has, each served by a thread of its own. Must be what the VMM was told. Default: 1.",
	  .min = 1, .max = MAX_QUEUES },
	{ "thread-pool-size", 0, OPTION_NUMBER, AT(thread_pool_size), "N",
	  "Serve what waits for a disk (reads that miss the cache, fsync) on up to N more threads, so that the other requests of its queue go on. 0: on the queue's own thread. What waits for another machine or program (a network or FUSE file system in the share, a lease, a lock) has threads of its own in any case. Default: 4.",
	  .max = MAX_POOL_THREADS },
	{ "poll-max-us", 0, OPTION_NUMBER, AT(poll_max_us), "MICROSECONDS",
	  "Look at a queue for up to this long before its thread sleeps. The time adapts to the guest, and is nothing where it does not pay or processors are short. 0: never. Default: 50.",
	  .max = MAX_POLL_US },
	{ "window-size", 0, OPTION_SIZE, AT(window_size), "SIZE",
	  "Offer a DAX window of this size, a multiple of 2M, through which the guest maps the host's page cache. Needs QEMU 11.1 and its generic device; see SECURITY.md. Default: 0, no window." },
	{ "window-mappings", 0, OPTION_NUMBER, AT(window_mappings), "N",
	  "At most this many live mappings, which bounds the window the guest sees to N times 2M. Each costs QEMU 11.1 the more the more there are, and past 512 memory regions, those of all devices together, it ends the machine: 448 is the most to give. Default: 128.",
	  .min = 1, .max = MAX_WINDOW_MAPPINGS },
	{ "sandbox", 0, OPTION_CHOICE, AT(sandbox.mode), "MODE",
	  "How the serving process is shut in: namespace (mount, pid and network namespaces, for an ordinary user in a user namespace, with the directory as its root), chroot (root only), or none. Default: namespace.",
	  .choices = sandbox_mode_names },
	{ "seccomp", 0, OPTION_CHOICE, AT(sandbox.seccomp), "ACTION",
	  "What a system call does that the daemon has no use for: kill ends it, trap ends it and says which it was, log leaves a line in the kernel's log, none lets it be. Default: kill.",
	  .choices = filter_action_names },
	{ "modcaps", 0, OPTION_CALL, 0, "LIST",
	  "Change the capabilities that stay when run as root: +NAME or -NAME, joined by colons, as in +sys_admin:-mknod.",
	  .call = set_modcaps },
	{ "uid-map", 0, OPTION_CALL, 0, "MAP",
	  "As an ordinary user with --sandbox namespace: the user ids that the namespace has, :INSIDE:OUTSIDE:COUNT:, set by newuidmap(1) if they are not just the user's own. May be given again. Default: the user's own.",
	  .call = set_uid_map },
	{ "gid-map", 0, OPTION_CALL, 0, "MAP",
	  "The same for group ids.", .call = set_gid_map },
	{ "rlimit-nofile", 0, OPTION_NUMBER, AT(rlimit_nofile), "N",
	  "Most open files; 0 leaves the limit as it is. Default: 1000000, or what the system allows." },
	{ "inode-file-handles", 0, OPTION_CHOICE, AT(inode_file_handles), "WHEN",
	  "Hold the files the guest knows by file handles instead of an open descriptor each: never, prefer (where it can be done), mandatory (or not start), or auto. Bounds the open files of a guest that knows millions; needs CAP_DAC_READ_SEARCH. Where descriptors are spent, auto lets files go that the guest does not use; with never new files are ENFILE, but an overlayfs that the guest makes on the share meets no stale file. Default: auto, which is by descriptors; but by handles once three quarters of the files that may be open are, where the system allows fewer than 65,536 and the sandbox loses nothing by it (--sandbox none, or --modcaps with sys_admin or dac_read_search).",
	  .choices = fs_handles_names, .old_choice = "fallback", .new_choice = "prefer" },
	{ "migration-mode", 0, OPTION_CHOICE, AT(migration.mode), "MODE",
	  "How virtiofsd names open files when the guest migrates: find-paths or file-handles. No effect: a guest is not migrated yet.",
	  .choices = migration_modes, .no_effect = NOT_MIGRATED },
	{ "migration-on-error", 0, OPTION_CHOICE, AT(migration.on_error), "WHAT",
	  "What virtiofsd does with a file that cannot be handed over: abort or guest-error. No effect.",
	  .choices = migration_errors, .no_effect = NOT_MIGRATED },
	{ "migration-verify-handles", 0, OPTION_FLAG, AT(migration.verify), NULL,
	  "For --migration-mode find-paths. No effect.", .no_effect = NOT_MIGRATED },
	{ "migration-confirm-paths", 0, OPTION_FLAG, AT(migration.confirm), NULL,
	  "For --migration-mode find-paths. No effect.", .no_effect = NOT_MIGRATED },
	{ "persist", 0, OPTION_FLAG, AT(persist), NULL,
	  "When the VMM has left, wait for the next one instead of ending." },
	{ "log-level", 0, OPTION_CHOICE, AT(log_level), "LEVEL",
	  "How much to say: off, error, warn, info, debug or trace. Default: info.",
	  .choices = log_level_names },
	{ "syslog", 0, OPTION_FLAG, AT(syslog), NULL,
	  "Say it to syslog instead of standard error." },
	{ "print-capabilities", 0, OPTION_CALL, 0, NULL,
	  "Print what this program can do, as JSON for libvirt, and end.",
	  .call = print_capabilities },
	{ "socket", 0, OPTION_STRING, AT(socket_path), "PATH",
	  "Old name of --socket-path.", .instead = "write --socket-path" },
	{ NULL, 'o', OPTION_CALL, 0, "OPTION[=VALUE],...",
	  "The options of the first virtiofsd, comma-separated, as older programs give them: source=DIR, cache=none, writeback, no_flock ...; a comma in a value is written twice.",
	  .call = keep_legacy, .instead = "write --shared-dir DIR instead of -o source=DIR, and so on" },
	{ NULL, 'd', OPTION_FLAG, AT(debug), NULL,
	  "Same as --log-level debug.", .instead = "write --log-level debug" },
	{ NULL, 'f', OPTION_FLAG, AT(foreground), NULL,
	  "Nothing: casementd always stays in the foreground.", .instead = "leave it out" },
};

static const struct option_table table = {
	.program = "casementd",
	.usage = "--shared-dir DIR (--socket-path PATH | --fd N) [OPTION]...",
	.summary = "Share a directory with a virtual machine: virtio-fs over vhost-user.",
	.epilog = "Ends with status 0 when the VMM leaves or a signal asks for it. Status 1: it\n"
		  "could not start or the VMM broke the protocol; 2: the command line is wrong.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.refusals = legacy_refusals,
};

static const char *config_problem(const struct config *config)
{
	if (!config->shared_dir)
		return "--shared-dir is missing: name the directory to share";
	if (!config->socket_path && config->fd == CONFIG_NO_FD)
		return "--socket-path is missing: name the socket for the VMM to connect to";
	if (config->socket_path && config->fd != CONFIG_NO_FD)
		return "--socket-path and --fd exclude each other: give one";
	if (config->socket_group && !config->socket_path)
		return "--socket-group needs --socket-path";
	if (config->tag && !*config->tag)
		return "--tag is empty: give 1 to 36 bytes";
	if (config->window_size % VIRTIO_FS_RANGE_SIZE)
		return "--window-size: not a multiple of 2M: give for example 1G";
	if (config->window_size && !config->tag)
		return "--window-size needs --tag: the generic device that has a window takes its tag from here";
	if ((config->sandbox.uid_map.n || config->sandbox.gid_map.n) &&
	    config->sandbox.mode != SANDBOX_NAMESPACE)
		return "--uid-map and --gid-map need --sandbox namespace";
	if (config->migration.mode && (config->migration.verify || config->migration.confirm))
		return "--migration-verify-handles and --migration-confirm-paths are for --migration-mode find-paths";
	if (config->posix_acl && !(id_translation_empty(&config->translate_uid) &&
				    id_translation_empty(&config->translate_gid)))
		return "--posix-acl excludes --translate-uid and --translate-gid: the ids in an ACL are not translated";
	return NULL;
}

/* What one option means for others, and what has to be parsed. 0 or -errno, logged. */
static int config_complete(struct config *config)
{
	unsigned int rule;
	const char *why;

	if (config->posix_acl || config->security_label)
		config->xattr = true;
	if (!config->xattrmap)
		return 0;
	config->xattr = true;
	if (!xattr_map_parse(&config->xattr_map, config->xattrmap, &why, &rule))
		return 0;
	if (rule)
		log_error("--xattrmap: rule %u: %s", rule, why);
	else
		log_error("--xattrmap: %s", why);
	return -EINVAL;
}

enum options_result config_parse(int argc, char **argv, struct config *config)
{
	enum options_result result;
	const char *problem;
	int first = 0;

	*config = (struct config){
		.fd = CONFIG_NO_FD, .cache = CACHE_AUTO, .timeout_ms = 1000,
		.readdirplus = READDIRPLUS_AUTO, .log_level = LOG_LEVEL_INFO,
		.sandbox = { .seccomp = FILTER_KILL },
		.inode_file_handles = FS_HANDLES_AUTO, .queues = 1, .announce_submounts = true, .poll_max_us = DEFAULT_POLL_US,
		.thread_pool_size = DEFAULT_POOL_THREADS, .rlimit_nofile = UINT64_MAX, .window_mappings = DEFAULT_WINDOW_MAPPINGS,
	};
	result = options_parse(&table, argc, argv, config, &first);
	if (result != OPTIONS_GO)
		return result;
	if (first < argc) {
		log_error("%s: not an option; see casementd --help", argv[first]);
		return OPTIONS_BAD;
	}
	for (unsigned int i = 0; i < config->n_legacy; i++)
		if (legacy_apply(&table, config->legacy[i], config))
			return OPTIONS_BAD;
	if (config->debug)
		config->log_level = MAX(config->log_level, LOG_LEVEL_DEBUG);
	if (config->tag && strlen(config->tag) > VIRTIO_FS_TAG_MAX) {
		log_error("--tag %s: %zu bytes long; give at most %d", config->tag,
			  strlen(config->tag), VIRTIO_FS_TAG_MAX);
		return OPTIONS_BAD;
	}
	problem = config_problem(config);
	if (problem) {
		log_error("%s", problem);
		return OPTIONS_BAD;
	}
	config->sandbox.dir = config->shared_dir;
	config->sandbox.readonly = config->readonly;
	config->sandbox.file_handles = config->inode_file_handles == FS_HANDLES_PREFER ||
				       config->inode_file_handles == FS_HANDLES_MANDATORY;
	return config_complete(config) ? OPTIONS_BAD : OPTIONS_GO;
}
