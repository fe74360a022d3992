/* SPDX-License-Identifier: BSD-3-Clause */
/* casement run's command line; see run_config.h. */
#include "cli/run_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/run_find.h"
#include "cli/run_net.h"
#include "cli/run_start.h"
#include "cli/run_user.h"
#include "common/checked.h"
#include "common/log.h"

#define MIB (1ULL << 20)
#define WINDOW_RANGE (2 * MIB)	/* a guest maps the window in pieces of this */

const char *const run_root_names[] = { "ro", "rw", "cow", NULL };
const char *const run_cache_names[] = { "auto", "always", "never", "metadata", NULL };
const char *const run_sandbox_names[] = { "namespace", "chroot", "none", NULL };
const char *const run_dax_names[] = { "auto", "always", "inode", "never", NULL };

/* ---- DIR[:TAG][:ro] ---- */

/* Cut `end` off the end of `text`, of which something is left. */
static bool cut_end(char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	if (len <= end_len || strcmp(text + len - end_len, end))
		return false;
	text[len - end_len] = '\0';
	return true;
}

/* What the command line names is a folder of the guest, and a word in QEMU's options. */
static const char *tag_problem(const char *tag)
{
	if (!*tag || !strcmp(tag, ".") || !strcmp(tag, ".."))
		return "not a name";
	if (strlen(tag) > RUN_TAG_MAX)
		return "longer than 36 bytes";
	if (!strncmp(tag, "casement.", 9))
		return "names with casement. are its own";
	for (const char *p = tag; *p; p++)
		if (strchr("/,:= ", *p) || (unsigned char)*p < ' ' || *p == 0x7f)
			return "has a blank or one of / , : =";
	return NULL;
}

void run_share_name(struct run_share *share, unsigned int number)
{
	char *path = realpath(share->dir, NULL), *tag;
	const char *base = path ? strrchr(path, '/') + 1 : "";

	share->name = share->tag = *base ? base : "share";
	/* No tag of the command line's begins so. */
	if (tag_problem(base) && asprintf(&tag, "casement.share%u", number) >= 0)
		share->tag = tag;
}

/* True where a directory has in its name what could be an option: then DIR alone is not there. */
static bool is_whole(const char *argument, const char *dir)
{
	return access(dir, F_OK) && !access(argument, F_OK);
}

/* The colon before the tag, or NULL. */
static char *find_tag(const char *text)
{
	char *colon = strrchr(text, ':');
	char *dir = colon ? strndup(text, (size_t)(colon - text)) : NULL;
	bool whole = dir && is_whole(text, dir);

	free(dir);
	return whole ? NULL : colon;
}

/* Cut what follows DIR in `text`, a copy of `argument`, unless that whole is what is there. The tag, or NULL. */
static char *split_share(const char *argument, char *text, struct run_share *share)
{
	char *colon;

	share->readonly = cut_end(text, ":ro");
	if (!share->readonly)
		cut_end(text, ":rw");
	colon = find_tag(text);
	if (colon)
		*colon = '\0';
	if (!is_whole(argument, text))
		return colon ? colon + 1 : NULL;
	strcpy(text, argument);
	share->readonly = false;
	return NULL;
}

static int add_share(struct run_config *config, const char *argument, bool is_9p)
{
	const char *option = is_9p ? "9p" : "share";
	struct run_share *share = &config->shares[config->n_shares];
	char *text = strdup(argument), *tag;
	const char *problem;

	if (!text || config->n_shares == RUN_SHARES_MAX) {
		log_error("--%s %s: more than %d shares", option, argument, RUN_SHARES_MAX);
		return -E2BIG;
	}
	*share = (struct run_share){ .dir = text, .is_9p = is_9p };
	tag = split_share(argument, text, share);
	if (!*text) {
		log_error("--%s %s: names no directory; give DIR[:TAG][:ro]", option, argument);
		return -EINVAL;
	}
	if (tag)
		share->name = share->tag = tag;
	else
		run_share_name(share, config->n_shares);
	problem = tag ? tag_problem(tag) : NULL;
	if (problem) {
		log_error("--%s %s: the tag \"%s\" cannot be used: %s; give DIR:TAG", option, argument,
			  share->tag, problem);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < config->n_shares; i++) {
		if (!strcmp(config->shares[i].name, share->name)) {
			log_error("--%s %s: another share has the tag \"%s\" already; give DIR:TAG",
				  option, argument, share->name);
			return -EEXIST;
		}
	}
	config->n_shares++;
	return 0;
}

static int call_share(void *config, const char *argument)
{
	return add_share(config, argument, false);
}

static int call_9p(void *config, const char *argument)
{
	return add_share(config, argument, true);
}

