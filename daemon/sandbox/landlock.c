/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Landlock by its bare system calls; see landlock.h. The numbers are spelled
 * out, as headers are often older than the kernels that programs meet.
 */
#include "daemon/sandbox/landlock.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"

#define RULE_PATH_BENEATH 1
#define ASK_VERSION 1u

#define FS_EXECUTE (1ULL << 0)
#define FS_FIRST_VERSION ((1ULL << 13) - 1)	/* execute, write, read, list, remove and make of each kind */
#define FS_REFER (1ULL << 13)			/* rename and link between directories; without it, none */
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_TCP 3ULL				/* bind, connect */

/* The kernel takes a shorter one from older programs, and a longer one if the rest is 0. */
struct ruleset_attr {
	uint64_t handled_fs;
	uint64_t handled_net;
};

struct beneath_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

/* What each version can forbid. The first would forbid every rename between directories. */
static const struct {
	int version;
	uint64_t fs, net;
} versions[] = {
	{ 2, FS_FIRST_VERSION | FS_REFER, 0 },
	{ 3, FS_TRUNCATE, 0 },
	{ 4, 0, NET_TCP },
	{ 5, FS_IOCTL_DEV, 0 },
};

static struct ruleset_attr attr_of(long version)
{
	struct ruleset_attr attr = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(versions) && versions[i].version <= version; i++) {
		attr.handled_fs |= versions[i].fs;
		attr.handled_net |= versions[i].net;
	}
	return attr;
}

int landlock_confine(int root_fd)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
	struct ruleset_attr attr = attr_of(version);
	struct beneath_attr beneath = {
		.allowed = attr.handled_fs & ~(FS_EXECUTE | FS_IOCTL_DEV), .parent_fd = root_fd,
	};
	cleanup_close int rules = -1;

	if (!attr.handled_fs)
		return -EOPNOTSUPP;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rules < 0 || syscall(SYS_landlock_add_rule, rules, RULE_PATH_BENEATH, &beneath, 0) ||
	    syscall(SYS_landlock_restrict_self, rules, 0))
		return -errno;
	return 0;
}
