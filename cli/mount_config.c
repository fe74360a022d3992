/* SPDX-License-Identifier: BSD-3-Clause */
/* casement mount's command line; see mount_config.h. */
#include "cli/mount_config.h"

#include <errno.h>
#include <stddef.h>

#include "common/checked.h"
#include "common/log.h"

#define AT(member) offsetof(struct mount_config, member)

static int add_options(void *config, const char *argument)
{
	struct mount_config *mount = config;

	if (mount->n_options == MOUNT_OPTIONS_MAX) {
		log_error("-o %s: -o was given %d times before; put options into one list, with commas",
			  argument, MOUNT_OPTIONS_MAX);
		return -E2BIG;
	}
	mount->options[mount->n_options++] = argument;
	return 0;
}

static const struct option_row rows[] = {
	{ "options", 'o', OPTION_CALL, 0, "OPTION[,OPTION]...",
	  "Mount options, as of mount.fuse3(8): ro, allow_other, fsname=NAME, auto_unmount and so on. May be repeated. default_permissions is always on, as the daemon leaves it to its client who may open what.",
	  .call = add_options },
	{ "queues", 'q', OPTION_NUMBER, AT(queues), "N",
	  "Request queues to use, each served by a thread; the daemon must have as many. Default: 1.",
	  .min = 1, .max = 64 },
	{ "depth", 0, OPTION_NUMBER, AT(depth), "N",
	  "Requests in flight in each queue. Default: 64.", .min = 1, .max = 1024 },
	{ "background", 'b', OPTION_FLAG, AT(background), NULL,
	  "Return as soon as the directory is mounted, and serve it in the background." },
	{ "foreground", 'f', OPTION_FLAG, AT(foreground), NULL,
	  "Serve until the end, the default: Ctrl-C, SIGTERM or umount(8) end it." },
	{ "verbose", 'v', OPTION_FLAG, AT(verbose), NULL, "Say more." },
};

static const struct option_table table = {
	.program = "casement mount",
	.usage = "SOCKET DIR [OPTION]...",
	.summary = "Mount the share of a virtio-fs daemon on this host, without a virtual machine.",
	.epilog = "SOCKET is where the daemon (casementd, virtiofsd) waits for its VMM.\n"
		  "Exit status: 0 it was unmounted, 1 it could not be mounted or the daemon has\n"
		  "gone, 2 the command line is wrong.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
};

enum options_result mount_config_parse(int argc, char **argv, struct mount_config *config)
{
	const char *words[2] = { NULL, NULL };
	unsigned int n;
	enum options_result result;

	*config = (struct mount_config){ .queues = 1, .depth = 64 };
	result = options_parse_mixed(&table, argc, argv, config, words, ARRAY_SIZE(words), &n);
	if (result != OPTIONS_GO)
		return result;
	if (n < 2) {
		log_error("%s is missing; see casement mount --help",
			  n ? "the directory to mount on" : "the daemon's socket");
		return OPTIONS_BAD;
	}
	if (config->background && config->foreground) {
		log_error("--background and --foreground exclude each other: give one");
		return OPTIONS_BAD;
	}
	config->socket = words[0];
	config->dir = words[1];
	return OPTIONS_GO;
}
