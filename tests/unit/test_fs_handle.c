/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inodes held by file handles: that few descriptors are kept, that each node
 * is its file whatever happens to names and inode numbers meanwhile, and what
 * is done where there are no handles. Needs handles in /tmp, and root.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/checked.h"
#include "daemon/fs/fs_private.h"
#include "tests/unit/fs_fixture.h"
#include "tests/skip.h"

#define KEPT FD_SHARDS		/* the least: one descriptor for each shard */
#define MANY 200

static struct fixture *f;
static struct fs *fs;
static unsigned int fds;
static uint64_t crowd[MANY];

static int setup(void **state)
{
	const struct fs_config config = { .handles = FS_HANDLES_MANDATORY, .kept_fds = KEPT };

	(void)state;
	f = fixture_new(&config);
	fs = f->fs;
	fds = open_fds();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static void crowd_name(unsigned int i, char name[16])
{
	snprintf(name, 16, "crowd%u", i);
}

/* Look up so many files that nothing looked up before has its descriptor still. */
static void crowd_in(void)
{
	char name[16];

	for (unsigned int i = 0; i < MANY; i++) {
		crowd_name(i, name);
		host_write(f, name, name);
		crowd[i] = must_lookup(fs, FS_ROOT_NODE, name);
	}
}

/* Use them all once more, which takes the descriptors from everything else. */
static void crowd_out_and_in(void)
{
	struct fs_attr attr;

	for (unsigned int i = 0; i < MANY; i++)
		assert_int_equal(fs_getattr(fs, crowd[i], FS_NO_HANDLE, &attr), 0);
}

static uint64_t ino_of(uint64_t node)
{
	struct fs_attr attr;

	assert_int_equal(fs_getattr(fs, node, FS_NO_HANDLE, &attr), 0);
	return attr.stx.stx_ino;
}

static int getattr(uint64_t node)
{
	struct fs_attr attr;

	return fs_getattr(fs, node, FS_NO_HANDLE, &attr);
}

static void few_descriptors_many_files(void **state)
{
	char name[16], data[16];

	(void)state;
	crowd_in();
	assert_in_range(open_fds(), fds, fds + KEPT);
	for (unsigned int i = 0; i < MANY; i++) {
		uint64_t handle = must_open(fs, crowd[i], O_RDONLY);

		crowd_name(i, name);
		assert_int_equal(ino_of(crowd[i]), host_stat(f, name).st_ino);
		assert_int_equal(must_lookup(fs, FS_ROOT_NODE, name), crowd[i]);
		assert_int_equal(read_at(fs, handle, 0, data, sizeof(data)), strlen(name));
		assert_memory_equal(data, name, strlen(name));
		assert_int_equal(fs_release(fs, handle), 0);
	}
	assert_in_range(open_fds(), fds, fds + KEPT);
	for (unsigned int i = 0; i < MANY; i++)
		fs_forget(fs, crowd[i], 2);
	assert_int_equal(open_fds(), fds);
}

/* Files held by their handles cost memory only, and that has an end, too. */
static void memory_for_files_has_a_limit(void **state)
{
	unsigned int known = 0;
	struct fs_entry entry;
	uint64_t nodes[3000];
	char name[16];
	int err = 0;

	(void)state;
	fs->inodes.slab.chunk_limit = fs->inodes.slab.chunk_count + 1;
	for (unsigned int i = 0; i < ARRAY_SIZE(nodes) && !err; i++) {
		crowd_name(i, name);
		host_write(f, name, "");
		err = fs_lookup(fs, FS_ROOT_NODE, name, &entry);
		if (!err)
			nodes[known++] = entry.node;
	}
	assert_int_equal(err, -ENOMEM);
	assert_in_range(open_fds(), fds, fds + KEPT);
	/* What is known is served, and what is forgotten makes room. */
	assert_int_equal(getattr(nodes[0]), 0);
	fs_forget(fs, nodes[1], 1);
	assert_int_equal(fs_lookup(fs, FS_ROOT_NODE, name, &entry), 0);
}

/* By descriptors while there are many, by handles after that: a guest can know any number of files. */
static void handles_near_the_limit(void **state)
{
	struct fs_config config = {
		.handles = FS_HANDLES_PREFER, .handles_late = true, .kept_fds = KEPT,
		.root_fd = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC),
	};
	uint64_t nodes[MANY], handle;
	struct fs_attr attr;
	unsigned int before;
	struct fs *late;
	char name[16];

	(void)state;
	assert_int_equal(fs_new(&config, &late), 0);
	late->budget.limit = MANY / 2;
	before = open_fds();
	for (unsigned int i = 0; i < MANY; i++) {
		crowd_name(i, name);
		host_write(f, name, name);
		nodes[i] = must_lookup(late, FS_ROOT_NODE, name);
		/* The first ones cost nothing but their descriptor. */
		if (i < MANY / 4)
			assert_int_equal(open_fds(), before + i + 1);
	}
	assert_in_range(open_fds(), before, before + MANY / 2 + KEPT);
	for (unsigned int i = 0; i < MANY; i++) {
		crowd_name(i, name);
		assert_int_equal(fs_getattr(late, nodes[i], FS_NO_HANDLE, &attr), 0);
		assert_int_equal(attr.stx.stx_ino, host_stat(f, name).st_ino);
		assert_int_equal(must_lookup(late, FS_ROOT_NODE, name), nodes[i]);
		handle = must_open(late, nodes[i], O_RDONLY);
		assert_int_equal(fs_release(late, handle), 0);
		fs_forget(late, nodes[i], 2);
	}
	assert_int_equal(late->budget.used, 0);
	fs_free(late);
}

