/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine's own limits; see bench_local.h. Nothing but the system calls in each loop. */
#include "cli/bench_local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/bench_work.h"
#include "common/cleanup.h"
#include "common/checked.h"
#include "common/log.h"

#define UNTAR_SIZE 8192u
#define ROOM_MAX (64u << 20)	/* what memcpy takes its blocks from: as much as a file usually has */

/* ---- operations ---- */

static int any_file(struct bench_local *local, char name[BENCH_NAME_MAX])
{
	bench_name(name, 'f', bench_random(&local->random) % BENCH_FILES);
	return local->files;
}

int local_getattr(struct bench_local *local)
{
	char name[BENCH_NAME_MAX];
	struct stat st;
	int dir = any_file(local, name);

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ? -errno : 1;
}

int local_lookup(struct bench_local *local)
{
	char name[BENCH_NAME_MAX];
	struct statx stx;
	int dir = any_file(local, name);

	return statx(dir, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx) ? -errno : 1;
}

int local_miss(struct bench_local *local)
{
	char name[BENCH_NAME_MAX];
	struct statx stx;

	bench_name(name, 'x', bench_random(&local->random) & 0xffffff);
	if (!statx(local->files, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx))
		return -EEXIST;
	return errno == ENOENT ? 1 : -errno;
}

int local_open_file(struct bench_local *local)
{
	char name[BENCH_NAME_MAX];
	int dir = any_file(local, name), fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 || close(fd) ? -errno : 1;
}

int local_create(struct bench_local *local)
{
	char name[BENCH_NAME_MAX];
	int fd;

	bench_name(name, 'c', local->turn++ & 0xffff);
	fd = openat(local->scratch, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || close(fd) || unlinkat(local->scratch, name, 0))
		return -errno;
	return 1;
}

int local_rename(struct bench_local *local)
{
	static const char *const names[] = { "r", "s" };
	const char *from = names[local->turn & 1], *to = names[~local->turn & 1];

	local->turn++;
	if (!renameat(local->scratch, from, local->scratch, to))
		return 1;
	return errno == ENOENT && !mknodat(local->scratch, to, S_IFREG | 0644, 0) ? 0 : -errno;
}

/* List a directory, and each file's attributes. `dir` is taken. Entries, or -errno. */
static int list_dir(int dir)
{
	char buffer[BENCH_DIR_BUFFER] __attribute__((aligned(8)));
	struct statx stx;
	int n = 0;
	long got;

	while ((got = syscall(SYS_getdents64, dir, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(buffer + at);

			at += entry->d_reclen;
			n++;
			statx(dir, entry->d_name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx);
		}
	}
	close(dir);
	return got ? -EIO : n;
}

int local_readdir(struct bench_local *local)
{
	int dir = openat(local->many, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? -errno : list_dir(dir);
}

static off_t next_block(struct bench_local *local)
{
	off_t at = (off_t)local->offset;

	local->offset += local->block;
	if (local->offset + local->block > local->file_size)
		local->offset = 0;
	return at;
}

static off_t any_block(struct bench_local *local)
{
	return (off_t)(bench_random(&local->random) % (local->file_size / local->block) *
		       local->block);
}

static int read_at(struct bench_local *local, off_t at)
{
	return pread(local->data, local->to, local->block, at) == (ssize_t)local->block ? 1 : -EIO;
}

static int write_at(struct bench_local *local, off_t at)
{
	return pwrite(local->data, local->from, local->block, at) == (ssize_t)local->block ? 1 : -EIO;
}

int local_read(struct bench_local *local)
{
	return read_at(local, next_block(local));
}

int local_write(struct bench_local *local)
{
	return write_at(local, next_block(local));
}

int local_randread(struct bench_local *local)
{
	return read_at(local, any_block(local));
}

int local_randwrite(struct bench_local *local)
{
	return write_at(local, any_block(local));
}

int local_memcpy(struct bench_local *local)
{
	size_t n = local->room_size / local->block;

	memcpy(local->to, local->from + bench_random(&local->random) % n * local->block, local->block);
	/* The copy must be seen to be wanted. */
	__asm__ volatile("" : : "r"(local->to) : "memory");
	return 1;
}

int local_status(struct bench_local *local)
{
	char name[BENCH_NAME_MAX];
	struct stat st;
	int dir;

	bench_name(name, 'd', bench_random(&local->random) % BENCH_DIRS);
	dir = openat(local->dirs, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	if (!fstatat(dir, ".gitignore", &st, AT_SYMLINK_NOFOLLOW) || errno != ENOENT) {
		close(dir);
		return -EEXIST;
	}
	return list_dir(dir);
}

int local_untar(struct bench_local *local)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000000000 } };
	char name[BENCH_NAME_MAX];
	struct stat st;
	int fd;

	bench_name(name, 't', local->turn++ & 0xffff);
	if (!fstatat(local->scratch, name, &st, AT_SYMLINK_NOFOLLOW))
		return -EEXIST;
	fd = openat(local->scratch, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, local->from, UNTAR_SIZE) != UNTAR_SIZE || fchmod(fd, 0644) ||
	    futimens(fd, times) || close(fd) || unlinkat(local->scratch, name, 0))
		return -errno;
	return 1;
}

