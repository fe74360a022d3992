/* SPDX-License-Identifier: BSD-3-Clause */
/* casement cat: files of a share on standard output. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/remote.h"
#include "cli/subcommand.h"
#include "common/log.h"
#include "common/options.h"

#define CAT_WORDS 256

static const struct option_table table = {
	.program = "casement cat",
	.usage = "SOCKET PATH...",
	.summary = "Write files of a virtio-fs share to standard output.",
	.epilog = "Exit status: 0, 1 something could not be read, 2 the command line is wrong.",
};

/* A remote_sink. */
static int put(void *user, uint64_t offset, const char *data, size_t size)
{
	bool *broken = user;

	(void)offset;
	while (size) {
		ssize_t n = write(STDOUT_FILENO, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			*broken = true;
			return -errno;
		}
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int cat_one(struct remote *remote, const char *path, bool *broken)
{
	struct fuse_open_out open;
	struct remote_node node;
	int err = remote_walk(remote, path, true, &node);

	if (err)
		return err;
	if (S_ISDIR(node.attr.mode))
		err = -EISDIR;
	if (!err)
		err = casement_open(remote->queue, node.id, O_RDONLY, &open);
	if (!err) {
		err = remote_read_all(remote, node.id, open.fh, put, broken);
		casement_release(remote->queue, node.id, open.fh);
	}
	remote_put(remote, &node);
	return err;
}

int cat_main(int argc, char **argv)
{
	const char *words[CAT_WORDS];
	struct remote remote;
	bool broken = false;
	unsigned int n;
	int status = 0;

	log_setup("casement cat", LOG_LEVEL_INFO);
	switch (options_parse_mixed(&table, argc, argv, NULL, words, CAT_WORDS, &n)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return STATUS_USAGE;
	case OPTIONS_GO:
		break;
	}
	if (n < 2) {
		log_error("%s is missing; see casement cat --help", n ? "a path" : "the daemon's socket");
		return STATUS_USAGE;
	}
	if (remote_open(words[0], &remote))
		return STATUS_ERROR;
	for (unsigned int i = 1; i < n && !broken; i++) {
		int err = cat_one(&remote, words[i], &broken);

		if (err) {
			log_error("%s: %s", broken ? "standard output" : words[i], strerror(-err));
			status = STATUS_ERROR;
		}
		if (err && remote_ended(&remote))
			break;
	}
	remote_close(&remote);
	return status;
}
