/* SPDX-License-Identifier: BSD-3-Clause */
/* What stat(2), statx(2) and statvfs(3) say. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/posix/check.h"
#include "tests/posix/steps.h"

static const struct step steps[] = {
	{ NULL, ME, op_fill, "file", "0123456789", 0, 0 },
	{ NULL, ME, op_mkdir, "dir", NULL, 0750, 0 },
	{ NULL, ME, op_symlink, "file", "soft", 0, 0 },
	{ NULL, ME, op_mknod, "fifo", NULL, S_IFIFO | 0600, 0 },
	{ "type-file", ME, op_type, "file", NULL, 0, S_IFREG },
	{ "type-dir", ME, op_type, "dir", NULL, 0, S_IFDIR },
	{ "type-link", ME, op_type, "soft", NULL, 0, S_IFLNK },
	{ "type-fifo", ME, op_type, "fifo", NULL, 0, S_IFIFO },
	{ "size-file", ME, op_size, "file", NULL, 0, 10 },
	{ "size-through-link", ME, op_size, "soft", NULL, 0, 10 },
	{ "size-fifo", ME, op_size, "fifo", NULL, 0, 0 },
	{ "nlink-file", ME, op_nlink, "file", NULL, 0, 1 },
	{ "nlink-new-dir", ME, op_nlink, "dir", NULL, 0, 2 },
	{ NULL, ME, op_mkdir, "dir/sub", NULL, 0700, 0 },
	{ "nlink-dir-with-dir", ME, op_nlink, "dir", NULL, 0, 3 },
	{ NULL, ME, op_create, "dir/file", NULL, 0600, 0 },
	{ "nlink-dir-with-file", ME, op_nlink, "dir", NULL, 0, 3 },
	{ NULL, ME, op_rmdir, "dir/sub", NULL, 0, 0 },
	{ "nlink-dir-after-rmdir", ME, op_nlink, "dir", NULL, 0, 2 },
	{ "missing", ME, op_exists, "none", NULL, 0, -ENOENT },
	{ "below-file", ME, op_exists, "file/x", NULL, 0, -ENOTDIR },
	{ "file-with-slash", ME, op_exists, "file/", NULL, 0, -ENOTDIR },
	{ "dir-with-slash", ME, op_exists, "dir/", NULL, 0, 0 },
	{ "dot", ME, op_same, "dir/.", "dir", 0, 1 },
	{ "dot-dot", ME, op_same, "dir/..", ".", 0, 1 },
	{ "empty-path", ME, op_exists, "", NULL, 0, -ENOENT },
	{ "blocks-of-empty", ME, op_blocks, "dir/file", NULL, 0, 0 },
};

static void check_statx(void)
{
	struct statx first = { .stx_mask = 0 }, stx = { .stx_mask = 0 };
	struct stat st = { .st_size = 0 };
	cleanup_close int fd = open("file", O_RDWR);

	check(rc(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS | STATX_BTIME, &first)), 0, "statx");
	stat("file", &st);
	check((first.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS, 1, "statx-basic-mask");
	check(first.stx_ino == st.st_ino, 1, "statx-ino");
	check(first.stx_mode, st.st_mode, "statx-mode");
	check((long)first.stx_size, 10, "statx-size");
	check(first.stx_mask & STATX_BTIME ? 1 : 0, 1, "statx-has-btime");
	check(first.stx_btime.tv_sec > 1000000000, 1, "statx-btime-is-recent");
	op_append("file", "more", 0);
	op_chmod("file", NULL, 0600);
	check(rc(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx)), 0, "statx-fd");
	check((long)stx.stx_size, 14, "statx-fd-size");
	check(stx.stx_btime.tv_sec == first.stx_btime.tv_sec &&
	      stx.stx_btime.tv_nsec == first.stx_btime.tv_nsec, 1, "btime-stays");
	check(rc(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_SIZE, &stx)), 0, "statx-sync");
	check((long)stx.stx_size, 14, "statx-sync-size");
	check(rc(statx(AT_FDCWD, "file", AT_STATX_DONT_SYNC, STATX_SIZE, &stx)), 0, "statx-dont-sync");
	check(rc(statx(AT_FDCWD, "soft", AT_SYMLINK_NOFOLLOW, STATX_SIZE, &stx)), 0, "statx-link");
	check((long)stx.stx_size, 4, "statx-link-size");
	check(rc(statx(AT_FDCWD, "file", 0, 0x80000000u, &stx)), -EINVAL, "statx-reserved-mask");
	check(rc(statx(AT_FDCWD, "file", 0x40000000, STATX_SIZE, &stx)), -EINVAL, "statx-unknown-flag");
}

static void check_identity(void)
{
	struct stat here = { .st_size = 0 }, file = { .st_size = 0 }, again = { .st_size = 0 };
	cleanup_close int fd = open("file", O_RDONLY);
	struct dirent *entry;
	DIR *dir = opendir(".");
	long same = 0;

	stat(".", &here);
	stat("file", &file);
	check(here.st_dev == file.st_dev, 1, "one-device");
	fstat(fd, &again);
	check(again.st_ino == file.st_ino && again.st_dev == file.st_dev, 1, "fstat-is-the-same");
	while (dir && (entry = readdir(dir)))
		if (!strcmp(entry->d_name, "file"))
			same = entry->d_ino == file.st_ino;
	if (dir)
		closedir(dir);
	check(same, 1, "readdir-ino-is-stat-ino");
	rename("file", "moved");
	stat("moved", &again);
	check(again.st_ino == file.st_ino, 1, "ino-stays-over-rename");
	op_create("file", NULL, 0600);
	stat("file", &again);
	check(again.st_ino != file.st_ino, 1, "new-file-has-another-ino");
	check(file.st_blksize > 0, 1, "blksize");
	rename("moved", "file");
	unlink("file");
	fstat(fd, &again);
	check(again.st_nlink, 0, "nlink-of-unlinked");
	check(again.st_ino == file.st_ino, 1, "ino-of-unlinked");
	check(again.st_size, 14, "size-of-unlinked");
}

static void check_statvfs(void)
{
	struct statvfs vfs = { .f_bsize = 0 }, by_fd = { .f_bsize = 0 };
	cleanup_close int fd = open("dir", O_RDONLY);

	check(rc(statvfs(".", &vfs)), 0, "statvfs");
	check((long)vfs.f_namemax, NAME_MAX, "statvfs-namemax");
	check(vfs.f_bsize > 0 && vfs.f_frsize > 0, 1, "statvfs-block-sizes");
	check(vfs.f_blocks > 0, 1, "statvfs-blocks");
	check(vfs.f_bfree <= vfs.f_blocks && vfs.f_bavail <= vfs.f_bfree, 1, "statvfs-free");
	check(vfs.f_files > 0 && vfs.f_ffree <= vfs.f_files, 1, "statvfs-files");
	check(rc(fstatvfs(fd, &by_fd)), 0, "fstatvfs");
	check(by_fd.f_blocks == vfs.f_blocks, 1, "fstatvfs-is-the-same");
	check(rc(statvfs("none", &vfs)), -ENOENT, "statvfs-missing");
	check(pathconf(".", _PC_NAME_MAX), NAME_MAX, "pathconf-name-max");
	check(pathconf(".", _PC_PATH_MAX), PATH_MAX, "pathconf-path-max");
}

static void run(void)
{
	RUN_STEPS(steps);
	check_statx();
	check_identity();
	check_statvfs();
}

const struct subject subject_stat = { "stat", false, run };
