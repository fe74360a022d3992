/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest may make the daemon hold. CVE-2020-10717: a guest that opened
 * files without end took the last descriptor of virtiofsd, which then served
 * nobody. Here it gets ENFILE, and all that it has goes on working.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "dax_fixture.h"
#include "tests/skip.h"

#define LIMIT 700
#define FILES 800

static const struct fixture_config few_files = { .args = { "--rlimit-nofile", "700" } };
static const struct fixture_config again_and_again = {
	.args = { "--rlimit-nofile", "700", "--persist" },
};

static const struct fixture_config few_files_locked = {
	.args = { "--rlimit-nofile", "700", "--posix-lock" },
};
static const struct fixture_config few_files_by_handle = {
	.args = { "--rlimit-nofile", "700", "--inode-file-handles", "prefer" },
};

static const struct fixture_config few_files_and_window = {
	.args = { "--rlimit-nofile", "700", "--window-size", "256M" },
	.options = { .flags = CASEMENT_MAP_ALL_WRITABLE },
	.needs = "window-size",
};

#define MANY_QUEUES 40
static const struct fixture_config few_files_and_many_queues = {
	.args = { "--rlimit-nofile", "700", "--queues", "40" },
	.options = { .request_queues = MANY_QUEUES },
};

static void make_files(const struct fixture *f)
{
	char name[16];

	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		close(open(share_path(&f->daemon, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	}
}

/* What is never let go: each may be open in the guest. */
static void make_fifos(const struct fixture *f)
{
	char name[16];

	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "fifo-%u", i);
		assert_int_equal(mkfifo(share_path(&f->daemon, name), 0644), 0);
	}
}

/* Look them up until it is refused: how many are known. */
static unsigned int learn_fifos(struct fixture *f, uint64_t *nodes)
{
	struct fuse_entry_out entry;
	char name[16];

	for (unsigned int n = 0; n < FILES; n++) {
		int err;

		snprintf(name, sizeof(name), "fifo-%u", n);
		err = casement_lookup(f->q, CASEMENT_ROOT, name, &entry);
		if (err) {
			assert_int_equal(err, -ENFILE);
			return n;
		}
		nodes[n] = entry.nodeid;
	}
	fail_msg("%u files known, and no limit", FILES);
	return 0;
}

/* With nothing left: what is open is read and written, what is known is asked about. */
static void check_served(struct fixture *f, uint64_t node, uint64_t fh)
{
	struct fuse_attr_out attr;
	struct fuse_statfs_out st;
	char byte;

	ok(casement_write(f->q, node, fh, 0, "x", 1));
	assert_int_equal(casement_read(f->q, node, fh, 0, &byte, 1), 1);
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr));
	ok(casement_statfs(f->q, CASEMENT_ROOT, &st));
	refused(casement_mkdir(f->q, CASEMENT_ROOT, "new", 0755, &(struct fuse_entry_out){ 0 }), ENFILE);
	/* Nothing half-made is left. */
	assert_int_equal(access(share_path(&f->daemon, "new"), F_OK), -1);
	daemon_check(&f->daemon);
	assert_true(daemon_count_fds(&f->daemon) < LIMIT);
}

static void cve_2020_10717_files_known_without_end(void **state)
{
	struct fixture *f = fixture_of(state);
	struct casement_queue *hiprio = casement_hiprio_queue(f->client);
	uint64_t nodes[FILES], node, fh;
	unsigned int n;

	make_files(f);
	make_fifos(f);
	fh = open_file(f->q, "0", O_RDWR, &node);
	n = learn_fifos(f, nodes);
	assert_true(n > LIMIT / 2);
	check_served(f, node, fh);
	assert_true(daemon_logged(&f->daemon, "the guest holds"));
	/* What is forgotten makes room. */
	for (unsigned int i = 1; i < n; i++)
		ok(casement_forget(hiprio, nodes[i], 1));
	assert_true(learn_fifos(f, nodes) > LIMIT / 2);
}

