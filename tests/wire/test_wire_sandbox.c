/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the serving process can still do, looked at from outside through /proc,
 * while the guest's requests go on being answered. Needs root, as who looks.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "daemon_fixture.h"
#include "tests/skip.h"

/* What serving takes, as daemon/sandbox/caps.c has it. */
#define SERVING_CAPS ((1ull << CAP_CHOWN) | (1ull << CAP_DAC_OVERRIDE) | (1ull << CAP_FOWNER) | \
		      (1ull << CAP_FSETID) | (1ull << CAP_SETGID) | (1ull << CAP_SETUID) | \
		      (1ull << CAP_MKNOD) | (1ull << CAP_SETFCAP) | \
		      (1ull << CAP_LEASE))

static const struct fixture_config none = {
	.needs = "sandbox", .args = { "--sandbox", "none", "--inode-file-handles=never" },
};
static const struct fixture_config changed_root = {
	.needs = "sandbox", .args = { "--sandbox", "chroot" },
};
static const struct fixture_config shut_in = {
	.needs = "sandbox", .args = { "--sandbox", "namespace" },
};
static const struct fixture_config read_only = {
	.needs = "sandbox", .args = { "--sandbox", "namespace", "--readonly" },
};
static const struct fixture_config other_caps = {
	.needs = "sandbox", .args = { "--modcaps", "+sys_admin:-mknod", "--sandbox", "namespace",
		  "--inode-file-handles=never" },
};

static const struct fixture_config no_override = {
	.needs = "modcaps", .args = { "--modcaps", "-dac_override" } };
static const struct fixture_config no_setuid = { .needs = "modcaps", .args = { "--modcaps", "-setuid" } };
static const struct fixture_config no_setgid = { .needs = "modcaps", .args = { "--modcaps", "-setgid" } };
static const struct fixture_config no_search = {
	.needs = "modcaps", .args = { "--modcaps", "-dac_read_search", "--inode-file-handles=prefer" } };
static const struct fixture_config filtered_log = {
	.needs = "sandbox", .args = { "--seccomp", "log" },
};
static const struct fixture_config filtered_trap = {
	.needs = "sandbox", .args = { "--seccomp", "trap" },
};
static const struct fixture_config unfiltered = {
	.needs = "sandbox", .args = { "--seccomp", "none" },
};
static const struct fixture_config windowed = {
	.needs = "sandbox", .args = { "--window-size", "2M", "--sandbox", "namespace" },
};

static struct fixture *rooted_fixture(void **state)
{
	struct fixture *f = fixture_of(state);

	if (geteuid() != 0)
		SKIP_BECAUSE("another user's process does not show what it holds");
	return f;
}

/* The first child of a process; 0: it has none. */
static pid_t child_of(pid_t pid)
{
	cleanup_fclose FILE *children = NULL;
	char path[64];
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	children = fopen(path, "re");
	return children && fscanf(children, "%d", &child) == 1 ? child : 0;
}

static pid_t looked_at;		/* instead of the serving process */

static const char *proc_path(const struct fixture *f, const char *what)
{
	static char paths[4][600];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "/proc/%d/%s", (int)(looked_at ? looked_at : daemon_serving_pid(&f->daemon)), what);
	return path;
}

/* A line of /proc/PID/status as a hexadecimal number. */
static unsigned long long status_word(const struct fixture *f, const char *key)
{
	cleanup_fclose FILE *file = fopen(proc_path(f, "status"), "re");
	unsigned long long value = 0;
	char line[256];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)) &&
		    sscanf(line + strlen(key), ": %llx", &value) == 1)
			return value;
	fail_msg("no %s", key);
	return 0;
}

static void check_caps(const struct fixture *f, unsigned long long caps)
{
	assert_int_equal(status_word(f, "CapPrm"), caps);
	assert_int_equal(status_word(f, "CapEff") & ~caps, 0);
	assert_int_equal(status_word(f, "CapInh"), 0);
	assert_int_equal(status_word(f, "CapAmb"), 0);
	assert_int_equal(status_word(f, "CapBnd"), 0);
	assert_int_equal(status_word(f, "NoNewPrivs"), 1);
}

static bool shares_namespace(const struct fixture *f, const char *name)
{
	char ours[64] = "", theirs[64] = "", path[32];

	snprintf(path, sizeof(path), "ns/%s", name);
	assert_true(readlink(proc_path(f, path), theirs, sizeof(theirs) - 1) > 0);
	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	assert_true(readlink(path, ours, sizeof(ours) - 1) > 0);
	return !strcmp(ours, theirs);
}

