/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file system where a container's filter refuses unshare(2), and the share is
 * the process' root (--sandbox chroot): attributes are reached by descriptor all
 * the same, never by a path in the guest's tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/checked.h"
#include "tests/skip.h"
#include "tests/unit/fs_fixture.h"

#define LINKS 64

static int refuse_unshare(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* What the guest would make: its own /proc/self/fd, where each number is a link to a victim. */
static void make_links(const struct fixture *f)
{
	char name[32];

	assert_int_equal(mkdir(host_path(f, "proc"), 0755), 0);
	assert_int_equal(mkdir(host_path(f, "proc/self"), 0755), 0);
	assert_int_equal(mkdir(host_path(f, "proc/self/fd"), 0755), 0);
	for (int i = 0; i < LINKS; i++) {
		snprintf(name, sizeof(name), "proc/self/fd/%d", i);
		assert_int_equal(symlink("/victim", host_path(f, name)), 0);
	}
}

/* In the share as its root: the step that went wrong, or 0. */
static int use_attributes(const struct fixture *f)
{
	struct fs *fs = fixture_serve(f, NULL);
	uint64_t node = must_lookup(fs, 1, "file"), link = must_lookup(fs, 1, "link");
	char buf[256];

	if (chroot(f->dir))
		return 1;
	if (fs_setxattr(fs, &root_caller, node, "user.y", "of file", 7, 0, false))
		return 2;
	if (fs_getxattr(fs, node, "user.y", buf, sizeof(buf)) != 7 ||
	    fs_getxattr(fs, node, "user.x", buf, sizeof(buf)) != 1)
		return 3;
	if (fs_removexattr(fs, &root_caller, node, "user.x"))
		return 4;
	if (getxattr("/file", "user.y", buf, sizeof(buf)) != 7 || getxattr("/file", "user.x", buf, 1) >= 0)
		return 5;
	if (listxattr("/victim", buf, sizeof(buf)) != 0)
		return 6;
	/* A link's own attributes, of which it has none. */
	if (fs_getxattr(fs, link, "user.y", buf, sizeof(buf)) >= 0)
		return 7;
	/* A umask of its own is what the thread cannot have. */
	return fs_umask_ready(fs) == -EPERM ? 0 : 8;
}

static void attributes_are_those_of_the_descriptor(void **state)
{
	struct fixture *f = fixture_new(NULL);
	int status = -1;
	pid_t child;

	(void)state;
	host_write(f, "file", "text");
	host_write(f, "victim", "text");
	assert_int_equal(symlink("file", host_path(f, "link")), 0);
	make_links(f);
	if (geteuid() || setxattr(host_path(f, "file"), "user.x", "x", 1, 0)) {
		fixture_free(f);
		SKIP_BECAUSE("needs root, and a file system with attributes");
	}
	child = fork();
	if (child == 0)
		_exit(refuse_unshare() ? 9 : use_attributes(f));
	assert_int_equal(waitpid(child, &status, 0), child);
	fixture_free(f);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes_are_those_of_the_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