static int call_root(void *opaque, const char *argument)
{
	struct run_config *config = opaque;
	char *text = strdup(argument);

	if (!text)
		return -ENOMEM;
	config->root = text;
	for (int i = 0; run_root_names[i]; i++) {
		char end[8];

		snprintf(end, sizeof(end), ":%s", run_root_names[i]);
		config->root_mode = i;
		if (cut_end(text, end) && !is_whole(argument, text))
			return 0;
	}
	strcpy(text, argument);
	config->root_mode = RUN_ROOT_READONLY;
	return 0;
}

static int call_name(void *config, const char *argument)
{
	((struct run_config *)config)->name = argument;
	if (!run_name_is_valid(argument))
		log_error("--name %s: give letters, digits and dashes, %d at most", argument, RUN_NAME_MAX);
	else if (run_name_is_taken(argument))
		log_error("--name %s: a machine of that name runs", argument);
	else
		return 0;
	return -EINVAL;
}

static int call_user(void *config, const char *argument)
{
	((struct run_config *)config)->user_name = argument;
	return 0;
}

static int call_publish(void *config, const char *argument)
{
	return run_net_publish(config, argument);
}

static int call_include(void *opaque, const char *argument)
{
	struct run_config *config = opaque;
	char *joined;

	if (asprintf(&joined, "%s%s%s", config->include ? config->include : "", config->include ? "," : "", argument) < 0)
		return -ENOMEM;
	config->include = joined;
	return 0;
}

static int call_env(void *opaque, const char *argument)
{
	struct run_config *config = opaque;
	const char *here = getenv(argument);
	char *text = (char *)argument;

	if (!*argument || *argument == '=') {
		log_error("--env %s: names no variable; give NAME or NAME=VALUE", argument);
		return -EINVAL;
	}
	if (config->n_env == RUN_ENV_MAX) {
		log_error("--env %s: more than %d of them", argument, RUN_ENV_MAX);
		return -E2BIG;
	}
	/* One that is not set here is not set there. */
	if (!strchr(argument, '=') && !here)
		return 0;
	if (!strchr(argument, '=') && asprintf(&text, "%s=%s", argument, here) < 0)
		return -ENOMEM;
	config->env[config->n_env++] = text;
	return 0;
}

static int call_daemon_arg(void *opaque, const char *argument)
{
	struct run_config *config = opaque;

	if (config->n_daemon_args == RUN_DAEMON_ARGS_MAX) {
		log_error("--daemon-arg %s: more than %d of them", argument, RUN_DAEMON_ARGS_MAX);
		return -E2BIG;
	}
	config->daemon_args[config->n_daemon_args++] = argument;
	return 0;
}

static int call_share_arg(void *opaque, const char *argument)
{
	struct run_config *config = opaque;
	struct run_share *share = config->n_shares ? &config->shares[config->n_shares - 1] : NULL;

	if (!share || share->is_9p) {
		log_error("--share-arg %s: for which share? Give it after a --share", argument);
		return -EINVAL;
	}
	if (share->n_args == RUN_SHARE_ARGS_MAX) {
		log_error("--share-arg %s: more than %d for one share", argument, RUN_SHARE_ARGS_MAX);
		return -E2BIG;
	}
	share->args[share->n_args++] = argument;
	return 0;
}

/* ---- the table ---- */

#define AT(member) offsetof(struct run_config, member)

static const char *const driver_names[] = { "mainline", "casement", NULL };
static const char *const net_names[] = { "none", "user", NULL };
static const char *const accel_names[] = { "auto", "kvm", "tcg", "uml", NULL };

