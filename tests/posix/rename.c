/* SPDX-License-Identifier: BSD-3-Clause */
/* rename(2) and the flags of renameat2(2). */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static const struct step steps[] = {
	{ NULL, ME, op_fill, "a", "A", 0, 0 },
	{ "rename", ME, op_rename, "a", "b", 0, 0 },
	{ "old-name-is-gone", ME, op_exists, "a", NULL, 0, -ENOENT },
	{ "new-name-has-it", ME, op_holds, "b", "A", 0, 1 },
	{ NULL, ME, op_fill, "c", "C", 0, 0 },
	{ "over-file", ME, op_rename, "b", "c", 0, 0 },
	{ "over-file-content", ME, op_holds, "c", "A", 0, 1 },
	{ "over-file-old", ME, op_exists, "b", NULL, 0, -ENOENT },
	{ "missing", ME, op_rename, "none", "x", 0, -ENOENT },
	{ "to-itself", ME, op_rename, "c", "c", 0, 0 },
	{ "to-itself-stays", ME, op_holds, "c", "A", 0, 1 },
	{ "into-missing-dir", ME, op_rename, "c", "none/c", 0, -ENOENT },
	{ NULL, ME, op_mkdir, "dir", NULL, 0755, 0 },
	{ NULL, ME, op_mkdir, "empty", NULL, 0755, 0 },
	{ NULL, ME, op_mkdir, "full", NULL, 0755, 0 },
	{ NULL, ME, op_create, "full/x", NULL, 0600, 0 },
	{ "file-over-dir", ME, op_rename, "c", "dir", 0, -EISDIR },
	{ "dir-over-file", ME, op_rename, "dir", "c", 0, -ENOTDIR },
	{ "dir-over-full-dir", ME, op_rename, "dir", "full", 0, -ENOTEMPTY },
	{ "dir-over-empty-dir", ME, op_rename, "dir", "empty", 0, 0 },
	{ "dir-over-empty-old", ME, op_exists, "dir", NULL, 0, -ENOENT },
	{ "full-dir", ME, op_rename, "full", "full2", 0, 0 },
	{ "full-dir-content", ME, op_exists, "full2/x", NULL, 0, 0 },
	{ "into-own-child", ME, op_rename, "full2", "full2/y", 0, -EINVAL },
	{ "over-parent", ME, op_rename, "full2/x", "full2", 0, -ENOTEMPTY },
	{ "move-to-dir", ME, op_rename, "c", "empty/c", 0, 0 },
	{ "moved-content", ME, op_holds, "empty/c", "A", 0, 1 },
	{ NULL, ME, op_mkdir, "empty/sub", NULL, 0755, 0 },
	{ "move-dir-up", ME, op_rename, "empty/sub", "sub", 0, 0 },
	{ "moved-dir-parent-nlink", ME, op_nlink, "empty", NULL, 0, 2 },
	{ "moved-dir-dot-dot", ME, op_same, "sub/..", ".", 0, 1 },
	{ "move-dir-down", ME, op_rename, "sub", "empty/sub", 0, 0 },
	{ "moved-dir-down-dot-dot", ME, op_same, "empty/sub/..", "empty", 0, 1 },
	{ "moved-dir-down-nlink", ME, op_nlink, "empty", NULL, 0, 3 },
	{ "dot", ME, op_rename, "empty/.", "x", 0, -EBUSY },
	{ "dot-dot", ME, op_rename, "empty/sub/..", "x", 0, -EBUSY },
	{ "file-with-slash", ME, op_rename, "empty/c", "x/", 0, -ENOTDIR },
	{ "dir-with-slash", ME, op_rename, "empty/sub/", "empty/sub2/", 0, 0 },
	{ "below-file", ME, op_rename, "empty/c/x", "y", 0, -ENOTDIR },

	{ NULL, ME, op_fill, "p", "P", 0, 0 },
	{ NULL, ME, op_fill, "q", "Q", 0, 0 },
	{ "noreplace-existing", ME, op_rename, "p", "q", RENAME_NOREPLACE, -EEXIST },
	{ "noreplace-kept", ME, op_holds, "q", "Q", 0, 1 },
	{ "noreplace-itself", ME, op_rename, "p", "p", RENAME_NOREPLACE, -EEXIST },
	{ "noreplace-free", ME, op_rename, "p", "r", RENAME_NOREPLACE, 0 },
	{ "noreplace-free-content", ME, op_holds, "r", "P", 0, 1 },
	{ "exchange", ME, op_rename, "q", "r", RENAME_EXCHANGE, 0 },
	{ "exchange-first", ME, op_holds, "q", "P", 0, 1 },
	{ "exchange-second", ME, op_holds, "r", "Q", 0, 1 },
	{ "exchange-missing", ME, op_rename, "q", "none", RENAME_EXCHANGE, -ENOENT },
	{ "exchange-file-and-dir", ME, op_rename, "q", "empty", RENAME_EXCHANGE, 0 },
	{ "exchange-file-is-dir", ME, op_type, "q", NULL, 0, S_IFDIR },
	{ "exchange-dir-is-file", ME, op_holds, "empty", "P", 0, 1 },
	{ "exchange-dirs", ME, op_rename, "q", "full2", RENAME_EXCHANGE, 0 },
	{ "exchange-dirs-first", ME, op_exists, "q/x", NULL, 0, 0 },
	{ "exchange-dirs-second", ME, op_exists, "full2/c", NULL, 0, 0 },
	{ "exchange-with-ancestor", ME, op_rename, "full2", "full2/sub2", RENAME_EXCHANGE, -EINVAL },
	{ "exchange-and-noreplace", ME, op_rename, "q", "r", RENAME_EXCHANGE | RENAME_NOREPLACE, -EINVAL },
	{ "unknown-flag", ME, op_rename, "q", "r", 1 << 7, -EINVAL },
};

