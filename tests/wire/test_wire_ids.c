/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who owns what, and with which rights it is made: supplementary groups, umasks
 * and default ACLs, labels, set-id bits, translated ids. Needs root nearly
 * everywhere: only root may make files for others.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "proto/fuse_wire.h"
#include "tests/skip.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define GROUP 4242

static const struct fixture_config with_acl = { .args = { "--posix-acl", NULL } };
static const struct fixture_config acl_auto = { .args = { "--posix-acl=auto", NULL }, .no_init = true };
static const struct fixture_config acl_always = {
	.args = { "--posix-acl=always", NULL }, .no_init = true,
};
static const struct fixture_config acl_queues = {
	.args = { "--posix-acl", "--queues", "4", NULL }, .options = { .request_queues = 4 },
};
static const struct fixture_config with_label = {
	.args = { "--security-label", NULL }, .no_init = true,
};
static const struct fixture_config label_refused = {
	.args = { "--security-label", "--xattrmap", ":bad:all:user.label:user.label: :ok:all:::", NULL },
	.no_init = true,
};
static const struct fixture_config killpriv = { .args = { "--killpriv-v2", NULL } };
static const struct fixture_config noatime = { .args = { "--preserve-noatime", NULL } };
static const struct fixture_config translated = {
	.args = { "--translate-uid", "map:1000:5000:10", "--translate-gid", "squash-guest:100:6000:100",
		  "--translate-gid", "host:6000:100:1", "--translate-uid", "forbid-guest:2000:10", NULL },
};

static struct fixture *start(void **state)
{
	struct fixture *f = fixture_of(state);

	if (geteuid())
		SKIP_BECAUSE("only root may make files for others");
	assert_int_equal(chmod(f->daemon.share, 0777), 0);
	return f;
}

static struct stat host_stat(struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(share_path(&f->daemon, name), &st), 0);
	return st;
}

static unsigned int host_mode(struct fixture *f, const char *name)
{
	return host_stat(f, name).st_mode & 07777;
}

/* A request that makes something, with an extension behind its names. */
static int make(struct casement_queue *q, uint32_t opcode, const void *fixed, size_t fixed_size,
		const char *name, const void *ext, size_t ext_size)
{
	struct { struct fuse_entry_out entry; struct fuse_open_out open; } out;
	struct iovec in[3] = {
		{ (void *)(uintptr_t)fixed, fixed_size },
		{ (void *)(uintptr_t)name, strlen(name) + 1 },
		{ (void *)(uintptr_t)ext, ext_size },
	};
	struct iovec reply = { &out, sizeof(out) };
	ssize_t n = casement_call(q, opcode, CASEMENT_ROOT, in, ext_size ? 3 : 2, &reply, 1);

	return n < 0 ? (int)n : 0;
}

static int create_in_group(struct casement_queue *q, const char *name, uint32_t mode, uint32_t group)
{
	struct fuse_create_in in = { .flags = O_RDWR | O_CREAT | O_EXCL, .mode = S_IFREG | mode };
	uint32_t ext[4] = { 16, FUSE_WIRE_EXT_GROUPS, 1, group };

	return make(q, FUSE_CREATE, &in, sizeof(in), name, ext, group ? sizeof(ext) : 0);
}

/* A member of the directory's group keeps the set-gid bit, also by a supplementary group. */
static void test_member_keeps_sgid(void **state)
{
	struct fixture *f = start(state);

	assert_int_equal(chown(f->daemon.share, 0, GROUP), 0);
	assert_int_equal(chmod(f->daemon.share, 03777), 0);
	casement_set_caller(f->q, 1000, 1000, 1);
	ok(create_in_group(f->q, "member", 02755, GROUP));
	assert_int_equal(host_mode(f, "member"), 02755);
	assert_int_equal(host_stat(f, "member").st_gid, GROUP);
	ok(create_in_group(f->q, "stranger", 02755, 0));
	assert_int_equal(host_mode(f, "stranger"), 0755);
	ok(create_in_group(f->q, "other", 02755, GROUP + 1));
	assert_int_equal(host_mode(f, "other"), 0755);
}

