/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose files are made, and which set-id bits survive. A program of its own:
 * creds_setup() changes the process. Skipped for want of root.
 */
#include "daemon/fs/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/checked.h"
#include "daemon/fs/fs_kind.h"
#include "daemon/fs/fs_private.h"
#include "tests/skip.h"
#include "tests/unit/plain_fs.h"

static const struct fs_caller other_caller = { .uid = 2000, .gid = 2001 };

static void owned_by(const char *name, uid_t uid, gid_t gid)
{
	struct stat st = host_stat(f, name);

	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

static uint64_t create(const struct fs_caller *caller, uint64_t dir, const char *name,
		       uint32_t mode)
{
	struct fs_entry entry;
	uint64_t handle;

	assert_int_equal(fs_create(fs, caller, dir, name, O_RDWR, mode, &entry, &handle), 0);
	assert_int_equal(fs_release(fs, handle), 0);
	return entry.node;
}

static void makers_own_what_they_make(void **state)
{
	struct fs_entry entry;
	uint64_t handle;

	(void)state;
	create(&user_caller, FS_ROOT_NODE, "a", 0644);
	owned_by("a", 1000, 1000);
	create(&other_caller, FS_ROOT_NODE, "b", 0644);
	owned_by("b", 2000, 2001);
	create(&root_caller, FS_ROOT_NODE, "c", 0644);
	owned_by("c", 0, 0);
	assert_int_equal(fs_mkdir(fs, &user_caller, 1, "d", 0700, &entry), 0);
	owned_by("d", 1000, 1000);
	assert_int_equal(fs_symlink(fs, &other_caller, 1, "s", "x", &entry), 0);
	owned_by("s", 2000, 2001);
	assert_int_equal(fs_mknod(fs, &user_caller, 1, "p", S_IFIFO | 0600, 0, &entry), 0);
	owned_by("p", 1000, 1000);
	assert_int_equal(fs_mknod(fs, &other_caller, 1, "r", S_IFREG | 0600, 0, &entry), 0);
	owned_by("r", 2000, 2001);
	if (!fs_tmpfile(fs, &user_caller, 1, O_RDWR, 0600, &entry, &handle))
		assert_int_equal(entry.attr.stx.stx_uid, 1000);
}

/* After one caller's file, everything else works with the daemon's rights still. */
static void other_operations_keep_all_rights(void **state)
{
	struct fs_setattr set = { .valid = FS_SET_UID | FS_SET_MODE, .uid = 5, .mode = 0 };
	struct fs_attr attr;
	uint64_t node, dir, handle;

	(void)state;
	dir = must_mkdir(fs, FS_ROOT_NODE, "closed");
	assert_int_equal(chmod(host_path(f, "closed"), 0), 0);
	host_write(f, "closed/secret", "abc");
	assert_int_equal(chmod(host_path(f, "closed/secret"), 0), 0);
	create(&user_caller, FS_ROOT_NODE, "mine", 0600);
	node = must_lookup(fs, dir, "secret");
	handle = must_open(fs, node, O_RDWR);
	assert_int_equal(fs_release(fs, handle), 0);
	assert_int_equal(fs_setattr(fs, &root_caller, node, FS_NO_HANDLE, &set, &attr), 0);
	owned_by("closed/secret", 5, 0);
	/* The guest's kernel let this caller in, by a group we do not know of. */
	create(&user_caller, dir, "new", 0600);
	owned_by("closed/new", 1000, 1000);
	assert_int_equal(fs_unlink(fs, &root_caller, dir, "secret"), 0);
}

static void nonsense_ids_are_refused(void **state)
{
	const struct fs_caller nobody = { .uid = UINT32_MAX, .gid = 1000 };
	const struct fs_caller nogroup = { .uid = 1000, .gid = UINT32_MAX };
	struct fs_entry entry;

	(void)state;
	assert_int_equal(fs_mkdir(fs, &nobody, 1, "x", 0700, &entry), -EPERM);
	assert_int_equal(fs_mkdir(fs, &nogroup, 1, "x", 0700, &entry), -EPERM);
	assert_int_equal(fs_mkdir(fs, &user_caller, 1, "x", 0700, &entry), 0);
	owned_by("x", 1000, 1000);
}

/* CVE-2022-0358: a set-gid program for a group that its maker is not in. */
static void foreign_group_loses_setgid(void **state)
{
	struct fs_entry entry;

	(void)state;
	assert_int_equal(fs_mkdir(fs, &root_caller, 1, "shared", 0777, &entry), 0);
	assert_int_equal(chmod(host_path(f, "shared"), 03777), 0);
	create(&user_caller, entry.node, "prog", 02755);
	assert_int_equal(host_stat(f, "shared/prog").st_mode, S_IFREG | 0755);
	owned_by("shared/prog", 1000, 0);
	assert_int_equal(fs_mknod(fs, &user_caller, entry.node, "node", S_IFREG | 02755, 0,
				  &(struct fs_entry){ 0 }), 0);
	assert_int_equal(host_stat(f, "shared/node").st_mode, S_IFREG | 0755);
	create(&root_caller, entry.node, "root", 02755);
	assert_int_equal(host_stat(f, "shared/root").st_mode, S_IFREG | 02755);
	assert_int_equal(fs_mkdir(fs, &user_caller, entry.node, "sub", 0755,
				  &(struct fs_entry){ 0 }), 0);
	assert_int_equal(host_stat(f, "shared/sub").st_mode, S_IFDIR | 02755);
	create(&user_caller, FS_ROOT_NODE, "own", 02755);
	assert_int_equal(host_stat(f, "own").st_mode, S_IFREG | 02755);
}

static ssize_t write_one(uint64_t handle, bool kill)
{
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	const struct fs_write how = { .caller = &user_caller, .place = FS_PLACE_OPENED, .kill_suidgid = kill };
	struct iov_cursor from;

	iov_cursor_init(&from, &iov, 1);
	return fs_write(fs, 0, handle, 0, 1, &from, &how);
}

/* The test's own chmod(2) is made in nobody else's name. */
static mode_t set_mode(const char *name, mode_t mode)
{
	creds_home();
	assert_int_equal(chmod(host_path(f, name), mode), 0);
	return host_stat(f, name).st_mode & 07777;
}

static void setid_bits_go_when_asked(void **state)
{
	struct fs_setattr set = { .valid = FS_SET_SIZE, .size = 1 };
	struct fs_attr attr;
	uint64_t node, handle;

	(void)state;
	node = must_create(fs, FS_ROOT_NODE, "a", &handle);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(set_mode("a", 06755), 06755);
		assert_int_equal(write_one(handle, false), 1);
		assert_int_equal(host_stat(f, "a").st_mode, S_IFREG | 06755);
		assert_int_equal(write_one(handle, true), 1);
		assert_int_equal(host_stat(f, "a").st_mode, S_IFREG | 0755);
	}
	assert_int_equal(set_mode("a", 06755), 06755);
	assert_int_equal(fs_setattr(fs, &user_caller, node, FS_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.stx.stx_mode, S_IFREG | 06755);
	set.valid |= FS_SET_KILL_SUIDGID;
	assert_int_equal(fs_setattr(fs, &user_caller, node, FS_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.stx.stx_mode, S_IFREG | 0755);
	assert_int_equal(set_mode("a", 06755), 06755);
	must_open(fs, node, O_RDWR | O_TRUNC);
	assert_int_equal(host_stat(f, "a").st_mode, S_IFREG | 06755);
	must_open(fs, node, O_RDWR | O_TRUNC | FS_OPEN_KILL_SUIDGID);
	assert_int_equal(host_stat(f, "a").st_mode, S_IFREG | 0755);
	/* A mode that is set is set, whatever was dropped before; an owner's change strips. */
	assert_int_equal(chown(host_path(f, "a"), 0, 99), 0);
	set = (struct fs_setattr){ .valid = FS_SET_MODE, .mode = 06755 };
	assert_int_equal(fs_setattr(fs, &user_caller, node, FS_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.stx.stx_mode, S_IFREG | 06755);
	set = (struct fs_setattr){ .valid = FS_SET_GID, .gid = 77 };
	assert_int_equal(fs_setattr(fs, &user_caller, node, FS_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.stx.stx_mode, S_IFREG | 0755);
}

/* A file of user 1000's, in his group, that only its group's members may keep set-gid. */
static uint64_t member_file(const char *name)
{
	creds_home();
	unlink(host_path(f, name));
	unlink(host_path(f, "made"));
	host_write(f, name, "text");
	assert_int_equal(chown(host_path(f, name), 1000, 1000), 0);
	assert_int_equal(set_mode(name, 02644), 02644);
	return must_lookup(fs, FS_ROOT_NODE, name);
}

static int cut_by_open(const struct fs_caller *caller, uint64_t node)
{
	uint64_t handle;
	int err = fs_open(fs, caller, node, O_WRONLY | O_TRUNC | FS_OPEN_KILL_SUIDGID, &handle);

	return err ? err : fs_release(fs, handle);
}

static int cut_by_size(const struct fs_caller *caller, uint64_t node)
{
	struct fs_setattr set = { .valid = FS_SET_SIZE | FS_SET_KILL_SUIDGID, .size = 1 };
	struct fs_attr attr;

	return fs_setattr(fs, caller, node, FS_NO_HANDLE, &set, &attr);
}

static int change_by_handle(const struct fs_caller *caller, uint64_t node, bool allocate)
{
	const struct fs_write how = { .caller = caller, .kill_suidgid = true };
	struct iovec iov = { (char[]){ 'x' }, 1 };
	struct iov_cursor from;
	uint64_t handle = must_open(fs, node, O_RDWR);
	int err = allocate ? fs_fallocate(fs, caller, node, handle, FS_FALLOCATE_KILL_SUIDGID, 0, 99) : 0;

	iov_cursor_init(&from, &iov, 1);
	if (!err && !allocate)
		err = fs_write(fs, node, handle, 0, 1, &from, &how) == 1 ? 0 : -EIO;
	assert_int_equal(fs_release(fs, handle), 0);
	return err;
}

static int change_by_write(const struct fs_caller *caller, uint64_t node)
{
	return change_by_handle(caller, node, false);
}

static int change_by_fallocate(const struct fs_caller *caller, uint64_t node)
{
	return change_by_handle(caller, node, true);
}

/*
 * The set-gid bit of a file that its group may not execute stays for a member, and goes
 * for everybody else: by who changes it, not by who made something before.
 */
static void a_change_is_its_callers(void **state)
{
	static const struct fs_caller *const callers[] = { &root_caller, &user_caller, &other_caller };
	static int (*const changes[])(const struct fs_caller *caller, uint64_t node) = {
		cut_by_open, cut_by_size, change_by_write, change_by_fallocate,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes) * 9; i++) {
		const struct fs_caller *last = callers[i % 3], *caller = callers[i / 3 % 3];
		uint64_t node = member_file("a");

		create(last, FS_ROOT_NODE, "made", 0644);
		assert_int_equal(changes[i / 9](caller, node), 0);
		if (host_stat(f, "a").st_mode != (caller == &user_caller ? 0102644u : 0100644u))
			fail_msg("change %zu by %u after %u", i / 9, caller->uid, last->uid);
	}
}

/* The window gives holes their blocks between two requests' calls. */
static void the_windows_changes_are_its_callers(void **state)
{
	uint64_t node = member_file("a");

	(void)state;
	create(&other_caller, FS_ROOT_NODE, "made", 0644);
	assert_int_equal(fs_change_as(fs, &user_caller, node), 0);
	assert_int_equal(syscall(SYS_setfsuid, -1), user_caller.uid);
	assert_int_equal(fs_change_as(fs, &root_caller, node), 0);
	assert_int_equal(syscall(SYS_setfsuid, -1), 0);
	/* The window may know a file that the guest has forgotten. */
	assert_int_equal(fs_change_as(fs, &user_caller, 4711), 0);
	assert_int_equal(syscall(SYS_setfsuid, -1), user_caller.uid);
}

/* What a moved name leaves behind is a file, and the caller's. */
static void a_whiteout_is_its_callers(void **state)
{
	static const struct fs_caller *const callers[] = { &root_caller, &user_caller, &other_caller };

	(void)state;
	for (size_t i = 0; i < 9; i++) {
		const struct fs_caller *last = callers[i % 3], *caller = callers[i / 3];

		create(last, FS_ROOT_NODE, "a", 0644);
		if (fs_rename(fs, caller, 1, "a", 1, "b", RENAME_WHITEOUT))
			SKIP_BECAUSE("this file system does not have whiteouts");
		owned_by("a", caller->uid, caller->gid);
		owned_by("b", last->uid, last->gid);
		assert_int_equal(fs_unlink(fs, caller, 1, "a"), 0);
	}
	assert_int_equal(fs_rename(fs, &(struct fs_caller){ .uid = FS_NO_ID, .gid = 1 }, 1, "b", 1, "c",
				   RENAME_WHITEOUT), -EPERM);
	assert_int_equal(fs_rename(fs, &(struct fs_caller){ .uid = FS_NO_ID, .gid = 1 }, 1, "b", 1, "c",
				   0), 0);
}

/* Taken by a member, an owner's change keeps the bit; root keeps it, too; else it goes. */
static void an_owners_change_is_its_callers(void **state)
{
	static const struct fs_caller *const callers[] = { &root_caller, &user_caller, &other_caller };
	struct fs_attr attr;

	(void)state;
	for (size_t i = 0; i < 18; i++) {
		const struct fs_caller *last = callers[i % 3], *caller = callers[i / 3 % 3];
		uint32_t kill = i < 9 ? FS_SET_KILL_SUIDGID : 0;
		struct fs_setattr set = { .valid = FS_SET_UID | kill, .uid = 1000 };
		bool stays = !kill || caller != &other_caller;
		uint64_t node = member_file("a");

		create(last, FS_ROOT_NODE, "made", 0644);
		change_by_write(last, must_lookup(fs, FS_ROOT_NODE, "made"));
		assert_int_equal(fs_setattr(fs, caller, node, FS_NO_HANDLE, &set, &attr), 0);
		if (attr.stx.stx_mode != (stays ? 0102644 : 0100644))
			fail_msg("%zu: by %u after %u: %o", i, caller->uid, last->uid, attr.stx.stx_mode);
	}
}

#define RESERVE_SCRIPT "exec >/dev/null 2>&1; cd %s && truncate -s 8M img && " \
	"mkfs.ext4 -q -F -m 50 img && mount -o loop img mnt && chmod 777 mnt"

/* Write until there is no room: -ENOSPC, or 0 when there was room for all. */
static int fill(uint64_t handle, const struct fs_caller *caller, unsigned int blocks)
{
	static char block[65536];
	const struct fs_write how = { .caller = caller, .place = FS_PLACE_END };

	for (unsigned int i = 0; i < blocks; i++) {
		struct iovec iov = { block, sizeof(block) };
		struct iov_cursor from;
		ssize_t n;

		iov_cursor_init(&from, &iov, 1);
		n = fs_write(fs, 1, handle, 0, sizeof(block), &from, &how);
		if (n != sizeof(block))
			return n < 0 ? (int)n : -ENOSPC;
	}
	return 0;
}

/* The room that ext4 keeps for root is root's, also after root has written, and of what is written back. */
static void roots_room_is_roots(void **state)
{
	struct fs_entry entry;
	uint64_t dir, mine, roots;
	char script[256];

	(void)state;
	assert_int_equal(mkdir(host_path(f, "mnt"), 0755), 0);
	snprintf(script, sizeof(script), RESERVE_SCRIPT, f->dir);
	if (system(script))
		SKIP_BECAUSE("no ext4 image can be made and mounted here");
	dir = must_lookup(fs, 1, "mnt");
	assert_int_equal(fs_create(fs, &user_caller, dir, "mine", O_RDWR, 0600, &entry, &mine), 0);
	assert_int_equal(fs_create(fs, &root_caller, dir, "roots", O_RDWR, 0600, &entry, &roots), 0);
	assert_int_equal(fill(mine, &user_caller, 1000), -ENOSPC);
	assert_int_equal(fill(roots, &root_caller, 4), 0);
	assert_int_equal(fill(mine, &user_caller, 1), -ENOSPC);
	assert_int_equal(fill(mine, NULL, 1), -ENOSPC);
	assert_int_equal(fs_fallocate(fs, &user_caller, 1, mine, 0, 32 << 20, 65536), -ENOSPC);
	assert_int_equal(fill(roots, NULL, 4), 0);
}

static void the_daemon_has_no_groups(void **state)
{
	(void)state;
	assert_int_equal(getgroups(0, NULL), 0);
}

/* Each thread makes files for another caller: ids are per thread. */
static void make_as_number(void *arg, unsigned int number)
{
	struct fs_caller caller = { .uid = 1000 + number, .gid = 3000 + number };
	struct fs_entry entry;
	uint64_t handle;
	char name[16];

	(void)arg;
	for (unsigned int i = 0; i < 200; i++) {
		name[0] = (char)('a' + number);
		name[1] = (char)('a' + i % 20);
		name[2] = 0;
		if (fs_create(fs, &caller, FS_ROOT_NODE, name, O_RDWR | O_EXCL, 0600, &entry,
			      &handle))
			abort();
		if (entry.attr.stx.stx_uid != caller.uid || entry.attr.stx.stx_gid != caller.gid)
			abort();
		if (fs_release(fs, handle) || fs_unlink(fs, &root_caller, FS_ROOT_NODE, name))
			abort();
		fs_forget(fs, entry.node, 1);
	}
}

static void ids_are_per_thread(void **state)
{
	(void)state;
	run_threads(4, make_as_number, NULL);
}

/* On a network file system the ids travel: they must be the daemon's own but for the making. */
static void remote_shares_get_their_ids_back(void **state)
{
	struct fs_entry entry;

	(void)state;
	fs->inodes.fds.mounts.entries[0].kind |= FS_KIND_REMOTE;
	assert_int_equal(fs_mkdir(fs, &user_caller, 1, "x", 0700, &entry), 0);
	owned_by("x", 1000, 1000);
	assert_int_equal(syscall(SYS_setfsuid, -1), 0);
	assert_int_equal(syscall(SYS_setfsgid, -1), 0);
	fs->inodes.fds.mounts.entries[0].kind &= (uint8_t)~FS_KIND_REMOTE;
	assert_int_equal(fs_mkdir(fs, &user_caller, 1, "y", 0700, &entry), 0);
	owned_by("y", 1000, 1000);
}

static void attached_capabilities_come_back(void **state)
{
	(void)state;
	create(&user_caller, FS_ROOT_NODE, "a", 0600);
	assert_int_equal(syscall(SYS_setfsuid, -1), 0);
	assert_int_equal(chmod(f->dir, 0700), 0);
	create(&root_caller, FS_ROOT_NODE, "b", 0600);
	assert_int_equal(fs_create(fs, &user_caller, FS_ROOT_NODE, "c", O_RDWR, 0600,
				   &(struct fs_entry){ 0 }, &(uint64_t){ 0 }), -EACCES);
	assert_int_equal(fs_unlink(fs, &root_caller, FS_ROOT_NODE, "a"), 0);
}

#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* As in a container that may not detach capabilities from ids. */
static void drop_setpcap(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &header, caps))
		abort();
	caps[0].effective &= ~(1U << CAP_SETPCAP);
	caps[0].permitted &= ~(1U << CAP_SETPCAP);
	if (syscall(SYS_capset, &header, caps))
		abort();
}

static int run_attached(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(makers_own_what_they_make),
		FS_TEST(nonsense_ids_are_refused),
		FS_TEST(foreign_group_loses_setgid),
		FS_TEST(a_whiteout_is_its_callers),
		FS_TEST(attached_capabilities_come_back),
		FS_TEST(ids_are_per_thread),
	};

	drop_setpcap();
	if (creds_setup(UINT64_MAX))
		return 1;
	return cmocka_run_group_tests_name("attached", tests, NULL, NULL);
}

