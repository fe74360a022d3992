/* SPDX-License-Identifier: BSD-3-Clause */
/* POSIX access control lists, in the kernel's own form. */
#include <fcntl.h>
#include <endian.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"
#define ENTRIES_MAX 8

enum tag { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP_TAG = 8, MASK = 16, OTHERS = 32 };

struct acl {
	struct { enum tag tag; unsigned int perm, id; } entries[ENTRIES_MAX];
	size_t n;
};

static long set_acl(const char *path, const char *which, const struct acl *acl)
{
	struct { struct posix_acl_xattr_header head; struct posix_acl_xattr_entry entries[ENTRIES_MAX]; } wire;

	wire.head.a_version = htole32(POSIX_ACL_XATTR_VERSION);
	for (size_t i = 0; i < acl->n; i++) {
		wire.entries[i].e_tag = htole16((uint16_t)acl->entries[i].tag);
		wire.entries[i].e_perm = htole16((uint16_t)acl->entries[i].perm);
		wire.entries[i].e_id = htole32(acl->entries[i].id);
	}
	return rc(setxattr(path, which, &wire, sizeof(wire.head) + acl->n * sizeof(wire.entries[0]), 0));
}

/* The number of its entries, or -errno. */
static long op_entries(const char *a, const char *b, long arg)
{
	char wire[256];
	ssize_t n = getxattr(a, b, wire, sizeof(wire));

	(void)arg;
	return n < 0 ? -errno : (n - 4) / 8;
}

#define NONE 0xffffffffu

static const struct acl for_other = { .n = 5, .entries = {
	{ USER_OBJ, 6, NONE }, { USER, 6, OTHER_UID }, { GROUP_OBJ, 0, NONE }, { MASK, 6, NONE },
	{ OTHERS, 0, NONE },
} };
static const struct acl for_group = { .n = 5, .entries = {
	{ USER_OBJ, 6, NONE }, { GROUP_OBJ, 0, NONE }, { GROUP_TAG, 4, OWNER_GID }, { MASK, 4, NONE },
	{ OTHERS, 0, NONE },
} };
static const struct acl masked = { .n = 5, .entries = {
	{ USER_OBJ, 6, NONE }, { USER, 6, OTHER_UID }, { GROUP_OBJ, 4, NONE }, { MASK, 4, NONE },
	{ OTHERS, 0, NONE },
} };
static const struct acl plain = { .n = 3, .entries = {
	{ USER_OBJ, 6, NONE }, { GROUP_OBJ, 4, NONE }, { OTHERS, 0, NONE },
} };
static const struct acl broken = { .n = 4, .entries = {
	{ USER_OBJ, 6, NONE }, { USER, 6, OTHER_UID }, { GROUP_OBJ, 4, NONE }, { OTHERS, 0, NONE },
} };
static const struct acl dir_default = { .n = 5, .entries = {
	{ USER_OBJ, 7, NONE }, { USER, 6, OTHER_UID }, { GROUP_OBJ, 5, NONE }, { MASK, 7, NONE },
	{ OTHERS, 0, NONE },
} };

static const struct acl *const acls[] = { &for_other, &for_group, &masked, &plain, &broken, &dir_default };
enum { FOR_OTHER, FOR_GROUP, MASKED, PLAIN, BROKEN, DIR_DEFAULT };

static long op_set_acl(const char *a, const char *b, long arg)
{
	return set_acl(a, b, acls[arg]);
}

static long op_remove_acl(const char *a, const char *b, long arg)
{
	(void)arg;
	return rc(removexattr(a, b));
}