/* CVE-2022-0358: no group of the daemon's own or of its past lets a stranger make a set-gid file. */
static void test_cve_2022_0358(void **state)
{
	struct fixture *f = start(state);
	struct fuse_entry_out entry;

	casement_set_caller(f->q, 0, 0, 1);
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0777, &entry));
	assert_int_equal(chmod(f->daemon.share, 03777), 0);	/* of group root, as the daemon is */
	casement_set_caller(f->q, 1000, 1000, 1);
	ok(create_in_group(f->q, "file", 02755, 0));
	assert_int_equal(host_mode(f, "file"), 0755);
	assert_int_equal(host_stat(f, "file").st_gid, 0);
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "sub", 03777, &entry));
	assert_int_equal(host_stat(f, "sub").st_gid, 0);
	assert_int_equal(chown(f->daemon.share, 0, 0), 0);
}

/* virtiofsd kept a root caller's supplementary group for whoever came next on the thread. */
static void test_groups_of_root_are_dropped(void **state)
{
	struct fixture *f = start(state);
	char name[16];

	assert_int_equal(chown(f->daemon.share, 0, GROUP), 0);
	assert_int_equal(chmod(f->daemon.share, 03777), 0);
	for (unsigned int i = 0; i < 4; i++) {
		static const uint32_t before[] = { 0, 0, 1000, 0 };

		casement_set_caller(f->q, before[i], before[i], 1);
		snprintf(name, sizeof(name), "root-%u", i);
		ok(create_in_group(f->q, name, 0644, GROUP));
		/* failures leave nothing behind either */
		refused(create_in_group(f->q, name, 0644, GROUP), EEXIST);
		casement_set_caller(f->q, 1000, 1000, 1);
		snprintf(name, sizeof(name), "user-%u", i);
		ok(create_in_group(f->q, name, 02755, 0));
		assert_int_equal(host_mode(f, name), 0755);
	}
}

/* owner rwx, user 1000 rw, group r-x, mask rwx, others nothing */
static const unsigned char acl[] = {
	2, 0, 0, 0,
	1, 0, 7, 0, 255, 255, 255, 255,
	2, 0, 6, 0, 232, 3, 0, 0,
	4, 0, 5, 0, 255, 255, 255, 255,
	16, 0, 7, 0, 255, 255, 255, 255,
	32, 0, 0, 0, 255, 255, 255, 255,
};

static void need_acl(struct fixture *f)
{
	if (setxattr(f->daemon.share, ACL_ACCESS, acl, sizeof(acl), 0) < 0)
		SKIP_BECAUSE("the file system has none");
	removexattr(f->daemon.share, ACL_ACCESS);
}

static void make_all(struct casement_queue *q, const char *suffix, uint32_t mask)
{
	struct fuse_create_in create = { .flags = O_RDWR | O_CREAT | O_EXCL, .mode = S_IFREG | 0666,
		.umask = mask };
	struct fuse_mkdir_in mkdir_in = { .mode = 0777, .umask = mask };
	struct fuse_mknod_in mknod_in = { .mode = S_IFIFO | 0666, .umask = mask };
	char name[32];

	snprintf(name, sizeof(name), "file%s", suffix);
	ok(make(q, FUSE_CREATE, &create, sizeof(create), name, NULL, 0));
	snprintf(name, sizeof(name), "dir%s", suffix);
	ok(make(q, FUSE_MKDIR, &mkdir_in, sizeof(mkdir_in), name, NULL, 0));
	snprintf(name, sizeof(name), "fifo%s", suffix);
	ok(make(q, FUSE_MKNOD, &mknod_in, sizeof(mknod_in), name, NULL, 0));
}