/* A guest's file is made, written and seen on the host. */
static void serves(struct fixture *f)
{
	uint64_t node, fh = create_file(f->q, "made", &node);
	struct stat st;

	ok(casement_write(f->q, node, fh, 0, "text", 4));
	assert_int_equal(stat(share_path(&f->daemon, "made"), &st), 0);
	assert_int_equal(st.st_size, 4);
	ok(casement_release(f->q, node, fh));
}

/* Its root is the share: what is in one is in the other, and nothing is above. */
static void check_root(const struct fixture *f)
{
	struct stat inside, outside;

	assert_int_equal(stat(proc_path(f, "root"), &inside), 0);
	assert_int_equal(stat(f->daemon.share, &outside), 0);
	assert_int_equal(inside.st_ino, outside.st_ino);
	assert_int_equal(inside.st_dev, outside.st_dev);
	/* Its working directory is that of its descriptors, a mount that hangs nowhere. */
	assert_int_equal(stat(proc_path(f, "cwd"), &inside), 0);
	assert_int_equal(stat(proc_path(f, "cwd/.."), &outside), 0);
	assert_int_equal(inside.st_ino, outside.st_ino);
	assert_int_equal(inside.st_dev, outside.st_dev);
	assert_int_equal(lstat(proc_path(f, "cwd/0"), &inside), 0);
	assert_true(S_ISLNK(inside.st_mode));
}

static void namespaces_are_its_own(void **state)
{
	static const char *const names[] = { "mnt", "pid", "net", "ipc", "uts" };
	struct fixture *f = rooted_fixture(state);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_false(shares_namespace(f, names[i]));
	assert_true(shares_namespace(f, "user"));
	check_root(f);
	check_caps(f, SERVING_CAPS);
	serves(f);
}

/* No mount but the share's own, and that without devices and set-id programs. */
static void one_mount_is_left(void **state)
{
	struct fixture *f = rooted_fixture(state);
	cleanup_fclose FILE *mounts = fopen(proc_path(f, "mountinfo"), "re");
	char line[1024], point[256], flags[256];
	unsigned int n = 0;

	assert_non_null(mounts);
	while (fgets(line, sizeof(line), mounts)) {
		assert_int_equal(sscanf(line, "%*d %*d %*s %*s %255s %255s", point, flags), 2);
		assert_string_equal(point, "/");
		assert_non_null(strstr(flags, "nodev"));
		assert_non_null(strstr(flags, "nosuid"));
		n++;
	}
	assert_int_equal(n, 1);
}