static const struct option_row rows[] = {
	{ "share", 's', OPTION_CALL, 0, "DIR[:TAG][:ro|:rw]",
	  "Share DIR; the guest has it at /mnt/TAG, with ro it cannot change it. TAG is DIR's last part unless given. May be repeated; the command starts in the first one.",
	  .call = call_share },
	{ "no-share", 0, OPTION_FLAG, AT(no_share), NULL,
	  "Share nothing, and start in /root. Without this and without any --share the current directory is shared, unless it is /; where --root has it, the command starts in it there instead." },
	{ "cwd", 'C', OPTION_STRING, AT(cwd), "DIR",
	  "Start the command in this directory of the guest; a relative one is looked for where it would start otherwise." },
	{ "env", 'e', OPTION_CALL, 0, "NAME[=VALUE]",
	  "Give the command this variable of the environment, with the value that it has here unless one is given. Others than TERM, on a terminal, are not passed on. May be repeated.",
	  .call = call_env },
	{ "user", 0, OPTION_CALL, 0, "NAME",
	  "Run the command as this user of the host, with the ids, groups and home that the host has for NAME; without NAME as the caller. In a machine of an ordinary user, the caller's files belong to NAME then, and without this option to root, as which the command runs.",
	  .call = call_user, .bare = "" },
	{ "net", 0, OPTION_CHOICE, AT(net), "HOW",
	  "The guest's network: none, or user: by QEMU, as the user who runs it. The guest reaches what this user reaches, the host's own 127.0.0.1 as 10.0.2.2. Not with --accel uml. Default: none.",
	  .choices = net_names },
	{ "publish", 'p', OPTION_CALL, 0, "[ADDRESS:]PORT[:GUESTPORT]",
	  "Lead TCP connections to PORT of the host to GUESTPORT of the guest, else to the port of that number. ADDRESS is the host's, IPv4. Default: 127.0.0.1. Implies --net user. May be repeated.",
	  .call = call_publish },
	{ "window", 'w', OPTION_SIZE, AT(window), "SIZE",
	  "Give each share that is not read-only a DAX window of SIZE, a multiple of 2M: the guest then reads and writes the host's page cache directly. Needs QEMU 11.1, which is fetched once where the installed one is older. An emulated guest must not run programs from such a share, but with --driver casement: QEMU could run another in a program's place. Default: 0, no window." },
	{ "no-window", 0, OPTION_FLAG, AT(no_window), NULL, "No window, whatever --window says." },
	{ "dax", 0, OPTION_CHOICE, AT(dax), "MODE",
	  "The mount option dax= of the shares that have a window: always, inode, never, or auto for none, where the daemon decides for each file. Default: auto.",
	  .choices = run_dax_names },
	{ "cache", 0, OPTION_CHOICE, AT(cache), "MODE",
	  "casementd's --cache for the shares: auto, always, never or metadata. Default: auto.",
	  .choices = run_cache_names },
	{ "sandbox", 0, OPTION_CHOICE, AT(sandbox), "MODE",
	  "casementd's --sandbox, for the root file system and all else that the guest boots from as well as for the shares: namespace, chroot (root only) or none. In a container that may not make namespaces, one of the latter is needed. Default: namespace.",
	  .choices = run_sandbox_names },
	{ "allow-mmap", 0, OPTION_FLAG, AT(allow_mmap), NULL, "casementd's --allow-mmap for the shares." },
	{ "cpus", 'c', OPTION_NUMBER, AT(cpus), "N", "The guest's processors. Default: 2, or 1 where the guest is emulated: QEMU can lose the timer of a second one on a busy host.",
	  .min = 1, .max = 255 },
	{ "accel", 0, OPTION_CHOICE, AT(accel), "HOW",
	  "Run the guest on kvm, emulate it (tcg), or auto: on KVM where that can run the guest's kernel. uml: as a process, User-mode Linux, which boots in a second and is native without KVM; it has one processor and no window, and does not keep its root from the host: what this user may, the guest may. Its kernel is built once (minutes), or give --kernel. Default: auto.",
	  .choices = accel_names },
	{ "memory", 'm', OPTION_SIZE, AT(memory), "SIZE", "The guest's memory. Default: 2G.",
	  .min = 128 * MIB },
	{ "queues", 0, OPTION_NUMBER, AT(queues), "N", "Request queues of each share. Default: 1.",
	  .min = 1, .max = 64 },
	{ "root", 0, OPTION_CALL, 0, "DIR[:rw|:cow]",
	  "The guest's root file system, which the guest cannot change. With rw it can, and DIR is changed. With cow it can, too, but what it changes is in its memory, at most half of that, and is gone with it: --root /:cow is this very system, in a machine. /proc, /sys, /dev, /run, /tmp and /mnt are the guest's own. A DIR that ends in :ro, :rw or :cow itself needs a slash after it where there is another without that. Default: a small Debian 13, made once and read-only.",
	  .call = call_root },
	{ "include", 0, OPTION_CALL, 0, "PACKAGE,...",
	  "Give the small Debian these packages of Debian 13's, too. Each list of packages makes a root of its own, once: packages are unpacked, and their set-up scripts are not run. May be repeated.",
	  .call = call_include },
	{ "kernel", 0, OPTION_STRING, AT(kernel), "FILE",
	  "Boot this kernel; it needs virtio-pci, virtio-console (with --accel uml: virtio_uml) and virtiofs built in. Default: Debian 13's." },
	{ "driver", 0, OPTION_CHOICE, AT(driver), "NAME",
	  "The guest's driver of its root file system and shares: mainline is the kernel's virtiofs, casement is casement.ko. Default: mainline.",
	  .choices = driver_names },
	{ "module", 0, OPTION_STRING, AT(module), "FILE",
	  "The casement.ko of --driver casement, built for the guest's kernel. Default: what `make kmod` (with --accel uml: `make kmod-uml`) built." },
	{ "append", 0, OPTION_STRING, AT(append), "TEXT", "Add to the kernel's command line." },
	{ "systemd", 0, OPTION_FLAG, AT(systemd), NULL,
	  "Boot the root's own systemd, to multi-user.target, and run the command as a service of it. The root must have systemd; the small Debian has. /etc/fstab is passed over. Not with --accel uml." },
	{ "reboot", 0, OPTION_FLAG, AT(reboot), NULL,
	  "A reboot in the guest boots it again, and the command starts anew. Else it is the end." },
	{ "9p", 0, OPTION_CALL, 0, "DIR[:TAG][:ro]",
	  "As --share, by QEMU's virtio-9p with cache=none instead of casementd: to compare.",
	  .call = call_9p },
	{ "no-input", 'n', OPTION_FLAG, AT(no_input), NULL,
	  "COMMAND's input is empty, and this program's input is not read: in a shell's `while read` loop." },
	{ "log", 0, OPTION_STRING, AT(log), "FILE", "Write the guest's kernel log to FILE." },
	{ "monitor", 0, OPTION_STRING, AT(monitor), "SOCKET", "QEMU's monitor (QMP) on this Unix socket." },
	{ "name", 0, OPTION_CALL, 0, "NAME",
	  "What the machine is called, for `casement console NAME`; its host name, too.", .call = call_name },
	{ "gdb", 0, OPTION_STRING, AT(gdb), "SOCKET",
	  "Let gdb debug the guest's kernel: QEMU's stub listens on this Unix socket, or on one in a private directory, which a line on standard error names. The guest has nokaslr, so that the symbols of its vmlinux fit. With --accel uml the line names the process that gdb attaches to.",
	  .bare = "" },
	{ "dump", 0, OPTION_STRING, AT(dump), "FILE",
	  "When the guest's kernel panics, write the guest's memory to FILE, an ELF core for crash(8) or drgn; SIGUSR1 to this program writes that of a running guest, which stands still meanwhile. The guest has nokaslr. Not with --accel uml." },
	{ "qemu", 0, OPTION_STRING, AT(qemu), "PROGRAM", "Use this QEMU." },
	{ "daemon", 0, OPTION_STRING, AT(daemon), "PROGRAM", "Use this casementd." },
	{ "daemon-arg", 0, OPTION_CALL, 0, "WORD",
	  "Add a word to the command line of the shares' casementd. May be repeated.",
	  .call = call_daemon_arg },
	{ "share-arg", 0, OPTION_CALL, 0, "WORD",
	  "The same for the casementd of the --share before it alone.",
	  .call = call_share_arg },
	{ "log-level", 0, OPTION_CHOICE, AT(log_level), "LEVEL",
	  "casementd's --log-level: off, error, warn, info, debug or trace. Default: warn.",
	  .choices = log_level_names },
	{ "verbose", 'v', OPTION_FLAG, AT(verbose), NULL, "Tell what is started and how, and what QEMU said." },
};

