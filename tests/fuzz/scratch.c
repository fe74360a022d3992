/* SPDX-License-Identifier: BSD-3-Clause */
/* A tmpfs for a fuzzer; see scratch.h. Relies on mount namespaces, of root's or of a user namespace. */
#include "tests/fuzz/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "tests/fuzz/fuzz.h"

#define SKIPPED 77	/* what Meson takes as "skipped" */
#define OPTIONS "size=16m,nr_inodes=2000,mode=755"

/* What must not change. */
static const char *const outside[] = { "/mnt", "/mnt/outside", "/mnt/outside/secret" };
static struct stat before[ARRAY_SIZE(outside)];

static bool write_text(const char *path, const char *text)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool enter_namespace(void)
{
	char map[64];
	unsigned int uid = getuid(), gid = getgid();

	if (!unshare(CLONE_NEWNS))
		return true;
	if (unshare(CLONE_NEWNS | CLONE_NEWUSER))
		return false;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	if (!write_text("/proc/self/uid_map", map) || !write_text("/proc/self/setgroups", "deny"))
		return false;
	snprintf(map, sizeof(map), "0 %u 1", gid);
	return write_text("/proc/self/gid_map", map);
}

_Noreturn void scratch_skip(const char *why)
{
	fprintf(stderr, "%s: %s\n", why, strerror(errno));
	_exit(SKIPPED);
}

void scratch_mount(void)
{
	umask(0);
	if (!enter_namespace() || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/mnt", "tmpfs", MS_NOATIME | MS_NODEV | MS_NOSUID, OPTIONS))
		scratch_skip("no tmpfs of our own");
	FUZZ_CHECK(!mkdir("/mnt/outside", 0755) && !mkdir(SCRATCH_SHARE, 0755), "%m");
	FUZZ_CHECK(write_text("/mnt/outside/secret", "secret\n"), "%m");
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		FUZZ_CHECK(!lstat(outside[i], &before[i]), "%m");
}

/* A guest that is root's may make a file immutable. */
static void clear_flags(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int none = 0;

	if (fd >= 0)
		ioctl(fd, FS_IOC_SETFLAGS, &none);
}

static int clear_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type;
	(void)ftw;
	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		clear_flags(path);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level ? remove(path) : 0;
}

void scratch_fill(void)
{
	if (nftw(SCRATCH_SHARE, remove_one, 16, FTW_DEPTH | FTW_PHYS)) {
		nftw(SCRATCH_SHARE, clear_one, 16, FTW_PHYS);
		FUZZ_CHECK(!nftw(SCRATCH_SHARE, remove_one, 16, FTW_DEPTH | FTW_PHYS), "%m");
	}
	clear_flags(SCRATCH_SHARE);
	FUZZ_CHECK(!chmod(SCRATCH_SHARE, 0755) && !chown(SCRATCH_SHARE, 0, 0), "%m");
	FUZZ_CHECK(write_text(SCRATCH_SHARE "/file", "the file\n"), "%m");
	FUZZ_CHECK(!mkdir(SCRATCH_SHARE "/dir", 0777) && write_text(SCRATCH_SHARE "/dir/inner", "inner\n"), "%m");
	FUZZ_CHECK(!symlink("file", SCRATCH_SHARE "/link") && !symlink("../outside", SCRATCH_SHARE "/out") &&
		   !symlink("loop", SCRATCH_SHARE "/loop") && !symlink("/mnt/outside/secret", SCRATCH_SHARE "/abs"), "%m");
	FUZZ_CHECK(!mkfifo(SCRATCH_SHARE "/fifo", 0666), "%m");
}

void scratch_check(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		const struct stat *was = &before[i];
		struct stat now;

		FUZZ_CHECK(!lstat(outside[i], &now), "%s: %m", outside[i]);
		FUZZ_CHECK(now.st_ino == was->st_ino && now.st_mode == was->st_mode &&
			   now.st_nlink == was->st_nlink && now.st_uid == was->st_uid &&
			   now.st_gid == was->st_gid && now.st_size == was->st_size &&
			   now.st_mtim.tv_sec == was->st_mtim.tv_sec &&
			   now.st_mtim.tv_nsec == was->st_mtim.tv_nsec &&
			   now.st_ctim.tv_sec == was->st_ctim.tv_sec &&
			   now.st_ctim.tv_nsec == was->st_ctim.tv_nsec, "%s was changed", outside[i]);
	}
}