/* Names move; the node stays its file. */
static void a_moved_file_is_found_again(void **state)
{
	uint64_t node, ino;

	(void)state;
	host_write(f, "a", "first");
	node = must_lookup(fs, FS_ROOT_NODE, "a");
	ino = ino_of(node);
	crowd_in();
	assert_int_equal(rename(host_path(f, "a"), host_path(f, "b")), 0);
	host_write(f, "a", "second");
	assert_int_equal(ino_of(node), ino);
	assert_int_not_equal(must_lookup(fs, FS_ROOT_NODE, "a"), node);
	assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "b"), node);
}

/*
 * A file is removed on the host while only its handle is held, and its inode
 * number goes to another, as it does at once on ext4, often within one tick of
 * the clock: the old node is stale, the new file a new node.
 */
static void a_number_used_again_is_another_node(void **state)
{
	uint64_t old, new, ino;

	(void)state;
	crowd_in();
	for (unsigned int i = 0; i < 20; i++) {
		host_write(f, "a", "old");
		old = must_lookup(fs, FS_ROOT_NODE, "a");
		ino = ino_of(old);
		crowd_out_and_in();
		assert_int_equal(unlink(host_path(f, "a")), 0);
		host_write(f, "a", "new");
		new = must_lookup(fs, FS_ROOT_NODE, "a");
		assert_int_not_equal(new, old);
		assert_int_equal(getattr(old), -ESTALE);
		assert_int_equal(ino_of(new), host_stat(f, "a").st_ino);
		/* And it stays so, now that both are known. */
		assert_int_equal(must_lookup(fs, FS_ROOT_NODE, "a"), new);
		if (ino == host_stat(f, "a").st_ino)
			return;
		assert_int_equal(unlink(host_path(f, "a")), 0);
	}
	SKIP_BECAUSE("this file system does not use numbers again so soon");
}

/* A file so young that another of its number could have its birth is known by its handle. */
static void a_number_and_a_birth_used_again_are_no_proof(void **state)
{
	struct inode *inode;
	struct statx stx;
	uint64_t old;

	(void)state;
	host_write(f, "a", "old");
	old = must_lookup(fs, FS_ROOT_NODE, "a");
	inode = inode_table_get(&fs->inodes, old);
	/* Born in the future, which is as young as can be. */
	inode->born = 9000000000 * 1000000000ULL;
	crowd_in();
	assert_int_equal(statx(AT_FDCWD, host_path(f, "a"), AT_SYMLINK_NOFOLLOW,
			       STATX_BASIC_STATS | STATX_MNT_ID, &stx), 0);
	stx.stx_mask |= STATX_BTIME;
	stx.stx_btime = (struct statx_timestamp){ .tv_sec = 9000000000 };
	/* While the file is there, its number is its own. */
	assert_ptr_equal(inode_table_find(&fs->inodes, &stx), inode);
	inode_put(inode);
	crowd_out_and_in();
	assert_int_equal(unlink(host_path(f, "a")), 0);
	assert_null(inode_table_find(&fs->inodes, &stx));
	assert_int_equal(getattr(old), -ESTALE);
	inode_put(inode);
	/* The number leads to it still, the host's words do not; and it can be forgotten. */
	fs_forget(fs, old, 1);
	assert_int_equal(getattr(old), -ESTALE);
}