/* The umask counts, unless the directory has a default ACL, which then does. */
static void test_umask(void **state)
{
	struct fixture *f = start(state);

	need_acl(f);
	assert_true(f->init.flags & FUSE_POSIX_ACL && f->init.flags & FUSE_DONT_MASK);
	casement_set_caller(f->q, 1000, 1000, 1);
	make_all(f->q, "1", 027);
	assert_int_equal(host_mode(f, "file1"), 0640);
	assert_int_equal(host_mode(f, "dir1"), 0750);
	assert_int_equal(host_mode(f, "fifo1"), 0640);
	make_all(f->q, "2", 0);
	assert_int_equal(host_mode(f, "file2"), 0666);
	assert_int_equal(host_mode(f, "dir2"), 0777);
	assert_int_equal(setxattr(f->daemon.share, ACL_DEFAULT, acl, sizeof(acl), 0), 0);
	make_all(f->q, "3", 077);
	assert_int_equal(host_mode(f, "file3"), 0660);
	assert_int_equal(host_mode(f, "dir3"), 0770);
	assert_true(getxattr(share_path(&f->daemon, "dir3"), ACL_DEFAULT, NULL, 0) > 0);
	removexattr(f->daemon.share, ACL_DEFAULT);
}

struct masker {
	struct casement_queue *q;
	struct fixture *f;
	unsigned int number;
	const char *failed;
};

static void *mask_and_make(void *arg)
{
	struct masker *m = arg;
	uint32_t mask = m->number * 011;

	casement_set_caller(m->q, 1000, 1000, 1);
	for (unsigned int i = 0; i < 200 && !m->failed; i++) {
		struct fuse_create_in in = { .flags = O_RDWR | O_CREAT | O_EXCL,
			.mode = S_IFREG | 0666, .umask = mask };
		struct stat st;
		char name[32];

		snprintf(name, sizeof(name), "m%u-%u", m->number, i);
		if (make(m->q, FUSE_CREATE, &in, sizeof(in), name, NULL, 0))
			m->failed = "create";
		else if (lstat(share_path(&m->f->daemon, name), &st))
			m->failed = "lstat";
		else if ((st.st_mode & 0777) != (0666 & ~mask))
			m->failed = "another thread's umask";
	}
	return NULL;
}