static const struct option_table table = {
	.program = "casement run",
	.usage = "[--share DIR[:TAG][:ro]]... [OPTION]... [--] [COMMAND [ARGUMENT]...]",
	.summary = "Run COMMAND in a virtual machine that has DIR at /mnt/TAG, over virtio-fs.\n"
		   "Without COMMAND: a shell. When it ends, the machine ends and nothing is left behind.",
	.epilog = "Where this program's input and output are a terminal, COMMAND gets one too, and Ctrl-]\n"
		  "three times in a row ends the machine; so does Ctrl-C until COMMAND runs. Else it gets this\n"
		  "program's input, to its end, and its output and errors come out as they went in.\n\n"
		  "Exit status: that of COMMAND (128 + N if signal N ended it, 127 not found, 126 cannot be\n"
		  "started); 1 if a part is missing, 2 if the command line is wrong, 125 if casement or the\n"
		  "machine failed, or the output could not be written; 130 after Ctrl-C, 141 when the output's\n"
		  "reader has left, 143 after SIGTERM.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
};

enum options_result run_config_parse(int argc, char **argv, struct run_config *config)
{
	enum options_result result;
	int first = 0;

	*config = (struct run_config){
		.memory = 2048 * MIB, .queues = 1, .log_level = LOG_LEVEL_WARN,
	};
	result = options_parse(&table, argc, argv, config, &first);
	if (result != OPTIONS_GO)
		return result;
	if (!is_aligned(config->window, WINDOW_RANGE)) {
		log_error("--window: not a multiple of 2M; give for example 512M or 1G");
		return OPTIONS_BAD;
	}
	if (!is_aligned(config->memory, WINDOW_RANGE)) {
		log_error("--memory: not a multiple of 2M; give for example 512M or 2G");
		return OPTIONS_BAD;
	}
	if (config->include && config->root) {
		log_error("--include is about the small Debian, and --root names another root");
		return OPTIONS_BAD;
	}
	if (config->n_ports)
		config->net = RUN_NET_USER;
	if (config->no_window)
		config->window = 0;
	config->command = argv + first;
	return run_user_find(config) || run_start_choose(config) ? OPTIONS_BAD : OPTIONS_GO;
}