/* What is open stays what it is, whatever becomes of names. */
static void check_open_files(void)
{
	char byte = 0;
	int kept, replaced;

	op_fill("one", "1", 0);
	op_fill("two", "2", 0);
	kept = open("one", O_RDWR);
	replaced = open("two", O_RDWR);
	check(rc(rename("one", "two")), 0, "open-over-open");
	check(rc(pread(kept, &byte, 1, 0)), 1, "renamed-reads");
	check(byte, '1', "renamed-content");
	check(rc(pread(replaced, &byte, 1, 0)), 1, "replaced-reads");
	check(byte, '2', "replaced-content");
	check(rc(pwrite(replaced, "3", 1, 0)), 1, "replaced-writes");
	check(op_holds("two", "1", 0), 1, "replaced-write-goes-nowhere");
	check(rc(pwrite(kept, "4", 1, 0)), 1, "renamed-writes");
	check(op_holds("two", "4", 0), 1, "renamed-write-is-seen");
	close(kept);
	close(replaced);
}

/* A process whose directory is moved is still in it. */
static void check_moved_cwd(void)
{
	mkdir("here", 0755);
	mkdir("there", 0755);
	if (chdir("here"))
		return;
	check(rc(rename("../here", "../there/here")), 0, "move-cwd");
	check(op_create("made", NULL, 0600), 0, "create-in-moved-cwd");
	check(op_exists("../here/made", NULL, 0), 0, "create-in-moved-cwd-seen");
	check(op_exists("../../there", NULL, 0), 0, "dot-dot-of-moved-cwd");
	if (chdir("../.."))
		return;
	check(op_exists("there/here/made", NULL, 0), 0, "moved-cwd-content");
}

static const struct step whiteout[] = {
	{ NULL, ME, op_fill, "w", "W", 0, 0 },
	{ "whiteout", ME, op_rename, "w", "w2", RENAME_WHITEOUT, 0 },
	{ "whiteout-type", ME, op_type, "w", NULL, 0, S_IFCHR },
	{ "whiteout-content", ME, op_holds, "w2", "W", 0, 1 },
};

static void run(void)
{
	RUN_STEPS(steps);
	check_open_files();
	check_moved_cwd();
	if (geteuid() == 0)
		RUN_STEPS(whiteout);
	else
		check_skip("only root makes devices", "whiteout");
}

const struct subject subject_rename = { "rename", false, run };