/* Each queue's thread has a umask of its own. */
static void test_umasks_do_not_meet(void **state)
{
	struct fixture *f = start(state);
	struct masker maskers[4];
	pthread_t threads[4];

	need_acl(f);
	for (unsigned int i = 0; i < 4; i++) {
		maskers[i] = (struct masker){ casement_request_queue(f->client, i), f, i, NULL };
		assert_int_equal(pthread_create(&threads[i], NULL, mask_and_make, &maskers[i]), 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < 4; i++)
		if (maskers[i].failed)
			fail_msg("queue %u: %s", i, maskers[i].failed);
}

static int set_acl(struct casement_queue *q, uint64_t node, uint32_t setxattr_flags)
{
	struct fuse_setxattr_in in = { .size = sizeof(acl), .setxattr_flags = setxattr_flags };
	struct iovec iov[3] = {
		{ &in, sizeof(in) }, { (void *)(uintptr_t)ACL_ACCESS, sizeof(ACL_ACCESS) },
		{ (void *)(uintptr_t)acl, sizeof(acl) },
	};

	return (int)casement_call(q, FUSE_SETXATTR, node, iov, 3, NULL, 0);
}

/* An ACL becomes the host's, its mask the mode's; the set-gid bit goes when the guest says so, only. */
static void test_acl(void **state)
{
	struct fixture *f = start(state);
	unsigned char got[sizeof(acl)];
	uint64_t node;

	need_acl(f);
	create_file(f->q, "file", &node);
	assert_int_equal(chown(share_path(&f->daemon, "file"), 1000, GROUP), 0);
	assert_int_equal(chmod(share_path(&f->daemon, "file"), 02755), 0);
	casement_set_caller(f->q, 1000, 1000, 1);
	ok(set_acl(f->q, node, 0));
	assert_int_equal(host_mode(f, "file"), 02770);
	assert_int_equal(getxattr(share_path(&f->daemon, "file"), ACL_ACCESS, got, sizeof(got)),
			 sizeof(acl));
	assert_memory_equal(got, acl, sizeof(acl));
	assert_int_equal(casement_getxattr(f->q, node, ACL_ACCESS, got, sizeof(got)), sizeof(acl));
	ok(set_acl(f->q, node, FUSE_SETXATTR_ACL_KILL_SGID));
	assert_int_equal(host_mode(f, "file"), 0770);
	refused(casement_setxattr(f->q, node, ACL_ACCESS, "nonsense", 8, 0), EOPNOTSUPP);
	daemon_check(&f->daemon);
}

static long init_with(struct fixture *f, uint64_t flags, struct fuse_init_out *out)
{
	struct fuse_init_in in = { .major = 7, .minor = 46, .flags = (uint32_t)flags | FUSE_INIT_EXT,
		.flags2 = (uint32_t)(flags >> 32) };

	return casement_init(f->q, &in, out);
}

/* Half of what ACLs need is nothing. */
static void test_acl_negotiation(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_init_out out;

	ok(init_with(f, FUSE_POSIX_ACL | FUSE_DONT_MASK, &out));
	assert_int_equal(out.flags & (FUSE_POSIX_ACL | FUSE_DONT_MASK), 0);
	ok(init_with(f, FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT, &out));
	assert_int_equal(out.flags & FUSE_POSIX_ACL, FUSE_POSIX_ACL);
}

static void test_acl_demanded(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_init_out out;

	refused(init_with(f, FUSE_POSIX_ACL | FUSE_SETXATTR_EXT, &out), EPROTO);
	daemon_check(&f->daemon);
	ok(init_with(f, FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT, &out));
}

/* ---- labels ---- */

struct label {
	uint32_t size, count;
	uint32_t value_size, padding;
	char text[16];		/* name, NUL, value */
};

static const struct label user_label = { 32, 1, 5, 0, "user.label\0value" };
static const struct label bad_label = { 32, 1, 5, 0, "nonsense.x\0value" };

static const struct {
	uint32_t opcode;
	const char *name;
	uint32_t mode;
} makers[] = {
	{ FUSE_CREATE, "file", S_IFREG | 0644 }, { FUSE_MKDIR, "dir", 0755 },
	{ FUSE_MKNOD, "node", S_IFREG | 0644 },
};

static int make_labelled(struct fixture *f, unsigned int i, const char *name, const struct label *label)
{
	struct fuse_create_in create = { .flags = O_RDWR | O_CREAT | O_EXCL, .mode = makers[i].mode };
	struct fuse_mkdir_in mkdir_in = { .mode = makers[i].mode };
	struct fuse_mknod_in mknod_in = { .mode = makers[i].mode };
	const void *fixed[] = { &create, &mkdir_in, &mknod_in };
	const size_t sizes[] = { sizeof(create), sizeof(mkdir_in), sizeof(mknod_in) };

	return make(f->q, makers[i].opcode, fixed[i], sizes[i], name, label, label->size);
}

/* The client's usual INIT offers no labels: it would have to send some. */
static void start_labels(struct fixture *f)
{
	struct fuse_init_out out;

	ok(init_with(f, FUSE_SECURITY_CTX, &out));
	assert_int_equal(out.flags2, FUSE_SECURITY_CTX >> 32);
	if (setxattr(f->daemon.share, "user.probe", "x", 1, 0) < 0)
		SKIP_BECAUSE("this file system does not have such attributes");
}

static void test_label(void **state)
{
	struct fixture *f = start(state);
	char buf[16];

	start_labels(f);
	for (unsigned int i = 0; i < ARRAY_SIZE(makers); i++) {
		ok(make_labelled(f, i, makers[i].name, &user_label));
		assert_int_equal(getxattr(share_path(&f->daemon, makers[i].name), "user.label", buf,
					  sizeof(buf)), 5);
		assert_memory_equal(buf, "value", 5);
	}
	/* without a security module the guest sends an empty one, or none */
	ok(make(f->q, FUSE_MKDIR, &(struct fuse_mkdir_in){ .mode = 0755 }, sizeof(struct fuse_mkdir_in),
		"empty", &(uint32_t [2]){ 8, 0 }, 8));
	ok(make(f->q, FUSE_MKDIR, &(struct fuse_mkdir_in){ .mode = 0755 }, sizeof(struct fuse_mkdir_in),
		"none", NULL, 0));
}

static void check_gone(struct fixture *f, const char *name)
{
	assert_int_equal(access(share_path(&f->daemon, name), F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

/* A file whose label the host or the map refuses is not there afterwards, and can be made again. */
static void test_label_refused(void **state)
{
	struct fixture *f = start(state);
	unsigned int fds;

	start_labels(f);
	for (unsigned int i = 0; i < ARRAY_SIZE(makers); i++) {
		refused(make_labelled(f, i, makers[i].name, &user_label), EPERM);
		check_gone(f, makers[i].name);
		refused(make_labelled(f, i, makers[i].name, &bad_label), EOPNOTSUPP);
		check_gone(f, makers[i].name);
	}
	fds = daemon_count_fds(&f->daemon);
	for (unsigned int i = 0; i < 50; i++)
		refused(make_labelled(f, i % 3, "x", &user_label), EPERM);
	assert_int_equal(daemon_count_fds(&f->daemon), fds);
}

/* ---- set-id bits ---- */

static void test_killpriv(void **state)
{
	struct fixture *f = start(state);
	struct fuse_open_in open_in = { .flags = O_RDWR | O_TRUNC };
	struct fuse_setattr_in cut = { .valid = FATTR_SIZE | FATTR_KILL_SUIDGID, .size = 1 };
	struct fuse_open_out open_out;
	struct fuse_attr_out attr;
	struct iovec in = { &open_in, sizeof(open_in) }, out = { &open_out, sizeof(open_out) };
	const char *path = share_path(&f->daemon, "file");
	uint64_t node, fh;

	assert_true(f->init.flags & FUSE_HANDLE_KILLPRIV_V2);
	fh = create_file(f->q, "file", &node);
	ok(casement_write(f->q, node, fh, 0, "12345", 5));
	assert_int_equal(chmod(path, 06755), 0);
	casement_set_caller(f->q, 1000, 1000, 1);
	ok(casement_setattr(f->q, node, &cut, &attr));
	assert_int_equal(host_mode(f, "file"), 0755);
	assert_int_equal(chmod(path, 06755), 0);
	ok(casement_fallocate(f->q, node, fh, 0, 0, 10));
	assert_int_equal(host_mode(f, "file"), 0755);
	/* without group execution the bit means something else */
	assert_int_equal(chmod(path, 06745), 0);
	cut.valid = FATTR_UID;
	cut.uid = 1000;
	ok(casement_setattr(f->q, node, &cut, &attr));
	assert_int_equal(host_mode(f, "file") & 04000, 0);
	/* who may keep them does */
	assert_int_equal(chmod(path, 06755), 0);
	casement_set_caller(f->q, 0, 0, 1);
	ok(casement_write(f->q, node, fh, 0, "12345", 5));
	ok(casement_fallocate(f->q, node, fh, 0, 0, 20));
	ok(casement_call(f->q, FUSE_OPEN, node, &in, 1, &out, 1));
	assert_int_equal(host_mode(f, "file"), 06755);
}

/* Open a file with O_NOATIME and find whether the daemon's descriptor has it. */
static bool opens_noatime(struct fixture *f)
{
	uint64_t node, fh = open_file(f->q, "file", O_RDONLY | O_NOATIME, &node);
	bool found = false;
	char path[64];

	for (int fd = 0; fd < 256; fd++) {
		cleanup_fclose FILE *info = NULL;
		unsigned int flags;
		char line[64];

		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)daemon_serving_pid(&f->daemon), fd);
		info = fopen(path, "re");
		while (info && fgets(line, sizeof(line), info))
			if (sscanf(line, "flags: %o", &flags) == 1 && flags & O_NOATIME && !(flags & O_PATH))
				found = true;
	}
	ok(casement_release(f->q, node, fh));
	return found;
}

static void test_noatime(void **state)
{
	struct fixture *f = start(state);

	share_fill(&f->daemon, "file", 10, 1);
	assert_true(opens_noatime(f));
}

static void test_noatime_dropped(void **state)
{
	struct fixture *f = start(state);

	share_fill(&f->daemon, "file", 10, 1);
	assert_false(opens_noatime(f));
}

/* ---- translated ids ---- */

static void test_translated(void **state)
{
	struct fixture *f = start(state);
	struct fuse_setattr_in set = { .valid = FATTR_UID, .uid = 1003 };
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;

	casement_set_caller(f->q, 1000, 150, 1);
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &entry));
	assert_int_equal(host_stat(f, "dir").st_uid, 5000);
	assert_int_equal(host_stat(f, "dir").st_gid, 6000);
	assert_int_equal(entry.attr.uid, 1000);
	assert_int_equal(entry.attr.gid, 100);
	ok(casement_setattr(f->q, entry.nodeid, &set, &attr));
	assert_int_equal(host_stat(f, "dir").st_uid, 5003);
	assert_int_equal(attr.attr.uid, 1003);
	set.uid = 2001;
	refused(casement_setattr(f->q, entry.nodeid, &set, &attr), EPERM);
	casement_set_caller(f->q, 2005, 0, 1);
	refused(casement_mkdir(f->q, CASEMENT_ROOT, "forbidden", 0755, &entry), EPERM);
	check_gone(f, "forbidden");
	ok(casement_lookup(f->q, CASEMENT_ROOT, "dir", &entry));
	assert_int_equal(entry.attr.uid, 1003);
}