/*
 * CVE-2026-77179's like: an unlinked file that is open goes on working, its
 * parent's name leading elsewhere makes no difference, and nothing is reached
 * by a name that was remembered.
 */
static void an_unlinked_open_file_is_never_reached_by_name(void **state)
{
	uint64_t dir, node, handle;
	char data[8];

	(void)state;
	dir = must_mkdir(fs, FS_ROOT_NODE, "dir");
	node = must_create(fs, dir, "a", &handle);
	assert_int_equal(write_at(fs, handle, 0, "inside", 6), 6);
	crowd_in();
	assert_int_equal(fs_unlink(fs, &root_caller, dir, "a"), 0);
	assert_int_equal(rename(host_path(f, "dir"), host_path(f, "moved")), 0);
	assert_int_equal(mkdir(host_path(f, "elsewhere"), 0755), 0);
	host_write(f, "elsewhere/a", "outside");
	assert_int_equal(symlink("elsewhere", host_path(f, "dir")), 0);
	assert_int_equal(read_at(fs, handle, 0, data, sizeof(data)), 6);
	assert_memory_equal(data, "inside", 6);
	assert_int_equal(getattr(node), 0);
	handle = must_open(fs, node, O_RDONLY);
	assert_int_equal(read_at(fs, handle, 0, data, sizeof(data)), 6);
	assert_memory_equal(data, "inside", 6);
	assert_int_equal(fs_lookup(fs, dir, "a", &(struct fs_entry){ 0 }), -ENOENT);
}

/* What has no name and is not open is gone, and says so. */
static void an_unlinked_closed_file_is_stale(void **state)
{
	uint64_t node;

	(void)state;
	host_write(f, "a", "");
	node = must_lookup(fs, FS_ROOT_NODE, "a");
	crowd_in();
	assert_int_equal(fs_unlink(fs, &root_caller, FS_ROOT_NODE, "a"), 0);
	assert_int_equal(getattr(node), -ESTALE);
	assert_int_equal(fs_open(fs, &root_caller, node, O_RDONLY, &(uint64_t){ 0 }), -ESTALE);
	fs_forget(fs, node, 1);
}

/* All kinds of files have handles, and none but regular ones and directories is opened. */
static void special_files_have_handles(void **state)
{
	char target[16];
	uint64_t link, fifo;

	(void)state;
	assert_int_equal(symlink("crowd7", host_path(f, "link")), 0);
	assert_int_equal(mkfifo(host_path(f, "fifo"), 0600), 0);
	link = must_lookup(fs, FS_ROOT_NODE, "link");
	fifo = must_lookup(fs, FS_ROOT_NODE, "fifo");
	crowd_in();
	assert_int_equal(fs_readlink(fs, link, target, sizeof(target)), 6);
	assert_memory_equal(target, "crowd7", 6);
	assert_int_equal(ino_of(fifo), host_stat(f, "fifo").st_ino);
	assert_int_equal(fs_open(fs, &root_caller, fifo, O_RDONLY, &(uint64_t){ 0 }), -ENXIO);
	assert_int_equal(fs_open(fs, &root_caller, link, O_RDONLY, &(uint64_t){ 0 }), -ELOOP);
}

/* A mount that is known by handles alone is let go with its last file. */
static void a_forgotten_mount_can_be_unmounted(void **state)
{
	uint64_t mnt, node;

	(void)state;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	if (mount("none", host_path(f, "mnt"), "tmpfs", 0, NULL))
		SKIP_BECAUSE("only root may mount, and not in every container");
	host_write(f, "mnt/a", "");
	mnt = must_lookup(fs, FS_ROOT_NODE, "mnt");
	node = must_lookup(fs, mnt, "a");
	crowd_in();
	assert_int_equal(ino_of(node), host_stat(f, "mnt/a").st_ino);
	assert_int_equal(umount(host_path(f, "mnt")), -1);
	fs_forget(fs, node, 1);
	fs_forget(fs, mnt, 1);
	assert_int_equal(umount(host_path(f, "mnt")), 0);
}

