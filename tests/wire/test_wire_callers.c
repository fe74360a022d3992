/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who asks, and several at once: files belong to the caller, set-id bits do not
 * leak the daemon's groups, queues work side by side on the same names.
 */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "tests/skip.h"

#define ROUNDS 300

static struct stat host_stat(struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(share_path(&f->daemon, name), &st), 0);
	return st;
}

static void need_root(void)
{
	if (geteuid())
		SKIP_BECAUSE("only root may make files for others");
}

static void test_owner(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	uint64_t node;

	need_root();
	assert_int_equal(chmod(f->daemon.share, 0777), 0);
	casement_set_caller(f->q, 1000, 1001, 1);
	create_file(f->q, "file", &node);
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "dir", 0755, &entry));
	ok(casement_symlink(f->q, CASEMENT_ROOT, "link", "x", &entry));
	ok(casement_mknod(f->q, CASEMENT_ROOT, "fifo", S_IFIFO | 0600, 0, &entry));
	for (unsigned int i = 0; i < 4; i++) {
		static const char *const names[] = { "file", "dir", "link", "fifo" };
		struct stat st = host_stat(f, names[i]);

		assert_int_equal(st.st_uid, 1000);
		assert_int_equal(st.st_gid, 1001);
	}
	casement_set_caller(f->q, 0, 0, 1);
	create_file(f->q, "root", &node);
	assert_int_equal(host_stat(f, "root").st_uid, 0);
	assert_int_equal(host_stat(f, "root").st_gid, 0);
}

/* CVE-2022-0358: a daemon that keeps its own groups lets a stranger make a set-gid file. */
static void test_sgid(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	need_root();
	assert_int_equal(chmod(f->daemon.share, 03777), 0);
	for (unsigned int round = 0; round < 3; round++) {
		char name[16];

		snprintf(name, sizeof(name), "file-%u", round);
		casement_set_caller(f->q, 1000, 1000, 1);
		ok(casement_create(f->q, CASEMENT_ROOT, name, O_RDWR | O_CREAT | O_EXCL, S_IFREG | 02755,
				   &entry, &open));
		assert_int_equal(host_stat(f, name).st_gid, 0);
		assert_int_equal(host_stat(f, name).st_mode & S_ISGID, 0);
		assert_int_equal(entry.attr.mode & S_ISGID, 0);
		snprintf(name, sizeof(name), "dir-%u", round);
		ok(casement_mkdir(f->q, CASEMENT_ROOT, name, 03777, &entry));
		assert_int_equal(host_stat(f, name).st_mode & 07777, 03777);
		/* An operation of root's in between must leave nothing behind. */
		casement_set_caller(f->q, 0, 0, 1);
		snprintf(name, sizeof(name), "root-%u", round);
		ok(casement_mkdir(f->q, CASEMENT_ROOT, name, 0755, &entry));
	}
}

/*
 * Who may do what is the guest kernel's matter, which knows the caller's groups
 * and capabilities: a directory that only a supplementary group may write to
 * serves its members.
 */
static void test_rights_are_the_guests(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	need_root();
	assert_int_equal(chown(f->daemon.share, 0, 4242), 0);
	assert_int_equal(chmod(f->daemon.share, 0775), 0);
	casement_set_caller(f->q, 1000, 1000, 1);
	ok(casement_create(f->q, CASEMENT_ROOT, "f", O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &open));
	assert_int_equal(host_stat(f, "f").st_uid, 1000);
	assert_int_equal(host_stat(f, "f").st_gid, 1000);
}

/* The mode of a new file is the guest's own: no umask of the daemon's. */
static void test_modes(void **state)
{
	static const unsigned int modes[] = { 0, 0777, 0666, 0640, 01777 };
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char name[16];

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		snprintf(name, sizeof(name), "f%u", i);
		ok(casement_create(f->q, CASEMENT_ROOT, name, O_RDWR | O_CREAT, S_IFREG | modes[i],
				   &entry, &open));
		assert_int_equal(host_stat(f, name).st_mode & 07777, modes[i]);
		snprintf(name, sizeof(name), "d%u", i);
		ok(casement_mkdir(f->q, CASEMENT_ROOT, name, modes[i], &entry));
		assert_int_equal(host_stat(f, name).st_mode & 07777, modes[i]);
	}
}

/* A write by somebody without the right to keep them takes the set-id bits away. */
static void test_kill_suid(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_write_in in = { .size = 1, .write_flags = FUSE_WRITE_KILL_SUIDGID };
	struct fuse_write_out out;
	struct iovec iov[2] = { { &in, sizeof(in) }, { (void *)(uintptr_t)"x", 1 } };
	struct iovec reply = { &out, sizeof(out) };
	uint64_t node;

	need_root();
	in.fh = create_file(f->q, "file", &node);
	assert_int_equal(chmod(share_path(&f->daemon, "file"), 06755), 0);
	casement_set_caller(f->q, 1000, 1000, 1);
	ok(casement_call(f->q, FUSE_WRITE, node, iov, 2, &reply, 1));
	assert_int_equal(host_stat(f, "file").st_mode & 07777, 0755);
}