/* What makes no sense, or not together, is refused at the start. */
static void test_bad_options(void **state)
{
	static const char *const lines[][5] = {
		{ "--posix-acl", "--translate-uid", "map:0:1:1", NULL },
		{ "--translate-uid", "map:0:1", NULL },
		{ "--translate-gid", "guest:0:1:5", "--translate-gid", "guest:4:1:5" },
		{ "--xattrmap", ":ok:client:::", NULL },
		{ "--posix-acl=perhaps", NULL },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *program = getenv("CASEMENTD");
		char command[512];
		int n = snprintf(command, sizeof(command), "%s --shared-dir / --socket-path /nonexistent/s",
				 program ? program : "build/casementd");

		for (unsigned int j = 0; j < 5 && lines[i][j]; j++)
			n += snprintf(command + n, sizeof(command) - (size_t)n, " '%s'", lines[i][j]);
		snprintf(command + n, sizeof(command) - (size_t)n, " 2>/dev/null");
		n = system(command);
		assert_true(WIFEXITED(n));
		assert_int_equal(WEXITSTATUS(n), 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_member_keeps_sgid, NULL),
		FIXTURE_TEST(test_cve_2022_0358, NULL),
		FIXTURE_TEST(test_groups_of_root_are_dropped, NULL),
		FIXTURE_TEST(test_umask, &with_acl),
		FIXTURE_TEST(test_umasks_do_not_meet, &acl_queues),
		FIXTURE_TEST(test_acl, &with_acl),
		FIXTURE_TEST(test_acl_negotiation, &acl_auto),
		FIXTURE_TEST(test_acl_demanded, &acl_always),
		FIXTURE_TEST(test_label, &with_label),
		FIXTURE_TEST(test_label_refused, &label_refused),
		FIXTURE_TEST(test_killpriv, &killpriv),
		FIXTURE_TEST(test_noatime, &noatime),
		FIXTURE_TEST(test_noatime_dropped, NULL),
		FIXTURE_TEST(test_translated, &translated),
		cmocka_unit_test(test_bad_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