static int serve(const char *dir, enum fs_handles handles, struct fs **out)
{
	struct fs_config config = {
		.root_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), .handles = handles,
	};
	int err = fs_new(&config, out);

	if (err)
		close(config.root_fd);
	return err;
}

#define MOUNTS_TRIED (MOUNTS_MAX + 50)

/* Mount, know a file, forget it, unmount: whether that file was held by its handle. */
static bool come_and_go(struct fs *server, const char *type, uint32_t *id)
{
	struct inode *inode;
	uint64_t mnt, node;
	bool by_handle;

	if (mount("none", host_path(f, "mnt"), type, 0, NULL))
		SKIP_BECAUSE("only root may mount, and not in every container");
	host_write(f, "mnt/a", "");
	mnt = must_lookup(server, FS_ROOT_NODE, "mnt");
	node = must_lookup(server, mnt, "a");
	inode = inode_table_get(&server->inodes, node);
	*id = inode->key.mount;
	by_handle = inode->mount && server->inodes.fds.mounts.entries[inode->mount - 1].fd >= 0;
	inode_put(inode);
	fs_forget(server, node, 1);
	fs_forget(server, mnt, 1);
	assert_int_equal(umount(host_path(f, "mnt")), 0);
	return by_handle;
}

/*
 * The host gives a mount's id to another one as soon as it is gone, and more mounts
 * come and go than the table has room for: each is what it is.
 */
static void a_mount_id_used_again_is_another_mount(void **state)
{
	struct fs *other;
	bool again = false;
	uint32_t first, id;

	(void)state;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	assert_int_equal(serve(f->dir, FS_HANDLES_PREFER, &other), 0);
	for (unsigned int i = 0; i < MOUNTS_TRIED; i++) {
		assert_false(come_and_go(other, "ramfs", &first));
		assert_true(come_and_go(other, "tmpfs", &id));
		again |= first == id;
	}
	fs_free(other);
	if (!again)
		SKIP_BECAUSE("no mount id was used again");
}

static void without_handles_there_are_descriptors(void **state)
{
	struct fs *other;
	uint64_t node;

	(void)state;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	if (mount("none", host_path(f, "mnt"), "ramfs", 0, NULL))
		SKIP_BECAUSE("only root may mount, and not in every container");
	host_write(f, "mnt/a", "");
	assert_int_equal(serve(host_path(f, "mnt"), FS_HANDLES_MANDATORY, &other), -EOPNOTSUPP);
	assert_int_equal(serve(host_path(f, "mnt"), FS_HANDLES_PREFER, &other), 0);
	node = must_lookup(other, FS_ROOT_NODE, "a");
	assert_int_equal(fs_unlink(other, &root_caller, FS_ROOT_NODE, "a"), 0);
	assert_int_equal(fs_getattr(other, node, FS_NO_HANDLE, &(struct fs_attr){ 0 }), 0);
	fs_free(other);
	/* The root has handles, what is mounted there has not: mandatory means it. */
	assert_int_equal(fs_lookup(fs, FS_ROOT_NODE, "mnt", &(struct fs_entry){ 0 }), -EOPNOTSUPP);
	/* The refusal holds nothing. */
	assert_int_equal(umount(host_path(f, "mnt")), 0);
}

#define STALE_TRIES 400000

static atomic_bool making;

/* A long link is the longest in the making: it has a block of its own. */
static void *make_and_remove(void *arg)
{
	char target[2048];

	memset(target, 'x', sizeof(target) - 1);
	target[sizeof(target) - 1] = 0;
	while (atomic_load(&making))
		if (symlink(target, arg) || unlink(arg))
			abort();
	return NULL;
}

/*
 * While a file is being made with the number of one that is gone, the host says
 * ENOMEM of the old one's handle (iget_locked() gives up): it is as stale then.
 */