/* Each descriptor that is a directory or a file is the share's, or the list of descriptors itself. */
static void descriptors_lead_nowhere_else(void **state)
{
	struct fixture *f = rooted_fixture(state);
	char up[300], target[256];
	struct stat root, st;
	unsigned int seen = 0;

	assert_int_equal(stat(f->daemon.share, &root), 0);
	for (int fd = 3; fd < 128; fd++) {
		ssize_t n;

		snprintf(up, sizeof(up), "fd/%d", fd);
		n = readlink(proc_path(f, up), target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		if (target[0] != '/' || !strncmp(target, "/memfd:", 7))
			continue;
		seen++;
		snprintf(up, sizeof(up), "fd/%d/../..", fd);
		if (stat(proc_path(f, up), &st))
			assert_int_equal(errno, ENOTDIR);
		else if (st.st_ino != root.st_ino || st.st_dev != root.st_dev)
			/* /proc/PID/fd: its own mount, so that nothing is above it either. */
			assert_int_equal(faccessat(AT_FDCWD, proc_path(f, strcat(up, "/status")), F_OK, 0), -1);
	}
	assert_true(seen >= 2);
}

/* CVE-2020-35517 and what it was for: a device that the guest makes opens nowhere. */
static void a_device_that_was_made_does_not_open(void **state)
{
	struct fixture *f = rooted_fixture(state);
	struct fuse_entry_out entry;
	struct stat st;
	int fd;

	ok(casement_mknod(f->q, CASEMENT_ROOT, "null", S_IFCHR | 0666, makedev(1, 3), &entry));
	assert_int_equal(stat(share_path(&f->daemon, "null"), &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	/* By the serving process' own mount, with more rights than it has. */
	fd = open(proc_path(f, "root/null"), O_RDWR | O_CLOEXEC);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, EACCES);
}

static void a_readonly_share_is_a_readonly_mount(void **state)
{
	struct fixture *f = rooted_fixture(state);

	assert_int_equal(open(proc_path(f, "root/new"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
	assert_int_equal(errno, EROFS);
	refused(casement_mkdir(f->q, CASEMENT_ROOT, "new", 0755, &(struct fuse_entry_out){ 0 }), EROFS);
}

static void chroot_has_the_share_as_its_root(void **state)
{
	struct fixture *f = rooted_fixture(state);

	assert_true(shares_namespace(f, "mnt"));
	check_root(f);
	check_caps(f, SERVING_CAPS);
	serves(f);
}

static void none_still_drops_capabilities(void **state)
{
	struct fixture *f = rooted_fixture(state);

	assert_true(shares_namespace(f, "mnt"));
	check_caps(f, SERVING_CAPS);
	serves(f);
}

static void modcaps_change_what_stays(void **state)
{
	struct fixture *f = rooted_fixture(state);

	check_caps(f, (SERVING_CAPS | (1ull << CAP_SYS_ADMIN)) & ~(1ull << CAP_MKNOD));
	refused(casement_mknod(f->q, CASEMENT_ROOT, "null", S_IFCHR | 0666, makedev(1, 3),
			       &(struct fuse_entry_out){ 0 }), EPERM);
	serves(f);
}

/* What a request may do does not hang on who asked before. */
static void without_all_rights_the_last_caller_is_forgotten(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	uint64_t node;

	if (geteuid())
		SKIP_BECAUSE("needs root");
	share_fill(&f->daemon, "secret", 10, 1);
	assert_int_equal(chmod(share_path(&f->daemon, "secret"), 0600), 0);
	assert_int_equal(chmod(f->daemon.share, 0777), 0);
	node = lookup_node(f->q, "secret");
	ok(casement_open(f->q, node, O_RDONLY, &open));
	casement_set_caller(f->q, 1000, 1000, 1);
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &entry));
	assert_int_equal(entry.attr.uid, 1000);
	casement_set_caller(f->q, 0, 0, 1);
	ok(casement_open(f->q, node, O_RDONLY, &open));
}

static void without_other_ids_files_are_roots(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;

	if (geteuid())
		SKIP_BECAUSE("needs root");
	assert_true(daemon_logged(&f->daemon, "new files will belong to root"));
	casement_set_caller(f->q, 1000, 1000, 1);
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &entry));
	assert_int_equal(entry.attr.uid, 0);
	assert_int_equal(entry.attr.gid, 0);
}

/* More files than descriptors are kept of: all are still to be had. */
static void without_the_right_to_handles_there_are_none(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	uint64_t nodes[1000];
	char name[16];

	if (geteuid())
		SKIP_BECAUSE("needs root");
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		share_fill(&f->daemon, name, 1, 1);
		nodes[i] = lookup_node(f->q, name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		ok(casement_getattr(f->q, nodes[i], CASEMENT_NO_FH, &attr));
}

/* By default, in each mode: unless it was asked not to be. */
static void system_calls_are_filtered(void **state)
{
	struct fixture *f = rooted_fixture(state);

	assert_int_equal(status_word(f, "Seccomp"), 2);
	assert_int_equal(status_word(f, "NoNewPrivs"), 1);
	serves(f);
}

static void system_calls_are_not_filtered(void **state)
{
	struct fixture *f = rooted_fixture(state);

	assert_int_equal(status_word(f, "Seccomp"), 0);
	serves(f);
}

/* Who makes stand-ins keeps what that takes, and has nothing to use it on. */
static void stand_ins_are_made_in_a_corner(void **state)
{
	struct fixture *f = rooted_fixture(state);
	pid_t serving = daemon_serving_pid(&f->daemon), maker = child_of(serving);
	char path[64], target[256];
	ssize_t n;

	if (!maker)
		SKIP_BECAUSE("no FUSE passthrough here");
	looked_at = maker;
	check_caps(f, (1ull << CAP_SYS_ADMIN) | (1ull << CAP_SYS_CHROOT));
	assert_int_equal(status_word(f, "Seccomp"), 2);
	for (int fd = 0; fd < 32; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)maker, fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		/* Its socket and its log; /dev/fuse, the stop token and its mount, which is "/". */
		assert_true(n < 0 || fd <= 2 || !strcmp(target, "/dev/fuse") || !strcmp(target, "/") ||
			    !strncmp(target, "anon_inode:", 11));
	}
	looked_at = 0;
}

static long landlock_version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1u);
}

/*
 * Landlock is there: what is moved out of the share on the host does not open by
 * its old node. (In a mount namespace newer kernels still count it as below the root.)
 */
