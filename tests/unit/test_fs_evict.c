/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors that inodes take from each other while they come and go, on a file
 * system where some files have no handle: overlayfs, FUSE and network file systems
 * have such. Here name_to_handle_at(2) fails for files of odd inode numbers. Needs
 * handles in /tmp, and root.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/fs/fs_private.h"
#include "tests/unit/fs_fixture.h"

#define THREADS 8
#define ROUNDS 5000
#define FILES 400
#define RARE_FDS 160		/* the limit of open files: a budget that is spent most of the time */

static struct fixture *f;
static struct fs *fs;
static unsigned int fds;
static uint64_t known[FILES];	/* nodes with one lookup, 0: none; [A] */

/* What another thread would do just then, done by this one. */
static void (*at_handle)(void);		/* while a handle is asked for */
static struct fd_shard *lock_of;	/* before this shard is locked */
static void (*at_lock)(void);

static void once(void (**what)(void))
{
	void (*run)(void) = *what;

	*what = NULL;
	if (run)
		run();
}

int __real_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
	if (at_lock && lock == &lock_of->lock)
		once(&at_lock);
	return __real_pthread_mutex_lock(lock);
}

/* In place of the C library's. */
int name_to_handle_at(int fd, const char *name, struct file_handle *handle, int *mount_id, int flags)
{
	struct stat st;

	if (at_handle)
		once(&at_handle);
	if (!fstatat(fd, "", &st, AT_EMPTY_PATH) && S_ISREG(st.st_mode) && st.st_ino % 2) {
		errno = EOVERFLOW;
		return -1;
	}
	return (int)syscall(SYS_name_to_handle_at, fd, name, handle, mount_id, flags);
}

static void file_name(unsigned int i, char name[16])
{
	snprintf(name, 16, "f%u", i);
}

static void begin(rlim_t limit)
{
	const struct fs_config config = { .handles = FS_HANDLES_PREFER, .kept_fds = FD_SHARDS };
	struct rlimit was, rare;
	char name[16];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	rare = (struct rlimit){ MIN(limit, was.rlim_cur), was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rare), 0);
	f = fixture_new(&config);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	fs = f->fs;
	fds = open_fds();
	for (unsigned int i = 0; i < FILES; i++) {
		file_name(i, name);
		host_write(f, name, name);
		known[i] = 0;
	}
}

/* All that was taken is given back: descriptors, and what the budget counts. */
static void end(void)
{
	for (unsigned int i = 0; i < FILES; i++)
		fs_forget(fs, known[i], 1);
	assert_int_equal(open_fds(), fds);
	assert_int_equal(fs->budget.used, 0);
	fixture_free(f);
}

static uint64_t learn(unsigned int i)
{
	char name[16];

	file_name(i, name);
	known[i] = must_lookup(fs, FS_ROOT_NODE, name);
	return known[i];
}

/* The first file that has a handle, or that has none. */
static unsigned int first_file(bool has_handle)
{
	char name[16];

	for (unsigned int i = 0; i < FILES; i++) {
		file_name(i, name);
		if ((host_stat(f, name).st_ino % 2 == 0) == has_handle)
			return i;
	}
	fail_msg("every other file has an even number");
	return 0;
}

/* One more in each shard: what was in their cells has to make room. */
static void learn_others(void)
{
	for (unsigned int i = 0, found = 0; found < FD_SHARDS; i++) {
		if (!known[i]) {
			learn(i);
			found++;
		}
	}
}

static unsigned int victim;

static void forget_victim(void)
{
	uint64_t node = known[victim];

	known[victim] = 0;
	fs_forget(fs, node, 1);
}

/*
 * A file without a handle keeps a cell while the budget is spent. It is forgotten,
 * and on its way out another file wants the cell, now that there is room again.
 */