static void a_number_on_its_way_to_another_file_is_stale(void **state)
{
	static char path[PATH_MAX];
	pthread_t maker;
	uint64_t old;

	(void)state;
	host_write(f, "a", "old");
	old = must_lookup(fs, FS_ROOT_NODE, "a");
	crowd_in();
	assert_int_equal(unlink(host_path(f, "a")), 0);
	snprintf(path, sizeof(path), "%s", host_path(f, "b"));
	atomic_store(&making, true);
	assert_int_equal(pthread_create(&maker, NULL, make_and_remove, path), 0);
	for (unsigned int i = 0; i < STALE_TRIES; i++)
		assert_int_equal(getattr(old), -ESTALE);
	atomic_store(&making, false);
	pthread_join(maker, NULL);
}

static void drop_read_search(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &header, caps) < 0)
		_exit(1);
	caps[0].effective &= ~(1U << CAP_DAC_READ_SEARCH);
	if (syscall(SYS_capset, &header, caps) < 0)
		_exit(2);
}

static void without_the_capability_there_are_descriptors(void **state)
{
	struct fs_entry entry;
	struct fs *other;
	int status;
	pid_t child = fork();

	(void)state;
	host_write(f, "a", "");
	if (!child) {
		drop_read_search();
		if (serve(f->dir, FS_HANDLES_MANDATORY, &other) != -EOPNOTSUPP)
			_exit(3);
		if (serve(f->dir, FS_HANDLES_PREFER, &other) ||
		    fs_lookup(other, FS_ROOT_NODE, "crowd0", &entry) != -ENOENT)
			_exit(4);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#define THREADS 4
#define ROUNDS 4000

/* Threads that take each other's descriptors away all the time. */
static void use_all(void *arg, unsigned int number)
{
	unsigned int seed = number + 1;
	struct fs_entry entry;
	struct fs_attr attr;
	uint64_t handle;
	char name[16];

	(void)arg;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		crowd_name((unsigned int)rand_r(&seed) % (MANY / 2), name);
		if (fs_lookup(fs, FS_ROOT_NODE, name, &entry) ||
		    fs_getattr(fs, entry.node, FS_NO_HANDLE, &attr) ||
		    attr.stx.stx_ino != entry.attr.stx.stx_ino)
			abort();
		if (i % 4 == 0 && (fs_open(fs, &root_caller, entry.node, O_RDONLY, &handle) ||
				   fs_release(fs, handle)))
			abort();
		fs_forget(fs, entry.node, 1);
	}
}

static void threads_share_the_descriptors(void **state)
{
	(void)state;
	crowd_in();
	/* Half of them are kept by a lookup of ours, the others come and go. */
	for (unsigned int i = 0; i < MANY; i += 2)
		fs_forget(fs, crowd[i], 1);
	run_threads(THREADS, use_all, NULL);
	for (unsigned int i = 1; i < MANY; i += 2)
		fs_forget(fs, crowd[i], 1);
	assert_int_equal(open_fds(), fds);
}

#define HANDLE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HANDLE_TEST(few_descriptors_many_files),
		HANDLE_TEST(handles_near_the_limit),
		HANDLE_TEST(memory_for_files_has_a_limit),
		HANDLE_TEST(a_moved_file_is_found_again),
		HANDLE_TEST(a_number_used_again_is_another_node),
		HANDLE_TEST(a_number_on_its_way_to_another_file_is_stale),
		HANDLE_TEST(a_number_and_a_birth_used_again_are_no_proof),
		HANDLE_TEST(an_unlinked_open_file_is_never_reached_by_name),
		HANDLE_TEST(an_unlinked_closed_file_is_stale),
		HANDLE_TEST(special_files_have_handles),
		HANDLE_TEST(a_forgotten_mount_can_be_unmounted),
		HANDLE_TEST(a_mount_id_used_again_is_another_mount),
		HANDLE_TEST(without_handles_there_are_descriptors),
		HANDLE_TEST(without_the_capability_there_are_descriptors),
		HANDLE_TEST(threads_share_the_descriptors),
	};
	struct fs *probe;

	fixture_private_mounts();
	if (serve("/tmp", FS_HANDLES_MANDATORY, &probe)) {
		printf("skipped: no file handles in /tmp\n");
		return 77;
	}
	fs_free(probe);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