/* What one thread does on its queue; NULL when all went well, else what failed. */
struct worker {
	struct casement_queue *q, *hiprio;
	pthread_mutex_t *hiprio_lock;	/* the one high-priority queue is shared */
	unsigned int number;
	const char *failed;
};

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			worker->failed = #condition; \
			return; \
		} \
	} while (0)

static void forget(struct worker *worker, uint64_t node)
{
	pthread_mutex_lock(worker->hiprio_lock);
	if (casement_forget(worker->hiprio, node, 1))
		worker->failed = "forget";
	pthread_mutex_unlock(worker->hiprio_lock);
}

/* Files of its own, and one name that all threads look up and forget. */
static void work(struct worker *worker, unsigned int round)
{
	struct fuse_entry_out entry, shared;
	struct fuse_open_out open;
	struct fuse_attr_out attr;
	char name[32], buf[64], back[64];

	snprintf(name, sizeof(name), "w%u-%u", worker->number, round);
	memset(buf, (int)(worker->number + round), sizeof(buf));
	CHECK(!casement_lookup(worker->q, CASEMENT_ROOT, "shared", &shared));
	CHECK(!casement_create(worker->q, CASEMENT_ROOT, name, O_RDWR | O_CREAT | O_EXCL,
			       S_IFREG | 0644, &entry, &open));
	CHECK(casement_write(worker->q, entry.nodeid, open.fh, 0, buf, 64) == 64);
	CHECK(!casement_getattr(worker->q, shared.nodeid, CASEMENT_NO_FH, &attr));
	CHECK(attr.attr.size == 10);
	CHECK(casement_read(worker->q, entry.nodeid, open.fh, 0, back, 64) == 64);
	CHECK(!memcmp(buf, back, 64));
	CHECK(!casement_release(worker->q, entry.nodeid, open.fh));
	CHECK(!casement_unlink(worker->q, CASEMENT_ROOT, name));
	forget(worker, entry.nodeid);
	forget(worker, shared.nodeid);
}

static void *work_all(void *arg)
{
	struct worker *worker = arg;

	for (unsigned int round = 0; !worker->failed && round < ROUNDS; round++)
		work(worker, round);
	return NULL;
}

static const struct fixture_config four_queues = {
	.args = { "--queues", "4", NULL },
	.options = { .request_queues = 4 },
	.needs = "queues",
};

static void test_parallel(void **state)
{
	pthread_mutex_t hiprio_lock = PTHREAD_MUTEX_INITIALIZER;
	struct fixture *f = fixture_of(state);
	struct worker workers[4];
	pthread_t threads[4];

	share_fill(&f->daemon, "shared", 10, 1);
	for (unsigned int i = 0; i < 4; i++) {
		workers[i] = (struct worker){ casement_request_queue(f->client, i),
			casement_hiprio_queue(f->client), &hiprio_lock, i, NULL };
		assert_int_equal(pthread_create(&threads[i], NULL, work_all, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < 4; i++)
		if (workers[i].failed)
			fail_msg("queue %u: %s", i, workers[i].failed);
	daemon_check(&f->daemon);
}

/* A descriptor for each node must run out before the daemon does. */
static void test_many_nodes(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	unsigned int opened = 0;
	uint64_t node;

	for (unsigned int i = 0; i < 3000; i++) {
		struct fuse_entry_out entry;
		char name[32];

		snprintf(name, sizeof(name), "n%u", i);
		ok(casement_mknod(f->q, CASEMENT_ROOT, name, S_IFREG | 0644, 0, &entry));
	}
	node = lookup_node(f->q, "n0");
	while (opened < 30000 && !casement_open(f->q, node, O_RDONLY, &open))
		opened++;
	/* Whatever is used up, the root is still served and other files too. */
	ok(casement_getattr(f->q, CASEMENT_ROOT, CASEMENT_NO_FH, &attr));
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr));
	ok(casement_release(f->q, node, open.fh));
	ok(casement_open(f->q, node, O_RDONLY, &open));
	daemon_check(&f->daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_owner, NULL),
		FIXTURE_TEST(test_sgid, NULL),
		FIXTURE_TEST(test_rights_are_the_guests, NULL),
		FIXTURE_TEST(test_modes, NULL),
		FIXTURE_TEST(test_kill_suid, NULL),
		FIXTURE_TEST(test_parallel, &four_queues),
		FIXTURE_TEST(test_many_nodes, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