static void a_forgotten_file_keeps_its_cell_to_the_end(void **state)
{
	uint64_t limit;

	(void)state;
	begin(4096);
	victim = first_file(false);
	lock_of = &fs->inodes.fds.shards[(uint32_t)learn(victim) % FD_SHARDS];
	limit = fs->budget.limit;
	fs->budget.limit = 0;
	for (unsigned int i = 0, found = 0; found < FD_SHARDS; i++) {
		char name[16];

		file_name(i, name);
		if (known[i] || host_stat(f, name).st_ino % 2)
			continue;
		learn(i);
		found++;
	}
	fs->budget.limit = limit;
	at_lock = learn_others;
	forget_victim();
	assert_null(at_lock);
	end();
}

/* A file is forgotten while its handle is asked for: with one, and without. */
static void a_file_is_forgotten_while_it_is_evicted(void **state)
{
	(void)state;
	for (unsigned int has_handle = 0; has_handle < 2; has_handle++) {
		begin(4096);
		victim = first_file(has_handle);
		learn(victim);
		at_handle = forget_victim;
		learn_others();
		assert_null(at_handle);
		end();
	}
}

/* One lookup more of a file that is not known, one less of one that is. */
static void turn(unsigned int i, bool use)
{
	uint64_t node = __atomic_exchange_n(&known[i], 0, __ATOMIC_ACQ_REL);
	struct fs_entry entry;
	struct fs_attr attr;
	char name[16];
	int err;

	if (!node) {
		file_name(i, name);
		err = fs_lookup(fs, FS_ROOT_NODE, name, &entry);
		if (err && err != -ENFILE)
			abort();
		node = err ? 0 : __atomic_exchange_n(&known[i], entry.node, __ATOMIC_ACQ_REL);
	} else if (use) {
		/* Stale: with a budget that is spent, files that are not used are let go of (reclaim.h). */
		err = fs_getattr(fs, node, FS_NO_HANDLE, &attr);
		if (err && err != -ENFILE && err != -ESTALE)
			abort();
	}
	if (node)
		fs_forget(fs, node, 1);
}

static void come_and_go(void *arg, unsigned int number)
{
	unsigned int seed = number + 1;

	(void)arg;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		turn((unsigned int)rand_r(&seed) % FILES, i % 3);
		if (i % 16 == 0)
			sched_yield();
	}
}

/* With a budget that is spent the kept descriptor of a file without a handle stays where it is. */
static void eviction_races_forget(void **state)
{
	(void)state;
	begin(RARE_FDS);
	run_threads(THREADS, come_and_go, NULL);
	end();
}

/* With descriptors enough it becomes the file's own. */
static void eviction_gives_a_descriptor_of_its_own(void **state)
{
	(void)state;
	begin(4096);
	run_threads(THREADS, come_and_go, NULL);
	end();
}

/* One after the other: every file keeps its number, and every descriptor is counted once. */
static void files_without_handles_stay_themselves(void **state)
{
	struct fs_attr attr;
	char name[16];

	(void)state;
	begin(4096);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < FILES; i++) {
			file_name(i, name);
			if (!known[i])
				known[i] = must_lookup(fs, FS_ROOT_NODE, name);
			assert_int_equal(fs_getattr(fs, known[i], FS_NO_HANDLE, &attr), 0);
			assert_int_equal(attr.stx.stx_ino, host_stat(f, name).st_ino);
		}
	}
	/* Those with handles have a kept one each at most. */
	assert_in_range(open_fds(), fds + FILES / 4, fds + 3 * FILES / 4 + FD_SHARDS);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forgotten_file_keeps_its_cell_to_the_end),
		cmocka_unit_test(a_file_is_forgotten_while_it_is_evicted),
		cmocka_unit_test(files_without_handles_stay_themselves),
		cmocka_unit_test(eviction_races_forget),
		cmocka_unit_test(eviction_gives_a_descriptor_of_its_own),
	};
	const struct fs_config config = {
		.handles = FS_HANDLES_MANDATORY, .root_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC),
	};
	struct fs *probe;

	if (fs_new(&config, &probe)) {
		close(config.root_fd);
		printf("skipped: no file handles in /tmp\n");
		return 77;
	}
	fs_free(probe);
	/* A budget that is spent is what this is about. */
	log_setup("test", LOG_LEVEL_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
