/* SPDX-License-Identifier: BSD-3-Clause */
/* Symbolic links: targets of any kind and length, chains, loops, and who follows them. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

#define LEVELS 40	/* what Linux follows in one walk */

static const struct step steps[] = {
	{ NULL, ME, op_fill, "file", "text", 0, 0 },
	{ NULL, ME, op_mkdir, "dir", NULL, 0755, 0 },
	{ "symlink", ME, op_symlink, "file", "soft", 0, 0 },
	{ "points", ME, op_points, "soft", "file", 0, 1 },
	{ "type", ME, op_type, "soft", NULL, 0, S_IFLNK },
	{ "reads-through", ME, op_holds, "soft", "text", 0, 1 },
	{ "writes-through", ME, op_fill, "soft", "other", 0, 0 },
	{ "written", ME, op_holds, "file", "other", 0, 1 },
	{ "existing-name", ME, op_symlink, "x", "soft", 0, -EEXIST },
	{ "existing-dir", ME, op_symlink, "x", "dir", 0, -EEXIST },
	{ "empty-target", ME, op_symlink, "", "empty", 0, -ENOENT },
	{ "missing-parent", ME, op_symlink, "x", "none/soft", 0, -ENOENT },
	{ "readlink-of-file", ME, op_points, "file", "", 0, -EINVAL },
	{ "readlink-of-dir", ME, op_points, "dir", "", 0, -EINVAL },
	{ "readlink-of-missing", ME, op_points, "none", "", 0, -ENOENT },
	{ "nofollow", ME, op_open, "soft", NULL, O_RDONLY | O_NOFOLLOW, -ELOOP },
	{ "o-path-nofollow", ME, op_open, "soft", NULL, O_PATH | O_NOFOLLOW, 0 },
	{ "directory-nofollow", ME, op_open, "soft", NULL, O_RDONLY | O_DIRECTORY, -ENOTDIR },
	{ "dangling", ME, op_symlink, "nowhere", "dangling", 0, 0 },
	{ "dangling-exists", ME, op_exists, "dangling", NULL, 0, 0 },
	{ "dangling-open", ME, op_open, "dangling", NULL, O_RDONLY, -ENOENT },
	{ "dangling-excl", ME, op_create, "dangling", NULL, 0600, -EEXIST },
	{ "dangling-create", ME, op_fill, "dangling", "made", 0, 0 },
	{ "dangling-created", ME, op_holds, "nowhere", "made", 0, 1 },
	{ "mkdir-over-link", ME, op_mkdir, "dangling", NULL, 0700, -EEXIST },
	{ NULL, ME, op_symlink, "dir", "to-dir", 0, 0 },
	{ "dir-through-link", ME, op_create, "to-dir/in", NULL, 0600, 0 },
	{ "dir-through-link-seen", ME, op_exists, "dir/in", NULL, 0, 0 },
	{ "chdir-through-link", ME, op_chdir, "to-dir", NULL, 0, 0 },
	{ "list-through-link", ME, op_list, "to-dir", NULL, 0, 0 },
	{ "rmdir-of-link", ME, op_rmdir, "to-dir", NULL, 0, -ENOTDIR },
	{ "rmdir-of-link-slash", ME, op_rmdir, "to-dir/", NULL, 0, -ENOTDIR },
	{ "slash-follows", ME, op_type, "to-dir/", NULL, 0, S_IFDIR },
	{ "unlink-of-link", ME, op_unlink, "to-dir", NULL, 0, 0 },
	{ "unlink-leaves-target", ME, op_exists, "dir/in", NULL, 0, 0 },
	{ "parent-in-target", ME, op_symlink, "../file", "dir/up", 0, 0 },
	{ "parent-in-target-reads", ME, op_holds, "dir/up", "other", 0, 1 },
	{ "dots-in-target", ME, op_symlink, "./dir/.././file", "dots", 0, 0 },
	{ "dots-in-target-reads", ME, op_holds, "dots", "other", 0, 1 },
	{ "dots-stay-as-they-are", ME, op_points, "dots", "./dir/.././file", 0, 1 },
	{ "absolute", ME, op_symlink, "/proc/self/comm", "absolute", 0, 0 },
	{ "absolute-reads", ME, op_open, "absolute", NULL, O_RDONLY, 0 },
	{ "self", ME, op_symlink, "self", "self", 0, 0 },
	{ "self-open", ME, op_open, "self", NULL, O_RDONLY, -ELOOP },
	{ "self-stat", ME, op_size, "self", NULL, 0, -ELOOP },
	{ "self-lstat", ME, op_exists, "self", NULL, 0, 0 },
	{ NULL, ME, op_symlink, "loop-b", "loop-a", 0, 0 },
	{ NULL, ME, op_symlink, "loop-a", "loop-b", 0, 0 },
	{ "loop-of-two", ME, op_open, "loop-a", NULL, O_RDONLY, -ELOOP },
	{ "loop-in-path", ME, op_exists, "loop-a/x", NULL, 0, -ELOOP },
	{ "rename-of-link", ME, op_rename, "soft", "soft2", 0, 0 },
	{ "rename-of-link-points", ME, op_points, "soft2", "file", 0, 1 },
	{ NULL, ME, op_create, "victim", NULL, 0600, 0 },
	{ "rename-over-file", ME, op_rename, "soft2", "victim", 0, 0 },
	{ "rename-over-file-type", ME, op_type, "victim", NULL, 0, S_IFLNK },
	{ "rename-file-over-link", ME, op_rename, "nowhere", "victim", 0, 0 },
	{ "rename-file-over-link-type", ME, op_type, "victim", NULL, 0, S_IFREG },
	{ "rename-file-over-link-target", ME, op_holds, "file", "other", 0, 1 },
	{ "unicode", ME, op_symlink, "gr\xc3\xbcn/\xe4\xb8\x96", "unicode", 0, 0 },
	{ "unicode-points", ME, op_points, "unicode", "gr\xc3\xbcn/\xe4\xb8\x96", 0, 1 },
	{ "bytes", ME, op_symlink, "\xff\xfe\n\t ", "bytes", 0, 0 },
	{ "bytes-points", ME, op_points, "bytes", "\xff\xfe\n\t ", 0, 1 },
};