static const struct step steps[] = {
	{ NULL, ME, op_fill, "file", "text", 0, 0 },
	{ NULL, ME, op_chmod, "file", NULL, 0600, 0 },
	{ "none-yet", ME, op_entries, "file", ACCESS, 0, -ENODATA },
	{ "other-before", OTHER, op_open, "file", NULL, O_RDONLY, -EACCES },
	{ "for-other", ME, op_set_acl, "file", ACCESS, FOR_OTHER, 0 },
	{ "for-other-entries", ME, op_entries, "file", ACCESS, 0, 5 },
	{ "for-other-mode", ME, op_mode, "file", NULL, 0, 0660 },
	{ "for-other-read", OTHER, op_open, "file", NULL, O_RDONLY, 0 },
	{ "for-other-write", OTHER, op_open, "file", NULL, O_RDWR, 0 },
	{ "for-other-not-group", GROUP, op_open, "file", NULL, O_RDONLY, -EACCES },
	{ "for-group", ME, op_set_acl, "file", ACCESS, FOR_GROUP, 0 },
	{ "for-group-read", GROUP, op_open, "file", NULL, O_RDONLY, 0 },
	{ "for-group-supplementary", SUPP, op_open, "file", NULL, O_RDONLY, 0 },
	{ "for-group-write", GROUP, op_open, "file", NULL, O_WRONLY, -EACCES },
	{ "for-group-not-other", OTHER, op_open, "file", NULL, O_RDONLY, -EACCES },
	{ "masked", ME, op_set_acl, "file", ACCESS, MASKED, 0 },
	{ "masked-read", OTHER, op_open, "file", NULL, O_RDONLY, 0 },
	{ "masked-write", OTHER, op_open, "file", NULL, O_WRONLY, -EACCES },
	{ "chmod-is-the-mask", ME, op_chmod, "file", NULL, 0660, 0 },
	{ "chmod-is-the-mask-write", OTHER, op_open, "file", NULL, O_WRONLY, 0 },
	{ "chmod-closes", ME, op_chmod, "file", NULL, 0600, 0 },
	{ "chmod-closes-read", OTHER, op_open, "file", NULL, O_RDONLY, -EACCES },
	{ "broken", ME, op_set_acl, "file", ACCESS, BROKEN, -EINVAL },
	{ "set-by-other", OTHER, op_set_acl, "file", ACCESS, FOR_OTHER, -EPERM },
	{ "default-on-file", ME, op_set_acl, "file", DEFAULT, DIR_DEFAULT, -EACCES },
	{ "plain", ME, op_set_acl, "file", ACCESS, PLAIN, 0 },
	{ "plain-is-mode", ME, op_mode, "file", NULL, 0, 0640 },
	{ "plain-is-none", ME, op_entries, "file", ACCESS, 0, -ENODATA },
	{ NULL, ME, op_set_acl, "file", ACCESS, FOR_OTHER, 0 },
	{ "remove", ME, op_remove_acl, "file", ACCESS, 0, 0 },
	{ "removed", ME, op_entries, "file", ACCESS, 0, -ENODATA },
	{ "removed-read", OTHER, op_open, "file", NULL, O_RDONLY, -EACCES },

	/* what is made below a directory with a default list */
	{ NULL, ME, op_mkdir, "dir", NULL, 0755, 0 },
	{ "default", ME, op_set_acl, "dir", DEFAULT, DIR_DEFAULT, 0 },
	{ "default-entries", ME, op_entries, "dir", DEFAULT, 0, 5 },
	{ "default-gives-no-access", OTHER, op_create, "dir/no", NULL, 0600, -EACCES },
	{ NULL, ME, op_umask, NULL, NULL, 077, 0 },
	{ "inherit-file", ME, op_create, "dir/file", NULL, 0666, 0 },
	{ "inherit-file-entries", ME, op_entries, "dir/file", ACCESS, 0, 5 },
	{ "inherit-file-mode-without-umask", ME, op_mode, "dir/file", NULL, 0, 0660 },
	{ "inherit-file-by-other", OTHER, op_open, "dir/file", NULL, O_RDWR, 0 },
	{ "inherit-dir", ME, op_mkdir, "dir/sub", NULL, 0777, 0 },
	{ "inherit-dir-mode", ME, op_mode, "dir/sub", NULL, 0, 0770 },
	{ "inherit-dir-default", ME, op_entries, "dir/sub", DEFAULT, 0, 5 },
	{ "inherit-narrow", ME, op_create, "dir/narrow", NULL, 0600, 0 },
	{ "inherit-narrow-mode", ME, op_mode, "dir/narrow", NULL, 0, 0600 },
	{ "inherit-narrow-by-other", OTHER, op_open, "dir/narrow", NULL, O_RDONLY, -EACCES },
	{ "inherit-fifo", ME, op_mknod, "dir/fifo", NULL, S_IFIFO | 0666, 0 },
	{ "inherit-fifo-mode", ME, op_mode, "dir/fifo", NULL, 0, 0660 },
	{ "remove-default", ME, op_remove_acl, "dir", DEFAULT, 0, 0 },
	{ "umask-again", ME, op_create, "dir/after", NULL, 0666, 0 },
	{ "umask-again-mode", ME, op_mode, "dir/after", NULL, 0, 0600 },
	{ NULL, ME, op_umask, NULL, NULL, 022, 0 },
};

static void run(void)
{
	op_create("probe", NULL, 0600);
	if (set_acl("probe", ACCESS, &for_other) == -EOPNOTSUPP) {
		check_skip("no access control lists here", "all");
		return;
	}
	unlink("probe");
	RUN_STEPS(steps);
}

const struct subject subject_acl = { "acl", true, run };