static void a_file_moved_away_does_not_open(void **state)
{
	struct fixture *f = rooted_fixture(state);
	struct fuse_open_out open;
	char away[128];
	uint64_t node;

	if (landlock_version() < 2)
		SKIP_BECAUSE("no Landlock in this kernel, or one that cannot let files be moved");
	share_fill(&f->daemon, "file", 100, 1);
	node = lookup_node(f->q, "file");
	ok(casement_open(f->q, node, O_RDONLY, &open));
	snprintf(away, sizeof(away), "%s/away", f->daemon.dir);
	assert_int_equal(rename(share_path(&f->daemon, "file"), away), 0);
	refused(casement_open(f->q, node, O_RDONLY, &open), EACCES);
	assert_int_equal(rename(away, share_path(&f->daemon, "file")), 0);
	ok(casement_open(f->q, node, O_RDONLY, &open));
}

/* The second wall lets through what must be: between directories, and what has no name any more. */
static void landlock_lets_files_be_moved(void **state)
{
	struct fixture *f = rooted_fixture(state);
	struct fuse_entry_out a, b, entry;
	struct fuse_open_out open;
	uint64_t node, fh;

	ok(casement_mkdir(f->q, CASEMENT_ROOT, "a", 0755, &a));
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "b", 0755, &b));
	fh = create_file(f->q, "file", &node);
	ok(casement_rename(f->q, CASEMENT_ROOT, "file", a.nodeid, "moved", 0));
	ok(casement_link(f->q, node, b.nodeid, "linked", &entry));
	ok(casement_rename(f->q, CASEMENT_ROOT, "a", b.nodeid, "a", 0));
	ok(casement_unlink(f->q, b.nodeid, "linked"));
	ok(casement_unlink(f->q, a.nodeid, "moved"));
	ok(casement_open(f->q, node, O_RDWR, &open));
	ok(casement_release(f->q, node, fh));
}

/* The parent is all that others know; without it the child has no business. */
static void the_child_does_not_outlive_its_parent(void **state)
{
	struct fixture *f = rooted_fixture(state);
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, daemon_serving_pid(&f->daemon), 0);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	assert_true(pidfd >= 0);
	assert_true(daemon_serving_pid(&f->daemon) != f->daemon.pid);
	kill(f->daemon.pid, SIGKILL);
	assert_int_equal(poll(&pfd, 1, TEST_WAIT_MS), 1);
	assert_true(daemon_ended_by(&f->daemon, SIGKILL));
}

/* A death that nobody asked for is the parent's, too, and is said. */
static void the_parent_dies_as_its_child_did(void **state)
{
	struct fixture *f = rooted_fixture(state);

	kill(daemon_serving_pid(&f->daemon), SIGKILL);
	assert_true(daemon_ended_by(&f->daemon, SIGKILL));
	assert_true(daemon_logged(&f->daemon, "ended by signal 9"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(namespaces_are_its_own, &shut_in), FIXTURE_TEST(one_mount_is_left, &shut_in),
		FIXTURE_TEST(descriptors_lead_nowhere_else, &shut_in),
		FIXTURE_TEST(a_device_that_was_made_does_not_open, &shut_in),
		FIXTURE_TEST(a_readonly_share_is_a_readonly_mount, &read_only),
		FIXTURE_TEST(chroot_has_the_share_as_its_root, &changed_root),
		FIXTURE_TEST(none_still_drops_capabilities, &none),
		FIXTURE_TEST(modcaps_change_what_stays, &other_caps),
		FIXTURE_TEST(without_all_rights_the_last_caller_is_forgotten, &no_override),
		FIXTURE_TEST(without_other_ids_files_are_roots, &no_setuid),
		FIXTURE_TEST(without_other_ids_files_are_roots, &no_setgid),
		FIXTURE_TEST(without_the_right_to_handles_there_are_none, &no_search),
		FIXTURE_TEST(system_calls_are_filtered, &shut_in),
		FIXTURE_TEST(system_calls_are_filtered, &changed_root),
		FIXTURE_TEST(system_calls_are_filtered, &none),
		FIXTURE_TEST(system_calls_are_filtered, &filtered_log),
		FIXTURE_TEST(system_calls_are_filtered, &filtered_trap),
		FIXTURE_TEST(system_calls_are_not_filtered, &unfiltered),
		FIXTURE_TEST(stand_ins_are_made_in_a_corner, &windowed),
		FIXTURE_TEST(a_file_moved_away_does_not_open, &changed_root),
		FIXTURE_TEST(landlock_lets_files_be_moved, &shut_in),
		FIXTURE_TEST(landlock_lets_files_be_moved, &changed_root),
		FIXTURE_TEST(the_child_does_not_outlive_its_parent, &shut_in),
		FIXTURE_TEST(the_parent_dies_as_its_child_did, &shut_in),
	};

	daemons_are_as_shipped();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
