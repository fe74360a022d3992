/* SPDX-License-Identifier: BSD-3-Clause */
/* casement stat: what a share says of a file, or of itself. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cli/remote.h"
#include "cli/show.h"
#include "cli/subcommand.h"
#include "common/checked.h"
#include "common/log.h"
#include "common/options.h"

#define STAT_WORDS 256
#define STAT_TARGET 4096

struct stat_config {
	bool follow;
	bool filesystem;
};

static const struct option_row rows[] = {
	{ "dereference", 'L', OPTION_FLAG, offsetof(struct stat_config, follow), NULL,
	  "Follow a symbolic link, within the share." },
	{ "file-system", 'f', OPTION_FLAG, offsetof(struct stat_config, filesystem), NULL,
	  "Show the file system that PATH is in, instead of PATH." },
};

static const struct option_table table = {
	.program = "casement stat",
	.usage = "SOCKET PATH... [OPTION]...",
	.summary = "Show what a virtio-fs share says of a file.",
	.epilog = "Exit status: 0, 1 something could not be shown, 2 the command line is wrong.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
};

static void print_file(const char *path, const struct remote_node *node, const char *target)
{
	const struct fuse_attr *attr = &node->attr;
	char mode[11], time[64];

	show_mode(attr->mode, mode);
	printf("  File: ");
	show_name(path);
	if (*target) {
		printf(" -> ");
		show_name(target);
	}
	printf("\n  Size: %-15llu Blocks: %-10llu IO Block: %-6u %s\n",
	       (unsigned long long)attr->size, (unsigned long long)attr->blocks, attr->blksize,
	       show_kind(attr->mode));
	printf(" Inode: %-15llu Links: %u", (unsigned long long)attr->ino, attr->nlink);
	/* Linux's own coding of a 32-bit device number. */
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))
		printf("           Device type: %u,%u", attr->rdev >> 8 & 0xfff,
		       (attr->rdev & 0xff) | (attr->rdev >> 12 & 0xfff00));
	printf("\nAccess: (%04o/%s)  Uid: (%5u/%8s)   Gid: (%5u/%8s)\n", attr->mode & 07777, mode,
	       attr->uid, show_user(attr->uid), attr->gid, show_group(attr->gid));
	show_time(attr->atime, attr->atimensec, time);
	printf("Access: %s\n", time);
	show_time(attr->mtime, attr->mtimensec, time);
	printf("Modify: %s\n", time);
	show_time(attr->ctime, attr->ctimensec, time);
	printf("Change: %s\n", time);
}

static int print_filesystem(struct remote *remote, const char *path, uint64_t node)
{
	struct fuse_statfs_out out;
	int err = casement_statfs(remote->queue, node, &out);

	if (err)
		return err;
	printf("  File: ");
	show_name(path);
	printf("\n  Name length: %u\nBlock size: %-10u Fundamental block size: %u\n",
	       out.st.namelen, out.st.bsize, out.st.frsize);
	printf("Blocks: Total: %-10llu Free: %-10llu Available: %llu\n",
	       (unsigned long long)out.st.blocks, (unsigned long long)out.st.bfree,
	       (unsigned long long)out.st.bavail);
	printf("Inodes: Total: %-10llu Free: %llu\n", (unsigned long long)out.st.files,
	       (unsigned long long)out.st.ffree);
	return 0;
}

static int stat_one(struct remote *remote, const struct stat_config *config, const char *path)
{
	char target[STAT_TARGET] = "";
	struct remote_node node;
	int err = remote_walk(remote, path, config->follow, &node);

	if (err)
		return err;
	if (config->filesystem) {
		err = print_filesystem(remote, path, node.id);
	} else {
		if (S_ISLNK(node.attr.mode))
			err = remote_readlink(remote, node.id, target, sizeof(target));
		if (!err)
			print_file(path, &node, target);
	}
	remote_put(remote, &node);
	return err;
}

int stat_main(int argc, char **argv)
{
	const char *words[STAT_WORDS];
	struct stat_config config = { 0 };
	struct remote remote;
	unsigned int n;
	int status = 0;

	log_setup("casement stat", LOG_LEVEL_INFO);
	switch (options_parse_mixed(&table, argc, argv, &config, words, STAT_WORDS, &n)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return STATUS_USAGE;
	case OPTIONS_GO:
		break;
	}
	if (n < 2) {
		log_error("%s is missing; see casement stat --help", n ? "a path" : "the daemon's socket");
		return STATUS_USAGE;
	}
	if (remote_open(words[0], &remote))
		return STATUS_ERROR;
	for (unsigned int i = 1; i < n; i++) {
		int err = stat_one(&remote, &config, words[i]);

		if (err) {
			log_error("%s: %s", words[i], strerror(-err));
			status = STATUS_ERROR;
		}
		if (err && remote_ended(&remote))
			break;
	}
	remote_close(&remote);
	return status;
}