/* Files that are not open are let go of, so that there is no end. */
static void files_known_without_end(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	uint64_t node, fh;
	char name[16], byte;

	make_files(f);
	fh = open_file(f->q, "0", O_RDWR, &node);
	for (unsigned int i = 0; i < 3 * FILES; i++) {
		snprintf(name, sizeof(name), "%u", i % FILES);
		ok(casement_lookup(f->q, CASEMENT_ROOT, name, &entry));
		ok(casement_getattr(f->q, entry.nodeid, CASEMENT_NO_FH, &attr));
	}
	ok(casement_mkdir(f->q, CASEMENT_ROOT, "new", 0755, &entry));
	ok(casement_write(f->q, node, fh, 0, "x", 1));
	assert_int_equal(casement_read(f->q, node, fh, 0, &byte, 1), 1);
	ok(casement_getattr(f->q, node, CASEMENT_NO_FH, &attr));
	assert_true(daemon_logged(&f->daemon, "those that it does not use are let go"));
	assert_false(daemon_logged(&f->daemon, "the guest holds"));
	daemon_check(&f->daemon);
	assert_true(daemon_count_fds(&f->daemon) < LIMIT);
}

/* Directories keep their ids, and rest: so has each a process in it for all that casementd knows. */
static void directories_known_without_end(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	struct fuse_attr_out attr;
	uint64_t nodes[FILES];
	char name[16];

	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "dir-%u", i);
		assert_int_equal(mkdir(share_path(&f->daemon, name), 0755), 0);
	}
	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "dir-%u", i);
		ok(casement_lookup(f->q, CASEMENT_ROOT, name, &entry));
		nodes[i] = entry.nodeid;
	}
	for (unsigned int i = 0; i < FILES; i++) {
		ok(casement_getattr(f->q, nodes[i], CASEMENT_NO_FH, &attr));
		ok(casement_mkdir(f->q, nodes[i], "inner", 0755, &entry));
		ok(casement_opendir(f->q, nodes[i], &open));
		ok(casement_releasedir(f->q, nodes[i], open.fh));
	}
	daemon_check(&f->daemon);
	assert_true(daemon_count_fds(&f->daemon) < LIMIT);
}

static void cve_2020_10717_files_made_without_end(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	char name[16];
	unsigned int n = 0;
	int err = 0;

	while (n < FILES && !err) {
		snprintf(name, sizeof(name), "made-%u", n++);
		err = casement_mknod(f->q, CASEMENT_ROOT, name, S_IFIFO | 0644, 0, &entry);
	}
	assert_int_equal(err, -ENFILE);
	assert_int_equal(access(share_path(&f->daemon, name), F_OK), -1);
	assert_true(daemon_logged(&f->daemon, "the guest holds"));
	daemon_check(&f->daemon);
}

static void cve_2020_10717_handles_without_end(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_open_out open;
	uint64_t handles[FILES], node, fh;
	unsigned int n = 0;
	int err;

	make_files(f);
	fh = open_file(f->q, "0", O_RDWR, &node);
	while (n < FILES && !(err = casement_open(f->q, node, O_RDONLY, &open)))
		handles[n++] = open.fh;
	assert_int_equal(err, -ENFILE);
	while (n < FILES && !(err = casement_opendir(f->q, CASEMENT_ROOT, &open)))
		n++;
	assert_int_equal(err, -ENFILE);
	check_served(f, node, fh);
	ok(casement_release(f->q, node, handles[0]));
	ok(casement_open(f->q, node, O_RDONLY, &open));
}

/* A queue has six descriptors, which must be there when the guest has all of its own. */
static void handles_without_end_beside_many_queues(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh = create_file(f->q, "0", &node);
	struct fuse_open_out open;
	unsigned int n = 0;
	int err = 0;

	while (n++ < FILES && !err)
		err = casement_open(f->q, node, O_RDONLY, &open);
	assert_int_equal(err, -ENFILE);
	for (unsigned int i = 0; i < MANY_QUEUES; i++)
		ok(raw_restart(casement_request_queue(f->client, i)));
	check_served(f, node, fh);
}

/* Files held by their handles cost none; open ones do, and end in ENFILE as well. */
static void handles_without_end_beside_file_handles(void **state)
{
	struct fixture *f = fixture_of(state);
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	struct fuse_attr_out attr;
	uint64_t handles[FILES], node, fh;
	char name[16], byte;
	unsigned int n = 0;
	int err = 0;

	if (daemon_logged(&f->daemon, "no file handles"))
		SKIP_BECAUSE("no CAP_DAC_READ_SEARCH, or a file system without handles");
	make_files(f);
	fh = open_file(f->q, "0", O_RDWR, &node);
	while (n < FILES && !(err = casement_open(f->q, node, O_RDONLY, &open)))
		handles[n++] = open.fh;
	assert_int_equal(err, -ENFILE);
	for (unsigned int i = 1; i < FILES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		ok(casement_lookup(f->q, CASEMENT_ROOT, name, &entry));
		ok(casement_getattr(f->q, entry.nodeid, CASEMENT_NO_FH, &attr));
	}
	refused(casement_create(f->q, CASEMENT_ROOT, "new", O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &open),
		ENFILE);
	ok(casement_write(f->q, node, fh, 0, "x", 1));
	assert_int_equal(casement_read(f->q, node, fh, 0, &byte, 1), 1);
	assert_true(daemon_count_fds(&f->daemon) < LIMIT);
	ok(casement_release(f->q, node, handles[0]));
	ok(casement_open(f->q, node, O_RDONLY, &open));
}

