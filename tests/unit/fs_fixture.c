/* SPDX-License-Identifier: BSD-3-Clause */
/* A file system object on a scratch directory; see fs_fixture.h. */
#include "tests/unit/fs_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/fs/inode_fd.h"

#define THREADS_MAX 16

const struct fs_caller root_caller = { .uid = 0, .gid = 0 };
const struct fs_caller user_caller = { .uid = 1000, .gid = 1000 };
const struct fs_write as_opened = { .caller = &root_caller, .place = FS_PLACE_OPENED };
const struct fs_write at_offset = { .caller = &root_caller, .place = FS_PLACE_OFFSET };
const struct fs_write at_end = { .caller = &root_caller, .place = FS_PLACE_END };

bool fixture_by_handle(void)
{
	return getenv("CASEMENT_TEST_HANDLES");
}

struct fs *fixture_serve(const struct fixture *f, const struct fs_config *config)
{
	struct fs_config used = config ? *config : (struct fs_config){ 0 };
	struct fs *fs = NULL;

	/* Every test may run with file handles, too, and then with hardly a descriptor kept. */
	if (fixture_by_handle() && used.handles == FS_HANDLES_NEVER) {
		used.handles = FS_HANDLES_PREFER;
		used.kept_fds = FD_SHARDS;
	}
	used.root_fd = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(used.root_fd >= 0);
	assert_int_equal(fs_new(&used, &fs), 0);
	return fs;
}

/* In $TMPDIR, as tests/check has it for one run in memory and one on the disk. */
static void make_directory(struct fixture *f)
{
	const char *tmp = getenv("TMPDIR");
	int len = snprintf(f->dir, sizeof(f->dir), "%s/casement-fs-XXXXXX", tmp ? tmp : "/tmp");

	assert_in_range(len, 1, sizeof(f->dir) - 1);
	assert_non_null(mkdtemp(f->dir));
}

struct fixture *fixture_new(const struct fs_config *config)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	umask(0);
	make_directory(f);
	f->fs = fixture_serve(f, config);
	return f;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fixture_free(struct fixture *f)
{
	fs_free(f->fs);
	umount2(host_path(f, "mnt"), MNT_DETACH);
	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
}

const char *host_path(const struct fixture *f, const char *name)
{
	static __thread char paths[4][512];
	static __thread unsigned int turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", f->dir, name);
	return path;
}

void host_write(const struct fixture *f, const char *name, const char *text)
{
	FILE *file = fopen(host_path(f, name), "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

struct stat host_stat(const struct fixture *f, const char *name)
{
	struct stat st = { 0 };

	assert_int_equal(lstat(host_path(f, name), &st), 0);
	return st;
}

uint64_t must_lookup(struct fs *fs, uint64_t parent, const char *name)
{
	struct fs_entry entry = { 0 };

	assert_int_equal(fs_lookup(fs, parent, name, &entry), 0);
	assert_int_not_equal(entry.node, 0);
	return entry.node;
}

uint64_t must_open(struct fs *fs, uint64_t node, uint32_t flags)
{
	uint64_t handle = 0;

	assert_int_equal(fs_open(fs, &root_caller, node, flags, &handle), 0);
	return handle;
}

uint64_t must_create(struct fs *fs, uint64_t parent, const char *name, uint64_t *handle)
{
	struct fs_entry entry = { 0 };

	assert_int_equal(fs_create(fs, &root_caller, parent, name, O_RDWR, 0644, &entry, handle),
			 0);
	return entry.node;
}

uint64_t must_mkdir(struct fs *fs, uint64_t parent, const char *name)
{
	struct fs_entry entry = { 0 };

	assert_int_equal(fs_mkdir(fs, &root_caller, parent, name, 0755, &entry), 0);
	return entry.node;
}

ssize_t read_at(struct fs *fs, uint64_t handle, uint64_t offset, void *buf, size_t size)
{
	struct iovec iov = { buf, size };
	struct iov_cursor to;

	iov_cursor_init(&to, &iov, 1);
	return fs_read(fs, FS_ROOT_NODE, handle, offset, size, &to, 0);
}

ssize_t write_at(struct fs *fs, uint64_t handle, uint64_t offset, const void *buf, size_t size)
{
	struct iovec iov = { (void *)(uintptr_t)buf, size };
	struct iov_cursor from;

	iov_cursor_init(&from, &iov, 1);
	return fs_write(fs, FS_ROOT_NODE, handle, offset, size, &from, &as_opened);
}

void fixture_private_mounts(void)
{
	if (unshare(CLONE_NEWNS) == 0)
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

struct thread_start {
	void (*body)(void *arg, unsigned int number);
	void *arg;
	unsigned int number;
	pthread_barrier_t *together;
};

static void *thread_main(void *arg)
{
	const struct thread_start *start = arg;

	pthread_barrier_wait(start->together);
	start->body(start->arg, start->number);
	return NULL;
}

void run_threads(unsigned int n, void (*body)(void *arg, unsigned int number), void *arg)
{
	struct thread_start starts[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	pthread_barrier_t together;

	assert_true(n <= THREADS_MAX);
	pthread_barrier_init(&together, NULL, n);
	for (unsigned int i = 0; i < n; i++) {
		starts[i] = (struct thread_start){ body, arg, i, &together };
		assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &starts[i]), 0);
	}
	for (unsigned int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&together);
}