static int run_detached(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(the_daemon_has_no_groups),
		FS_TEST(makers_own_what_they_make),
		FS_TEST(other_operations_keep_all_rights),
		FS_TEST(nonsense_ids_are_refused),
		FS_TEST(foreign_group_loses_setgid),
		FS_TEST(setid_bits_go_when_asked),
		FS_TEST(a_change_is_its_callers),
		FS_TEST(the_windows_changes_are_its_callers),
		FS_TEST(a_whiteout_is_its_callers),
		FS_TEST(an_owners_change_is_its_callers),
		FS_TEST(roots_room_is_roots),
		FS_TEST(remote_shares_get_their_ids_back),
		FS_TEST(ids_are_per_thread),
	};

	if (creds_setup(UINT64_MAX))
		return 1;
	fixture_private_mounts();
	return cmocka_run_group_tests_name("detached", tests, NULL, NULL);
}

int main(void)
{
	const gid_t groups[] = { 0, 4, 24 };
	int status = 0;
	pid_t child;

	if (geteuid() != 0) {
		print_message("skipped: only root can make files for others\n");
		return 77;
	}
	if (setgroups(3, groups))
		return 1;
	fflush(NULL);
	child = fork();
	if (child == 0)
		exit(run_attached());
	if (waitpid(child, &status, 0) != child || status)
		return 1;
	return run_detached();
}