#define MAPPED 100u
#define MAPPED_SIZE 65536u	/* smaller files are not offered */

/* What the window has of files is rationed, too: what is left is for the session. */
static void files_mapped_without_end(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t nodes[MAPPED], handles[FILES], node = 0;
	struct fuse_open_out open;
	unsigned int n = 0;
	char name[16];
	int err = 0;

	for (unsigned int i = 0; i < MAPPED; i++) {
		snprintf(name, sizeof(name), "mapped-%u", i);
		share_fill(&f->daemon, name, MAPPED_SIZE, i);
		open_file(f->q, name, O_RDONLY, &nodes[i]);
	}
	share_fill(&f->daemon, "0", 1, 0);
	handles[n++] = open_file(f->q, "0", O_RDONLY, &node);
	while (n < FILES && !(err = casement_open(f->q, node, O_RDONLY, &open)))
		handles[n++] = open.fh;
	assert_int_equal(err, -ENFILE);
	for (unsigned int i = 0; i < MAPPED; i++)
		assert_int_equal(map(f, nodes[i], 0, MAPPED_SIZE, READ, i * RANGE), -ENFILE);
	/* A new queue needs descriptors. */
	ok(raw_restart(f->q));
	/* What is closed makes room, and what is unmapped. */
	for (unsigned int i = 0; i < 20; i++)
		ok(casement_release(f->q, node, handles[i]));
	for (unsigned int i = 0; i < MAPPED; i++) {
		ok(map(f, nodes[i], 0, MAPPED_SIZE, READ, i * RANGE));
		ok(unmap(f, i * RANGE, RANGE));
	}
	daemon_check(&f->daemon);
	assert_true(daemon_count_fds(&f->daemon) < LIMIT);
}

static long lock_as(struct fixture *f, uint64_t node, uint64_t fh, uint64_t owner)
{
	struct fuse_lk_in in = { .fh = fh, .owner = owner, .lk = { .end = 9, .type = F_RDLCK } };
	struct iovec iov = { &in, sizeof(in) };

	return casement_call(f->q, FUSE_SETLK, node, &iov, 1, NULL, 0);
}

/* Each owner of locks costs a descriptor: they are rationed with the others. */
static void owners_of_locks_without_end(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t node, fh, owner = 0;
	long err = 0;

	make_files(f);
	fh = open_file(f->q, "0", O_RDWR, &node);
	while (owner < FILES && !(err = lock_as(f, node, fh, owner)))
		owner++;
	assert_int_equal(err, -ENOLCK);
	assert_true(owner > LIMIT / 2);
	check_served(f, node, fh);
	ok(lock_as(f, node, fh, 0));
	ok(casement_flush(f->q, node, fh));	/* of owner 0 */
	ok(lock_as(f, node, fh, owner));
}

/* The next VMM finds the whole budget again. */
static void cve_2020_10717_and_the_next_guest(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t nodes[FILES];
	unsigned int n;

	make_fifos(f);
	n = learn_fifos(f, nodes);
	casement_close(f->client);
	f->client = daemon_connect(&f->daemon, NULL);
	f->q = casement_request_queue(f->client, 0);
	ok(casement_init(f->q, NULL, &f->init));
	assert_int_equal(learn_fifos(f, nodes), n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(cve_2020_10717_files_known_without_end, &few_files),
		FIXTURE_TEST(files_known_without_end, &few_files),
		FIXTURE_TEST(directories_known_without_end, &few_files),
		FIXTURE_TEST(cve_2020_10717_files_made_without_end, &few_files),
		FIXTURE_TEST(cve_2020_10717_handles_without_end, &few_files),
		FIXTURE_TEST(handles_without_end_beside_many_queues, &few_files_and_many_queues),
		FIXTURE_TEST(handles_without_end_beside_file_handles, &few_files_by_handle),
		FIXTURE_TEST(files_mapped_without_end, &few_files_and_window),
		FIXTURE_TEST(owners_of_locks_without_end, &few_files_locked),
		FIXTURE_TEST(cve_2020_10717_and_the_next_guest, &again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