/* ---- the directory ---- */

/* A new directory, opened: its descriptor, or -errno. */
static int make_dir(int parent, const char *name)
{
	int fd;

	if (mkdirat(parent, name, 0755))
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int make_files(int dir, unsigned int n)
{
	char name[BENCH_NAME_MAX];

	for (unsigned int i = 0; i < n; i++) {
		bench_name(name, 'f', i);
		if (mknodat(dir, name, S_IFREG | 0644, 0))
			return -errno;
	}
	return 0;
}

static int make_dirs(int parent)
{
	int err = 0;

	for (unsigned int i = 0; i < BENCH_DIRS && !err; i++) {
		char name[BENCH_NAME_MAX];
		cleanup_close int dir = -1;

		bench_name(name, 'd', i);
		dir = make_dir(parent, name);
		err = dir < 0 ? dir : make_files(dir, BENCH_DIR_FILES);
	}
	return err;
}

static int make_data(struct bench_local *local)
{
	local->data = openat(local->top, "data", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (local->data < 0)
		return -errno;
	for (uint64_t at = 0; at < local->file_size; at += local->room_size) {
		size_t n = MIN(local->room_size, local->file_size - at);

		if (pwrite(local->data, local->from, n, (off_t)at) != (ssize_t)n)
			return -EIO;
	}
	return 0;
}

static int make_all(struct bench_local *local)
{
	int *const dirs[] = { &local->files, &local->many, &local->scratch, &local->dirs };
	static const char *const names[] = { "files", "many", "scratch", "dirs" };
	int err;

	local->top = make_dir(local->parent, local->name);
	if (local->top < 0)
		return local->top;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		*dirs[i] = make_dir(local->top, names[i]);
		if (*dirs[i] < 0)
			return *dirs[i];
	}
	err = make_files(local->files, BENCH_FILES);
	if (!err)
		err = make_files(local->many, local->n_entries);
	if (!err)
		err = make_dirs(local->dirs);
	return err ? err : make_data(local);
}

int local_open(const char *dir, uint64_t file_size, unsigned int n_entries, size_t block_max,
	       struct bench_local *local)
{
	int err = -ENOMEM;

	*local = (struct bench_local){
		.top = -1, .files = -1, .many = -1, .scratch = -1, .dirs = -1, .data = -1,
		.file_size = file_size, .n_entries = n_entries, .random = 88172645463325252u,
		.room_size = MAX(block_max, MIN(file_size, ROOM_MAX)),
		.parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	};
	if (local->parent < 0) {
		log_error("--local %s: %s", dir, strerror(errno));
		return -errno;
	}
	snprintf(local->name, sizeof(local->name), "casement-bench-%d-local", (int)getpid());
	local->from = malloc(local->room_size);
	local->to = malloc(local->room_size);
	if (local->from && local->to) {
		memset(local->from, 'l', local->room_size);
		memset(local->to, 'l', local->room_size);
		err = make_all(local);
	}
	if (err)
		log_error("--local %s: %s", dir, strerror(-err));
	return err;
}

static int remove_dir(int parent, const char *name);

static int remove_entry(int dir, const char *name)
{
	if (!strcmp(name, ".") || !strcmp(name, "..") || !unlinkat(dir, name, 0))
		return 0;
	return errno == EISDIR ? remove_dir(dir, name) : -errno;
}

/* All that can be removed goes, with the directory if that was everything; the first error, or 0. */
static int remove_dir(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int err = 0;

	if (!dir) {
		err = -errno;
		close_fd(&fd);
		return err;
	}
	while (errno = 0, (entry = readdir(dir)))
		err = remove_entry(fd, entry->d_name) ?: err;
	if (errno)
		err = -errno;
	closedir(dir);
	if (unlinkat(parent, name, AT_REMOVEDIR) && !err)
		err = -errno;
	return err;
}

void local_close(struct bench_local *local)
{
	int err;

	close_fd(&local->data);
	close_fd(&local->files);
	close_fd(&local->many);
	close_fd(&local->scratch);
	close_fd(&local->dirs);
	err = local->top >= 0 ? remove_dir(local->parent, local->name) : 0;
	if (err)
		log_warn("--local: %s could not be removed: %s", local->name, strerror(-err));
	close_fd(&local->top);
	close_fd(&local->parent);
	free(local->from);
	free(local->to);
	local->from = local->to = NULL;
}