static void check_levels(void)
{
	char name[16], target[16];

	for (int i = 1; i <= LEVELS + 1; i++) {
		snprintf(name, sizeof(name), "level-%d", i);
		snprintf(target, sizeof(target), i == 1 ? "file" : "level-%d", i - 1);
		symlink(target, name);
	}
	check(op_open("level-39", NULL, O_RDONLY), 0, "39-levels");
	check(op_open("level-40", NULL, O_RDONLY), 0, "40-levels");
	check(op_open("level-41", NULL, O_RDONLY), -ELOOP, "41-levels");
}

static void check_lengths(void)
{
	static const size_t lengths[] = { 1, 59, 60, 255, 256, 1023, 4000, PATH_MAX - 1, PATH_MAX };
	char target[PATH_MAX + 1], got[PATH_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		size_t len = lengths[i];
		bool fits = len < PATH_MAX;
		struct stat st = { .st_size = -1 };

		memset(target, 'x', len);
		for (size_t at = 200; at < len; at += 200)
			target[at] = '/';
		target[len] = '\0';
		check(rc(symlink(target, "long")), fits ? 0 : -ENAMETOOLONG, "length-%zu", len);
		if (!fits)
			continue;
		lstat("long", &st);
		check(st.st_size, (long)len, "length-%zu-size", len);
		check(rc(readlink("long", got, sizeof(got))), (long)len, "length-%zu-read", len);
		check(memcmp(got, target, len), 0, "length-%zu-same", len);
		unlink("long");
	}
	symlink("0123456789", "ten");
	check(rc(readlink("ten", got, 4)), 4, "short-buffer");
	check(memcmp(got, "0123", 4), 0, "short-buffer-start");
}

static void run(void)
{
	RUN_STEPS(steps);
	check_levels();
	check_lengths();
}

const struct subject subject_symlink = { "symlink", false, run };
